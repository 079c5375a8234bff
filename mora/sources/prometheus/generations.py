"""What single pods used, each together with the pods before it whose place it took.

One request serves every pod, so it must cover the pod that needs most. The pod that is hottest at each moment is no
pod: where sixty take turns at a burst of a minute, it bursts all day. But a single pod is often young, and a rule
learns from weeks; so a pod's series is continued by that of a pod which ended when it started, generation by
generation.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

import numpy as np
from numpy.typing import NDArray

from mora.domain import PodSpread, PodUse, Window

Floats = NDArray[np.float64]
Small = NDArray[np.float32]

# A pod takes the place of one that ended up to so long after it started (a rolling update), or before; of short lives,
# up to a quarter of the shorter.
_HANDOVER = timedelta(hours=1)
# Below so many samples a pod's usual level is not known.
_LEAST_FOR_A_LEVEL = 12
# What the pod that needs most is sought by: a level over the last so many days. On groups of sibling VMs, the largest
# answer of these pods is 0.4 % below the largest of all, for at most four answers a workload.
_LEVELS = ((1, 0.95), (1, 0.99), (7, 0.95), (14, 0.99))


@dataclass(frozen=True, slots=True)
class PodSeries:
    """What one pod used from row `first` of a window on, NaN where not known."""

    pod: str
    first: int
    values: Small

    @property
    def after(self) -> int:
        """The row after its last one."""
        return self.first + len(self.values)

    @classmethod
    def of(cls, pod: str, parts: Sequence[tuple[int, Small]]) -> PodSeries:
        """The parts of one pod, in any order, as one series; where they overlap (doubled scrapes), the larger value."""
        first = min(first for first, _ in parts)
        whole = np.full(max(first + len(values) for first, values in parts) - first, np.nan, dtype=np.float32)
        for begin, values in parts:
            here = slice(begin - first, begin - first + len(values))
            whole[here] = np.fmax(whole[here], values)
        return cls(pod, first, whole)


def dense(rows: slice | NDArray[np.intp], values: Floats) -> tuple[int, Small] | None:
    """A strip's values as a part: its first row, and a value for each row from there on; None where none is known."""
    known = np.flatnonzero(~np.isnan(values))
    if not len(known):
        return None
    begin, end = int(known[0]), int(known[-1]) + 1
    if isinstance(rows, slice):
        return rows.start + begin, values[begin:end].astype(np.float32)
    numbers = rows[begin:end]
    part = np.full(int(numbers[-1] - numbers[0]) + 1, np.nan, dtype=np.float32)
    part[numbers - numbers[0]] = values[begin:end]
    return int(numbers[0]), part


def note(parts: list[tuple[int, Small]], part: tuple[int, Small]) -> None:
    """Add a part to those of a pod; one that was scraped twice is kept once."""
    if parts and parts[-1][0] == part[0] and len(parts[-1][1]) == len(part[1]):
        np.fmax(parts[-1][1], part[1], out=parts[-1][1])
    else:
        parts.append(part)


def places(pods: Iterable[PodSeries], step: timedelta) -> list[list[PodSeries]]:
    """The pods, each behind the one whose place it took: no two of a list ran at once but while they changed over.

    Of pods that start together (a rollout), the hotter ones follow those that were hotter before, so that a hot shard
    stays one in every generation. Else a pod takes the place that became free lately whose pod was most like it; else
    the first place that is free, so that as few as possible have a short past.
    """
    handover = max(1, round(_HANDOVER / step))
    found = _Places(handover)
    ordered = sorted(pods, key=lambda one: (one.first, one.pod))
    while ordered:
        together = [one for one in ordered if one.first <= ordered[0].first + handover]
        ordered = ordered[len(together) :]
        found.take(together)
    return found.pods


class _Places:
    """Places so far, with the level of the last pod of each."""

    def __init__(self, handover: int) -> None:
        self.pods: list[list[PodSeries]] = []
        self._levels: list[float | None] = []
        self._handover = handover

    def take(self, together: Sequence[PodSeries]) -> None:
        """Find a place for each of some pods that started within a change-over."""
        levels = {one.pod: _level(one) for one in together}
        known = sorted((one for one in together if levels[one.pod]), key=lambda one: (-(levels[one.pod] or 0), one.pod))
        free = [number for number in self._free(known) if self._levels[number]]
        run_at_once = bool(known) and max(one.first for one in known) < min(one.after for one in known)
        if run_at_once and len(known) == len(free):
            for one, number in zip(known, sorted(free, key=lambda at: -(self._levels[at] or 0)), strict=True):
                self._put(one, levels[one.pod], number)
            known = []
        waiting = [*known, *(one for one in together if not levels[one.pod])]
        for one in sorted(waiting, key=lambda one: (one.first, -(levels[one.pod] or 0), one.pod)):
            level = levels[one.pod]
            lately = [at for at in self._free([one]) if level and self._levels[at]]
            alike = min(lately, key=lambda at: abs(math.log((self._levels[at] or 1) / (level or 1))), default=None)
            anywhere = (at for at, pods in enumerate(self.pods) if _is_over(pods[-1], one, self._handover))
            self._put(one, level, next(anywhere, None) if alike is None else alike)

    def _free(self, starting: Sequence[PodSeries]) -> list[int]:
        """The places that became free lately for all of some pods."""
        return [
            number
            for number, pods in enumerate(self.pods)
            if all(
                _is_over(pods[-1], one, self._handover) and one.first - pods[-1].after <= self._handover
                for one in starting
            )
        ]

    def _put(self, one: PodSeries, level: float | None, number: int | None) -> None:
        if number is None:
            self.pods.append([one])
            self._levels.append(level)
        else:
            self.pods[number].append(one)
            self._levels[number] = level


def _is_over(before: PodSeries, one: PodSeries, handover: int) -> bool:
    """Whether a pod ends early enough for another to have taken its place."""
    allowed = min(handover, len(before.values) // 4, len(one.values) // 4)
    return before.after - one.first <= allowed


def _level(one: PodSeries) -> float | None:
    """The median of a pod: what it usually uses, whatever its bursts."""
    known = one.values[~np.isnan(one.values)]
    if len(known) < _LEAST_FOR_A_LEVEL:
        return None
    return float(np.median(known)) or None


def needing_most(
    found: Sequence[Sequence[PodSeries]], window: Window, throttled: Mapping[str, Floats] | None = None
) -> tuple[PodUse, ...]:
    """Of several places, the use of those whose pods need most by one level or another.

    throttled: of each pod that was ever throttled its share of CFS periods on the window; None where that is not known.
    While nothing is known of a place (before it came to be, or while nothing ran in it), the place that is known best
    stands in: what has little past of its own is judged by that of its siblings.
    """
    use = np.full((len(found), window.sample_count), np.nan, dtype=np.float32)
    for row, pods in zip(use, found, strict=True):
        for one in pods:
            here = row[one.first : one.after]
            np.fmax(here, one.values, out=here)
    is_known = ~np.isnan(use)
    # Of those known equally well, the one that used most.
    best = max(range(len(found)), key=lambda number: (int(is_known[number].sum()), float(np.nansum(use[number]))))
    filled = np.where(is_known, use, use[best])
    known = np.flatnonzero(~np.isnan(filled[best]))
    chosen = []
    for days, share in _LEVELS:
        begin = max(0, int(known[-1]) + 1 - round(timedelta(days=days) / window.step))
        chosen.append(int(np.argmax(_quantiles(filled[:, begin:], share))))
    return tuple(
        PodUse(
            filled[number].astype(np.float64),
            None
            if throttled is None
            else np.where(is_known[number], _shares(found[number], throttled), _shares(found[best], throttled)),
        )
        for number in dict.fromkeys(chosen)
    )


def _quantiles(values: Small, share: float) -> Floats:
    """The quantile of each row's samples that are known; -1 for a row without any."""
    is_known = ~np.isnan(values)
    everywhere = is_known.all(axis=0)
    if (is_known == everywhere).all() and everywhere.any():  # as usual: what one lacks, all lack
        return np.asarray(np.quantile(values[:, everywhere], share, axis=1), dtype=np.float64)
    return np.array(
        [np.quantile(row[here], share) if here.any() else -1.0 for row, here in zip(values, is_known, strict=True)]
    )


def _shares(pods: Sequence[PodSeries], throttled: Mapping[str, Floats]) -> Floats:
    """The throttled share of a place's pods, each while it ran; 0 where none was throttled."""
    found = np.zeros(len(next(iter(throttled.values())))) if throttled else np.zeros(())
    for one in pods:
        if one.pod in throttled:
            found[one.first : one.after] = np.nan_to_num(throttled[one.pod][one.first : one.after])
    return found


def spread(amounts: Mapping[str, float]) -> PodSpread | None:
    """How unevenly the pods that run now use a resource, from what each needs; None for fewer than two."""
    if len(amounts) < 2:
        return None
    largest = max(amounts, key=lambda pod: (amounts[pod], pod))
    ordered = sorted(amounts.values())
    return PodSpread(
        pods=len(ordered),
        largest_pod=largest,
        largest=ordered[-1],
        # Of two pods the smaller: the median of the rest, as it were.
        median=ordered[(len(ordered) - 1) // 2],
        spare=sum(ordered[-1] - one for one in ordered),
    )
