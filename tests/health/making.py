"""Labelled series that tests make up."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from mora.health.labelled import LabelledSeries, read_file


def labelled_rows(seed: int = 0, *, rows: int = 600, series: str = "web", faults: int = 3) -> pd.DataFrame:
    """Two metrics a minute, calm but for a few labelled ranges in which both are far up."""
    rng = np.random.default_rng(seed)
    labels = np.zeros(rows, dtype=int)
    for start in np.linspace(rows * 0.45, rows * 0.9, faults).astype(int):
        labels[start : start + 8] = 1
    return pd.DataFrame(
        {
            "timestamp": pd.date_range("2026-03-01", periods=rows, freq="min", tz="UTC").strftime("%Y-%m-%dT%H:%M:%SZ"),
            "series_id": series,
            "cpu": rng.normal(1, 0.05, rows) + labels * 2,
            "latency": rng.normal(0.2, 0.02, rows) + labels,
            "label": labels,
        }
    )


def labelled_file(folder: Path, *, name: str = "shop.csv", series: tuple[str, ...] = ("api", "web")) -> Path:
    """A file of made-up series, one a name."""
    path = folder / name
    pd.concat([labelled_rows(seed, series=one) for seed, one in enumerate(series)]).to_csv(path, index=False)
    return path


def labelled_series(folder: Path) -> list[LabelledSeries]:
    """The two series of labelled_file()."""
    return read_file(labelled_file(folder), window=10)
