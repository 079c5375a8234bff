"""What a backtest refuses, what it replays, and where its results are kept."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from mora import pipeline
from mora.backtest.run import ORACLE
from mora.errors import BadInput
from tests.backtest.making import steady


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    """A file of three series of ten days."""
    parts = []
    for number, name in enumerate(("a", "b", "c"), start=1):
        one = steady(0.1 * number, days=10)
        times = one.start + one.step_seconds * pd.RangeIndex(one.sample_count)
        parts.append(pd.DataFrame({"series_id": name, "timestamp": times, "cpu": one.cpu, "mem": one.mem}))
    path = tmp_path / "traces.csv"
    pd.concat(parts).to_csv(path, index=False)
    return path


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"cpu_scale": 0.0}, "The scale of CPU must be a positive number, not 0.0"),
        ({"mem_scale": float("nan")}, "The scale of memory must be a positive number, not nan"),
        ({"horizon": timedelta(0)}, "The horizon must be at least 1s"),
    ],
)
def test_what_cannot_be_meant_is_refused_before_anything_is_read(wrong: dict[str, Any], words: str) -> None:
    with pytest.raises(BadInput, match=words):
        pipeline.backtest("nowhere.csv", **wrong)


def test_trace_files_are_not_replayed_together_with_services(trace: Path) -> None:
    with pytest.raises(BadInput, match=r"traces\.csv is a trace file(.|\n)*only services"):
        pipeline.backtest([str(trace), "frontend"])


def test_a_file_a_series_and_columns_of_any_name_are_replayed(trace: Path) -> None:
    frame = pd.read_csv(trace)
    files = []
    for name, own in frame.groupby("series_id"):
        files.append(trace.with_name(f"{name}-usage.csv"))
        own[["timestamp", "cpu"]].rename(columns={"timestamp": "time", "cpu": "usage"}).to_csv(files[-1], index=False)
    result = pipeline.backtest(
        [str(file) for file in files], policies=("krr",), jobs=1, time_column="time", value_columns=["usage"]
    )
    whole = pipeline.backtest(trace, policies=("krr",), jobs=1)
    trace.unlink()
    folder = pipeline.backtest(
        f"{trace.parent}/", policies=("krr",), jobs=1, time_column="time", value_columns=["usage"]
    )
    assert folder.scores["krr"]["cpu"] == whole.scores["krr"]["cpu"]
    assert [one.id for one in result.series] == ["a-usage", "b-usage", "c-usage"]
    assert result.scores["krr"]["cpu"] == whole.scores["krr"]["cpu"]


def test_a_folder_without_traces_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").touch()
    with pytest.raises(BadInput, match=r"has no trace files\.(.|\n)*\.parquet or \.csv"):
        pipeline.backtest(str(tmp_path))


def test_a_policy_named_twice_is_replayed_once_and_all_of_them_by_default(trace: Path) -> None:
    named = pipeline.backtest(trace, policies=("krr", "krr", ORACLE), series="1", jobs=1)
    assert named.settings.policies == ("krr", ORACLE)
    every = pipeline.backtest(trace, series="a", jobs=1)
    assert every.settings.policies[-1] == ORACLE
    assert {"krr", "vpa"} <= set(every.settings.policies)


def test_a_scale_changes_use_and_the_series_asked_for_are_those_replayed(trace: Path) -> None:
    plain, doubled = (
        pipeline.backtest(trace, policies=("krr",), series="b,c", jobs=1, with_minimums=False, cpu_scale=scale)
        for scale in (1.0, 2.0)
    )
    assert [one.id for one in plain.series] == ["b", "c"]
    for one, twice in zip(plain.series, doubled.series, strict=True):
        assert one.cpu is not None
        assert twice.cpu is not None
        assert twice.cpu[0] == pytest.approx(2 * one.cpu[0])


def test_a_report_is_one_page(trace: Path, tmp_path: Path) -> None:
    result = pipeline.backtest(trace, policies=("krr", ORACLE), series="1", jobs=1)
    pipeline.write_report(result, tmp_path / "report.html", source="traces.csv")
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert page.lower().startswith("<!doctype html>")
    assert "traces.csv" in page


@pytest.mark.parametrize("variable", ["", "/somewhere"])
def test_results_are_kept_in_the_cache_of_the_user(monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", variable)
    monkeypatch.setenv("HOME", "/of/ada")
    root = Path(variable) if variable else Path("/of/ada/.cache")
    assert pipeline.cache_folder("backtest") == root / "mora" / "backtest"
