"""helmfile: releases with their values, files of values and `set`, through helmfiles that include others."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator

from mora.repo.charts import chart_at, chart_layers, chart_uses
from mora.repo.checkout import Checkout
from mora.repo.layers import Layer, Parameter, Release, layer_of_file
from mora.repo.manifests import known
from mora.repo.sites import Address
from mora.repo.tree import Mapping, Node, Scalar, items_at, text_at

_FORM = "helmfile"
_FILES = re.compile(r"(?:^|/)(?:helmfile\.ya?ml|helmfile\.d/[^/]+\.ya?ml|[^/]*helmfile[^/]*\.ya?ml)$")


def releases(checkout: Checkout) -> Iterator[tuple[Release, str | None]]:
    """Every release of every helmfile, with the folder of its chart in the checkout."""
    for path in checkout.paths:
        if not _FILES.search(path):
            continue
        for number, document in enumerate(checkout.documents(path)):
            # A `releases:` of anything else has no charts.
            for place, release in enumerate(items_at(document.root, "releases")):
                if text_at(release, "chart") is not None and text_at(release, "name") is not None:
                    yield _release(checkout, path, Address(number, ("releases", place)), release)


def _release(checkout: Checkout, path: str, address: Address, release: Node) -> tuple[Release, str | None]:
    here = posixpath.dirname(path)
    chart = text_at(release, "chart") or ""
    folder = checkout.chart_folder(checkout.resolve(here, chart))
    layers = [] if folder is None else chart_layers(checkout, folder)
    for place, item in enumerate(items_at(release, "values")):
        layer = None
        if isinstance(item, Scalar):
            found = checkout.resolve(here, item.text) if known(item.text) is not None else None
            layer = layer_of_file(checkout, found) if found is not None and checkout.is_file(found) else None
        elif isinstance(item, Mapping):
            layer = Layer(path, address.below("values", place), item)
        layers += [] if layer is None else [layer]
    own = None if folder is None else chart_at(checkout, folder)
    return (
        Release(
            form=_FORM,
            name=known(text_at(release, "name")),
            namespace=known(text_at(release, "namespace")),
            layers=tuple(layers),
            parameters=_parameters(path, address, release),
            knows_chart=folder is not None,
            chart=chart.rpartition("/")[2] if own is None else own.name,
            charts={} if own is None else {key: name for key, (name, _) in own.dependencies.items()},
            uses=tuple(chart_uses(checkout, folder)) if folder is not None else (),
        ),
        folder,
    )


def _parameters(path: str, address: Address, release: Node) -> dict[tuple[str, ...], Parameter]:
    found = {}
    for place, item in enumerate(items_at(release, "set")):
        name, value = text_at(item, "name"), text_at(item, "value")
        if name is not None and value is not None and not set(name) & set("\\[]{}"):
            found[tuple(name.split("."))] = Parameter(path, address.below("set", place, "value"), value)
    return found
