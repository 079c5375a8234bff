"""Histories of known shapes, and forecasters that do what a test needs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mora.backtest.history import History, history_of_series
from mora.backtest.policy import Series
from mora.domain import Target
from mora.domain.learning import AtRow, Level, Place, Saved
from mora.features import TARGET_COLUMNS
from mora.forecasters.horizon import plain_at

START = 1_767_225_600  # 2026-01-01, midnight
STEP = 300
DAY = 288


def wave(days: float, *, seed: int = 0, noise: float = 0.1, name: str = "web") -> History:
    """A day's wave with noise; memory grows a little."""
    count = round(days * DAY)
    rng = np.random.default_rng(seed)
    at = 2 * np.pi * np.arange(count) / DAY
    cpu = (1.0 + 0.5 * np.sin(at)) * np.exp(noise * rng.standard_normal(count))
    mem = 1e9 * (1.0 + 0.01 * np.arange(count) / DAY + 0.05 * np.sin(at))
    return history_of_series(Series(name, STEP, START, cpu, mem))


class Fitted:
    """Answers with a function of the place, and notes what it was shown."""

    reasons = ()

    def __init__(self, answer: Any) -> None:
        self._answer = answer

    def levels(self, places: Sequence[Place]) -> list[Mapping[Target, Level]]:
        return [self._answer(place) for place in places]

    def save(self) -> Saved:
        return Saved()


class Peeking:
    """Answers with all that it can see, a number that changes with any sample of it."""

    name = "peeking"
    is_refitted = False

    def fit(self, data: Any, *, seed: int, reporter: Any) -> Fitted:
        taught = _sum_of(data.grid)

        def answer(place: Place) -> dict[Target, Level]:
            assert isinstance(place, AtRow)
            seen = {target: taught[target] + _sum_of(place.grid)[target] for target in taught}
            return {target: (value, value) for target, value in seen.items()}

        return Fitted(answer)

    def restore(self, saved: Saved) -> Fitted:
        raise NotImplementedError


class Constant:
    """A fixed share of the last horizon's mean."""

    is_refitted = True

    def __init__(self, factor: float, name: str = "constant") -> None:
        self.factor, self.name = factor, name

    def fit(self, data: Any, *, seed: int, reporter: Any) -> Fitted:
        def answer(place: Place) -> dict[Target, Level]:
            assert isinstance(place, AtRow)
            found = {}
            for target, column in TARGET_COLUMNS.items():
                if column in place.grid.means:
                    mean, high = plain_at(place.grid, column, place.row)["naive"]
                    found[target] = (self.factor * mean, self.factor * high)
            return found

        return Fitted(answer)

    def restore(self, saved: Saved) -> Fitted:
        raise NotImplementedError


class Failing:
    """Fails in fitting with an error that no contract allows."""

    name = "failing"
    is_refitted = True

    def fit(self, data: Any, *, seed: int, reporter: Any) -> Fitted:
        raise ZeroDivisionError("nothing to divide by")

    def restore(self, saved: Saved) -> Fitted:
        raise NotImplementedError


def _sum_of(grid: Any) -> dict[Target, float]:
    known = {target: column for target, column in TARGET_COLUMNS.items() if column in grid.filled}
    return {target: float(np.abs(grid.filled[column]).sum() * (1 + len(grid) / 7)) for target, column in known.items()}
