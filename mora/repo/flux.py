"""Flux: a HelmRelease, its values, those that it takes from config maps, and the patches of overlays over it."""

from __future__ import annotations

import posixpath
from collections import defaultdict
from collections.abc import Iterator

from mora.repo.charts import chart_at, chart_layers, chart_uses
from mora.repo.checkout import Checkout, Object
from mora.repo.layers import Layer, Release, layer_in_text, layer_of_file
from mora.repo.manifests import known
from mora.repo.sites import Address
from mora.repo.tree import Node, Scalar, at, items_at, text_at

_GROUP = "helm.toolkit.fluxcd.io/"
_KUSTOMIZATIONS = "kustomize.toolkit.fluxcd.io/"
_FORM = "HelmRelease of Flux"


def releases(checkout: Checkout) -> Iterator[tuple[Release, str | None]]:
    """Every HelmRelease, with the folder of its chart in the checkout; one that several overlays patch is several."""
    declared = [one for one in checkout.objects("HelmRelease") if one.api_version.startswith(_GROUP)]
    patches: dict[str, list[Object]] = defaultdict(list)
    for one in declared:
        if not _has_chart(one) and one.name is not None:
            patches[one.name].append(one)
    for one in declared:
        if not _has_chart(one):
            continue
        over = [
            patch
            for patch in patches.get(one.name or "", ())
            if None in (patch.namespace, one.namespace) or patch.namespace == one.namespace
        ]
        if not over:
            yield _release(checkout, one, None)
        for patch in over:
            yield _release(checkout, one, patch)


def _has_chart(one: Object) -> bool:
    return at(one.node, "spec", "chart") is not None or at(one.node, "spec", "chartRef") is not None


def _release(checkout: Checkout, one: Object, patch: Object | None) -> tuple[Release, str | None]:
    namespaces = [
        known(text_at(one.node, "spec", "targetNamespace")),
        *_namespaces(checkout, patch or one),
        known(one.namespace),
    ]
    namespace = next((name for name in namespaces if name is not None), None)
    target = known(text_at(one.node, "spec", "targetNamespace"))
    name = known(one.name)
    default = name if target is None or name is None else f"{target}-{name}"
    layers: list[Layer] = []
    chart = at(one.node, "spec", "chart", "spec")
    folder = None if chart is None else _chart_in_checkout(checkout, one, chart)
    if folder is not None and chart is not None:
        layers += chart_layers(checkout, folder)
        for path in _texts(items_at(chart, "valuesFiles")):
            found = checkout.resolve("", path)
            layers += [] if found is None else _maybe(layer_of_file(checkout, found))
    for source in items_at(one.node, "spec", "valuesFrom"):
        layers += _values_from(checkout, one, source)
    for owner in (one, *([] if patch is None else [patch])):
        values = at(owner.node, "spec", "values")
        layers.append(Layer(owner.file, Address(owner.document, (*owner.path, "spec", "values")), values))
    own = None if folder is None else chart_at(checkout, folder)
    release = Release(
        form=_FORM,
        name=known(text_at(one.node, "spec", "releaseName")) or default,
        namespace=namespace,
        layers=tuple(layers),
        source=() if name is None else (("HelmRelease", known(one.namespace) or "", name),),
        knows_chart=folder is not None,
        chart=_chart_name(checkout, one) if own is None else own.name,
        charts={} if own is None else {key: name for key, (name, _) in own.dependencies.items()},
        uses=() if folder is None else tuple(chart_uses(checkout, folder)),
    )
    return release, folder


def _chart_name(checkout: Checkout, one: Object) -> str | None:
    """The name of a chart from a repository of charts, or that a reference to an OCI address ends with."""
    name = text_at(one.node, "spec", "chart", "spec", "chart")
    if name is not None:
        return posixpath.basename(name.rstrip("/"))
    reference = text_at(one.node, "spec", "chartRef", "name")
    sources = _nearest([found for found in checkout.objects("OCIRepository") if found.name == reference], one.file)
    url = text_at(sources[0].node, "spec", "url") if sources else None
    return None if url is None else known(posixpath.basename(url.rstrip("/")))


def _texts(nodes: list[Node]) -> list[str]:
    return [node.text for node in nodes if isinstance(node, Scalar)]


def _maybe(layer: Layer | None) -> list[Layer]:
    return [] if layer is None else [layer]


def _chart_in_checkout(checkout: Checkout, one: Object, chart: Node) -> str | None:
    """The folder of a chart that comes from Git, if this checkout has it."""
    name = text_at(chart, "chart")
    if text_at(chart, "sourceRef", "kind") != "GitRepository" or name is None:
        return None
    return checkout.chart_folder(name.lstrip("/"))


def _values_from(checkout: Checkout, one: Object, source: Node) -> list[Layer]:
    """The values of a config map that is in the checkout; a Secret is never read."""
    name, key = text_at(source, "name"), text_at(source, "valuesKey") or "values.yaml"
    if text_at(source, "kind") != "ConfigMap" or name is None or text_at(source, "targetPath") is not None:
        return []
    maps = [found for found in checkout.objects("ConfigMap") if found.name == name]
    for found in _nearest(maps, one.file):
        path = ("data", key)
        layer = layer_in_text(
            checkout, found.file, Address(found.document, (*found.path, *path)), at(found.node, *path)
        )
        if layer is not None:
            return [layer]
    for generated in _generated(checkout, name, key, one.file):
        layer = layer_of_file(checkout, generated)
        if layer is not None:
            return [layer]
    return []


def _nearest(objects: list[Object], file: str) -> list[Object]:
    """The objects by how much of their folder is that of a file."""
    return sorted(objects, key=lambda one: -len(posixpath.commonprefix([one.file, file])))


def _generated(checkout: Checkout, name: str, key: str, near: str) -> list[str]:
    """Files that a configMapGenerator of Kustomize puts under a key of a config map."""
    found = []
    for one in _nearest(
        [one for one in checkout.objects("Kustomization") if "kustomize.config" in one.api_version], near
    ):
        folder = posixpath.dirname(one.file)
        for generator in items_at(one.node, "configMapGenerator"):
            if text_at(generator, "name") != name:
                continue
            for entry in _texts(items_at(generator, "files")):
                own, is_named, path = entry.partition("=")
                path = path if is_named else own
                path_in_checkout = checkout.resolve(folder, path)
                if path_in_checkout is not None and (own if is_named else posixpath.basename(path)) == key:
                    found.append(path_in_checkout)
    return found


def _namespaces(checkout: Checkout, one: Object) -> list[str | None]:
    """The namespaces that a Kustomization of Flux, or one of Kustomize beside the file, puts an object into."""
    of_flux: dict[str, set[str]] = defaultdict(set)
    for ks in checkout.objects("Kustomization"):
        target = known(text_at(ks.node, "spec", "targetNamespace"))
        path = text_at(ks.node, "spec", "path")
        if ks.api_version.startswith(_KUSTOMIZATIONS) and target is not None and path is not None:
            of_flux[posixpath.normpath(path.lstrip("/"))].add(target)
    folder = posixpath.dirname(one.file)
    while True:
        if folder in of_flux:
            found = of_flux[folder]
            return [next(iter(found)) if len(found) == 1 else None]
        own = [
            ks
            for ks in checkout.objects("Kustomization")
            if posixpath.dirname(ks.file) == folder and "kustomize.config" in ks.api_version
        ]
        for ks in own:
            name = known(text_at(ks.node, "namespace"))
            if name is not None:
                return [name]
        if not folder:
            return []
        folder = posixpath.dirname(folder)
