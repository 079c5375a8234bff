"""The yardstick: what the last window was, the next steps will be.

Over neighbouring steps nothing is easier to believe and hard to beat; a forecaster that does worse on held-out data
does not earn its place in the blend.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from statistics import NormalDist
from typing import TYPE_CHECKING

import numpy as np

from mora.domain import Forecast, Target
from mora.features import HIGH_QUANTILE, TARGET_COLUMNS, TARGETS, WINDOW_STEPS, Floats, Segment, grid_step, segments

if TYPE_CHECKING:
    import pandas as pd


class NaiveForecaster:
    """The mean of the last window, for every step ahead; its spread is the window's own."""

    name = "naive"

    def __init__(self, window: int = WINDOW_STEPS) -> None:
        self.window = window

    def fit(self, history: Sequence[pd.DataFrame], *, driven: bool, seed: int) -> None:
        """Nothing is learnt: all that counts is the window at hand."""

    def forecast(self, recent: pd.DataFrame, horizon: int, *, level: float = 0.9) -> Mapping[Target, Forecast]:
        last = segments(recent)[-1]
        step = grid_step(recent)
        return {target: self._forecast(last, target, horizon, level, step) for target in TARGETS}

    def _forecast(self, last: Segment, target: Target, horizon: int, level: float, step: timedelta) -> Forecast:
        values = last.values[TARGET_COLUMNS[target]][-self.window :]
        reach = NormalDist().inv_cdf((1 + level) / 2) * float(values.std())
        mean = np.full(horizon, values.mean())
        return Forecast(target, self.name, mean, np.maximum(mean - reach, 0.0), mean + reach, level, step)


def last_window(values: Floats, window: int = WINDOW_STEPS) -> tuple[float, float]:
    """Mean and high level (p95) of the last `window` samples.

    >>> last_window(np.array([9.0, 1.0, 1.0]), window=2)
    (1.0, 1.0)
    """
    tail = values[-window:]
    return float(tail.mean()), float(np.quantile(tail, HIGH_QUANTILE))
