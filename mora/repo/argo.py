"""Argo CD: Applications, and those that an ApplicationSet makes, whose source is a chart of Helm."""

from __future__ import annotations

import fnmatch
import posixpath
import re
from collections.abc import Iterator, Mapping
from itertools import islice, product
from typing import Any

from mora.repo.charts import chart_at, chart_layers, chart_uses
from mora.repo.checkout import Checkout, Object
from mora.repo.layers import Layer, Parameter, Release, layer_in_text, layer_of_file
from mora.repo.manifests import known
from mora.repo.sites import Address
from mora.repo.tree import Key, Node, Scalar, at, items_at, plain, text_at

_GROUP = "argoproj.io/"
_FORM = "Helm values of Argo CD"
_ACTION = re.compile(r"\{\{-?\s*\.?([A-Za-z0-9_.\[\]-]+)\s*-?\}\}")
_GLOB = re.compile(r"[*?\[]")
# No set that people write makes more; one that would is not worth the time.
_MOST = 5_000

Given = Mapping[str, str]
"""What a generator gives one application: the name of a parameter -> its text."""


def releases(checkout: Checkout) -> Iterator[tuple[Release, str | None]]:
    """Every release of a chart that an application installs, with the folder of the chart in the checkout."""
    for one in checkout.objects("Application"):
        if one.api_version.startswith(_GROUP):
            yield from _of_application(checkout, one, (), {}, one.name)
    for one in checkout.objects("ApplicationSet"):
        if one.api_version.startswith(_GROUP):
            for given in _generated(checkout, one)[:_MOST]:
                name = _filled(text_at(one.node, "spec", "template", "metadata", "name"), given)
                yield from _of_application(checkout, one, ("spec", "template"), given, name)


def _of_application(
    checkout: Checkout, one: Object, template: tuple[Key, ...], given: Given, name: str | None
) -> Iterator[tuple[Release, str | None]]:
    spec = (*template, "spec")
    namespace = _filled(text_at(one.node, *spec, "destination", "namespace"), given)
    paths = [(*spec, "sources", place) for place, _ in enumerate(items_at(one.node, *spec, "sources"))]
    paths = paths or [(*spec, "source")]
    # A source that others take files of values from, as $NAME/path: it is this repository, or its files are not here.
    names = {text_at(one.node, *path, "ref") for path in paths}
    for path in paths:
        found = _of_source(checkout, one, path, given, {ref for ref in names if ref is not None})
        if found is None:
            continue
        layers, folder, chart = found
        helm = (*path, "helm")
        yield (
            Release(
                form=_FORM,
                name=_filled(text_at(one.node, *helm, "releaseName"), given) or name,
                namespace=namespace,
                layers=tuple(layers),
                source=() if name is None else (("Application", "", name),),
                parameters=_parameters(one, helm),
                knows_chart=folder is not None,
                chart=chart,
                charts=_charts(checkout, folder),
                uses=tuple(chart_uses(checkout, folder)) if folder is not None else (),
            ),
            folder,
        )


def _of_source(
    checkout: Checkout, one: Object, path: tuple[Key, ...], given: Given, refs: set[str]
) -> tuple[list[Layer], str | None, str | None] | None:
    """Layers, folder and name of the chart of a source; None where it is none."""
    chart = _filled(text_at(one.node, *path, "chart"), given)
    folder = _folder(_filled(text_at(one.node, *path, "path"), given))
    if chart is None and folder:  # of a chart in another repository, its folder is what is known
        chart = posixpath.basename(folder)
    folder = checkout.chart_folder(folder)
    helm = at(one.node, *path, "helm")
    if helm is None and folder is None and text_at(one.node, *path, "chart") is None:
        return None
    layers = [] if folder is None else chart_layers(checkout, folder)
    for node in items_at(one.node, *path, "helm", "valueFiles"):
        reference = _filled(node.text, given) if isinstance(node, Scalar) else None
        found = None if reference is None else _file(checkout, folder, reference, refs)
        layer = layer_of_file(checkout, found) if found is not None and checkout.is_file(found) else None
        layers += [] if layer is None else [layer]
    layers += _inline(checkout, one, (*path, "helm"))
    own = None if folder is None else chart_at(checkout, folder)
    return layers, folder, chart if own is None else own.name


def _charts(checkout: Checkout, folder: str | None) -> dict[str, str]:
    chart = None if folder is None else chart_at(checkout, folder)
    return {} if chart is None else {key: name for key, (name, _) in chart.dependencies.items()}


def _inline(checkout: Checkout, one: Object, helm: tuple[Key, ...]) -> list[Layer]:
    """The values in the application itself; `values` does not count where there is a valuesObject."""
    address = Address(one.document, (*one.path, *helm, "valuesObject"))
    values = at(one.node, *helm, "valuesObject")
    text = at(one.node, *helm, "values")
    if values is None and text is not None:
        layer = layer_in_text(checkout, one.file, Address(one.document, (*one.path, *helm, "values")), text)
        return [] if layer is None else [layer]
    return [Layer(one.file, address, values)]


def _file(checkout: Checkout, folder: str | None, reference: str, refs: set[str]) -> str | None:
    """The file of values that a source names: beside its chart, from the top, or from another source."""
    if reference.startswith("$"):
        name, _, rest = reference[1:].partition("/")
        return checkout.resolve("", rest) if name in refs else None
    if reference.startswith("/"):
        return checkout.resolve("", reference.lstrip("/"))
    return None if folder is None else checkout.resolve(folder, reference)


def _folder(path: str | None) -> str | None:
    folder = None if path is None else posixpath.normpath(path.lstrip("/"))
    return "" if folder == "." else folder


def _parameters(one: Object, helm: tuple[Key, ...]) -> dict[tuple[str, ...], Parameter]:
    """What helm.parameters sets, as with --set; a name with a dot in a key, or a place in a list, is left out."""
    found = {}
    for place, item in enumerate(items_at(one.node, *helm, "parameters")):
        name, value = text_at(item, "name"), text_at(item, "value")
        if name is not None and value is not None and not set(name) & set("\\[]{}"):
            address = Address(one.document, (*one.path, *helm, "parameters", place, "value"))
            found[tuple(name.split("."))] = Parameter(one.file, address, value)
    return found


# --- application sets ------------------------------------------------------------------------------------------------


def _generated(checkout: Checkout, one: Object) -> list[dict[str, str]]:
    found = []
    for generator in items_at(one.node, "spec", "generators"):
        found += _of_generator(checkout, generator)
    return found


def _of_generator(checkout: Checkout, generator: Node) -> list[dict[str, str]]:
    """What one generator gives, of those that only this repository is needed for: list, git and matrix."""
    elements = items_at(generator, "list", "elements")
    if elements:
        return [_flat(plain(element)) for element in elements]
    if at(generator, "git") is not None:
        return [*_directories(checkout, generator), *_files(checkout, generator)]
    inner = items_at(generator, "matrix", "generators")
    if inner:
        each = [_of_generator(checkout, one) for one in inner]
        # What a generator needs a cluster for (clusters, pull requests) gives nothing here, and hinders no other.
        return [
            {key: text for part in parts for key, text in part.items()}
            for parts in islice(product(*(one or [{}] for one in each)), _MOST)
        ]
    return []


def _directories(checkout: Checkout, generator: Node) -> list[dict[str, str]]:
    wanted: list[str] = []
    excluded: list[str] = []
    for item in items_at(generator, "git", "directories"):
        path = _folder(text_at(item, "path"))
        if path is not None:
            (excluded if text_at(item, "exclude") == "true" else wanted).append(path)
    folders = {posixpath.dirname(path) for path in checkout.paths}
    folders |= {parent for folder in folders for parent in _parents(folder)}
    return [
        _path(folder)
        for folder in sorted(folders)
        if any(_matches(folder, one) for one in wanted) and not any(_matches(folder, one) for one in excluded)
    ]


def _files(checkout: Checkout, generator: Node) -> list[dict[str, str]]:
    found = []
    for item in items_at(generator, "git", "files"):
        pattern = _folder(text_at(item, "path"))
        for path in checkout.paths if pattern is not None else ():
            if _matches(path, pattern or "") and not path.endswith("kustomization.yaml"):
                documents = checkout.documents(path)
                values = plain(documents[0].root) if documents else {}
                found.append(_flat(values) | _path(posixpath.dirname(path)))
    return found


def _parents(folder: str) -> Iterator[str]:
    while folder := posixpath.dirname(folder):
        yield folder


def _matches(path: str, pattern: str) -> bool:
    """Whether a path is of a pattern whose * does not go over a /; ** does."""
    if "**" in pattern:
        return fnmatch.fnmatchcase(path, pattern.replace("**/", "*"))
    return path.count("/") == pattern.count("/") and fnmatch.fnmatchcase(path, pattern)


def _path(folder: str) -> dict[str, str]:
    """What a directory is called in templates, old and new."""
    parts = folder.split("/")
    found = {"path": folder, "path.path": folder, "path.basename": parts[-1], "path.basenameNormalized": parts[-1]}
    return found | {f"path[{place}]": part for place, part in enumerate(parts)}


def _flat(values: Any, before: str = "") -> dict[str, str]:
    if not isinstance(values, dict):
        return {}
    found: dict[str, str] = {}
    for key, value in values.items():
        name = f"{before}{key}"
        found |= _flat(value, f"{name}.") if isinstance(value, dict) else {name: str(value)}
    return found


def _filled(text: str | None, given: Given) -> str | None:
    """A text with the parameters of a generator in it; None where one is not known.

    >>> _filled("{{ .path.basename }}-{{name}}", {"path.basename": "web", "name": "prod"}), _filled("{{ .nil }}", {})
    ('web-prod', None)
    """
    if text is None:
        return None
    for match in reversed(list(_ACTION.finditer(text))):
        if match[1] not in given:
            return None
        text = text[: match.start()] + given[match[1]] + text[match.end() :]
    return known(text)
