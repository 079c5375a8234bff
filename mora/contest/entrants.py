"""Who takes part: registered forecasters as they are, or whole ways of learning (what `mora train` would choose).

An entrant is made anew for every fold and sees the history up to the end of its training part, and nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from mora import registry
from mora.backtest.history import History
from mora.domain.learning import DAY_SECONDS, HorizonGrid, Past
from mora.errors import BadInput
from mora.fusion import NAIVE
from mora.seams import FittedForecaster, Forecaster, Silent

CONTESTANTS = "contestants"
# It fits Prophet and LSTM once more, a fifth of the time of all the others together: only where it is named.
_ON_REQUEST = ("blend",)
# Forecasters that are fitted once learn from the first part of what they see; the rest says when to stop. In training
# it is half of a history against a quarter.
_LEARN_SHARE = 2 / 3


@dataclass(frozen=True, slots=True)
class Lesson:
    """What an entrant learns from, in one fold.

    history: the samples up to the end of the training part. grid: the same in steps of the horizon; whole horizons.
    train_start: rows of it before that are left out (a sliding window; 0 where it expands).
    """

    history: History
    grid: HorizonGrid
    train_start: int = 0


class Contestant(Protocol):
    """A whole way of learning; registered under `contestants`, made without arguments."""

    def fit(self, lesson: Lesson, *, seed: int) -> FittedForecaster:
        """Learn from a lesson. Raises NotEnoughData."""


@dataclass(frozen=True, slots=True, eq=False)
class Entrant:
    """One that takes part. text: how it is named in every table.

    made: a forecaster object instead of a registered one.
    """

    text: str
    name: str
    options: Mapping[str, float | bool | str]
    made: Forecaster | None = None

    @property
    def is_contestant(self) -> bool:
        """Whether it is a whole way of learning, and no forecaster."""
        return self.made is None and self.name in registry.REGISTRY[CONTESTANTS]

    def fit(self, lesson: Lesson, *, seed: int) -> FittedForecaster:
        """Learn from a lesson. Raises NotEnoughData; BadInput for an option that is not taken."""
        if self.is_contestant:
            contestant: Contestant = registry.make(CONTESTANTS, self.name, self.options)
            return contestant.fit(lesson, seed=seed)
        forecaster: Forecaster = self.made or registry.make("forecasters", self.name, self.options)
        return forecaster.fit(_past(lesson, forecaster), seed=seed, reporter=Silent())


def _past(lesson: Lesson, forecaster: Forecaster) -> Past:
    """As in training: what is cheap to fit learns by the hour for every horizon, others on the horizon's own grid."""
    targets = lesson.history.targets
    if forecaster.is_refitted:
        grid = lesson.history.grid(DAY_SECONDS)
        first = int(lesson.train_start * lesson.grid.step_seconds / grid.step_seconds)
        grid = _after(grid, first)
        return Past(grid, targets, len(grid), len(grid))
    grid = _after(lesson.grid, lesson.train_start)
    return Past(grid, targets, int(_LEARN_SHARE * len(grid)), len(grid))


def _after(grid: HorizonGrid, first: int) -> HorizonGrid:
    """The grid without its first rows."""
    if not first:
        return grid
    return HorizonGrid(
        grid.horizon_seconds,
        grid.steps,
        grid.start_seconds + first * grid.step_seconds,
        {name: values[first:] for name, values in grid.means.items()},
        {name: values[first:] for name, values in grid.filled.items()},
    )


def entrant(text: str) -> Entrant:
    """An entrant as a person writes it: NAME, or NAME:OPTION=VALUE;OPTION=VALUE. Raises BadInput for an unknown name.

    >>> entrant("naive").name
    'naive'
    """
    name = text.partition(":")[0]
    known = names()
    if name not in known:
        raise BadInput(f"There is no model {name!r}.", hint=f"Known: {', '.join(known)}.")
    found, options = registry.named(CONTESTANTS if name in registry.REGISTRY[CONTESTANTS] else "forecasters", text)
    return Entrant(text, found, options)


def entrants(given: Sequence[Entrant | str] | Mapping[str, Forecaster] | None = None) -> list[Entrant]:
    """All that are named, or all there are but the blend; the naive forecast is always among them, as the yardstick.

    given: entrants, or their names as entrant() takes them, or forecasters by the names that tables give them.
    """
    if isinstance(given, Mapping):
        found = [Entrant(name, name, {}, made) for name, made in given.items()]
    else:
        several = given if given is not None else [name for name in names() if name not in _ON_REQUEST]
        found = [one if isinstance(one, Entrant) else entrant(one) for one in dict.fromkeys(several)]
    return found if any(one.text == NAIVE for one in found) else [entrant(NAIVE), *found]


def names() -> list[str]:
    """Every registered forecaster, those of other packages included, and every way of learning."""
    return [*registry.names("forecasters"), *registry.REGISTRY[CONTESTANTS]]
