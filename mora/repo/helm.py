"""The form of Helm: charts that Flux, Argo CD, helmfile and Kustomize install, and those that nothing installs."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator

from mora.repo import argo, charts, flux, helmfile
from mora.repo.checkout import Checkout
from mora.repo.layers import Layer, Release, layer_of_file
from mora.repo.manifests import known
from mora.repo.sites import Address, Site
from mora.repo.tree import Node, Scalar, at, items_at, text_at
from mora.repo.values import sites_of

_FORM = "helmCharts of Kustomize"


def sites(checkout: Checkout) -> Iterator[Site]:
    """Every place in values of Helm that sets the resources of a container."""
    yield from sites_of(checkout, releases(checkout))


def releases(checkout: Checkout) -> list[Release]:
    """Every release that the repository declares, and one for each chart in it that nothing installs."""
    found: list[Release] = []
    used: set[str] = set()
    for release, folder in (*flux.releases(checkout), *argo.releases(checkout), *helmfile.releases(checkout)):
        found.append(release)
        used |= set() if folder is None else {folder}
    found += _of_kustomize(checkout)
    return [*found, *charts.releases(checkout, used)]


def _of_kustomize(checkout: Checkout) -> Iterator[Release]:
    """Charts that a kustomization inflates, by `helmCharts`."""
    for one in checkout.objects("Kustomization"):
        if not one.api_version.startswith("kustomize.config.k8s.io/"):
            continue
        folder = posixpath.dirname(one.file)
        namespace = known(text_at(one.node, "namespace"))
        for place, item in enumerate(items_at(one.node, "helmCharts")):
            name = text_at(item, "name")
            layers: list[Layer] = []
            for reference in (at(item, "valuesFile"), *items_at(item, "additionalValuesFiles")):
                path = checkout.resolve(folder, reference.text) if isinstance(reference, Scalar) else None
                layer = layer_of_file(checkout, path) if path is not None and checkout.is_file(path) else None
                layers += [] if layer is None else [layer]
            inline: Node | None = at(item, "valuesInline")
            address = Address(one.document, (*one.path, "helmCharts", place, "valuesInline"))
            layers.append(Layer(one.file, address, inline))
            yield Release(
                form=_FORM,
                name=known(text_at(item, "releaseName")) or name,
                namespace=known(text_at(item, "namespace")) or namespace,
                layers=tuple(layers),
                chart=name,
            )
