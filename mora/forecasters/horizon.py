"""What the coming hold will use on average, said directly: grids, plain members, Prophet moved to the level of now.

A hold is how long a recommendation stands: a day, or an hour. It is never walked through step by step: every member
here says the hold's mean (and its p95) at once, from a history laid on a grid of its own: an hour for a day, five
minutes for an hour, whose last step is the best of the plain members then. What each is worth on recorded traces:
experiments/benchmarks/forecast.py.

Everything looks back only: what is said at a row rests on the rows before it (tests/forecasters/test_horizon.py, by
truncation).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from mora.domain import Target
from mora.errors import NotEnoughData
from mora.features import HIGH_QUANTILE, TARGET_COLUMNS, Floats, Segment
from mora.forecasters.prophet import Curve, ProphetForecaster
from mora.fusion import NAIVE

DAY_SECONDS = 86_400.0
HOUR_SECONDS = 3_600.0
# Holds this long are cut into 24 steps, shorter ones into 12: an hour for a day, five minutes for an hour.
_LONG_HORIZON_SECONDS = 6 * HOUR_SECONDS
_LONG_STEPS, _SHORT_STEPS = 24, 12
# The plain members beside the last hold's mean: the last step, the same time yesterday, the median of a week by slot.
LAST, YESTERDAY, SLOTS = "last", "yesterday", "slots"
PLAIN = (NAIVE, LAST, YESTERDAY, SLOTS)
_SLOT_DAYS = 7
# Prophet sees the last weeks only, hour by hour: four of them hold every weekday four times, and a fit takes 0.05 s.
PROPHET_DAYS = 28

Said = tuple[float, float]
"""Mean and p95 of a hold, in the target's unit."""


@dataclass(frozen=True, slots=True)
class HorizonGrid:
    """A history in steps of its hold; the last step ends with the last sample.

    steps: in a hold. start_seconds: epoch seconds at which step 0 begins. means: column -> mean of the known samples of
    each step, shape (n,), NaN where none is known. filled: the same, unknown steps as the last known one before them
    (the first known one at the start).
    """

    horizon_seconds: float
    steps: int
    start_seconds: float
    means: Mapping[str, Floats]
    filled: Mapping[str, Floats]

    @property
    def step_seconds(self) -> float:
        return self.horizon_seconds / self.steps

    @property
    def steps_of_day(self) -> int:
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


def steps_in(horizon_seconds: float, sample_seconds: float) -> int:
    """How many steps a hold is cut into; none is finer than the samples are.

    >>> steps_in(86400, 300), steps_in(3600, 300), steps_in(3600, 900), steps_in(3600, 3600)
    (24, 12, 4, 1)
    """
    wanted = _LONG_STEPS if horizon_seconds >= _LONG_HORIZON_SECONDS else _SHORT_STEPS
    return max(1, min(wanted, math.floor(horizon_seconds / sample_seconds + 1e-9)))


def lay(
    columns: Mapping[str, Floats], *, sample_seconds: float, start_seconds: float, horizon_seconds: float
) -> HorizonGrid:
    """Samples on a constant grid -> the grid of a hold. columns: name -> shape (n,), NaN where missing.

    Columns without any known sample are left out; NotEnoughData where none is left. A first step that is not whole is
    dropped.

    >>> grid = lay({"use": np.arange(30.0)}, sample_seconds=300, start_seconds=0, horizon_seconds=3600)
    >>> len(grid), grid.steps, grid.means["use"][-2:]
    (30, 12, array([28., 29.]))
    """
    known = {name: values for name, values in columns.items() if not bool(np.isnan(values).all())}
    if not known:
        raise NotEnoughData("There is no known sample to lay on a grid.")
    steps = steps_in(horizon_seconds, sample_seconds)
    step_seconds = horizon_seconds / steps
    count = len(next(iter(known.values())))
    rows = math.floor(count * sample_seconds / step_seconds + 1e-9)
    # Counted back from the end, so that the hold that begins now begins with a step.
    slot = rows - 1 - np.floor((count - 1 - np.arange(count)) * sample_seconds / step_seconds + 1e-9).astype(np.int64)
    means = {name: _means(values, slot, rows) for name, values in known.items()}
    start = start_seconds + count * sample_seconds - rows * step_seconds
    return HorizonGrid(horizon_seconds, steps, start, means, {name: _filled(values) for name, values in means.items()})


def _means(values: Floats, slot: np.ndarray, rows: int) -> Floats:
    inside = (slot >= 0) & ~np.isnan(values)
    sums = np.bincount(slot[inside], values[inside], minlength=rows)
    counts = np.bincount(slot[inside], minlength=rows)
    found: Floats = np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)
    return found


def _filled(values: Floats) -> Floats:
    known = np.flatnonzero(~np.isnan(values))
    if not len(known):
        return np.zeros(len(values))
    last = np.maximum.accumulate(np.where(np.isnan(values), known[0], np.arange(len(values))))
    found: Floats = values[last]
    return found


def truth_at(grid: HorizonGrid, column: str, row: int) -> Said | None:
    """What the hold that begins with a row took; None where fewer than half of its steps are known."""
    if row + grid.steps > len(grid) or not grid.knows(column, row, row + grid.steps):
        return None
    ahead = grid.means[column][row : row + grid.steps]
    ahead = ahead[~np.isnan(ahead)]
    return float(ahead.mean()), float(np.quantile(ahead, HIGH_QUANTILE))


# --- the plain members -----------------------------------------------------------------------------------------------


def path_at(grid: HorizonGrid, column: str, row: int, member: str) -> Floats | None:
    """What a plain member says of every step of the hold that begins with a row, shape (steps,); None where it is mute.

    naive: the mean of the last hold. last: the last step. yesterday: the same steps a day before, for holds shorter
    than that (of a day it is the last hold itself). slots: their median over the last seven days, of two at least.
    """
    use, steps, day = grid.filled[column], grid.steps, grid.steps_of_day
    if row < 1:
        return None
    if member == NAIVE:
        return np.full(steps, use[max(row - steps, 0) : row].mean())
    if member == LAST:
        return np.full(steps, use[row - 1])
    if member == YESTERDAY:
        return use[row - day : row - day + steps] if steps < day <= row else None
    days = min(row // day, _SLOT_DAYS)
    if days < 2 or steps > day:
        return None
    found: Floats = np.median([use[row - back * day : row - back * day + steps] for back in range(1, days + 1)], axis=0)
    return found


def plain_at(grid: HorizonGrid, column: str, row: int) -> dict[str, Said]:
    """member -> mean and p95 of the hold that begins with a row, by every plain member that can speak.

    Where a member knows one level only, the p95 lies as far above it as it did in the last hold.
    """
    use = grid.filled[column][max(row - grid.steps, 0) : row]
    lift = float(np.quantile(use, HIGH_QUANTILE) - use.mean()) if len(use) else 0.0
    found: dict[str, Said] = {}
    for member in PLAIN:
        path = path_at(grid, column, row, member)
        if path is not None:
            mean = float(path.mean())
            high = mean + lift if member in (NAIVE, LAST) else float(np.quantile(path, HIGH_QUANTILE))
            found[member] = (mean, high)
    return found


# --- Prophet ---------------------------------------------------------------------------------------------------------


def fit_curves(grid: HorizonGrid, targets: Sequence[Target], *, seed: int) -> ProphetForecaster:
    """Prophet on the known steps of the last four weeks of a grid, one curve a target.

    The grid should be that of a day (hours): one curve then serves every hold, since it can be read at any moment.
    """
    first = max(0, len(grid) - round(PROPHET_DAYS * DAY_SECONDS / grid.step_seconds))
    seconds = grid.seconds(first, len(grid)) + grid.step_seconds / 2
    whole = ProphetForecaster(targets)
    for target in targets:
        values = grid.means[TARGET_COLUMNS[target]][first:]
        known = ~np.isnan(values)
        piece = Segment("observed", None, seconds[known], {TARGET_COLUMNS[target]: values[known]})
        one = ProphetForecaster([target])
        one.fit_segments([piece], driven=False, seed=seed)
        whole.curves |= one.curves
        whole.reasons = tuple(dict.fromkeys((*whole.reasons, *one.reasons)))
    return whole


def curve_path(curve: Curve, grid: HorizonGrid, column: str, row: int, *, moved: bool = True) -> Floats:
    """The curve over the hold that begins with a row, shape (steps,), never below 0.

    moved: to the level of the last hold, by the mean difference of its known steps. That is what makes a weekly fit
    enough: of the mean use of 24 VMs a day ahead, a fresh fit errs 0.43, one up to a week old 0.61, and that one moved
    0.42; an hour ahead 0.57, 0.85 and 0.26 (experiments/benchmarks/forecast.py).
    """
    half = grid.step_seconds / 2
    ahead = curve.mean(grid.seconds(row, row + grid.steps) + half)
    if moved:
        first = max(row - grid.steps, 0)
        behind = grid.means[column][first:row]
        known = ~np.isnan(behind)
        if known.any():
            was = curve.mean(grid.seconds(first, row)[known] + half)
            ahead = ahead + float((behind[known] - was).mean())
    found: Floats = np.maximum(ahead, 0.0)
    return found


def curve_at(curve: Curve, grid: HorizonGrid, column: str, row: int) -> Said:
    """Mean and p95 of the hold by the moved curve."""
    mean = float(curve_path(curve, grid, column, row).mean())
    half = grid.step_seconds / 2
    spread = float(curve.deviation(grid.seconds(row, row + grid.steps) + half).mean())
    return mean, mean + NormalDist().inv_cdf(HIGH_QUANTILE) * spread
