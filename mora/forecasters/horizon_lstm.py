"""The LSTM of a horizon: thirty steps of what is known -> mean and p95 of the horizon that follows, at once.

The same network as on driven data (forecasters/lstm.py), on inputs that have no scale: every column as the logarithm of
its ratio to its own mean over the last horizon, so that a service which has grown looks like what it was. Beside each
target's own window stands what followed the same window a day and a week ago, where the history has it: the network
need not remember a week to know that a weekend comes. What is learned is the logarithm of the coming horizon's mean
(and p95) over the last one's, with absolute errors: a burst that cannot be foreseen pulls a median less than a mean.
Inputs and targets are then min-max scaled on the training part, and the predicted change is cut to the share of it that
came true on the validation part, both as on driven data.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from mora.domain import Reason, Target
from mora.domain.learning import DAY_SECONDS, AtRow, Contributions, Floats, HorizonGrid, Level, Place, Saved
from mora.errors import NotEnoughData
from mora.features import TARGET_COLUMNS, WINDOW_STEPS, Pairs
from mora.forecasters.horizon import truth_at
from mora.forecasters.keras_fit import LstmSettings, fit_network
from mora.forecasters.network import Network
from mora.metrics import SCALE_FREE_COLUMNS
from mora.quantities import format_duration
from mora.seams import Reporter, Silent
from mora.shapley import in_units, in_words, last_horizon, sampled

_WEEK_SECONDS = 7 * DAY_SECONDS
# What followed a window so long ago is an input where the training part covers that time twice.
_LAGS_SECONDS = (DAY_SECONDS, _WEEK_SECONDS)
# Idle steps count as this share of the mean use: logarithms of nothing explode.
_IDLE_SHARE = 0.02
# More windows than this teach a network of this size nothing new; they are thinned evenly.
_MOST_WINDOWS, _MOST_CHECKS = 1500, 500
_LEAST_WINDOWS = 12
LOSS = "mae"
# For SHAP values a window's last third is one input, and what is before it another: a step alone says little.
_RECENT_STEPS = WINDOW_STEPS // 3
# How its own arrays are called; models of schema 1 have the second name.
_PREFIXES = ("horizon", "hold")

Rows = np.ndarray


@dataclass(frozen=True, slots=True)
class HorizonLstm:
    """A fitted network and what its inputs are relative to.

    targets: in the network's order. columns: the scale-free inputs. lags_seconds: of what followed then. steps: of the
    horizon that it was fitted for. idle: column -> what is added to every value before the logarithm, in its unit.
    """

    network: Network
    targets: tuple[Target, ...]
    columns: tuple[str, ...]
    lags_seconds: tuple[float, ...]
    idle: Mapping[str, float]
    steps: int
    reasons: tuple[Reason, ...] = ()

    def levels(self, places: Sequence[Place]) -> list[Mapping[Target, Level]]:
        """Mean and high level at each row that it can forecast; nothing of other places."""
        found: list[dict[Target, Level]] = [{} for _ in places]
        rows = [
            (number, p) for number, p in enumerate(places) if isinstance(p, AtRow) and self.can_forecast(p.grid, p.row)
        ]
        # One pass over the network for all rows of a grid.
        for grid in {id(place.grid): place.grid for _, place in rows}.values():
            own = [(number, place.row) for number, place in rows if place.grid is grid]
            for target, levels in self.at(grid, [row for _, row in own]).items():
                for (number, _), level in zip(own, levels, strict=True):
                    found[number][target] = level
        return list(found)

    def save(self) -> Saved:
        """Its arrays."""
        return Saved(arrays=self.arrays())

    def can_forecast(self, grid: HorizonGrid, row: int) -> bool:
        """Whether the grid reaches back far enough before a row, and is of the horizon that it was fitted for."""
        there = all(column in grid.means for column in self.columns)
        return there and grid.steps == self.steps and row >= first_row(grid, self.lags_seconds)

    def at(self, grid: HorizonGrid, rows: Sequence[int]) -> Mapping[Target, list[Level]]:
        """Mean and p95 of the horizon that begins with each row; every row must have can_forecast()."""
        inputs, levels = self._inputs(grid, np.asarray(rows, dtype=np.int64))
        changes = self.network.changes.restore(self.network.forward(self.network.inputs.scale(inputs)))
        found: dict[Target, list[Level]] = {}
        for number, target in enumerate(self.targets):
            idle = self.idle[TARGET_COLUMNS[target]]
            level = levels[:, number] + idle
            mean = np.maximum(level * np.exp(changes[:, 2 * number]) - idle, 0.0)
            high = np.maximum(level * np.exp(changes[:, 2 * number + 1]) - idle, mean)
            found[target] = list(zip(mean.tolist(), high.tolist(), strict=True))
        return found

    def contributions(
        self, grid: HorizonGrid, rows: Sequence[int], background: Sequence[int], *, seed: int
    ) -> dict[Target, Contributions]:
        """SHAP values of parts of its window, sampled; the level that its change starts from is an input of its own.

        The cost grows with the number of background rows times that of rows; of both forecasts must be possible.
        """
        inputs, levels = self._inputs(grid, np.asarray(rows, dtype=np.int64))
        others, _ = self._inputs(grid, np.asarray(background, dtype=np.int64))

        def changes(windows: Floats) -> Floats:
            found: Floats = self.network.changes.restore(self.network.forward(self.network.inputs.scale(windows)))
            return found[:, ::2]

        groups = self._groups(grid.step_seconds)
        base, logs = sampled(changes, inputs, others, list(groups.values()), seed=seed)
        forecasts, usual = self.at(grid, rows), self.at(grid, background)
        sizes = np.column_stack([inputs[:, mask].mean(axis=1) for mask in groups.values()])
        found: dict[Target, Contributions] = {}
        for number, target in enumerate(self.targets):
            average = float(np.mean([mean for mean, _ in usual[target]]))
            amounts = in_units(
                levels[:, number],
                float(base[number]),
                logs[:, :, number],
                np.array([mean for mean, _ in forecasts[target]]),
                idle=self.idle[TARGET_COLUMNS[target]],
                usual=average,
            )
            own = np.column_stack([levels[:, number], sizes])
            names = (last_horizon(grid.horizon_seconds), *groups)
            found[target] = Contributions(names, average, amounts, own, is_exact=False)
        return found

    def _groups(self, step_seconds: float) -> dict[str, np.ndarray]:
        """The inputs of a window that are explained as one, by their name: masks of shape (window, channels)."""
        channels = len(self.columns) + len(self.lags_seconds) * len(self.targets)
        recent, whole = (format_duration(steps * step_seconds) for steps in (_RECENT_STEPS, WINDOW_STEPS))
        found: dict[str, np.ndarray] = {}

        def add(name: str, channel: int, first: int, last: int) -> None:
            found[name] = np.zeros((WINDOW_STEPS, channels), dtype=bool)
            found[name][first:last, channel] = True

        edge = WINDOW_STEPS - _RECENT_STEPS
        for channel, column in enumerate(self.columns):
            add(f"{in_words(column)} of the last {recent}", channel, edge, WINDOW_STEPS)
            add(f"{in_words(column)} {whole} to {recent} before", channel, 0, edge)
        channel = len(self.columns)
        for lag in self.lags_seconds:
            for target in self.targets:
                name = f"{in_words(TARGET_COLUMNS[target])} {'a week' if lag > DAY_SECONDS else 'a day'} earlier"
                add(name, channel, 0, WINDOW_STEPS)
                channel += 1
        return found

    def _inputs(self, grid: HorizonGrid, rows: Rows) -> tuple[Floats, Floats]:
        return window_inputs(grid, rows, self.targets, self.columns, self.lags_seconds, self.idle)

    def arrays(self) -> dict[str, np.ndarray[Any, Any]]:
        """Everything as named arrays, for `numpy.savez` without pickle."""
        return {
            **self.network.arrays(),
            "horizon_columns": np.array(self.columns),
            "horizon_lags_seconds": np.array(self.lags_seconds, dtype=np.float64),
            "horizon_idle": np.array([self.idle[column] for column in self.columns]),
            "horizon_steps": np.array([self.steps]),
        }

    @staticmethod
    def is_in(arrays: Mapping[str, np.ndarray[Any, Any]]) -> bool:
        """Whether these are the arrays of such a network, and not of one that looks at experiments."""
        return any(f"{prefix}_steps" in arrays for prefix in _PREFIXES)

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray[Any, Any]]) -> HorizonLstm:
        """The network that arrays() gave."""
        network = Network.from_arrays(arrays)
        prefix = next(prefix for prefix in _PREFIXES if f"{prefix}_steps" in arrays)
        columns = tuple(str(name) for name in arrays[f"{prefix}_columns"])
        idle = dict(zip(columns, arrays[f"{prefix}_idle"].tolist(), strict=True))
        lags = tuple(float(lag) for lag in arrays[f"{prefix}_lags_seconds"])
        return cls(network, network.targets, columns, lags, idle, int(arrays[f"{prefix}_steps"][0]))


def first_row(grid: HorizonGrid, lags_seconds: Sequence[float]) -> int:
    """The first row before which a window, and what followed it so long ago, is there."""
    lag = max((round(seconds / grid.step_seconds) for seconds in lags_seconds), default=0)
    return max(WINDOW_STEPS + max(lag - grid.steps, 0), grid.steps)


def window_inputs(
    grid: HorizonGrid,
    rows: Rows,
    targets: Sequence[Target],
    columns: Sequence[str],
    lags_seconds: Sequence[float],
    idle: Mapping[str, float],
) -> tuple[Floats, Floats]:
    """Inputs, shape (rows, window, channels), and the last horizon's mean per target, shape (rows, targets).

    Nothing at a row or after it is looked at: what followed a window `lag` ago lies `lag - horizon` before its end.
    """
    at = rows[:, None] - WINDOW_STEPS + np.arange(WINDOW_STEPS)
    last = rows[:, None] - grid.steps + np.arange(grid.steps)
    levels = {column: grid.filled[column][last].mean(axis=1) for column in columns}

    def relative(column: str, where: Rows) -> Floats:
        level = levels[column][:, None] + idle[column]
        found: Floats = np.log((grid.filled[column][where] + idle[column]) / level)
        return found

    channels = [relative(column, at) for column in columns]
    for seconds in lags_seconds:
        back = at + grid.steps - round(seconds / grid.step_seconds)
        channels += [relative(TARGET_COLUMNS[target], back) for target in targets]
    return np.stack(channels, axis=2), np.stack([levels[TARGET_COLUMNS[target]] for target in targets], axis=1)


def fit_horizon_lstm(
    grid: HorizonGrid,
    targets: Sequence[Target],
    *,
    first: int,
    second: int,
    settings: LstmSettings,
    seed: int,
    reporter: Reporter | None = None,
) -> HorizonLstm:
    """Learn from the horizons that end before row `first`, validate on those from there to row `second`.

    Raises NotEnoughData where fewer than twelve windows are in either part.
    """
    columns = tuple(column for column in SCALE_FREE_COLUMNS if column in grid.means)
    lags = _lags(grid, first)
    idle = {column: _idle(grid.filled[column][:first]) for column in columns}
    begin = first_row(grid, lags)
    training = _pairs(grid, np.arange(begin, first - grid.steps + 1), targets, columns, lags, idle)
    checks = np.arange(max(begin, first), second - grid.steps + 1)
    checking = _pairs(grid, checks, targets, columns, lags, idle, most=_MOST_CHECKS)
    if min(len(training), len(checking)) < _LEAST_WINDOWS:
        raise NotEnoughData(
            f"The LSTM of a horizon needs {_LEAST_WINDOWS} windows of {WINDOW_STEPS} steps in both of its parts; there "
            f"are {len(training)} to learn from and {len(checking)} to check on."
        )
    names = (*columns, *(f"{TARGET_COLUMNS[t]} {lag / DAY_SECONDS:g} d ago" for lag in lags for t in targets))
    network = fit_network(
        training, checking, names, targets, replace(settings, loss=LOSS), seed=seed, reporter=reporter or Silent()
    )
    return HorizonLstm(network, tuple(targets), columns, lags, idle, grid.steps)


def _lags(grid: HorizonGrid, first: int) -> tuple[float, ...]:
    covered = first * grid.step_seconds
    return tuple(lag for lag in _LAGS_SECONDS if lag > grid.horizon_seconds and covered >= 2 * lag)


def _idle(values: Floats) -> float:
    mean = float(values.mean()) if len(values) else 0.0
    return _IDLE_SHARE * mean if mean > 0 else 1e-9


def _pairs(
    grid: HorizonGrid,
    rows: Rows,
    targets: Sequence[Target],
    columns: Sequence[str],
    lags: Sequence[float],
    idle: Mapping[str, float],
    *,
    most: int = _MOST_WINDOWS,
) -> Pairs:
    """Windows whose last and coming horizon are known, and the logarithms of what came of them."""
    names = [TARGET_COLUMNS[target] for target in targets]
    thin = max(1, -(-len(rows) // most))
    kept, futures = [], []
    for row in rows[::thin].tolist():
        truths = [truth_at(grid, name, row) for name in names]
        if all(grid.knows(name, row - grid.steps, row) for name in names) and None not in truths:
            kept.append(row)
            futures.append(truths)
    inputs, levels = window_inputs(grid, np.array(kept, dtype=np.int64), targets, columns, lags, idle)
    added = np.array([idle[name] for name in names])
    truth = np.array(futures, dtype=np.float64).reshape(len(kept), len(names), 2)
    nothing = np.zeros((len(kept), len(names)))
    return Pairs(
        inputs=inputs,
        levels=nothing,
        futures=np.log((truth + added[:, None]) / (levels + added)[:, :, None]),
        spreads=nothing,
        segment=np.zeros(len(kept), dtype=np.int64),
        starts=np.array(kept, dtype=np.int64),
    )
