"""A forecaster with one knob whose best value is known, and histories to search it on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from mora.backtest.history import History, history_of_series
from mora.backtest.policy import Series
from mora.domain import Reason, Target
from mora.domain.learning import AtRow, Experiments, Knob, Level, Past, Place, Saved
from mora.errors import NotEnoughData
from mora.features import TARGET_COLUMNS
from mora.forecasters.horizon import plain_at
from mora.fusion import NAIVE
from mora.seams import Reporter

HOUR = 3600.0


class Clock:
    """Ten looks at it are a second: a search then ends after the same trials on every machine."""

    def __init__(self) -> None:
        self.looks = 0

    def __call__(self) -> float:
        self.looks += 1
        return self.looks / 10


@dataclass(frozen=True)
class FactorSettings:
    factor: float = 1.5


@dataclass(frozen=True)
class FittedFactor:
    factor: float
    reasons: tuple[Reason, ...] = ()

    def levels(self, places: Sequence[Place]) -> list[Mapping[Target, Level]]:
        return [self._at(place) for place in places]

    def _at(self, place: Place) -> dict[Target, Level]:
        if not isinstance(place, AtRow):
            return {}
        found = {}
        for target, column in TARGET_COLUMNS.items():
            if column in place.grid.means:
                mean, high = plain_at(place.grid, column, place.row)[NAIVE]
                found[target] = (self.factor * mean, self.factor * high)
        return found

    def save(self) -> Saved:
        return Saved({"factor": self.factor})


class FactorForecaster:
    """So many times the naive forecast: of a service that keeps its level, 1 is best."""

    name = "factor"
    is_refitted = False
    knobs = MappingProxyType({"factor": Knob(0.5, 2.0)})
    usual = FactorSettings()

    def __init__(self, settings: FactorSettings | None = None) -> None:
        self.settings = settings if settings is not None else self.usual

    def fit(self, data: Experiments | Past, *, seed: int, reporter: Reporter) -> FittedFactor:
        return FittedFactor(self.settings.factor)

    def restore(self, saved: Saved) -> FittedFactor:
        return FittedFactor(saved.document["factor"])


class RightFactor(FactorForecaster):
    """Its default is the best there is."""

    name = "right"
    usual = FactorSettings(1.0)


class FailingForecaster(FactorForecaster):
    """Needs more than there ever is."""

    name = "failing"

    def fit(self, data: Experiments | Past, *, seed: int, reporter: Reporter) -> FittedFactor:
        raise NotEnoughData("It needs a year of history.")


def noisy(days: float = 4.0, *, seed: int = 0, level: float = 1.0, noise: float = 0.05, name: str = "a") -> History:
    """CPU around a level, a sample every ten minutes."""
    count = round(days * 144)
    use = level * (1 + noise * np.random.default_rng(seed).standard_normal(count))
    return history_of_series(Series(name, 600, 0, np.maximum(use, 0.0), None))
