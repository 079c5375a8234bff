"""The features of Helios: their names and formulas, nothing from the future, and what stands where nothing is known."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from mora.helios_features import ROWS_BEFORE, TIME, Floats, before, features, names

SEVEN = [
    "memory_bytes",
    "cpu_utilization",
    "memory_utilization",
    "db_cpu",
    "db_memory",
    "db_connections",
    "restart_count",
]
samples = st.floats(0, 1e9) | st.just(0.0) | st.just(np.nan)
tables = st.integers(1, 3).flatmap(
    lambda columns: arrays.arrays(float, st.tuples(st.integers(1, 40), st.just(columns)), elements=samples)
)


def minutes(rows: int) -> Floats:
    return np.arange(rows, dtype=np.float64) * 60


def by_pandas(seconds: Floats, values: Floats, columns: list[str]) -> pd.DataFrame:
    """The same, written as the document writes them."""
    moments = pd.Series(pd.to_datetime(seconds, unit="s", utc=True))
    found = {
        "hour": moments.dt.hour,
        "day_of_week": moments.dt.day_of_week,
        "is_weekend": moments.dt.day_of_week >= 5,
        "hour_sin": np.sin(2 * np.pi * moments.dt.hour / 24),
        "hour_cos": np.cos(2 * np.pi * moments.dt.hour / 24),
        "day_sin": np.sin(2 * np.pi * moments.dt.day_of_week / 7),
        "day_cos": np.cos(2 * np.pi * moments.dt.day_of_week / 7),
        "minutes_since_midnight": moments.dt.hour * 60 + moments.dt.minute,
    }
    frame = pd.DataFrame(values, columns=columns)
    for name in columns:
        one = frame[name]
        found |= {f"{name}_lag_{lag}": one.shift(lag) for lag in (1, 3, 6, 12)}
        found |= {f"{name}_rolling_mean_{rows}": one.rolling(rows).mean() for rows in (3, 6, 12)}
        found |= {f"{name}_rolling_std_{rows}": one.rolling(rows).std() for rows in (3, 6, 12)}
        found |= {f"{name}_rolling_min_6": one.rolling(6).min(), f"{name}_rolling_max_6": one.rolling(6).max()}
        found |= {f"{name}_pct_change_{rows}": one.pct_change(rows, fill_method=None) for rows in (1, 3)}
    found["cpu_memory_ratio"] = frame["cpu_utilization"] / frame["memory_bytes"]
    found["db_cpu_memory_ratio"] = frame["db_cpu"] / frame["db_memory"]
    return pd.DataFrame(found).astype(float)


def test_seven_metrics_have_the_108_features_of_the_document() -> None:
    rng = np.random.default_rng(0)
    seconds = 1_767_225_600 + 5 * minutes(3000)  # ten days, a weekend among them
    values = rng.uniform(1, 100, (3000, 7))
    theirs = by_pandas(seconds, values, SEVEN)
    assert names(SEVEN) == tuple(theirs.columns)
    assert len(theirs.columns) == 108
    ours = pd.DataFrame(features(seconds, values, SEVEN), columns=theirs.columns)
    pd.testing.assert_frame_equal(ours, theirs, rtol=1e-9, atol=1e-9)


def test_the_count_follows_from_the_columns() -> None:
    assert len(names(SEVEN[:6])) == 94
    assert len(names(["requests"])) == 8 + 14
    assert len(names(["cpu_cores_value", "mem_bytes_value"])) == 8 + 28 + 1


@settings(max_examples=40, deadline=None)
@given(tables, st.data())
def test_what_comes_later_changes_no_feature(values: Floats, data: st.DataObject) -> None:
    columns = ["cpu", "mem", "net"][: values.shape[1]]
    seconds = minutes(len(values))
    part = data.draw(st.integers(1, len(values)))
    whole = features(seconds, values, columns)
    np.testing.assert_array_equal(features(seconds[:part], values[:part], columns), whole[:part])
    np.testing.assert_array_equal(
        before(features(seconds[:part], values[:part], columns), columns), before(whole, columns)[:part]
    )


@settings(max_examples=40, deadline=None)
@given(tables, st.data())
def test_a_feature_of_before_knows_no_value_of_its_own_row(values: Floats, data: st.DataObject) -> None:
    columns = ["consumer_lag_cpu", "mem_lag_1", "net"][: values.shape[1]]
    seconds = minutes(len(values))
    row = data.draw(st.integers(0, len(values) - 1))
    changed = values.copy()
    changed[row] = 12345.0
    first, other = (before(features(seconds, table, columns), columns)[row] for table in (values, changed))
    np.testing.assert_array_equal(first, other)


@settings(max_examples=40, deadline=None)
@given(tables)
def test_no_feature_is_infinite_and_a_row_needs_the_rows_before_it_alone(values: Floats) -> None:
    columns = ["cpu", "mem", "net"][: values.shape[1]]
    seconds = minutes(len(values))
    whole = features(seconds, values, columns)
    assert not np.isinf(whole).any()
    first = max(len(values) - 1 - ROWS_BEFORE, 0)
    np.testing.assert_array_equal(features(seconds[first:], values[first:], columns)[-1], whole[-1])


def test_the_first_rows_are_not_filled() -> None:
    found = features(minutes(20), np.ones((20, 1)), ["cpu"])
    missing = np.isnan(found).sum(axis=0)[len(TIME) :]
    assert missing.tolist() == [1, 3, 6, 12, 2, 5, 11, 2, 5, 11, 5, 5, 1, 3]


@pytest.mark.parametrize(
    ("earlier", "now", "change"), [(0.0, 0.0, 0.0), (0.0, 5.0, np.nan), (4.0, 5.0, 0.25), (4.0, 0.0, -1.0)]
)
def test_a_change_from_0(earlier: float, now: float, change: float) -> None:
    values = np.array([[earlier], [now]])
    found = features(np.array([0.0, 60.0]), values, ["cpu"])[1, names(["cpu"]).index("cpu_pct_change_1")]
    np.testing.assert_equal(found, change)
