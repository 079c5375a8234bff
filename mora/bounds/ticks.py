"""One series cut into ticks: the pace at which everything in this package learns."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]

HOUR_SECONDS = 3600.0
# A window is looked at in ticks of about an hour: a day's 24 are enough to learn from before the day has ended.
_LONGEST_TICK_SECONDS = HOUR_SECONDS


@dataclass(frozen=True, slots=True)
class Bounds:
    """One resource's bounds for the windows that were asked for.

    requests: per decision (of many series: per series and decision), in the unit of the samples; NaN where nothing was
    known before it. confidence: the stated chance, 0..1, that the window is covered (confidence.py); NaN where
    there is no request.
    """

    requests: Floats
    confidence: Floats

    def of(self, number: int) -> Bounds:
        """One series' bounds among many."""
        return Bounds(self.requests[number], self.confidence[number])


@dataclass(frozen=True, slots=True)
class Ticks:
    """Samples of some series by tick, up to the last decision and no further.

    seconds: length of a tick. horizon: ticks in a window, at least 1. samples: shape (ticks, series, most samples in
    one), NaN where a sample is missing and in the padding. expected: how many samples a whole tick has, as a fraction
    where the step does not divide it. edges: index of the first sample of each tick and of the one after the last,
    shape (ticks + 1,); before the first sample it is negative. decisions: per decision, the tick that begins with it;
    it may use the ticks before. aged: how many ticks before these a series' first sample lies, shape (series,); 0 where
    there is none.
    """

    seconds: float
    horizon: int
    samples: Floats
    expected: float
    edges: Indices
    decisions: Indices
    aged: Indices

    @property
    def hours(self) -> float:
        """The length of a tick in hours."""
        return self.seconds / HOUR_SECONDS

    def of_hours(self, hours: float) -> int:
        """The ticks that so many hours reach into, at least 1."""
        return max(1, math.ceil(hours / self.hours - 1e-9))

    def ages(self) -> Indices:
        """How many ticks before each one a series' first sample lies: shape (ticks + 1, series), at least 0."""
        is_known = (~np.isnan(self.samples)).sum(axis=2) > 0
        first = np.where(is_known.any(axis=0), is_known.argmax(axis=0), len(is_known))
        first = np.where(self.aged > 0, -self.aged, first)
        return np.maximum(np.arange(len(is_known) + 1)[:, None] - first, 0)


def samples_per_tick(step_seconds: float, horizon_seconds: float) -> float:
    """How many samples a whole tick has, as a fraction where the step does not divide it.

    >>> samples_per_tick(300, 86400), samples_per_tick(60, 900)
    (12.0, 15.0)
    """
    return horizon_seconds / _ticks_in(step_seconds, horizon_seconds) / step_seconds


def _ticks_in(step_seconds: float, horizon_seconds: float) -> int:
    return max(1, math.ceil(horizon_seconds / max(_LONGEST_TICK_SECONDS, step_seconds) - 1e-9))


def cut(values: Floats, *, step_seconds: float, decisions: Indices, horizon_seconds: float) -> Ticks:
    """The samples in ticks whose edges fall on the decisions.

    values: use on one constant grid, shape (series, n), NaN where missing; negative samples count as 0. decisions:
    rising indices of the first samples of the windows; not empty. Where the step does not divide the horizon, an edge
    may lie one sample before its decision; never behind it.

    >>> ticks = cut(np.arange(48.0)[None], step_seconds=1800, decisions=np.array([24, 48]), horizon_seconds=43200)
    >>> ticks.samples.shape, ticks.horizon, ticks.decisions
    ((24, 1, 2), 12, array([12, 24]))
    """
    horizon = _ticks_in(step_seconds, horizon_seconds)
    seconds = horizon_seconds / horizon
    first = int(decisions[0])
    per_tick = seconds / step_seconds
    lead = math.ceil(first / per_tick - 1e-9)
    stop = int(decisions[-1])
    after = math.floor((stop - first) / per_tick + 1e-9)
    numbers = np.arange(-lead, after + 1)
    edges = first + np.ceil(numbers * per_tick - 1e-9).astype(np.int64)
    widths = np.diff(edges)
    samples = np.full((len(widths), len(values), math.ceil(per_tick - 1e-9)), np.nan)
    index = np.arange(stop)
    tick = np.searchsorted(edges, index, side="right") - 1
    index = index[tick < len(widths)]
    tick = tick[: len(index)]
    samples[tick, :, index - edges[tick]] = np.maximum(values[:, index], 0.0).T
    return Ticks(
        seconds=seconds,
        horizon=horizon,
        samples=samples,
        expected=per_tick,
        edges=edges,
        decisions=np.searchsorted(edges, decisions, side="right").astype(np.int64) - 1,
        aged=np.zeros(len(values), dtype=np.int64),
    )
