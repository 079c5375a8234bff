"""Windows of the last rows, scaled: what detectors of shapes compare, and how they are saved."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mora.detectors.context import lagged
from mora.domain.learning import Saved
from mora.errors import BadModel

Floats = NDArray[np.float64]

# Beyond this many spreads a metric is simply far away: how far may not outvote all others.
CLIP = 20.0
# Rows of a window, for one metric alone; with more metrics fewer, so that a window has about _MOST_VALUES.
_ROWS, _MOST_VALUES = 24, 64


def rows_of_window(metrics: int) -> int:
    """How many rows a window has.

    >>> [rows_of_window(metrics) for metrics in (1, 5, 200)]
    [24, 12, 2]
    """
    return max(2, min(_ROWS, _MOST_VALUES // metrics))


def windows_of(values: Floats, middle: Floats, spread: Floats, rows: int) -> Floats:
    """The window that ends at each row, shape (rows of values, rows * metrics), in spreads; 0 where not known.

    The row itself comes first, then the one before it; before the first stands the first again.
    """
    scaled = np.nan_to_num(np.clip((values - middle) / spread, -CLIP, CLIP))
    return np.concatenate([scaled, *(lagged(scaled, back) for back in range(1, rows))], axis=1)


def known_rows(values: Floats) -> NDArray[np.bool_]:
    """Which rows know a metric, shape (rows,)."""
    return np.asarray(np.isfinite(values).any(axis=1))


def mean_of_known(values: Floats) -> Floats:
    """The mean over the metrics that are known, row by row; NaN where none is. values: (rows, metrics).

    >>> mean_of_known(np.array([[1.0, 3.0], [np.nan, 2.0], [np.nan, np.nan]])).tolist()
    [2.0, 2.0, nan]
    """
    known = np.isfinite(values)
    count = known.sum(axis=1)
    total = np.where(known, values, 0.0).sum(axis=1)
    means: Floats = np.divide(total, count, out=np.full(len(values), np.nan), where=count > 0)
    return means


def shares_of(parts: Floats, frame: pd.DataFrame, columns: Sequence[str]) -> pd.DataFrame:
    """Contributions from what each metric adds to a score: parts (rows, metrics), not negative; NaN counts 0."""
    parts = np.nan_to_num(parts)
    total = parts.sum(axis=1, keepdims=True)
    shares = np.divide(parts, total, out=np.zeros_like(parts), where=total > 0)
    return pd.DataFrame(shares, index=frame.index, columns=list(columns))


def by_metric(parts: Floats, metrics: int) -> Floats:
    """Parts of whole windows, shape (n, rows * metrics), added up for each metric, shape (n, metrics)."""
    added: Floats = parts.reshape(len(parts), parts.shape[1] // metrics, metrics).sum(axis=1)
    return added


def restored(
    saved: Saved, names: Sequence[str], detector: str
) -> tuple[tuple[str, ...], tuple[str, ...], list[Floats]]:
    """Columns, reasons and arrays of a saved detector. Raises BadModel where one lacks, or is no finite number."""
    try:
        given = saved.document["columns"]
        columns = tuple(name for name in given if isinstance(name, str))
        is_whole = bool(columns) and len(columns) == len(given)
        reasons = tuple(str(reason) for reason in saved.document["reasons"])
        arrays = [np.asarray(saved.arrays[name], dtype=np.float64) for name in names]
    except (KeyError, TypeError, ValueError) as wrong:
        raise BadModel(f"This is no saved detector {detector}.", hint="Train it again.") from wrong
    if not is_whole or not all(np.isfinite(array).all() for array in arrays):
        raise misfit(detector)
    return columns, reasons, arrays


def misfit(detector: str) -> BadModel:
    """The error for parts of a saved detector that do not belong to each other."""
    return BadModel(f"The saved detector {detector} does not fit together.", hint="Train it again.")
