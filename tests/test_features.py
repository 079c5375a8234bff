"""Segments, windows and scalers: no window crosses an experiment, nothing looks ahead."""

from __future__ import annotations

from datetime import timedelta
from typing import Literal

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mora.domain import Target
from mora.errors import NotEnoughData
from mora.features import (
    MIN_TARGET_STEPS,
    TARGET_COLUMNS,
    MinMaxScaler,
    fill_short_gaps,
    grid_step,
    is_driven,
    make_pairs,
    segments,
    six_digits,
)
from mora.forecasters.lstm import known_columns
from mora.metrics import METRIC_COLUMNS
from tests import fakes_learning as fakes

TimeUnit = Literal["s", "ms", "us", "ns"]


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    return fakes.driven(users=(10, 20), replicas=(1, 2), repeats=1)[0]


def test_every_experiment_is_a_segment_of_its_own(frame: pd.DataFrame) -> None:
    pieces = segments(frame)
    assert [piece.name for piece in pieces] == sorted(frame["experiment_id"].unique())
    assert {len(piece) for piece in pieces} == {62}


def test_windows_never_cross_from_one_experiment_into_another(frame: pd.DataFrame) -> None:
    pieces = segments(frame)
    pairs = make_pairs(pieces, ("load_users", "replica_count"), min_target=MIN_TARGET_STEPS)
    assert len(pairs) == len(pieces) * (62 - 30 - MIN_TARGET_STEPS + 1)
    for inputs, index, start in zip(pairs.inputs, pairs.segment, pairs.starts, strict=True):
        own = pieces[index]
        assert (inputs[:, 0] == own.values["load_users"][0]).all()
        assert start + 30 + MIN_TARGET_STEPS <= len(own)


def test_scored_pairs_have_full_horizons_only(frame: pd.DataFrame) -> None:
    pieces = segments(frame)
    pairs = make_pairs(pieces, ("cpu_cores_value",))
    assert len(pairs) == len(pieces) * 3
    piece, cpu = pieces[0], pieces[0].values["cpu_cores_value"]
    assert pairs.futures[0, 0, 0] == pytest.approx(cpu[30:60].mean())
    assert pairs.futures[0, 0, 1] == pytest.approx(np.quantile(cpu[30:60], 0.95))
    assert pairs.levels[0, 0] == pytest.approx(cpu[:30].mean())
    assert len(piece) == 62


def test_a_short_gap_is_filled_from_the_past_and_counted(frame: pd.DataFrame) -> None:
    one = frame[frame["experiment_id"] == frame["experiment_id"].iloc[0]].reset_index(drop=True)
    holed = one.drop(index=[20, 21])
    (piece,) = segments(holed)
    expected = one["cpu_cores_value"].iloc[15:20].median()
    assert piece.values["cpu_cores_value"][20] == piece.values["cpu_cores_value"][21] == pytest.approx(expected)
    assert piece.filled == 6  # two samples of three targets


def test_a_long_gap_cuts_a_segment_in_two(frame: pd.DataFrame) -> None:
    one = frame[frame["experiment_id"] == frame["experiment_id"].iloc[0]].reset_index(drop=True)
    assert [len(piece) for piece in segments(one.drop(index=range(20, 26)))] == [20, 36]


def test_an_unknown_column_cuts_nothing_and_is_no_input(frame: pd.DataFrame) -> None:
    blind = frame.assign(net_rx_bytes_value=np.nan)
    assert len(segments(blind)) == len(segments(frame))
    assert "net_rx_bytes_value" not in known_columns(segments(blind))
    assert known_columns(segments(frame)) == (*METRIC_COLUMNS, "replica_count", "load_users")


def test_an_unknown_load_is_no_input_on_observed_data() -> None:
    history = fakes.observed(days=1)
    assert not is_driven(history)
    assert known_columns(segments(history)) == METRIC_COLUMNS
    assert np.isnan(segments(history)[0].values["load_users"]).all()


def test_rows_in_another_order_give_the_same_segments(frame: pd.DataFrame) -> None:
    shuffled = frame.sample(frac=1.0, random_state=1)
    for one, other in zip(segments(frame), segments(shuffled), strict=True):
        assert one.name == other.name
        np.testing.assert_array_equal(one.matrix(METRIC_COLUMNS), other.matrix(METRIC_COLUMNS))


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_the_step_is_found_whatever_unit_time_is_kept_in(frame: pd.DataFrame, unit: TimeUnit) -> None:
    other = frame.assign(timestamp=frame["timestamp"].dt.as_unit(unit))
    assert grid_step(other) == timedelta(seconds=1)
    np.testing.assert_array_equal(segments(other)[0].seconds, segments(frame)[0].seconds)


def test_a_step_needs_two_samples(frame: pd.DataFrame) -> None:
    with pytest.raises(NotEnoughData, match="no two samples"):
        grid_step(frame.head(1))


@given(st.lists(st.one_of(st.none(), st.floats(0, 1e9)), min_size=1, max_size=40), st.integers(0, 39))
def test_filling_a_gap_never_uses_what_comes_later(values: list[float | None], cut: int) -> None:
    series = np.array([np.nan if value is None else value for value in values])
    cut = min(cut, len(series) - 1)
    known = [i for i in range(len(series)) if not np.isnan(series[i])]
    if not known:
        return
    filled, _ = fill_short_gaps(series)
    changed = series.copy()
    changed[cut:] = np.where(np.isnan(changed[cut:]), np.nan, 7.0)
    again, _ = fill_short_gaps(changed)
    np.testing.assert_array_equal(filled[:cut], again[:cut])


@given(st.lists(st.lists(st.floats(-1e6, 1e6), min_size=3, max_size=3), min_size=1, max_size=20))
def test_scaling_and_restoring_gives_the_rows_back(rows: list[list[float]]) -> None:
    table = np.array(rows)
    scaler = MinMaxScaler.fit(table)
    scaled = scaler.scale(table)
    assert scaled.min() >= -1e-9
    assert scaled.max() <= 1 + 1e-9
    np.testing.assert_allclose(scaler.restore(scaled), table, rtol=1e-9, atol=1e-6)


def test_a_scaler_knows_the_training_rows_only(frame: pd.DataFrame) -> None:
    training = segments(frame)[:2]
    matrix = np.concatenate([piece.matrix(["cpu_cores_value"]) for piece in training])
    scaler = MinMaxScaler.fit(matrix)
    assert scaler.low[0] == matrix.min()
    assert scaler.low[0] + scaler.span[0] == pytest.approx(matrix.max())


def test_six_digits_hide_the_noise_of_another_machine() -> None:
    assert six_digits(0.1 + 0.2) == six_digits(0.3)
    assert six_digits(123456.7) == 123457.0


def test_every_target_has_its_column() -> None:
    assert set(TARGET_COLUMNS) == set(Target)
    assert set(TARGET_COLUMNS.values()) < set(METRIC_COLUMNS)
