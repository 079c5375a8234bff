"""What the registered forecasters of boosted trees share: each names its library and grows trees with it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

from mora.domain.learning import Experiments, Past, Saved
from mora.extras import require
from mora.forecasters import boosted
from mora.forecasters.boosted import KNOBS, BoostedSettings, FittedBoosted, Grown, Growth
from mora.seams import Reporter


class BoostedForecaster(ABC):
    """Boosted trees on the table of a history. A library's own sets name, title and grow.

    Needs the extra `models` to fit, nothing to forecast.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    """The library as it writes itself."""
    is_refitted = False
    knobs = KNOBS

    def __init__(self, settings: BoostedSettings | None = None) -> None:
        self.settings = settings if settings is not None else BoostedSettings()

    @abstractmethod
    def grow(self, asked: Growth) -> Grown:
        """Grow trees with the library."""

    def fit(self, data: Experiments | Past, *, seed: int, reporter: Reporter) -> FittedBoosted:
        """Grow trees for the mean and the high level of every target. Raises NotEnoughData."""
        require("models", by=f"Training the forecaster {self.name}")
        return boosted.fit(data, self.grow, self.settings, title=self.title, seed=seed, reporter=reporter)

    def restore(self, saved: Saved) -> FittedBoosted:
        """What save() gave."""
        return boosted.restore(saved)
