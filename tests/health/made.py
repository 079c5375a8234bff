"""Made-up samples of a service that is mostly itself."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd

START = datetime(2026, 3, 2, tzinfo=UTC)


def healthy(rows: int = 600, *, step: timedelta = timedelta(seconds=15), seed: int = 1) -> pd.DataFrame:
    """CPU, memory and latency that move a little, with a replica."""
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "timestamp": pd.date_range(START, periods=rows, freq=step, unit="us"),
            "cpu_cores_value": rng.normal(0.2, 0.01, rows),
            "mem_bytes_value": rng.normal(1e8, 1e6, rows),
            "latency_p95_seconds": rng.normal(0.05, 0.002, rows),
            "replica_count_value": np.ones(rows),
        }
    )


def with_fault(frame: pd.DataFrame, first: int, rows: int = 20, factor: float = 5.0) -> pd.DataFrame:
    """The same with a latency fault in some rows."""
    odd = frame.copy()
    odd.loc[first : first + rows - 1, "latency_p95_seconds"] *= factor
    return odd
