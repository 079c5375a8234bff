"""From the unified CSV to what a model eats: segments on one grid, windows that never cross them, scalers.

All of it is pure. A *segment* is a series of samples without a long gap: one experiment, or a part of an observed
history. Nothing here looks ahead: a gap is filled from the samples before it, a scaler knows only the rows it is given.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mora.domain import Target
from mora.domain.learning import Floats, Level, Segment
from mora.errors import NotEnoughData
from mora.metrics import METRIC_COLUMNS, OBSERVED_SCENARIO

if TYPE_CHECKING:
    import pandas as pd

TARGETS: tuple[Target, ...] = (Target.CPU, Target.MEMORY, Target.REPLICAS)
TARGET_COLUMNS: Mapping[Target, str] = {
    Target.CPU: "cpu_cores_value",
    Target.MEMORY: "mem_bytes_value",
    Target.REPLICAS: "replica_count_value",
}
# What the plan asked for: inputs on driven data only, since an unknown load is not a load of 0.
DRIVEN_COLUMNS: tuple[str, ...] = ("replica_count", "load_users")

WINDOW_STEPS = 30
HORIZON_STEPS = 30
# A run of 60 samples has one window and one full horizon. Training pairs may aim at what is left of their run, down
# to this many steps: 62 samples then give 23 pairs where full horizons give 3. Scores are of full horizons only.
MIN_TARGET_STEPS = 10
MAX_GAP_STEPS = 3
# How far back a short gap looks for what to be filled with.
_FILL_FROM_STEPS = 5
# "The high level" of a horizon, for every forecaster alike.
HIGH_QUANTILE = 0.95


def fill_short_gaps(values: Floats, *, max_gap: int = MAX_GAP_STEPS) -> tuple[Floats, int]:
    """Gaps of at most `max_gap` samples take the median of the five samples before them; and how many were filled.

    A gap at the start stays, and so does a longer one: what is not known is not made up. Only the past is used.

    >>> fill_short_gaps(np.array([1.0, 3.0, np.nan, 5.0]))
    (array([1., 3., 2., 5.]), 1)
    """
    filled = values.copy()
    count = 0
    for start, stop in _runs(np.isnan(values)):
        before = values[max(start - _FILL_FROM_STEPS, 0) : start]
        known = before[~np.isnan(before)]
        if stop - start <= max_gap and len(known):
            filled[start:stop] = np.median(known)
            count += stop - start
    return filled, count


def _runs(mask: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Where `mask` is true without a break: (start, stop) pairs.

    >>> _runs(np.array([True, False, True, True]))
    [(0, 1), (2, 4)]
    """
    edges = np.flatnonzero(np.diff(np.concatenate(([False], mask, [False]))))
    return list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))


def grid_step(frame: pd.DataFrame) -> timedelta:
    """The step of the samples: the median distance of neighbours within one experiment."""
    owners, stamps = frame["experiment_id"].factorize()[0], epoch_seconds(frame)
    order = np.lexsort((stamps, owners))
    steps = np.diff(stamps[order])[np.diff(owners[order]) == 0]
    if not len(steps):
        raise NotEnoughData("There are no two samples of one experiment, so no step between samples can be found.")
    return timedelta(seconds=float(np.median(steps)))


def is_driven(frame: pd.DataFrame) -> bool:
    """Whether the rows come from load experiments; driven and observed rows are never mixed in one fit."""
    observed = frame["scenario"] == OBSERVED_SCENARIO
    return not bool(observed.any())


def segments(frame: pd.DataFrame, *, step: timedelta | None = None) -> list[Segment]:
    """The rows of a dataset as segments on one grid, in the order of their names and times.

    Each experiment is laid on its own grid (a sample moves to the nearest grid point), short gaps are filled, and it is
    cut where any known column has a long gap. A column that an experiment knows nothing of is NaN throughout and
    cuts nothing.
    """
    seconds_of_step = (step or grid_step(frame)).total_seconds()
    codes, names = frame["experiment_id"].factorize()
    scenarios = frame["scenario"].to_numpy()
    stamps = epoch_seconds(frame)
    known = [column for column in METRIC_COLUMNS + DRIVEN_COLUMNS if column in frame]
    # One matrix for all: asking a frame for a column costs more than what is done with it.
    values = frame[known].to_numpy(dtype=np.float64)
    found: list[Segment] = []
    for code in np.argsort(np.asarray(names, dtype=object), kind="stable"):
        rows = np.flatnonzero(codes == code)
        rows = rows[np.argsort(stamps[rows], kind="stable")]
        scenario = str(scenarios[rows[0]])
        columns = dict(zip(known, values[rows].T, strict=True))
        found.extend(
            _segments_of(
                str(names[code]),
                None if scenario == OBSERVED_SCENARIO else scenario,
                stamps[rows],
                columns,
                seconds_of_step,
            )
        )
    return found


def _segments_of(
    name: str, scenario: str | None, stamps: Floats, columns: Mapping[str, Floats], step_seconds: float
) -> list[Segment]:
    """One experiment's samples, in the order of time, on their grid and cut at its long gaps."""
    slots = np.rint((stamps - stamps[0]) / step_seconds).astype(np.int64)
    length = int(slots[-1]) + 1
    values: dict[str, Floats] = {}
    broken = np.zeros(length, dtype=bool)
    filled = 0
    for column in METRIC_COLUMNS + DRIVEN_COLUMNS:
        on_grid = np.full(length, np.nan)
        if column in columns:
            on_grid[slots] = columns[column]
        missing = np.isnan(on_grid)
        if missing.any() and not missing.all():
            on_grid, count = fill_short_gaps(on_grid)
            filled += count if column in TARGET_COLUMNS.values() else 0
            broken |= np.isnan(on_grid)
        values[column] = on_grid
    seconds = stamps[0] + step_seconds * np.arange(length)
    whole = Segment(name, scenario, seconds, values, filled)
    return [whole.cut(start, stop) for start, stop in _runs(~broken)]


def epoch_seconds(rows: pd.DataFrame) -> Floats:
    """The timestamps as epoch seconds, whatever unit pandas keeps them in."""
    seconds: Floats = rows["timestamp"].to_numpy(dtype="datetime64[us]").astype(np.int64) / 1e6
    return seconds


@dataclass(frozen=True, slots=True)
class Pairs:
    """Training or scoring pairs: a window and what the steps after it needed.

    inputs: shape (n, window, columns). levels: the window's mean per target, shape (n, targets).
    futures: mean and high level (p95) of the steps after the window, shape (n, targets, 2).
    spreads: root mean square of the future steps around their mean, shape (n, targets).
    segment: index of the segment each pair came from, shape (n,). starts: the window's first row in it.
    """

    inputs: Floats
    levels: Floats
    futures: Floats
    spreads: Floats
    segment: NDArray[np.int64]
    starts: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.segment)


def make_pairs(
    pieces: Sequence[Segment],
    columns: Sequence[str],
    *,
    targets: Sequence[Target] = TARGETS,
    window: int = WINDOW_STEPS,
    horizon: int = HORIZON_STEPS,
    min_target: int | None = None,
) -> Pairs:
    """Every window of every segment with what followed it; a pair never crosses from one segment into another.

    min_target: the fewest steps that a future may have; `horizon` (the default) takes full horizons only.
    """
    shortest = horizon if min_target is None else min_target
    inputs: list[Floats] = []
    levels: list[Floats] = []
    futures: list[Floats] = []
    spreads: list[Floats] = []
    owners: list[tuple[int, int]] = []
    names = [TARGET_COLUMNS[target] for target in targets]
    for index, piece in enumerate(pieces):
        matrix, wanted = piece.matrix(columns), piece.matrix(names)
        for start in range(len(piece) - window - shortest + 1):
            middle = start + window
            ahead = wanted[middle : middle + horizon]
            inputs.append(matrix[start:middle])
            levels.append(wanted[start:middle].mean(axis=0))
            futures.append(np.stack([ahead.mean(axis=0), np.quantile(ahead, HIGH_QUANTILE, axis=0)], axis=1))
            spreads.append(ahead.std(axis=0))
            owners.append((index, start))
    return Pairs(
        inputs=np.array(inputs).reshape(len(owners), window, len(columns)),
        levels=np.array(levels).reshape(len(owners), len(names)),
        futures=np.array(futures).reshape(len(owners), len(names), 2),
        spreads=np.array(spreads).reshape(len(owners), len(names)),
        segment=np.array([index for index, _ in owners], dtype=np.int64),
        starts=np.array([start for _, start in owners], dtype=np.int64),
    )


@dataclass(frozen=True, slots=True)
class MinMaxScaler:
    """x -> (x - low) / span, per column. A column that never changes scales to 0, and is restored to what it was.

    >>> scaler = MinMaxScaler.fit(np.array([[1.0, 5.0], [3.0, 5.0]]))
    >>> scaler.scale(np.array([[2.0, 5.0]])), scaler.restore(np.array([[0.5, 0.7]]))
    (array([[0.5, 0. ]]), array([[2., 5.]]))
    """

    low: Floats
    span: Floats

    @classmethod
    def fit(cls, rows: Floats) -> MinMaxScaler:
        """rows: shape (..., columns), at least one row."""
        flat = rows.reshape(-1, rows.shape[-1])
        low = flat.min(axis=0)
        return cls(low, flat.max(axis=0) - low)

    def scale(self, rows: Floats) -> Floats:
        """The rows in 0..1 as the fit saw them; others may lie outside."""
        scaled: Floats = (rows - self.low) / np.where(self.span > 0, self.span, 1.0)
        return scaled

    def restore(self, rows: Floats) -> Floats:
        """What scale() was given."""
        restored: Floats = rows * self.span + self.low
        return restored


def six_digits(value: float) -> float:
    """The value at six significant digits: exp and tanh differ in the last bits between machines, advice must not.

    >>> six_digits(0.12345678), six_digits(123456789.0)
    (0.123457, 123457000.0)
    """
    return float(f"{value:.6g}")


def level_of(values: Floats, window: int = WINDOW_STEPS) -> Level:
    """Mean and high level (p95) of the last `window` samples.

    >>> level_of(np.array([9.0, 1.0, 1.0]), window=2)
    (1.0, 1.0)
    """
    tail = values[-window:]
    return float(tail.mean()), float(np.quantile(tail, HIGH_QUANTILE))
