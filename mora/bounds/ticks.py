"""One series cut into ticks: the pace at which everything in this package learns."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]

HOUR_SECONDS = 3600.0
# A hold is looked at in ticks of about an hour: a day's 24 are enough to learn from before the day has ended.
_LONGEST_TICK_SECONDS = HOUR_SECONDS


@dataclass(frozen=True, slots=True)
class Bounds:
    """One resource's bounds for the holds that were asked for.

    requests: per decision, in the unit of the samples; NaN where nothing was known before it. confidence: the stated
    chance, 0..1, that the hold keeps its promise (confidence.py); NaN where there is no request.
    """

    requests: Floats
    confidence: Floats


@dataclass(frozen=True, slots=True)
class Ticks:
    """Samples by tick, up to the last decision and no further.

    seconds: length of a tick. hold: ticks in a hold, at least 1. samples: shape (ticks, most samples in one), NaN
    where a sample is missing and in the padding. expected: how many samples a whole tick has, as a fraction where the
    step does not divide it. edges: index of the first sample of each tick and of the one after the last, shape
    (ticks + 1,); before the first sample it is negative. decisions: per decision, the tick that begins with it; it may
    use the ticks before.
    """

    seconds: float
    hold: int
    samples: Floats
    expected: float
    edges: Indices
    decisions: Indices

    @property
    def hours(self) -> float:
        return self.seconds / HOUR_SECONDS

    def of_hours(self, hours: float) -> int:
        """The ticks that so many hours reach into, at least 1."""
        return max(1, math.ceil(hours / self.hours - 1e-9))


def cut(values: Floats, *, step_seconds: float, decisions: Indices, hold_seconds: float) -> Ticks:
    """The samples in ticks whose edges fall on the decisions.

    values: use on a constant grid, NaN where missing; negative samples count as 0. decisions: rising indices of the
    first samples of the holds; not empty. Where the step does not divide the hold, an edge may lie one sample before
    its decision; never behind it.

    >>> ticks = cut(np.arange(48.0), step_seconds=1800, decisions=np.array([24, 48]), hold_seconds=43200)
    >>> ticks.samples.shape, ticks.hold, ticks.decisions
    ((24, 2), 12, array([12, 24]))
    """
    hold = max(1, math.ceil(hold_seconds / max(_LONGEST_TICK_SECONDS, step_seconds) - 1e-9))
    seconds = hold_seconds / hold
    first = int(decisions[0])
    per_tick = seconds / step_seconds
    lead = math.ceil(first / per_tick - 1e-9)
    stop = int(decisions[-1])
    after = math.floor((stop - first) / per_tick + 1e-9)
    numbers = np.arange(-lead, after + 1)
    edges = first + np.ceil(numbers * per_tick - 1e-9).astype(np.int64)
    widths = np.diff(edges)
    samples = np.full((len(widths), int(widths.max(initial=1))), np.nan)
    clean = np.maximum(values[:stop], 0.0)
    index = np.arange(stop)
    tick = np.searchsorted(edges, index, side="right") - 1
    inside = tick < len(widths)
    samples[tick[inside], (index - edges[np.minimum(tick, len(widths))])[inside]] = clean[inside]
    return Ticks(
        seconds, hold, samples, per_tick, edges, np.searchsorted(edges, decisions, side="right").astype(np.int64) - 1
    )
