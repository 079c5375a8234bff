"""The bounds of many series that advance with their samples: what is new is taken, nothing is read twice.

A BoundsState holds what the rule needs of a past (histograms, losses, peaks, windows that are still open) and nothing
else. It is the rule itself and no copy of it: cpu_bounds() of a whole history is one chunk from an empty state
(carry.py), and a history taken in pieces gives the same numbers, bit for bit.

Ticks lie on the clock, as many seconds apart as ticks.py says (an hour, or the horizon where that is shorter), so it
does not matter when a state is asked. Samples of a tick that has not ended are kept as they are: asked in its middle,
a state answers as the rule does where the rest of the tick is missing.
"""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np

from mora.bounds.carry import Carry
from mora.bounds.cpu import cpu_by_tick
from mora.bounds.memory import memory_by_tick
from mora.bounds.ticks import Bounds, Floats, Indices, cut, samples_per_tick
from mora.domain import Target
from mora.errors import BadInput


class BoundsState:
    """What the bounds of some series, all of one target, step and horizon, rest on up to one moment.

    target: CPU or memory. next_sample: number of the sample that comes next, counted in steps from the epoch.
    Dense while it is in memory, some 250 kB a series of CPU: 64 to 256 series at once are quick and small.
    """

    def __init__(
        self, target: Target, series: int, *, step_seconds: float, horizon_seconds: float, next_sample: int
    ) -> None:
        """A state of series that nothing is known of.

        Raises BadInput where whole steps make no tick.
        """
        per_tick = round(samples_per_tick(step_seconds, horizon_seconds), 6)
        if per_tick < 1 or per_tick != int(per_tick):
            raise BadInput(
                f"Bounds for {horizon_seconds:g} s ahead cannot be carried on with a sample every {step_seconds:g} s.",
                hint="Choose a step that divides an hour, and a horizon that it divides.",
            )
        self.target = target
        self.step_seconds = step_seconds
        self.horizon_seconds = horizon_seconds
        self.next_sample = next_sample
        self.aged: Indices = np.zeros(series, dtype=np.int64)
        self.samples_per_tick = int(per_tick)
        self.pending: Floats = np.full((series, next_sample % self.samples_per_tick), np.nan)
        self.carry = Carry()
        self.last = Bounds(*np.full((2, series), np.nan))

    def __len__(self) -> int:
        return len(self.aged)

    def take(self, values: Floats) -> None:
        """The next samples of every series, shape (series, n): cores or bytes, NaN where missing.

        After a gap, the samples that are missing are taken as NaN.
        """
        if values.shape[0] != len(self):
            raise ValueError(f"samples of {values.shape[0]} series for a state of {len(self)}")
        self.next_sample += values.shape[1]
        self.pending = np.concatenate([self.pending, values], axis=1)
        whole = self.pending.shape[1] // self.samples_per_tick * self.samples_per_tick
        if whole:
            self.last, self.aged = self._advanced(self.pending[:, :whole], self.carry)
            self.pending = self.pending[:, whole:].copy()

    def bounds(self) -> Bounds:
        """The bound of the window that begins now, and its confidence: shapes (series,); NaN where nothing is known."""
        if not self.pending.shape[1]:
            return self.last
        missing = np.full((len(self), self.samples_per_tick - self.pending.shape[1]), np.nan)
        return self._advanced(np.concatenate([self.pending, missing], axis=1), copy.deepcopy(self.carry))[0]

    def _advanced(self, values: Floats, carry: Carry) -> tuple[Bounds, Indices]:
        """The bounds after some whole ticks, and how many ticks before that each series' first sample lies."""
        at = np.array([values.shape[1]])
        ticks = cut(values, step_seconds=self.step_seconds, decisions=at, horizon_seconds=self.horizon_seconds)
        ticks = replace(ticks, aged=self.aged)
        if self.target is Target.CPU:
            found = cpu_by_tick(ticks, carry)
        else:
            found = memory_by_tick(ticks, carry, ticks.decisions)
        return Bounds(found.requests[-1], found.confidence[-1]), ticks.ages()[-1]
