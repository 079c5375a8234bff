"""Small synthetic series for the replay's tests; seeded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mora.backtest.policy import Series

START = 1_700_000_000
TRACE_START = 1_375_308_300


def bumpy(
    name: str = "bumpy",
    *,
    days: float = 20,
    step_seconds: int = 3600,
    seed: int = 1,
    gaps: float = 0.03,
    has_memory: bool = True,
) -> Series:
    """Use with a daily pattern, noise, bursts and gaps: cores around 0.5, bytes around 400 MB."""
    rng = np.random.default_rng(seed)
    count = int(days * 86400 / step_seconds)
    day = np.sin(2 * np.pi * np.arange(count) * step_seconds / 86400)
    cpu = np.clip(0.4 + 0.2 * day + rng.gamma(1.2, 0.1, count), 0, None)
    cpu[rng.random(count) < 0.02] *= 4
    memory = 3e8 * (1 + 0.2 * day + 0.1 * rng.random(count)) + 1e8 * (rng.random(count) < 0.01)
    for values in (cpu, memory):
        values[rng.random(count) < gaps] = np.nan
    # A gap of a day and a half, as outages leave them.
    cpu[int(count * 0.6) : int(count * 0.6) + int(1.5 * 86400 / step_seconds)] = np.nan
    return Series(name, step_seconds, START, cpu, memory if has_memory else None)


def steady(use: float, *, days: float = 20, step_seconds: int = 3600, memory: float = 3e8) -> Series:
    """The same use throughout."""
    count = int(days * 86400 / step_seconds)
    return Series("steady", step_seconds, START, np.full(count, use), np.full(count, memory))


def rows(*, ids: tuple[str, ...] = ("a", "b"), count: int = 12, step: int = 300, **columns: Any) -> pd.DataFrame:
    """Rows of several series, by default with cpu alone."""
    frame = pd.DataFrame(
        {
            "series_id": np.repeat(ids, count),
            "timestamp": np.tile(TRACE_START + step * np.arange(count), len(ids)),
            "cpu": np.arange(count * len(ids), dtype=np.float64),
        }
    )
    return frame.assign(**columns)


def written(folder: Path, frame: pd.DataFrame, suffix: str = ".parquet") -> Path:
    path = folder / f"trace{suffix}"
    if suffix == ".csv":
        frame.to_csv(path, index=False)
    else:
        frame.to_parquet(path)
    return path
