"""What every detector needs of a frame: its metrics as a matrix, in the fitted order."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mora.errors import BadInput, NotEnoughData

TIMESTAMP = "timestamp"


def metrics_of(frame: pd.DataFrame) -> tuple[str, ...]:
    """The columns of numbers, `timestamp` left out, in the frame's order.

    >>> metrics_of(pd.DataFrame({"timestamp": [1.0], "cpu": [0.2], "pod": ["a"]}))
    ('cpu',)
    """
    return tuple(str(name) for name in frame.select_dtypes("number").columns if name != TIMESTAMP)


def matrix_of(frame: pd.DataFrame, columns: Sequence[str]) -> NDArray[np.float64]:
    """The columns side by side, shape (rows, columns); infinite samples as NaN. Raises BadInput for one that lacks."""
    lacking = [name for name in columns if name not in frame]
    if lacking:
        raise BadInput(
            f"The samples lack {'the metric' if len(lacking) == 1 else 'the metrics'} {', '.join(lacking)}.",
            hint="Give the metrics that the detector was trained on, or train it again on those that there are.",
        )
    # Column by column: for the few rows of a watcher, pandas takes longer than all that is computed.
    values = np.empty((len(frame), len(columns)))
    for at, name in enumerate(columns):
        values[:, at] = frame[name].to_numpy(dtype=np.float64)
    values[np.isinf(values)] = np.nan
    return values


def seconds_of(frame: pd.DataFrame) -> NDArray[np.float64]:
    """The column `timestamp` in epoch seconds, shape (rows,); numbers are taken for epoch seconds.

    Raises BadInput where there is none, or where time does not run forward.

    >>> seconds_of(pd.DataFrame({"timestamp": pd.to_datetime(["1970-01-01 00:01", "1970-01-01 00:02"], utc=True)}))
    array([ 60., 120.])
    """
    if TIMESTAMP not in frame:
        raise BadInput(f"The samples lack the column {TIMESTAMP}.", hint="Give each row its moment, in UTC.")
    moments = frame[TIMESTAMP]
    if moments.dtype.kind in "iuf":
        seconds = moments.to_numpy(dtype=np.float64)
    else:
        seconds = moments.to_numpy(dtype="datetime64[us]").astype(np.int64) / 1e6
    # NaN compares as false; a moment that is missing (NaT) is the smallest of all.
    if len(seconds) and not ((np.diff(seconds) >= 0).all() and -1e12 < seconds[0] <= seconds[-1] < np.inf):
        raise BadInput(
            "The samples are not in the order of time, or a moment is missing.",
            hint="Sort the rows by timestamp, and drop those without one.",
        )
    return seconds


def step_of(seconds: NDArray[np.float64]) -> float:
    """The usual distance between two rows, in seconds; 0 where there are fewer than two.

    >>> step_of(np.array([0.0, 60.0, 120.0, 600.0]))
    60.0
    """
    return float(np.median(np.diff(seconds))) if len(seconds) > 1 else 0.0


def known_columns(frame: pd.DataFrame, least: int, detector: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The metrics with at least `least` known samples, and a sentence on each that is left out.

    Raises NotEnoughData where none is left.
    """
    columns = metrics_of(frame)
    known = np.isfinite(matrix_of(frame, columns)).sum(axis=0)
    kept = tuple(name for name, n in zip(columns, known, strict=True) if n >= least)
    if not kept:
        raise NotEnoughData(
            f"No metric has {least} known samples, which the detector {detector} needs.",
            hint="Train it on a longer history.",
        )
    left = tuple(
        f"{name} is left out: {n} of its samples are known, and {least} are needed."
        for name, n in zip(columns, known, strict=True)
        if n < least
    )
    return kept, left


def fitted_columns(columns: tuple[str, ...]) -> tuple[str, ...]:
    """The columns of a detector. Raises BadInput where it has none yet."""
    if not columns:
        raise BadInput("The detector is not fitted.", hint="Fit it first.")
    return columns
