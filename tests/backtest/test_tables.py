"""What a trace file may call its columns, how it may write its times, and what no use can be."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mora.backtest.tables import Columns
from mora.backtest.traces import read_trace, read_trace_file
from mora.errors import BadDataset, BadInput
from tests.backtest.making import TRACE_START, rows, written


@pytest.mark.parametrize("suffix", [".parquet", ".csv"])
@pytest.mark.parametrize("form", ["%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%d %H:%M:%S+00:00"])
def test_the_commonest_csv_is_a_series_of_cpu_named_like_its_file(tmp_path: Path, form: str, suffix: str) -> None:
    times = pd.to_datetime(rows(ids=("a",))["timestamp"], unit="s").dt.strftime(form)
    trace = read_trace(written(tmp_path, pd.DataFrame({"timestamp": times, "value": np.arange(12) / 10}), suffix))
    (one,) = trace.series
    assert (one.id, one.step_seconds, one.start, one.mem) == ("trace", 300, TRACE_START, None)
    assert one.cpu is not None
    np.testing.assert_allclose(one.cpu, np.arange(12) / 10)
    assert trace.remarks() == [
        "The column value is read as CPU in cores. For memory in bytes: --value-column mem=value."
    ]


def test_dates_of_a_parquet_file_are_read_as_such(tmp_path: Path) -> None:
    frame = rows(ids=("a",)).assign(timestamp=lambda f: pd.to_datetime(f["timestamp"], unit="s"))
    assert read_trace_file(written(tmp_path, frame))[0].start == TRACE_START


def test_a_date_of_the_year_9999_is_refused(tmp_path: Path) -> None:
    frame = rows(ids=("a",)).assign(timestamp="2026-01-01 00:00:00")
    frame.loc[3, "timestamp"] = "9999-12-31 23:59:59"
    with pytest.raises(BadDataset, match=r"has a timestamp of 9999-12-31 23:59:59\.(.|\n)*clock"):
        read_trace(written(tmp_path, frame, ".csv"))


def test_a_time_of_four_hundred_digits_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "trace.csv"
    path.write_text(f"timestamp,value\n{'1' * 400},0\n")
    with pytest.raises(BadDataset, match="the column 'timestamp' must contain numbers"):
        read_trace(path)


def test_bytes_are_not_taken_for_cores(tmp_path: Path) -> None:
    path = written(tmp_path, rows(ids=("a",)).assign(value=5e7).drop(columns=["cpu", "series_id"]), ".csv")
    with pytest.raises(BadDataset, match=r"value of 5e\+07, more than anything can use \(2048\)(.|\n)*mem=value"):
        read_trace(path)
    (one,) = read_trace(path, columns=Columns.of(values=["mem=value"])).series
    assert one.cpu is None
    assert one.mem is not None
    assert set(one.mem) == {5e7}


def test_columns_may_have_any_names(tmp_path: Path) -> None:
    frame = rows(mem=1e9).rename(columns={"series_id": "pod", "timestamp": "ds", "cpu": "load", "mem": "rss"})
    path = written(tmp_path, frame, ".csv")
    columns = Columns.of(time="ds", series="pod", values=["load", "mem=rss"])
    first, _ = read_trace(path, columns=columns).series
    assert first.id == "a"
    assert first.cpu is not None
    assert first.mem is not None
    assert (first.cpu[1], first.mem[1]) == (1.0, 1e9)


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        (Columns.of(time="ds"), r"no column 'ds'(.|\n)*'timestamp'(.|\n)*--time-column"),
        (Columns.of(series="pod"), r"no column 'pod'(.|\n)*'series_id'"),
        (Columns.of(values=["load"]), r"no column 'load'(.|\n)*'cpu'(.|\n)*--value-column"),
        (Columns.of(values=["cpu=x", "mem=y"]), "neither a column 'x' nor 'y'"),
    ],
)
def test_a_column_that_is_not_there_is_named_beside_those_that_are(
    tmp_path: Path, columns: Columns, words: str
) -> None:
    with pytest.raises(BadDataset, match=words):
        read_trace(written(tmp_path, rows(), ".csv"), columns=columns)


@pytest.mark.parametrize("values", [["a", "b"], ["mem="], ["cpu=a", "cpu=b"]])
def test_a_resource_has_one_column(values: list[str]) -> None:
    with pytest.raises(BadInput, match="--value-column"):
        Columns.of(values=values)
