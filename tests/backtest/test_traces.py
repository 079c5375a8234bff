"""What a trace file may look like, and the error for one that is not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mora.backtest.traces import choose_series, read_service, read_trace, read_trace_file, read_traces
from mora.errors import BadDataset, BadInput, MoraError, NotEnoughData
from tests import fakes_learning as fakes
from tests.backtest.making import TRACE_START, rows, written


@pytest.mark.parametrize("suffix", [".parquet", ".csv"])
def test_a_trace_is_read_from_parquet_and_from_csv(tmp_path: Path, suffix: str) -> None:
    frame = rows(mem=1e9, host="ignored")
    first, second = read_trace_file(written(tmp_path, frame.sample(frac=1, random_state=1), suffix))
    assert (first.id, second.id, first.step_seconds, first.start) == ("a", "b", 300, TRACE_START)
    assert first.cpu is not None
    assert first.mem is not None
    assert first.cpu.tolist() == list(range(12))
    assert set(first.mem) == {1e9}


@pytest.mark.parametrize("step", [10, 60, 300, 420, 3600])
def test_any_step_from_ten_seconds_to_an_hour_will_do(tmp_path: Path, step: int) -> None:
    assert {one.step_seconds for one in read_trace_file(written(tmp_path, rows(step=step)))} == {step}


def test_missing_rows_and_missing_values_become_gaps(tmp_path: Path) -> None:
    frame = rows(ids=("a",)).drop(index=[3, 4])
    frame.loc[6, "cpu"] = np.nan
    (one,) = read_trace_file(written(tmp_path, frame))
    assert one.cpu is not None
    assert np.flatnonzero(np.isnan(one.cpu)).tolist() == [3, 4, 6]
    assert one.mem is None


def test_samples_that_come_a_little_early_or_late_find_their_slots(tmp_path: Path) -> None:
    frame = rows(ids=("a",), count=200)
    frame["timestamp"] += np.random.default_rng(1).integers(-9, 10, 200) * (np.arange(200) % 9 == 4)
    (one,) = read_trace_file(written(tmp_path, frame))
    assert one.cpu is not None
    assert one.cpu.tolist() == list(range(200))


def test_of_two_samples_of_one_moment_the_larger_counts(tmp_path: Path) -> None:
    frame = rows(ids=("a",), count=400)
    again = frame.iloc[[7]].assign(cpu=99.0)
    (one,) = read_trace_file(written(tmp_path, pd.concat([frame, again])))
    assert one.cpu is not None
    assert one.sample_count == 400
    assert one.cpu[7] == 99.0


def test_a_series_without_any_value_is_skipped(tmp_path: Path) -> None:
    frame = rows()
    frame.loc[frame["series_id"] == "b", "cpu"] = np.nan
    assert [one.id for one in read_trace_file(written(tmp_path, frame))] == ["a"]


def test_series_may_have_steps_of_their_own(tmp_path: Path) -> None:
    frame = pd.concat([rows(ids=("a",), step=30), rows(ids=("b",), step=300)])
    assert [one.step_seconds for one in read_trace_file(written(tmp_path, frame))] == [30, 300]


def test_a_series_of_one_sample_is_skipped(tmp_path: Path) -> None:
    frame = pd.concat([rows(ids=("a",)), rows(ids=("b",), count=1)])
    assert [one.id for one in read_trace_file(written(tmp_path, frame))] == ["a"]
    with pytest.raises(NotEnoughData, match="at least two rows"):
        read_trace_file(written(tmp_path, rows(count=1)))


def test_fractions_are_scaled_and_another_clock_is_taken(tmp_path: Path) -> None:
    frame = rows(ids=("a",), mem=0.5).rename(columns={"timestamp": "seq_timestamp"})
    (one,) = read_trace_file(written(tmp_path, frame), cpu_scale=10.0, mem_scale=1e10, time_column="seq_timestamp")
    assert one.cpu is not None
    assert one.mem is not None
    assert (one.cpu[1], one.mem[1]) == (10.0, 5e9)


WRONG: dict[str, tuple[pd.DataFrame, str]] = {
    "no series": (rows().drop(columns="series_id"), "no column 'series_id'"),
    "no time": (rows().drop(columns="timestamp"), "no column 'timestamp'"),
    "no use": (rows().drop(columns="cpu"), "neither a column 'cpu' nor 'mem'"),
    "no rows": (rows().iloc[:0], "no rows"),
    "words": (rows(cpu="busy"), "'cpu' must contain numbers: series 'a' has busy"),
    "no dates": (rows(timestamp="yesterday"), "'timestamp' must contain numbers: series 'a' has yesterday"),
    "one moment": (rows(timestamp=pd.Timestamp("2026-01-01")), "moments with two samples"),
    "impossible": (rows(cpu=1e8), "series 'a' has a cpu of 1e+08, more than anything can use (1e+07)"),
    "impossible memory": (rows(mem=1e300), "has a mem of 1e+300, more than anything can use (1e+18)"),
    "milliseconds": (rows().assign(timestamp=lambda f: f["timestamp"] * 1000), "not milliseconds"),
    "negative": (rows(cpu=-1.0), "series 'a' has a cpu of -1"),
    "infinite": (rows(mem=np.inf), "series 'a' has a mem of inf"),
    "twice": (rows(ids=("a", "a")), "12 moments with two samples, the first at 1375308300"),
    "too fine": (rows(step=5), "a sample every 5s"),
    "too coarse": (rows(step=7200), "a sample every 2h"),
    "stray": (
        rows(ids=("a",)).assign(timestamp=lambda f: f["timestamp"].where(f.index != 0, 5)),
        "Is a timestamp wrong",
    ),
    "no step": (
        rows(ids=("a",), timestamp=TRACE_START + np.cumsum(300 + 100 * (np.arange(12) % 3))),
        "has no constant step",
    ),
    "nameless": (rows().assign(series_id=lambda f: f["series_id"].where(f.index != 2)), "row 3 has no series_id"),
}


@pytest.mark.parametrize("wrong", WRONG)
@pytest.mark.parametrize("suffix", [".parquet", ".csv"])
def test_an_error_names_what_is_wrong(tmp_path: Path, wrong: str, suffix: str) -> None:
    frame, words = WRONG[wrong]
    with pytest.raises(MoraError) as refused:
        read_trace_file(written(tmp_path, frame, suffix))
    assert words in str(refused.value)
    assert "trace" in str(refused.value)


def test_series_without_a_constant_step_are_skipped_and_named(tmp_path: Path) -> None:
    frame = rows(ids=("a", "b", "c"), count=40)
    uneven = frame["series_id"] == "b"
    frame.loc[uneven, "timestamp"] = TRACE_START + np.cumsum(300 + 100 * (np.arange(40) % 3))
    frame.loc[frame.index[-1], "timestamp"] = 10**11
    trace = read_trace(written(tmp_path, frame))
    assert [one.id for one in trace.series] == ["a"]
    (remark,) = trace.remarks()
    assert remark.startswith("2 of 3 series are skipped: series 'b' has no constant step")
    assert "series 'c' spans" in remark
    assert read_trace(written(tmp_path, rows())).remarks() == []


def test_a_file_that_is_not_one_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="There is no file"):
        read_trace_file(tmp_path / "absent.csv")
    with pytest.raises(BadInput, match="neither"):
        read_trace_file(tmp_path / "trace.xlsx")
    broken = tmp_path / "trace.parquet"
    broken.write_bytes(b"nothing of the kind")
    with pytest.raises(BadDataset, match="cannot be read"):
        read_trace_file(broken)


def test_each_of_several_files_may_be_a_series_and_one_that_is_none_is_skipped(tmp_path: Path) -> None:
    frame = rows(ids=("a",)).drop(columns="series_id")
    for name in ("web", "cart"):
        frame.to_csv(tmp_path / f"{name}.csv", index=False)
    rows(ids=("web",)).to_csv(tmp_path / "more.csv", index=False)
    frame.iloc[:1].to_csv(tmp_path / "short.csv", index=False)
    paths = [tmp_path / f"{name}.csv" for name in ("web", "cart", "more", "short")]
    trace = read_traces(paths)
    assert [one.id for one in trace.series] == ["cart", "more.csv/web", "web.csv/web"]
    assert "1 of 4 series are skipped" in trace.remarks()[0]
    assert "short.csv has no series with at least two rows" in trace.remarks()[0]
    with pytest.raises(NotEnoughData, match="short"):
        read_traces(paths[3:])


def test_series_are_chosen_by_number_and_by_id(tmp_path: Path) -> None:
    series = read_trace_file(written(tmp_path, rows(ids=("7", "a", "b"))))
    assert [one.id for one in choose_series(series, None)] == ["7", "a", "b"]
    assert [one.id for one in choose_series(series, "2")] == ["7", "a"]
    assert [one.id for one in choose_series(series, "7")] == ["7"]
    assert [one.id for one in choose_series(series, "b, a")] == ["b", "a"]
    with pytest.raises(BadInput, match="no series 'c'"):
        choose_series(series, "a,c")


def test_a_service_is_replayed_on_its_history() -> None:
    frame = fakes.observed(days=3)
    one = read_service(frame, "frontend")
    assert one.id == "frontend"
    assert one.cpu is not None
    assert one.sample_count == len(frame)
    np.testing.assert_array_equal(one.cpu, frame["cpu_cores_value"].to_numpy())


def test_histories_that_overlap_are_joined() -> None:
    frame = fakes.observed(days=3)
    twice = pd.concat([frame, frame.iloc[: len(frame) // 2].assign(experiment_id="earlier")])
    assert read_service(twice, "frontend").sample_count == len(frame)


def test_driven_data_is_no_history() -> None:
    frame = fakes.observed(days=2).assign(scenario="browsing")
    with pytest.raises(NotEnoughData, match="mora collect --history"):
        read_service(frame, "frontend")
