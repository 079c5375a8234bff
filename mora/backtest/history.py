"""An observed history with all that enters a forecast: what models learn from, and are compared on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from mora.backtest.policy import Series
from mora.backtest.traces import read_service
from mora.domain import Target
from mora.domain.learning import Floats, HorizonGrid
from mora.features import TARGET_COLUMNS, epoch_seconds
from mora.forecasters.horizon import lay
from mora.metrics import SCALE_FREE_COLUMNS

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, slots=True)
class History:
    """An observed history: its samples on their own grid.

    columns: name -> shape (n,), NaN where missing; those that enter a forecast. series: the same use, as the bounds and
    the replay take it.
    """

    series: Series
    columns: Mapping[str, Floats]

    @property
    def targets(self) -> tuple[Target, ...]:
        """CPU and memory, where they are known."""
        return tuple(
            target
            for target in (Target.CPU, Target.MEMORY)
            if not bool(np.isnan(self.columns[TARGET_COLUMNS[target]]).all())
        )

    def grid(self, horizon_seconds: float) -> HorizonGrid:
        """The history in steps of a horizon."""
        step, start = float(self.series.step_seconds), float(self.series.start)
        return lay(self.columns, sample_seconds=step, start_seconds=start, horizon_seconds=horizon_seconds)

    def before(self, sample: int) -> History:
        """The same history as it was known before a sample was taken."""
        return History(self.series.before(sample), {name: values[:sample] for name, values in self.columns.items()})

    def after(self, sample: int) -> History:
        """The same history without what came before a sample."""
        one = self.series
        series = replace(
            one,
            start=one.start + sample * one.step_seconds,
            cpu=None if one.cpu is None else one.cpu[sample:],
            mem=None if one.mem is None else one.mem[sample:],
        )
        return History(series, {name: values[sample:] for name, values in self.columns.items()})

    def sample(self, grid: HorizonGrid, row: int) -> int:
        """The first sample of a row of a grid."""
        seconds = grid.start_seconds + row * grid.step_seconds - self.series.start
        return int(np.ceil(seconds / self.series.step_seconds - 1e-6))


def history_of(frame: pd.DataFrame, service: str) -> History:
    """The observed rows of a service; overlapping histories are joined as the backtest joins them."""
    series = read_service(frame, service)
    columns = {}
    rows = frame.sort_values("timestamp", kind="stable")
    slots = np.rint((epoch_seconds(rows) - series.start) / series.step_seconds).astype(np.int64)
    for name in SCALE_FREE_COLUMNS:
        laid = np.full(series.sample_count, np.nan)
        if name in rows:
            np.fmax.at(laid, slots, rows[name].to_numpy(dtype=np.float64))
        columns[name] = laid
    return History(series, columns)


def history_of_series(series: Series) -> History:
    """A series of a trace as a history."""
    unknown = np.full(series.sample_count, np.nan)
    columns = {
        TARGET_COLUMNS[Target.CPU]: unknown if series.cpu is None else series.cpu,
        TARGET_COLUMNS[Target.MEMORY]: unknown if series.mem is None else series.mem,
    }
    return History(series, columns)
