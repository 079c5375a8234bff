"""What counters of restarts and reasons of ends tell: restarts, OOM kills, and kills that no restart followed. Pure."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mora.domain import CrashLoop, Window
from mora.sources.prometheus.matrix import Strip

# Restarts known from the very beginning of the data happened before it.
_STEPS_AT_THE_BEGINNING = 2
# So many restarts of one pod within so long: more than of a service that fails now and then. The kubelet waits up to
# five minutes between two of a pod that never works, so such a pod has a hundred a day and more.
_CRASH_LOOPS = ((timedelta(days=1), 5), (timedelta(days=7), 20))


@dataclass(frozen=True, slots=True)
class Restarts:
    """By how much a counter of restarts rose at each row, and where it was seen."""

    risen: NDArray[np.intp]
    is_seen: NDArray[np.bool_]

    def kills(self, reasons: Iterable[Strip]) -> NDArray[np.intp]:
        """The rows at which a restart was an OOM kill.

        The gauge of the last reason alone stays 1 for ever; and where a scraper leaves no mark that a series ended, an
        older reason is still shown for five minutes. So the step after the restart is looked at, where there is one.
        """
        is_oom = np.zeros(len(self.risen), dtype=bool)
        for strip in reasons:
            is_oom[strip.rows] = True
        rows = np.flatnonzero(self.risen)
        after = np.minimum(rows + 1, len(self.risen) - 1)
        killed: NDArray[np.intp] = rows[is_oom[np.where(self.is_seen[after], after, rows)]]
        return killed


def crash_loop(pod: str, container: str, crashes: NDArray[np.intp], window: Window) -> CrashLoop | None:
    """Whether a pod's container keeps restarting lately. crashes: restarts at each row, OOM kills left out."""
    for span, least in _CRASH_LOOPS:
        restarts = int(crashes[-max(1, round(span / window.step)) :].sum())
        if restarts >= least:
            return CrashLoop(pod, container, restarts, span)
    return None


def ended_by_kill(strips: Iterable[Strip], restarts: Restarts | None, window: Window, first_row: int) -> int | None:
    """The row at which a container was killed that never started again; None where a restart followed.

    strips: where the reason of its end is an OOM kill. A kill that is known from `first_row` on happened before.
    """
    seen = np.zeros(window.sample_count, dtype=bool)
    for strip in strips:
        seen[strip.rows] = True
    known = np.flatnonzero(seen)
    if not len(known):
        return None
    gaps = np.flatnonzero(np.diff(known) > _STEPS_AT_THE_BEGINNING)
    begin = int(known[gaps[-1] + 1]) if len(gaps) else int(known[0])
    if begin <= first_row + _STEPS_AT_THE_BEGINNING:
        return None
    return None if restarts is not None and restarts.risen[begin:].any() else begin


def events_within(rows: Iterable[Mapping[str, Any]], first: int) -> dict[tuple[str, ...], int]:
    """Container -> OOM kills that its cgroups counted between the first and the last moment (fleet_promql.oom_events).

    first: how many days ago the data begins; what a cgroup had counted by then happened before. Two jobs that scrape it
    tell the same.
    """
    counted: defaultdict[tuple[str, ...], dict[int, float]] = defaultdict(dict)
    for row in rows:
        labels, value = row["metric"], float(row["value"][1])
        key = tuple(labels.get(name, "") for name in ("namespace", "pod", "container", "id"))
        ago = int(labels["days_ago"])
        if all(key[:3]) and math.isfinite(value):
            counted[key][ago] = max(counted[key].get(ago, 0.0), value)
    found: defaultdict[tuple[str, ...], int] = defaultdict(int)
    for key, moments in counted.items():
        found[key[:3]] += round(max(moments.values()) - moments.get(first, 0.0))
    return {key: kills for key, kills in found.items() if kills > 0}


def restarts_of(strips: Iterable[Strip], window: Window, first_row: int) -> Restarts:
    """What a counter of restarts tells. What it shows from `first_row` on, when the data begins, rose before.

    strips: where it is above 0; doubled scrapes are merged. A counter that falls was reset.
    """
    seen = np.full(window.sample_count, np.nan)
    for strip in strips:
        seen[strip.rows] = np.fmax(seen[strip.rows], strip.values)
    known = np.flatnonzero(~np.isnan(seen))
    risen = np.zeros(window.sample_count, dtype=np.intp)
    if len(known):
        values = seen[known]
        is_old = known[0] <= first_row + _STEPS_AT_THE_BEGINNING
        steps = np.diff(values, prepend=values[0] if is_old else 0.0)
        risen[known] = np.where(steps < 0, values, steps).astype(np.intp)
    return Restarts(risen, ~np.isnan(seen))
