"""Learns bounds on ticks of the clock: from all samples, or from what a run before left and the samples since.

Both give the same numbers, since their ticks are the same: whatever the minute that they are asked at, an hour begins
at the full hour. In its middle, the rest of the running tick is not known.

What goes on from run to run would know more and more, and a run that begins anew only what its history has. So each
series is learnt anew from its history once in half a day to a day, not all at the same time.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterable, Sequence
from datetime import timedelta

import numpy as np

from mora.bounds.cpu import cpu_bounds_many
from mora.bounds.memory import memory_bounds_many
from mora.bounds.renewal import renewed
from mora.bounds.ticks import Bounds, samples_per_tick
from mora.domain import BoundSeries, KeptBound, Target, Window, Workload
from mora.errors import StaleAnswer
from mora.fleet.evidence import Floats
from mora.seams import KeepsBounds

# Samples that are newer may change: scrapes come late (sources/prometheus/answered.py asks for as much again).
_UNSETTLED = timedelta(minutes=30)
_SHORTEST_LIFE_SECONDS, _LONGEST_LIFE_SECONDS = 12 * 3600.0, 24 * 3600.0


class Learning:
    """The bounds of the series of some workloads over one window.

    keeper: has what they go on from, and gets it; None: all are learnt from all samples.
    """

    def __init__(
        self, window: Window, horizon: timedelta, keeper: KeepsBounds | None, workloads: Iterable[Workload]
    ) -> None:
        self.window, self.horizon = window, horizon
        step = window.step.total_seconds()
        per_tick = samples_per_tick(step, horizon.total_seconds())
        # Where whole steps make no tick, ticks count back from the end of the window, and nothing can be carried on.
        self._per_tick = round(per_tick) if abs(per_tick - round(per_tick)) < 1e-6 else None
        # Use at a moment is of the step before it: what is sampled at the full hour is of the hour before.
        self._first_sample = math.floor(window.start.timestamp() / step + 1e-6) - 1
        self._keeper = keeper if self._per_tick is not None else None
        self._kept = {} if self._keeper is None else self._keeper.bounds(set(workloads), window.step, horizon)

    def bounds(self, use: Floats, series: Sequence[BoundSeries]) -> Bounds:
        """The bounds of some series of one target, for the horizon after the window: shapes (series,).

        use: shape (series, samples of the window), NaN where missing.
        """
        target = series[0].target
        if self._keeper is None:
            return self._of_all(use, target)
        start, end = self.window.start.timestamp(), self.window.end.timestamp()
        kept = [self._kept.get(one) for one in series]
        # A history that reaches further back than what was learnt has more to tell. And those that are learnt together
        # begin anew together: one by one they cost six times as much.
        step = self.window.step.total_seconds()
        is_due = any(one is not None and (one.until <= end or start < one.since - step) for one in kept)
        found = renewed(
            use,
            [None if one is None or is_due else one.body for one in kept],
            target=target,
            first_sample=self._first_sample,
            step_seconds=step,
            horizon_seconds=self.horizon.total_seconds(),
            unsettled=math.ceil(_UNSETTLED / self.window.step),
        )
        for problem in found.refused:
            self._keeper.tell(
                "What bounds of the run before rest on was kept by another version of MOrA's rule: they are learnt "
                "anew from the samples that are kept."
                if isinstance(problem, StaleAnswer)
                else "What bounds of the run before rest on is damaged in part: these are learnt anew from the samples "
                "that are kept."
            )
        until = end + self._life(series[0], end)
        self._keeper.keep_bounds(
            {
                one: KeptBound(
                    before.since if before is not None and went_on else start,
                    end,
                    before.until if before is not None and went_on else until,
                    body,
                )
                for one, before, went_on, body in zip(series, kept, found.went_on, found.kept, strict=True)
            },
            self.window.step,
            self.horizon,
        )
        return found.bounds

    def _of_all(self, use: Floats, target: Target) -> Bounds:
        count = use.shape[1]
        if self._per_tick is not None:
            rest = -(self._first_sample + count) % self._per_tick
            use = np.concatenate([use, np.full((len(use), rest), np.nan)], axis=1)
        rule = cpu_bounds_many if target is Target.CPU else memory_bounds_many
        found = rule(
            use,
            step_seconds=self.window.step.total_seconds(),
            decisions=np.array([use.shape[1]]),
            horizon_seconds=self.horizon.total_seconds(),
        )
        return Bounds(found.requests[:, 0], found.confidence[:, 0])

    @staticmethod
    def _life(series: BoundSeries, end: float) -> float:
        """For how many seconds what is learnt now is gone on from: spread by chance, the same in every run."""
        chance = zlib.crc32(f"{series.workload} {series.container} {series.target.value} {end:.0f}".encode()) / 2**32
        return _SHORTEST_LIFE_SECONDS + chance * (_LONGEST_LIFE_SECONDS - _SHORTEST_LIFE_SECONDS)
