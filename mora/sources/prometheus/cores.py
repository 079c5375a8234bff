"""CPU counters that are split by core: they add up to the use of their container, where doubled series do not.

An older cAdvisor writes a series for each core (`cpu="cpu00"`), newer ones a single one (`cpu="total"`). Two jobs that
scrape one cAdvisor, and two replicas of a Prometheus, differ in other labels and say the same twice.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mora.sources.prometheus.matrix import Strip

_CORE = "cpu"
_ALL = ("", "total")


def of_all_cores(strips: Sequence[Strip]) -> list[Strip]:
    """The series of one container, those of single cores added up; others as they are."""
    if not any(_CORE in strip.labels for strip in strips):
        return list(strips)
    groups: defaultdict[tuple[tuple[str, str], ...], list[Strip]] = defaultdict(list)
    for strip in strips:
        groups[_without_core(strip.labels)].append(strip)
    return [one for group in groups.values() for one in _added(group)]


def sums_of_cores(rows: Iterable[Mapping[str, Any]]) -> list[tuple[Mapping[str, str], float]]:
    """The labels and values of an instant answer, those of single cores added up."""
    groups: defaultdict[tuple[tuple[str, str], ...], dict[str, float]] = defaultdict(dict)
    for row in rows:
        labels = row["metric"]
        groups[_without_core(labels)][labels.get(_CORE, "")] = float(row["value"][1])
    return [
        (dict(labels), next((values[name] for name in _ALL if name in values), sum(values.values())))
        for labels, values in groups.items()
    ]


def _without_core(labels: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    return tuple(sorted((name, value) for name, value in labels.items() if name != _CORE))


def _added(group: Sequence[Strip]) -> list[Strip]:
    whole = [strip for strip in group if strip.labels.get(_CORE, "") in _ALL]
    if whole or len(group) == 1:
        return whole or list(group)
    rows = [_numbers(strip.rows) for strip in group]
    known = np.unique(np.concatenate(rows))
    total = np.full(len(known), np.nan)
    for strip, numbers in zip(group, rows, strict=True):
        at = np.searchsorted(known, numbers)
        total[at] = np.where(np.isnan(total[at]), strip.values, total[at] + np.nan_to_num(strip.values, nan=0.0))
    labels = dict(_without_core(group[0].labels))
    return [Strip(labels, known, total)]


def _numbers(rows: slice | NDArray[np.intp]) -> NDArray[np.intp]:
    return np.arange(rows.start, rows.stop) if isinstance(rows, slice) else rows
