"""Samples come in any order, with any gaps, from clocks that jump; detectors get a grid."""

from __future__ import annotations

from datetime import datetime, timedelta

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mora.errors import BadInput, NotEnoughData
from mora.health.frames import health_columns, on_grid, step_of
from tests.health.made import START, healthy

SECOND = timedelta(seconds=1)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(0, 400), min_size=2, max_size=120, unique=True),
    st.sampled_from([1, 15, 60]),
    st.randoms(use_true_random=False),
)
def test_any_order_and_any_gaps_give_the_same_grid_with_every_sample_in_its_row(
    slots: list[int], seconds: int, random: object
) -> None:
    times = [START + timedelta(seconds=slot * seconds) for slot in slots]
    frame = pd.DataFrame({"timestamp": times, "cpu": [float(slot) for slot in slots]})
    step = timedelta(seconds=seconds)
    grid = on_grid(frame, step=step).frame if step_of(frame["timestamp"].sort_values()) <= step else None
    if grid is None:
        return
    shuffled = frame.sample(frac=1, random_state=len(slots))
    pd.testing.assert_frame_equal(on_grid(shuffled, step=step).frame, grid)
    assert (grid["timestamp"].diff().dropna() == pd.Timedelta(step)).all()
    known = grid.dropna()
    expected = [float(slot) for slot in sorted(slots)]
    assert known["cpu"].tolist() == expected
    assert known["timestamp"].tolist() == [START + timedelta(seconds=slot * seconds) for slot in sorted(slots)]


def test_finer_samples_are_averaged_over_the_step_that_ends_where_they_stand() -> None:
    frame = pd.DataFrame({"timestamp": pd.date_range(START, periods=9, freq="15s"), "cpu": np.arange(9.0)})
    grid = on_grid(frame, step=timedelta(minutes=1))
    assert grid.frame["cpu"].tolist() == [0.0, 2.5, 6.5]
    assert grid.frame["timestamp"].tolist() == [START + n * timedelta(minutes=1) for n in range(3)]
    assert "averaged to 1m" in " ".join(grid.remarks)


def test_what_comes_later_changes_no_earlier_row() -> None:
    frame = healthy(200, step=SECOND)
    whole = on_grid(frame, step=timedelta(seconds=15)).frame
    part = on_grid(frame[:100], step=timedelta(seconds=15)).frame
    last = int((part["timestamp"] <= frame["timestamp"].iloc[99]).sum())
    pd.testing.assert_frame_equal(whole[:last], part[:last])


def test_coarser_samples_than_the_step_are_refused_with_both() -> None:
    with pytest.raises(BadInput, match="every 1m, and every 15s is needed"):
        on_grid(healthy(20, step=timedelta(minutes=1)), step=timedelta(seconds=15))


def test_a_clock_that_jumps_is_a_remark_and_lays_no_grid_over_decades() -> None:
    frame = healthy(100)
    back = pd.concat([frame, frame.iloc[40:50]], ignore_index=True)
    assert "go back 1 time" in " ".join(on_grid(back).remarks)
    assert "10 moments with two samples" in " ".join(on_grid(back).remarks)
    frame.loc[99, "timestamp"] = pd.Timestamp(2090, 1, 1, tz="UTC")
    with pytest.raises(BadInput, match="Is one of the times wrong"):
        on_grid(frame)
    ahead = on_grid(frame, now=datetime.fromisoformat("2026-03-03T00:00:00Z"))
    assert len(ahead.frame) == 99
    assert "1 sample from the future left out: a clock is wrong." in ahead.remarks


def test_where_all_samples_are_from_the_future_the_clock_is_in_doubt_and_they_are_kept() -> None:
    grid = on_grid(healthy(50), now=datetime.fromisoformat("2020-01-01T00:00:00Z"))
    assert len(grid.frame) == 50
    assert grid.remarks == ("All samples are from the future: the clock of this machine or theirs is wrong.",)


def test_gaps_without_end_are_refused_with_the_rows_they_would_make() -> None:
    at = np.concatenate([np.arange(20_000), 20_000 + np.cumsum(9_000 + np.arange(41_000) % 3_000)])
    times = pd.to_datetime(at, unit="s", utc=True)
    with pytest.raises(BadInput, match="so many gaps"):
        on_grid(pd.DataFrame({"timestamp": times, "cpu": 1.0}))


def test_a_gap_of_weeks_costs_no_rows_without_end() -> None:
    frame = healthy(100, step=SECOND)
    later = frame.assign(timestamp=frame["timestamp"] + pd.Timedelta(days=20))
    grid = on_grid(pd.concat([frame, later])).frame
    assert len(grid) == 200 + 5000 - 1
    assert grid["timestamp"].is_monotonic_increasing
    assert grid["timestamp"].iloc[-1] == later["timestamp"].iloc[-1]
    assert grid["cpu_cores_value"].notna().sum() == 200


def test_infinite_values_and_rows_without_a_time_are_remarks() -> None:
    frame = healthy(50)
    frame.loc[3, "cpu_cores_value"] = np.inf
    frame.loc[7, "timestamp"] = pd.NaT
    grid = on_grid(frame)
    assert np.isnan(grid.frame["cpu_cores_value"][3])
    assert len(grid.frame) == 50
    assert grid.frame.loc[7].drop("timestamp").isna().all()
    assert [remark.split(" without")[0] for remark in grid.remarks] == [
        "1 infinite value counts as not known.",
        "1 row",
    ]


def test_one_sample_is_too_few_and_no_time_or_metric_is_refused() -> None:
    with pytest.raises(NotEnoughData, match="1 sample"):
        on_grid(healthy(1))
    with pytest.raises(BadInput, match="no column 'timestamp'"):
        on_grid(healthy(9).drop(columns="timestamp"))
    with pytest.raises(BadInput, match="no column of numbers"):
        on_grid(healthy(9)[["timestamp"]])


def test_the_health_of_a_service_is_in_the_metrics_that_are_known() -> None:
    frame = healthy(20).assign(error_ratio=np.nan, node_cpu_util_value=0.5)
    assert health_columns(frame) == ("cpu_cores_value", "mem_bytes_value", "latency_p95_seconds")
    other = frame[["timestamp", "node_cpu_util_value"]].assign(a=1.0)
    assert health_columns(other) == ("node_cpu_util_value", "a")
    assert health_columns(other.assign(label=0, is_anomaly=1, predicted_anomaly=1, anomaly_score=0.5)) == (
        "node_cpu_util_value",
        "a",
    )
