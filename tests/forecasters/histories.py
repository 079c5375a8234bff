"""Made-up histories on grids, for tests of forecasters."""

from __future__ import annotations

import numpy as np

from mora.domain import Target
from mora.domain.learning import DAY_SECONDS, Floats, HorizonGrid, Past
from mora.features import TARGET_COLUMNS
from mora.forecasters.horizon import lay
from mora.seams import FittedForecaster, Forecaster, Silent

CPU = TARGET_COLUMNS[Target.CPU]
MEMORY = TARGET_COLUMNS[Target.MEMORY]


def waves(
    days: float = 15, *, sample_seconds: float = 300.0, seed: int = 0, noise: float = 0.1, sundays: bool = True
) -> dict[str, Floats]:
    """CPU with a day's wave and, where wanted, idle Sundays; memory that follows it slowly."""
    rng = np.random.default_rng(seed)
    seconds = np.arange(round(days * DAY_SECONDS / sample_seconds)) * sample_seconds
    wave = 1 + 0.6 * np.sin(2 * np.pi * seconds / DAY_SECONDS)
    if sundays:
        wave = np.where(np.floor(seconds / DAY_SECONDS) % 7 == 6, 0.5 * wave, wave)
    cpu = wave * np.exp(noise * rng.standard_normal(len(seconds)))
    return {CPU: cpu, MEMORY: 2e8 * (1 + 0.1 * wave) * np.exp(0.01 * rng.standard_normal(len(seconds)))}


def grid(columns: dict[str, Floats], hours: float = 24.0, sample_seconds: float = 300.0) -> HorizonGrid:
    return lay(columns, sample_seconds=sample_seconds, start_seconds=0.0, horizon_seconds=hours * 3600)


def past(one: HorizonGrid, until: int | None = None) -> Past:
    """Everything before a row to learn from; the forecaster sets its own part apart for checking."""
    row = len(one) if until is None else until
    return Past(one, (Target.CPU, Target.MEMORY), row, row)


def fitted(forecaster: Forecaster, data: Past) -> FittedForecaster:
    return forecaster.fit(data, seed=0, reporter=Silent())
