"""The features of Helios, by name and formula, for any metrics: 8 of the time, 14 of each metric, and ratios.

With its seven metrics and two ratios they are 108. Every one of a row is made from that row and those before it, in one
vectorised pass. Its documents list one of the ratios, cpu_memory_ratio; the other is that of the database here, and its
frame has six metrics: with those the count is 94. `names` gives the count for any columns.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

TIME: tuple[str, ...] = (
    "hour",
    "day_of_week",
    "is_weekend",
    "hour_sin",
    "hour_cos",
    "day_sin",
    "day_cos",
    "minutes_since_midnight",
)
LAGS = (1, 3, 6, 12)
ROLLING = (3, 6, 12)
EXTREMES = 6
CHANGES = (1, 3)
_LAG_NAMES = tuple(f"lag_{lag}" for lag in LAGS)
OF_EACH: tuple[str, ...] = (
    *_LAG_NAMES,
    *(f"rolling_mean_{rows}" for rows in ROLLING),
    *(f"rolling_std_{rows}" for rows in ROLLING),
    f"rolling_min_{EXTREMES}",
    f"rolling_max_{EXTREMES}",
    *(f"pct_change_{rows}" for rows in CHANGES),
)
"""The features of each metric, in their order; a feature's name is METRIC_FEATURE."""
ROWS_BEFORE = 12
"""How many rows before a row its features are made from."""


def names(columns: Sequence[str]) -> tuple[str, ...]:
    """The features' names, in their order.

    >>> helios = ["memory_bytes", "cpu_utilization", "memory_utilization", "db_cpu", "db_memory", "db_connections"]
    >>> len(names(helios)), len(names([*helios, "restart_count"]))
    (94, 108)
    """
    of_each = [f"{column}_{feature}" for column in columns for feature in OF_EACH]
    return (*TIME, *of_each, *(name for name, _, _ in ratios(columns)))


def features(seconds: Floats, values: Floats, columns: Sequence[str]) -> Floats:
    """All of them, shape (rows, len(names(columns))).

    seconds: epoch seconds of the rows. values: shape (rows, columns). NaN in the first rows, whose past is not there,
    and where a sample that a feature needs is not known. A standard deviation divides by n - 1. A change is a share of
    the earlier value, and a ratio divides by memory: a change from 0 to 0 is 0, any other division by 0 NaN.
    """
    rows, metrics = values.shape
    found = np.empty((rows, len(names(columns))), order="F")
    _time(seconds, found[:, : len(TIME)])
    for number in range(metrics):
        start = len(TIME) + number * len(OF_EACH)
        _of_one(np.ascontiguousarray(values[:, number]), found[:, start : start + len(OF_EACH)])
    for number, (_, above, below) in enumerate(ratios(columns)):
        found[:, len(TIME) + metrics * len(OF_EACH) + number] = _divided(values[:, above], values[:, below])
    return found


def before(found: Floats, columns: Sequence[str]) -> Floats:
    """The same features without any value of the row's own moment: all but the time and the lags are of the row before.

    A lag knows the past alone already. What remains is what a forecast may know.
    """
    # By place and not by name: a metric may be called consumer_lag_seconds.
    of_each = [feature in _LAG_NAMES for feature in OF_EACH]
    is_past = np.array([*(True for _ in TIME), *of_each * len(columns), *(False for _ in ratios(columns))])
    earlier = np.empty_like(found)
    earlier[:, is_past] = found[:, is_past]
    earlier[1:, ~is_past] = found[:-1, ~is_past]
    earlier[:1, ~is_past] = np.nan
    return earlier


def ratios(columns: Sequence[str]) -> list[tuple[str, int, int]]:
    """The ratios that there are: name, number of the column above, of the one below."""
    found = []
    for prefix in ("", "db_"):
        own = [(n, name) for n, name in enumerate(columns) if name.startswith("db_") == bool(prefix)]
        cpu, memory = (next((n for n, name in own if word in name), None) for word in ("cpu", "mem"))
        if cpu is not None and memory is not None:
            found.append((f"{prefix}cpu_memory_ratio", cpu, memory))
    return found


def _time(seconds: Floats, found: Floats) -> None:
    minutes = np.floor(np.mod(seconds, 86_400) / 60)
    hour = np.floor(minutes / 60)
    # 1 January 1970 was a Thursday; Monday is 0.
    day = np.mod(np.floor(seconds / 86_400) + 3, 7)
    around_day, around_week = 2 * np.pi * hour / 24, 2 * np.pi * day / 7
    of_time = (
        hour,
        day,
        day >= 5,
        np.sin(around_day),
        np.cos(around_day),
        np.sin(around_week),
        np.cos(around_week),
        minutes,
    )
    for number, values in enumerate(of_time):
        found[:, number] = values


def _of_one(values: Floats, found: Floats) -> None:
    rows = len(values)
    past = np.full((ROWS_BEFORE + 1, rows), np.nan)
    for lag in range(min(ROWS_BEFORE + 1, rows)):
        past[lag, lag:] = values[: rows - lag]
    made = [past[lag] for lag in LAGS]
    means = [past[:rows_].mean(axis=0) for rows_ in ROLLING]
    made += means
    made += [
        np.sqrt(((past[:rows_] - mean) ** 2).sum(axis=0) / (rows_ - 1))
        for rows_, mean in zip(ROLLING, means, strict=True)
    ]
    made += [past[:EXTREMES].min(axis=0), past[:EXTREMES].max(axis=0)]
    for lag in CHANGES:
        change = _divided(past[0] - past[lag], past[lag])
        made.append(np.where((past[0] == 0) & (past[lag] == 0), 0.0, change))
    for number, feature in enumerate(made):
        found[:, number] = feature


def _divided(above: Floats, below: Floats) -> Floats:
    """The quotients; NaN where there is none, and where it is too large for a number."""
    with np.errstate(over="ignore"):
        found = np.divide(above, below, out=np.full(len(above), np.nan), where=below != 0)
    return np.where(np.isfinite(found), found, np.nan)
