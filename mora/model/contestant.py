"""What `mora train` learns as an entrant of a contest: weights, choices and all, as of the end of a training part."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from mora.contest.entrants import Lesson
from mora.domain import Reason, Target
from mora.domain.learning import AtRow, Level, Place, Saved
from mora.errors import NotEnoughData
from mora.fusion import DEFAULT_CANDIDATES
from mora.model.observed import ObservedLearning, learn
from mora.model.settings import TrainSettings
from mora.quantities import format_duration
from mora.seams import Silent


@dataclass(frozen=True, slots=True)
class FittedTraining:
    """The model that a training has chosen, as `mora recommend` asks it right after: not weighed anew (online.py)."""

    learned: ObservedLearning

    @property
    def reasons(self) -> tuple[Reason, ...]:
        """The training's."""
        return self.learned.reasons

    def levels(self, places: Sequence[Place]) -> list[Mapping[Target, Level]]:
        """Mean and p95 of the horizon that begins with each row; nothing of other places."""
        return [self._at(place) if isinstance(place, AtRow) else {} for place in places]

    def _at(self, place: AtRow) -> dict[Target, Level]:
        horizon = self.learned.horizons.get(round(place.grid.horizon_seconds))
        if horizon is None:
            return {}
        found = {}
        for target, calibration in horizon.calibrations.items():
            parts = horizon.levels(place.grid, target, self.learned.forecasters, place.row)
            mean = calibration.point_forecast({name: level[0] for name, level in parts.items()})
            high = calibration.point_forecast({name: level[1] for name, level in parts.items()})
            found[target] = (mean, max(high, mean))
        return found

    def save(self) -> Saved:
        """Nothing: a contest keeps answers and no models."""
        return Saved()


class WhatTrainingLearns:
    """`mora train` on a fold's training part, with its own default settings.

    settings: others. candidates: names of what is trained beside the blend, with "+" between them. model: the one that
    forecasts ("mixture": all of them weighed), whatever the others are worth.
    """

    def __init__(
        self, settings: TrainSettings | None = None, *, candidates: str | None = None, model: str | None = None
    ) -> None:
        beside = DEFAULT_CANDIDATES if candidates is None else tuple(name for name in candidates.split("+") if name)
        self.settings = settings if settings is not None else TrainSettings(candidates=beside, model=model)

    def fit(self, lesson: Lesson, *, seed: int) -> FittedTraining:
        """Train for the lesson's horizon alone. Raises NotEnoughData."""
        history = lesson.history
        if lesson.train_start:
            history = history.after(history.sample(lesson.grid, lesson.train_start))
        seconds = lesson.grid.horizon_seconds
        learned = learn(history, replace(self.settings, seed=seed), Silent(), spans=(seconds,))
        if round(seconds) not in learned.horizons:
            raise NotEnoughData(f"{format_duration(seconds)} of history are too few to train for that horizon.")
        return FittedTraining(learned)


class Blend(WhatTrainingLearns):
    """The 40/60 blend of Prophet and LSTM, as `mora train --model blend` trains it: nothing takes its place."""

    def __init__(self) -> None:
        super().__init__(candidates="")
