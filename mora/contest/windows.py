"""The windows that everybody is asked about, and what everybody answered.

A window is a horizon of a history: it begins with a row of the horizon's grid, an *origin*. Origins lie in the scored
parts of folds (mora/folds.py); before every fold lies its training part, with a gap of one horizon between. The
windows of a history do not depend on who is asked.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mora.backtest.history import History
from mora.bounds.cpu import cpu_bounds
from mora.bounds.memory import memory_bounds
from mora.domain import Target
from mora.domain.learning import Floats, HorizonGrid
from mora.errors import NotEnoughData
from mora.features import TARGET_COLUMNS
from mora.folds import Fold, folds_of
from mora.forecasters.horizon import HOUR_SECONDS, truth_at

FOLDS = 2
# The first fold trains on so many horizons, and so many hours, at least.
_LEAST_HORIZONS, _LEAST_SECONDS = 2, 24 * HOUR_SECONDS
# Of each fold so many origins, evenly spread; a day's begin so many to a day, and overlap.
_MOST_ORIGINS, _ORIGINS_OF_LONG = 36, 8
_NOISE = 1e-9


@dataclass(frozen=True, slots=True)
class Plan:
    """How a history is cut for one horizon.

    folds, origins: of the same length; the rows of each fold's origins. grid: of the whole history.
    """

    grid: HorizonGrid
    folds: tuple[Fold, ...]
    origins: tuple[tuple[int, ...], ...]


def plan(history: History, horizon_seconds: float, *, folds: int = FOLDS, window_seconds: float | None = None) -> Plan:
    """Cut a history into folds for one horizon; fewer of them where it is too short for so many.

    window_seconds: every fold trains on so much (a sliding window); by default on all that came before (an expanding
    one). Raises NotEnoughData where not even one fold is left.
    """
    if history.series.step_seconds > horizon_seconds:
        raise NotEnoughData(f"The history of {history.series.id!r} has samples that are coarser than the horizon.")
    grid = history.grid(horizon_seconds)
    window = None if window_seconds is None else max(round(window_seconds / grid.step_seconds), 1)
    least = max(_LEAST_HORIZONS * grid.steps, round(_LEAST_SECONDS / grid.step_seconds))
    # Of a short history fewer folds, each with more than one window: what the folds score is half of it at most.
    for count in range(max(min(folds, len(grid) // (4 * grid.steps)), 1), 0, -1):
        try:
            found = folds_of(
                len(grid), horizon=grid.steps, count=count, least=least, window=window, step_seconds=grid.step_seconds
            )
            break
        except NotEnoughData:
            if count == 1:
                raise
    apart = grid.steps if horizon_seconds <= HOUR_SECONDS else max(1, grid.steps // _ORIGINS_OF_LONG)
    origins = tuple(tuple(fold.origins(grid.steps, apart=apart, most=_MOST_ORIGINS)) for fold in found)
    return Plan(grid, found, origins)


@dataclass(frozen=True, slots=True)
class Windows:
    """What was used in the windows of one history, horizon and target; shape (n,) each, oldest first.

    series, group: of the history; series of one group (replicas of one service, say) are siblings. rows, folds: origins
    and the numbers of their folds. seconds: when each begins. truth, truth_high: mean and p95 of the steps. steps: the
    use in each step, shape (n, steps), NaN where not known. samples: the known samples of each window. bounds: the
    request that MOrA's own rule (mora/bounds) gives each, from what came before it.
    """

    series: str
    group: str
    horizon_seconds: float
    target: Target
    rows: np.ndarray
    folds: np.ndarray
    seconds: Floats
    truth: Floats
    truth_high: Floats
    steps: Floats
    samples: tuple[Floats, ...]
    bounds: Floats

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def scale(self) -> float:
        """The mean use of all windows, in the target's unit."""
        return float(self.truth.mean()) if len(self.truth) else float("nan")


@dataclass(frozen=True, slots=True)
class Answers:
    """What one entrant forecast for the windows of one history, horizon and target, and what that took.

    mean, high: shape (n,), NaN where it had no forecast. fit_seconds, ask_seconds: of CPU, all folds together. bytes:
    the most memory that a fold added to its process. failures: why folds have no forecast, each once.
    """

    entrant: str
    mean: Floats
    high: Floats
    fit_seconds: float = 0.0
    ask_seconds: float = 0.0
    bytes: float = 0.0
    failures: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Contest:
    """The windows of one history, horizon and target with everybody's answers, entrant -> answers."""

    windows: Windows
    answers: Mapping[str, Answers]

    def errors(self, entrant: str) -> Floats:
        """Absolute errors of the mean, shape (n,), NaN where it had no forecast; float noise is none."""
        found: Floats = np.abs(self.answers[entrant].mean - self.windows.truth)
        found[found <= _NOISE * self.windows.truth] = 0.0
        return found


def windows_of(plan: Plan, history: History, target: Target, *, group: str | None = None) -> Windows:
    """What was used; windows of which less than half is known are left out."""
    column, grid = TARGET_COLUMNS[target], plan.grid
    rows, folds, truths = [], [], []
    for number, origins in enumerate(plan.origins):
        for row in origins:
            truth = truth_at(grid, column, row)
            if truth is not None:
                rows.append(row)
                folds.append(number)
                truths.append(truth)
    at = np.array(rows, dtype=np.int64)
    use = history.columns[column]
    begins = np.array([history.sample(grid, row) for row in rows], dtype=np.int64)
    ends = [history.sample(grid, row + grid.steps) for row in rows]
    pieces = (use[begin:end] for begin, end in zip(begins, ends, strict=True))
    steps = grid.means[column][at[:, None] + np.arange(grid.steps)] if len(at) else np.empty((0, grid.steps))
    found = np.array(truths, dtype=np.float64).reshape(len(at), 2)
    return Windows(
        series=history.series.id,
        group=history.series.id if group is None else group,
        horizon_seconds=grid.horizon_seconds,
        target=target,
        rows=at,
        folds=np.array(folds, dtype=np.int64),
        seconds=grid.start_seconds + at.astype(np.float64) * grid.step_seconds,
        truth=found[:, 0],
        truth_high=found[:, 1],
        steps=steps,
        samples=tuple(piece[~np.isnan(piece)] for piece in pieces),
        bounds=_bounds(history, target, begins, grid.horizon_seconds),
    )


def _bounds(history: History, target: Target, begins: np.ndarray, horizon_seconds: float) -> Floats:
    if not len(begins):
        return np.empty(0)
    rule = cpu_bounds if target is Target.CPU else memory_bounds
    use, step = history.columns[TARGET_COLUMNS[target]], float(history.series.step_seconds)
    return rule(use, step_seconds=step, decisions=begins, horizon_seconds=horizon_seconds).requests


def all_rows(plan: Plan) -> Sequence[int]:
    """Every origin, oldest first."""
    return [row for origins in plan.origins for row in origins]
