"""What forecasters learn from and are asked about: segments, grids of a history, and the places of a forecast.

Apart from the other nouns, since these are made of arrays: `import mora.domain` needs no numpy.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mora.domain.observations import Load
from mora.domain.workloads import Target

Floats = NDArray[np.float64]

Level = tuple[float, float]
"""Mean and high level (p95) of the use that is forecast, in the target's unit: cores, bytes or replicas."""

DAY_SECONDS = 86_400.0


@dataclass(frozen=True, slots=True)
class Segment:
    """Samples on a constant grid, gap-free in the targets.

    name: the experiment, or the observed time range. seconds: epoch seconds, shape (n,). values: column -> shape (n,).
    scenario: None where observed. filled: how many samples were filled in short gaps.
    """

    name: str
    scenario: str | None
    seconds: Floats
    values: Mapping[str, Floats]
    filled: int = 0

    def __len__(self) -> int:
        return len(self.seconds)

    def matrix(self, columns: Sequence[str]) -> Floats:
        """The columns side by side, shape (n, len(columns))."""
        return np.column_stack([self.values[column] for column in columns])

    def cut(self, start: int, stop: int) -> Segment:
        """Rows start..stop (stop excluded)."""
        return Segment(
            self.name,
            self.scenario,
            self.seconds[start:stop],
            {column: values[start:stop] for column, values in self.values.items()},
            self.filled,
        )


@dataclass(frozen=True, slots=True)
class HorizonGrid:
    """A history in steps of its horizon; the last step ends with the last sample.

    steps: in a horizon. start_seconds: epoch seconds at which step 0 begins. means: column -> mean of the known samples
    of each step, shape (n,), NaN where none is known. filled: the same, unknown steps as the last known one before them
    (the first known one at the start).
    """

    horizon_seconds: float
    steps: int
    start_seconds: float
    means: Mapping[str, Floats]
    filled: Mapping[str, Floats]

    @property
    def step_seconds(self) -> float:
        """Seconds of one step."""
        return self.horizon_seconds / self.steps

    @property
    def steps_of_day(self) -> int:
        """How many steps make a day."""
        return max(1, round(DAY_SECONDS / self.step_seconds))

    def __len__(self) -> int:
        return len(next(iter(self.means.values())))

    def seconds(self, start: int, stop: int) -> Floats:
        """When the steps start..stop (stop excluded) begin, epoch seconds; stop may lie ahead."""
        found: Floats = self.start_seconds + self.step_seconds * np.arange(start, stop, dtype=np.float64)
        return found

    def knows(self, column: str, start: int, stop: int) -> bool:
        """Whether at least half of these steps have a sample."""
        piece = self.means[column][start:stop]
        return len(piece) > 0 and float(np.isnan(piece).mean()) <= 0.5

    def before(self, row: int) -> HorizonGrid:
        """The grid as it was known before a step."""
        return HorizonGrid(
            self.horizon_seconds,
            self.steps,
            self.start_seconds,
            {name: values[:row] for name, values in self.means.items()},
            {name: values[:row] for name, values in self.filled.items()},
        )


@dataclass(frozen=True, slots=True)
class Experiments:
    """Load experiments to learn from.

    training: one segment an experiment. validation: experiments that say when to stop, for forecasters that are fitted
    once; the others get none. targets: what to learn. limit_bound: per target, the experiments whose use is a limit and
    not a need.
    """

    training: Sequence[Segment]
    validation: Sequence[Segment]
    targets: Sequence[Target]
    limit_bound: Mapping[Target, frozenset[str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Past:
    """An observed history to learn from.

    grid: what is known. targets: what to learn. fit_until: rows before it train; those from it up to `check_until` say
    when to stop, for forecasters that are fitted once (for the others both are the end of the grid).
    """

    grid: HorizonGrid
    targets: Sequence[Target]
    fit_until: int
    check_until: int


@dataclass(frozen=True, slots=True)
class AtLoad:
    """The use of one pod under a load that is spread over so many replicas."""

    load: Load
    replicas: int


@dataclass(frozen=True, slots=True)
class AfterWindow:
    """The thirty steps that follow a segment of an experiment."""

    segment: Segment


@dataclass(frozen=True, slots=True)
class AtRow:
    """The horizon that begins with a row of a grid; nothing at that row or after it may be looked at."""

    grid: HorizonGrid
    row: int


Place = AtLoad | AfterWindow | AtRow
"""What a forecast is of: a load, the steps after a window, the horizon that begins with a row."""


@dataclass(frozen=True, slots=True)
class Contributions:
    """Forecasts of one target as sums: `base` and the amounts of all inputs add up to each forecast.

    names: what the inputs are called. base: the average forecast over the background, in the target's unit. amounts:
    what each input adds to each forecast, shape (rows, inputs), the same unit. inputs: how large each input was, the
    same shape, in any unit; it says no more than which rows had more of it. is_exact: False where they were sampled.
    """

    names: tuple[str, ...]
    base: float
    amounts: Floats
    inputs: Floats
    is_exact: bool = True

    @property
    def forecasts(self) -> Floats:
        """What they add up to, shape (rows,)."""
        total: Floats = self.base + self.amounts.sum(axis=1)
        return total


@dataclass(frozen=True, slots=True)
class Knob:
    """A setting of a forecaster that a search may turn, from `low` to `high`.

    is_log: what counts is the ratio, so that the search steps evenly in the logarithm. is_whole: whole numbers alone.
    """

    low: float
    high: float
    is_log: bool = False
    is_whole: bool = False

    def holds(self, value: object) -> bool:
        """Whether a value is one that the search could have set."""
        is_number = isinstance(value, int if self.is_whole else (int, float)) and not isinstance(value, bool)
        return is_number and self.low <= value <= self.high  # type: ignore[operator]  # a number, by the line above


@dataclass(frozen=True, slots=True)
class Saved:
    """A fitted forecaster in plain formats: a document for JSON and named arrays; no code, no pickle."""

    document: Mapping[str, Any] = field(default_factory=dict)
    arrays: Mapping[str, np.ndarray[Any, Any]] = field(default_factory=dict)
