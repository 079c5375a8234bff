"""An experiment as a CSV and a JSON that are read back as they were."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mora.dataset import (
    read_experiment,
    unify,
    write_experiment,
)
from mora.errors import BadDataset, BadInput, MoraError
from mora.metrics import ALL_COLUMNS, CORE_COLUMNS, EXTRA_COLUMNS, METRIC_COLUMNS
from tests.dataset.making import START, make_frame, numbers, write


@settings(max_examples=25)  # each writes and reads a file of three dozen columns
@given(st.data(), st.integers(min_value=1, max_value=8))
def test_what_is_written_is_read_back_to_nine_digits(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, rows: int
) -> None:
    frame = make_frame(rows=rows)
    for column in (*METRIC_COLUMNS, *EXTRA_COLUMNS):
        frame[column] = data.draw(st.lists(numbers(column), min_size=rows, max_size=rows))
    folder = tmp_path_factory.mktemp("given")
    back = read_experiment(write(folder, frame))
    whole = [c for c in ALL_COLUMNS if "bytes" in c and not c.startswith("net_")]
    pd.testing.assert_frame_equal(back[whole], frame[whole].round())
    pd.testing.assert_frame_equal(back.drop(columns=whole), frame.drop(columns=whole), check_exact=False, rtol=1e-8)
    again = read_experiment(write(folder / "again", back))
    pd.testing.assert_frame_equal(again, back)


@given(st.datetimes(datetime(2020, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)))  # noqa: DTZ001  hypothesis
def test_timestamps_are_iso_8601_in_utc_and_come_back_to_the_microsecond(
    tmp_path_factory: pytest.TempPathFactory, start: datetime
) -> None:
    frame = make_frame(rows=3)
    frame["timestamp"] = pd.date_range(start, periods=3, freq="1s", unit="us")
    folder = tmp_path_factory.mktemp("given")
    path = write(folder, frame)
    assert list(read_experiment(path)["timestamp"]) == list(frame["timestamp"])
    assert path.read_text().split("\n")[1].split(",")[5].endswith("Z")


def test_numbers_are_compact_and_counts_and_bytes_whole(written: Path) -> None:
    row = dict(zip(CORE_COLUMNS, written.read_text().split("\n")[1].split(","), strict=False))
    assert row["replica_count"] == "2"
    assert row["load_users"] == "40"
    assert row["mem_bytes_value"] == "52428800"
    assert row["cpu_cores_value"] == "0.25"
    assert row["timestamp"] == "2026-11-01T12:00:00Z"


def test_a_gap_stays_a_gap(tmp_path: Path) -> None:
    frame = make_frame()
    frame.loc[3, "cpu_cores_value"] = np.nan
    assert read_experiment(write(tmp_path, frame))["cpu_cores_value"].isna().tolist() == [n == 3 for n in range(20)]


def test_observed_data_has_no_replica_count_and_no_users(tmp_path: Path) -> None:
    index = pd.date_range(START, periods=3, freq="1s", unit="us")
    metrics = pd.DataFrame({"cpu_cores_value": 0.1}, index=index)
    frame = unify(metrics, experiment_id="cart_observed_20261101T120000Z", service="cart", scenario="observed")
    back = read_experiment(write(tmp_path, frame))
    assert back[["replica_count", "load_users"]].isna().all(axis=None)


def test_a_finished_experiment_is_never_overwritten(written: Path, tmp_path: Path) -> None:
    before = written.read_bytes()
    with pytest.raises(BadDataset, match="already in"):
        write(tmp_path, make_frame(rows=5))
    assert written.read_bytes() == before


def test_what_could_not_be_read_is_not_written(tmp_path: Path) -> None:
    for column, value, words in (
        ("cpu_cores_value", -1.0, "negative"),
        ("cpu_cores_value", np.inf, "infinite"),
        ("load_users", 7.0, "two experiments"),
    ):
        frame = make_frame()
        frame.loc[4, column] = value
        with pytest.raises(BadDataset, match=words):
            write(tmp_path, frame)
    with pytest.raises(BadDataset, match="rows out of order"):
        write(tmp_path, make_frame().iloc[::-1])
    frame = make_frame("../../escaped")
    with pytest.raises(BadInput, match="cannot name a file"):
        write(tmp_path, frame)
    with pytest.raises(BadInput, match="of another experiment"):
        write_experiment(tmp_path, make_frame(), {"experiment_id": "other", "service": "frontend"})
    assert not any(tmp_path.iterdir())


def test_a_folder_that_may_not_be_written_is_an_error_with_its_path(tmp_path: Path) -> None:
    with pytest.raises(MoraError, match="Cannot write"):
        write(Path("/proc"), make_frame())
