"""Upper bounds of several containers at once: six times as quick as one by one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

import numpy as np

from mora.domain import BoundSeries, Target, WorkloadHistory
from mora.fleet.evidence import Floats, cpu_series
from mora.fleet.learning import Learning
from mora.seams import KeepsBounds

# Containers that are sized together. Of 200 workloads, 64 at once take 191 MiB at most and 6.1 s of CPU in all, 24 take
# 146 MiB and 6.2 s, 16 take 132 MiB and 6.7 s.
AT_ONCE = 24


@dataclass(frozen=True, slots=True)
class UpperBound:
    """What mora/bounds predicts for one container over the horizon that begins where its history ends.

    amount: cores or bytes. confidence: the stated chance, 0..1, that it covers the horizon (mora/coverage.py).
    windows: how many whole windows of its past it was learnt from. is_of_one_pod: whether it is that of the pod that
    needs most, among several that ran at once.
    """

    amount: float
    confidence: float
    windows: int
    is_of_one_pod: bool = False


Bounds = Mapping[str, Mapping[Target, UpperBound]]
"""Container -> target -> upper bound; without the targets that have no sample."""


def bounds_of(
    histories: Sequence[WorkloadHistory], horizon: timedelta, keeper: KeepsBounds | None = None
) -> list[Bounds]:
    """The upper bounds of every container of some histories, in their order: for CPU, the largest of its pods'.

    keeper: has what they go on from, and gets it; without one they are learnt from all samples.
    """
    found: list[dict[str, dict[Target, UpperBound]]] = [{name: {} for name in one.containers} for one in histories]
    for window in dict.fromkeys(one.window for one in histories):
        rows = [
            (number, name) for number, one in enumerate(histories) if one.window == window for name in one.containers
        ]
        learning = Learning(window, horizon, keeper, [histories[number].workload for number, _ in rows])
        for target in (Target.CPU, Target.MEMORY):
            asked = [
                (number, BoundSeries(histories[number].workload, name, target, place), use)
                for number, name in rows
                for place, use in enumerate(_uses(histories[number], name, target))
            ]
            for start in range(0, len(asked), AT_ONCE):
                part = asked[start : start + AT_ONCE]
                use = np.array([one for _, _, one in part])
                bounds = _bounds_of_rows(use, learning, [series for _, series, _ in part])
                for (number, series, _), bound in zip(part, bounds, strict=True):
                    name = series.container
                    before = found[number][name].get(target)
                    if bound is not None and (before is None or bound.amount > before.amount):
                        is_of_one = target is Target.CPU and bool(histories[number].containers[name].by_pod)
                        found[number][name][target] = replace(bound, is_of_one_pod=is_of_one)
    return list(found)


def _uses(history: WorkloadHistory, name: str, target: Target) -> list[Floats]:
    """What a container's request is sized on: of several pods, those that need most, each alone."""
    one = history.containers[name]
    if target is Target.MEMORY:
        # A single sample above the request is a kill: the highest pod at each moment has them all.
        return [one.mem_bytes]
    return cpu_series(one)


def _bounds_of_rows(use: Floats, learning: Learning, series: Sequence[BoundSeries]) -> list[UpperBound | None]:
    """use: shape (series, samples)."""
    found = learning.bounds(use, series)
    count = use.shape[1]
    is_known = ~np.isnan(use)
    first = np.where(is_known.any(axis=1), is_known.argmax(axis=1), count)
    windows = (count - first) * learning.window.step // learning.horizon
    return [
        None if np.isnan(request) else UpperBound(float(request), float(confidence), int(whole))
        for request, confidence, whole in zip(found.requests, found.confidence, windows, strict=True)
    ]
