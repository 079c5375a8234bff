"""What is carried from one chunk of ticks to the next: a history taken in pieces gives the numbers of the whole.

Everything in this package works on a chunk of ticks and a Carry. Of a chunk of m ticks every level has m + 1 rows: row
k rests on what came before tick k, and row 0, which the chunk before ended with, is worked out again from what is
carried. A whole history is one chunk, begun with an empty Carry; so there is one rule, however the samples arrive.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mora.bounds.histograms import Histograms
from mora.bounds.ticks import Floats

Array = NDArray[Any]


class Carry:
    """Arrays and histograms by name; of every array the second axis is the series.

    Each name is used once a chunk: what is asked for is of the chunks before, what is kept is for the next one.
    """

    def __init__(self) -> None:
        self.arrays: dict[str, Array] = {}
        self.histograms: dict[str, Histograms] = {}

    def levels_before(self, name: str, levels: Floats, keep: int) -> Floats:
        """The `keep` rows before row 0 of a chunk's levels, and these: NaN where there was no row yet."""
        found = self._behind(name, levels, keep, np.nan)
        self.keep_levels(name, found, keep)
        return found

    def keep_levels(self, name: str, levels: Floats, keep: int) -> None:
        """Keep the `keep` rows before the last one, which is row 0 of the next chunk."""
        self.arrays[name] = _own(levels[len(levels) - 1 - keep : -1])

    def ticks_before(self, name: str, ticks: Array, keep: int, *, unknown: float = 0.0) -> Array:
        """The `keep` ticks before a chunk's, and these: shape (keep + ticks, ...)."""
        found = self._behind(name, ticks, keep, unknown)
        self.arrays[name] = _own(found[len(found) - keep :])
        return found

    def first(self, name: str, like: Array, *, unknown: float = 0.0) -> Array:
        """One row that the chunk before left under this name, shaped as `like`, which is one row of it."""
        held = self.arrays.get(name)
        return np.full(like.shape, unknown, dtype=like.dtype) if held is None else held[0]

    def leave(self, name: str, row: Array) -> None:
        """Keep one row for the next chunk; its first axis is the series."""
        self.arrays[name] = np.array(row)[None]

    def histograms_of(self, name: str, paces: Sequence[float], series: int, each: int = 1) -> Histograms:
        """The histograms of this name, `each` for every series and pace; empty at first."""
        if name not in self.histograms:
            self.histograms[name] = Histograms(paces, series * each)
        return self.histograms[name]

    def forward_filled(self, name: str, rows: Floats) -> Floats:
        """Each unknown entry as the last known one before it, of earlier chunks too; unknown where there is none."""
        found = forward_filled(np.concatenate([self.first(name, rows[0], unknown=np.nan)[None], rows]))[1:]
        self.leave(name, found[-1])
        return found

    def running(self, name: str, changes: Floats) -> Floats:
        """Sums of all changes so far: one row more than `changes`, of which the first is what earlier ones came to."""
        found = np.concatenate([self.first(name, changes[0] if len(changes) else changes.sum(axis=0))[None], changes])
        np.cumsum(found, axis=0, out=found)
        self.leave(name, found[-1])
        return found

    def faded(self, name: str, ticks: Floats, fade: float) -> Floats:
        """Sums so far that fade from one tick to the next: one row more than `ticks`."""
        found = np.zeros((len(ticks) + 1, *ticks.shape[1:]))
        found[0] = self.first(name, found[0])
        for tick in range(len(ticks)):
            np.multiply(found[tick], fade, out=found[tick + 1])
            found[tick + 1] += ticks[tick]
        self.leave(name, found[-1])
        return found

    def _behind(self, name: str, rows: Array, keep: int, unknown: float) -> Array:
        before = self.arrays.get(name)
        if before is None:
            before = np.full((keep, *rows.shape[1:]), unknown, dtype=rows.dtype)
        return np.concatenate([before, rows])


def forward_filled(rows: Floats) -> Floats:
    """Each unknown entry as the last known one before it, along the first axis; unknown where there is none."""
    numbers = np.arange(len(rows)).reshape(-1, *[1] * (rows.ndim - 1))
    last = np.maximum.accumulate(np.where(np.isnan(rows), -1, numbers), axis=0)
    return np.where(last >= 0, np.take_along_axis(rows, np.maximum(last, 0), axis=0), np.nan)


def _own(rows: Array) -> Array:
    """A copy, so that a few rows do not keep a whole history in memory."""
    return rows.copy()
