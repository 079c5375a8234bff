"""`mora backtest` as a user meets it."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pandas as pd
import pytest

from mora import dataset, pipeline
from mora.backtest.policy import policy_names
from mora.pipeline import backtesting
from tests import fakes_learning as fakes
from tests import running
from tests.backtest.making import bumpy


def mora(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return running.mora(*arguments, cwd=cwd, XDG_CACHE_HOME=str(cwd / "cache"))


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a trace of three series."""
    folder = tmp_path_factory.mktemp("backtest")
    parts = []
    for seed, name in enumerate(("a", "b", "c")):
        one = bumpy(name, seed=seed, days=12)
        times = one.start + one.step_seconds * pd.RangeIndex(one.sample_count)
        parts.append(pd.DataFrame({"series_id": name, "timestamp": times, "cpu": one.cpu, "mem": one.mem}))
    pd.concat(parts).to_csv(folder / "traces.csv", index=False)
    return folder


def test_a_trace_is_replayed_and_its_results_are_kept(home: Path) -> None:
    asked = ("backtest", "traces.csv", "-p", "krr", "-p", "vpa", "-p", "oracle", "--series", "2", "--jobs", "1")
    told = mora(*asked, "-o", "json", cwd=home)
    assert told.returncode == 0, told.stderr
    document = json.loads(told.stdout)
    assert document["series"] == 2
    assert list(document["results"]) == ["krr", "vpa", "oracle"]
    assert len(list((home / "cache" / "mora" / "backtest").rglob("*.npy"))) == 2 * 2 * 2
    table = mora(*asked, cwd=home)
    assert "CPU: 2 series, horizon 24h, warm-up 7d" in table.stdout
    assert f"{document['results']['vpa']['cpu']['cost']:.3f}" in table.stdout


def test_one_uneven_series_does_not_refuse_a_file(home: Path) -> None:
    frame = pd.read_csv(home / "traces.csv")
    uneven = frame["series_id"] == "b"
    frame.loc[uneven, "timestamp"] += 700 * (pd.RangeIndex(int(uneven.sum())) // 2 % 2)
    frame.to_csv(home / "uneven.csv", index=False)
    told = mora("backtest", "uneven.csv", "-p", "krr", "-p", "last", "--jobs", "1", "-o", "json", cwd=home)
    assert told.returncode == 0, told.stderr
    assert json.loads(told.stdout)["series"] == 2
    assert "1 of 3 series are skipped: series 'b' has no constant step" in " ".join(told.stderr.split())


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("traces.csv", "-p", "nonesuch"), "There is no policy 'nonesuch'"),
        (("traces.csv", "-o", "xml"), "There is no output 'xml'"),
        (("traces.csv", "--hold", "soon"), "is not a span of time"),
        (("traces.csv", "--warmup", "12d"), "No series is long enough for a warm-up of 12d"),
        (("traces.csv", "--series", "z"), "There is no series 'z'"),
        (("traces.csv", "frontend"), "it is replayed alone"),
        (("traces.csv", "--cpu-scale", "0"), "must be a positive number"),
        (("absent.parquet",), "There is no file absent.parquet"),
        (("frontend",), "no data"),
    ],
)
def test_impossible_arguments_are_refused_with_a_clear_error(
    home: Path, arguments: tuple[str, ...], words: str
) -> None:
    refused = mora("backtest", *arguments, cwd=home)
    assert refused.returncode == 1
    assert words in refused.stderr
    assert "Traceback" not in refused.stderr


def test_processes_give_what_one_process_gives(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backtesting, "_WORTH_PROCESSES", 0)
    alone, together = (
        pipeline.backtest(home / "traces.csv", policies=("krr", "vpa", "oracle"), jobs=jobs) for jobs in (1, 2)
    )
    assert alone.scores == together.scores


def test_a_service_is_replayed_on_its_history(tmp_path: Path) -> None:
    frame = fakes.observed(days=4)
    card = {"service": "frontend", "experiment_id": str(frame["experiment_id"].iloc[0])}
    dataset.write_experiment(tmp_path / "data", frame, card)
    found = pipeline.backtest(
        "frontend",
        policies=("peak", "last"),
        horizon=pd.Timedelta(hours=6).to_pytimedelta(),
        warmup=pd.Timedelta(days=2).to_pytimedelta(),
        data_dir=tmp_path / "data",
    )
    assert [one.id for one in found.series] == ["frontend"]
    assert found.scores["peak"]["mem"].series == 1


def test_by_default_every_policy_is_replayed(home: Path) -> None:
    found = pipeline.backtest(home / "traces.csv", series="1")
    assert list(found.scores) == [*policy_names(), "oracle"]


def test_numbers_that_are_renewed_often_are_followed_by_a_rule_and_swept(home: Path) -> None:
    asked = (
        "backtest",
        "traces.csv",
        "-p",
        "krr",
        "-p",
        "last",
        "--jobs",
        "1",
        "--renew",
        "2h",
        "--deadband-up",
        "20%",
    )
    told = mora(*asked, "--follow", "in-place", "--change-price", "15m", "--sweep", "--report", "page.html", cwd=home)
    assert told.returncode == 0, told.stderr
    heads = "horizon 2h, warm-up 7d, renewed every 2h, deadband 20% up and 30% down, at most 48 changes a day"
    assert heads in told.stdout
    assert "cost with changes" in told.stdout
    assert "CPU: cost against changes per day" in told.stdout
    assert "CPU: what it costs, and how often it changes" in (home / "page.html").read_text()


def test_a_change_rule_that_cannot_be_meant_is_refused_before_anything_is_replayed(home: Path) -> None:
    for flags, words in (
        (("--follow", "carrier-pigeon"), "git-weekly, git-daily, template-daily, vpa, in-place"),
        (("--deadband", "a lot"), "not a share"),
        (("--deadband-down", "100%"), "share below 100%"),
        (("--maintenance-window", "sometimes"), "Mon-Fri 22:00-02:00"),
        (("--renew", "2h", "--horizon", "1h"), "cannot be renewed every 2h"),
        (("--sweep", "-o", "json"), "has no place for --sweep"),
    ):
        told = mora("backtest", "traces.csv", *flags, cwd=home)
        assert told.returncode == 1
        assert words in told.stderr, told.stderr
