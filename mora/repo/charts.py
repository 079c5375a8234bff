"""Charts of Helm in the checkout: their values, those of the charts within them, and their files for environments."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import cast

from mora.repo.checkout import Checkout
from mora.repo.layers import Layer, Release, layer_of_file
from mora.repo.templates import Use, uses_in
from mora.repo.tree import items_at, text_at

_FORM = "values of a Helm chart"
_DEEPEST = 5
_FILE = "file://"
_VALUES = ("values.yaml", "values.yml")
# values-prod.yaml, values.prod.yaml, prod-values.yaml, prod.values.yaml
_BESIDE = re.compile(r"(?:values[-._](?P<after>[a-z0-9-]+)|(?P<before>[a-z0-9-]+)[-._]values)\.ya?ml", re.IGNORECASE)
_FOLDERS = re.compile(r"(?:values|envs?|environments?)/(?P<name>[a-z0-9-]+)(?:/values)?\.ya?ml", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Chart:
    """A chart. dependencies: key in its values -> (name, folder in the checkout or None)."""

    folder: str
    name: str
    dependencies: dict[str, tuple[str, str | None]]


def chart_at(checkout: Checkout, folder: str) -> Chart | None:
    """The chart in a folder; None where there is none."""
    known = cast("dict[str, Chart | None]", checkout.memo.setdefault("charts", {}))
    if folder not in known:
        known[folder] = _read(checkout, folder)
    return known[folder]


def _read(checkout: Checkout, folder: str) -> Chart | None:
    path = posixpath.join(folder, "Chart.yaml")
    documents = checkout.documents(path) if checkout.is_file(path) else []
    name = text_at(documents[0].root, "name") if documents else None
    if name is None:
        return None
    found: dict[str, tuple[str, str | None]] = {}
    for one in items_at(documents[0].root, "dependencies"):
        dependency = text_at(one, "name")
        if dependency is not None:
            own: str | None = posixpath.join(folder, "charts", dependency)
            repository = text_at(one, "repository") or ""
            if repository.startswith(_FILE):
                own = checkout.resolve(folder, repository.removeprefix(_FILE))
            is_there = own is not None and checkout.is_file(posixpath.join(own, "Chart.yaml"))
            found[text_at(one, "alias") or dependency] = (dependency, own if is_there else None)
    listed = {inner for _, inner in found.values()}
    below = posixpath.join(folder, "charts")
    for inner in _folders(checkout):
        if posixpath.dirname(inner) == below and inner not in listed:
            found.setdefault(posixpath.basename(inner), (posixpath.basename(inner), inner))
    return Chart(folder, name, found)


def chart_layers(checkout: Checkout, folder: str, under: tuple[str, ...] = ()) -> list[Layer]:
    """The values of a chart and of the charts within it, the lowest first."""
    chart = chart_at(checkout, folder)
    if chart is None or len(under) > _DEEPEST:
        return []
    found: list[Layer] = []
    for key, (_, inner) in chart.dependencies.items():
        if inner is not None:
            found += chart_layers(checkout, inner, (*under, key))
    path = next((path for name in _VALUES if checkout.is_file(path := posixpath.join(folder, name))), None)
    layer = None if path is None else layer_of_file(checkout, path, under=under, is_chart=True)
    return found if layer is None else [*found, layer]


def chart_uses(checkout: Checkout, folder: str, under: tuple[str, ...] = ()) -> list[Use]:
    """Where the templates of a chart, and of those within it, use values of resources."""
    known = cast("dict[tuple[str, tuple[str, ...]], list[Use]]", checkout.memo.setdefault("uses of charts", {}))
    if (folder, under) not in known:
        known[folder, under] = _uses(checkout, folder, under)
    return known[folder, under]


def _uses(checkout: Checkout, folder: str, under: tuple[str, ...]) -> list[Use]:
    chart = chart_at(checkout, folder)
    if chart is None or len(under) > _DEEPEST:
        return []
    found: list[Use] = []
    for key, (_, inner) in chart.dependencies.items():
        if inner is not None:
            found += chart_uses(checkout, inner, (*under, key))
    for path in checkout.paths_below(posixpath.join(folder, "templates")):
        found += uses_in(checkout.text(path) or "", under)
    return found


def _folders(checkout: Checkout) -> list[str]:
    """The folder of every chart."""
    known = checkout.memo.get("folders of charts")
    if known is None:
        known = [posixpath.dirname(path) for path in checkout.paths if posixpath.basename(path) == "Chart.yaml"]
        checkout.memo["folders of charts"] = known
    return cast("list[str]", known)


def releases(checkout: Checkout, used: set[str]) -> Iterator[Release]:
    """Charts that nothing in the repository installs: somebody does, by a name that is not known.

    used: the folders of charts that are installed. A file of values for an environment makes a release of its own.
    """
    found = [chart for folder in _folders(checkout) if (chart := chart_at(checkout, folder)) is not None]
    within = {inner for one in found for _, inner in one.dependencies.values() if inner is not None}
    for chart in found:
        if chart.folder in used | within:
            continue
        layers = chart_layers(checkout, chart.folder)
        uses = tuple(chart_uses(checkout, chart.folder))
        environments: list[tuple[str | None, str]] = [*_environments(checkout, chart.folder)]
        # The chart without any of them, too: their number is who else builds on its own values.
        for environment, path in [(None, ""), *environments]:
            layer = layer_of_file(checkout, path) if path else None
            yield Release(
                form=_FORM,
                name=None,
                namespace=None,
                layers=(*layers, *([] if layer is None else [layer])),
                knows_chart=True,
                chart=chart.name,
                charts={key: name for key, (name, _) in chart.dependencies.items()},
                environment=environment,
                uses=uses,
            )


def _environments(checkout: Checkout, folder: str) -> Iterator[tuple[str, str]]:
    """Name and path of the files of values for environments, beside the chart's own."""
    below = posixpath.join(folder, "") if folder else ""
    for path in checkout.paths_below(folder):
        inner = path.removeprefix(below)
        match = _BESIDE.fullmatch(inner) or _FOLDERS.fullmatch(inner)
        if match is not None:
            yield next(text for text in match.groupdict().values() if text is not None), path
