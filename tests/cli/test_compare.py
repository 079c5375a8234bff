"""`mora compare` as a user meets it."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pandas as pd
import pytest

from mora import dataset
from tests import fakes_learning as fakes
from tests import running
from tests.contest.making import wave

CHEAP = ("--models", "yesterday,moving-average", "--jobs", "1")


def mora(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return running.mora("compare", *arguments, cwd=cwd, XDG_CACHE_HOME=str(cwd / "cache"))


def trace(folder: Path, days: float = 8.0) -> None:
    frames = []
    for name in ("shop/web-0", "shop/web-1"):
        one = wave(days, name=name).series
        at = one.start + one.step_seconds * pd.RangeIndex(one.sample_count)
        frames.append(pd.DataFrame({"series_id": name, "timestamp": at, "cpu": one.cpu, "mem": one.mem}))
    pd.concat(frames).to_csv(folder / "traces.csv", index=False)


def test_a_trace_file_is_compared_and_the_second_time_nothing_is_asked_again(tmp_path: Path) -> None:
    trace(tmp_path)
    asked = ("traces.csv", *CHEAP, "--horizons", "1h")
    told = mora(*asked, "-o", "json", "--report", "out.html", "--artifacts", "artifacts", cwd=tmp_path)
    assert told.returncode == 0, told.stderr
    document = json.loads(told.stdout)
    assert document["models"] == ["naive", "yesterday", "moving-average"]
    assert [table["target"] for table in document["tables"]] == ["cpu", "memory"]
    assert {one["group"] for one in document["tables"][0]["series"]} == {"shop"}
    assert "Wrote out.html." in told.stderr
    assert len(list((tmp_path / "artifacts").glob("metrics_*.json"))) == 2
    assert len(list((tmp_path / "artifacts").glob("data_summary_*.json"))) == 1
    kept = list((tmp_path / "cache" / "mora" / "contest").glob("*.npz"))
    # Three models, two series, two folds.
    assert len(kept) == 12
    again = mora(*asked, "-o", "json", cwd=tmp_path)
    assert again.stdout == told.stdout


def test_a_service_is_compared_on_its_own_history(tmp_path: Path) -> None:
    frame = fakes.observed(days=7)
    card = {"service": "frontend", "experiment_id": str(frame["experiment_id"].iloc[0])}
    dataset.write_experiment(tmp_path / "data", frame, card)
    told = mora("frontend", *CHEAP, "--last", "6d", "--folds", "1", "--window", "2d", cwd=tmp_path)
    assert told.returncode == 0, told.stderr
    assert "3 models on frontend, " in told.stdout
    assert "up to 1 fold, each learnt from the 2d before it less a gap of one horizon" in told.stdout
    assert "cpu, 1h ahead" in told.stdout
    assert "memory, 24h ahead" in told.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("traces.csv", "-o", "xml"), "There is no output 'xml' of a comparison. Known: table, markdown, json, html."),
        (("traces.csv", "--models", "oracle"), "There is no model 'oracle'. Known: prophet, lstm, naive"),
        (("traces.csv", "--horizons", "0s"), "'0s' is not a span of time"),
        (("traces.csv", "--folds", "0"), "0 folds cannot be scored."),
        (("traces.csv", *CHEAP, "--last", "1d"), "Not enough history to validate over time"),
        (("traces.csv", *CHEAP, "--cache", "traces.csv/kept"), "Name another folder with --cache DIR."),
        (("none.csv", *CHEAP), "none.csv"),
        (("nowhere", *CHEAP), "nowhere"),
        (("nowhere", "traces.csv", *CHEAP), "traces.csv is a trace file: it is compared on alone"),
    ],
)
def test_what_cannot_be_compared_is_an_error_with_what_to_do(
    tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    trace(tmp_path, 4.0)
    refused = mora(*arguments, cwd=tmp_path)
    assert refused.returncode == 1, refused.stderr
    assert message in " ".join(refused.stderr.split())
    assert "Traceback" not in refused.stderr
    assert refused.stdout == ""
