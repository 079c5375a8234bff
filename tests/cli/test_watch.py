"""mora watch as a user starts it: a real Prometheus with days of history, passes, signals, and what cannot be meant."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from mora.changes.rule import RULES
from mora.cli import watch
from mora.errors import NotEnoughData, StateUnusable
from mora.pipeline import watching
from mora.pipeline.recommending import Request
from mora.serving.process import AskedToEnd
from mora.settings import Settings
from tests.fleet.many import write_fleet
from tests.running import mora, start
from tests.sources.rig import serve

QUICK = {"OMP_NUM_THREADS": "1"}


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Prometheus with two days of three workloads, and an hour to come."""
    folder = tmp_path_factory.mktemp("history")
    start_at = datetime.now(UTC).timestamp() - 2 * 86_400
    write_fleet(3, start_at, 2.0, folder / "tsdb", ahead_seconds=3600, seed=5)
    with serve(folder / "tsdb") as address:
        yield address


def test_a_change_is_printed_once_and_the_state_says_what_was(url: str, tmp_path: Path) -> None:
    given = ("watch", "--prometheus", url, "--no-kubernetes", "--history", "2d", "--once", "-o", "json")
    first = mora(*given, cwd=tmp_path, **QUICK)
    assert first.returncode == 0, first.stderr
    lines = [json.loads(line) for line in first.stdout.splitlines()]
    assert {one["workload"] for one in lines} == {"service-0000", "service-0001", "service-0002"}
    assert all(one["change"] and one["before"] != one["after"] for one in lines)
    assert (tmp_path / "mora-state" / "samples.sqlite").exists()
    again = mora(*given, cwd=tmp_path, **QUICK)
    assert again.returncode == 0, again.stderr
    assert again.stdout == ""
    assert "0 changes of" in again.stderr


def test_the_state_gives_what_a_full_read_gives(url: str, tmp_path: Path) -> None:
    given = ("recommend", "-A", "--prometheus", url, "--no-kubernetes", "--history", "2d", "--brief")
    kept = [mora(*given, "--state", "kept", cwd=tmp_path, **QUICK).stdout for _ in range(2)]
    full = mora(*given, cwd=tmp_path, **QUICK).stdout
    assert "service-0002" in full
    assert full in kept  # the quarter of an hour may have passed in between
    assert (tmp_path / "kept" / "samples.sqlite").exists()


def test_a_pass_that_cannot_be_made_is_logged_and_tried_again_until_a_signal_comes(tmp_path: Path) -> None:
    process = start("watch", "--prometheus", "http://127.0.0.1:1", "--no-kubernetes", cwd=tmp_path)
    assert process.stderr is not None
    seen = ""
    while "again_in_seconds" not in seen:
        line = process.stderr.readline()
        assert line, seen
        seen += line
    assert "pass failed" in seen
    process.send_signal(signal.SIGTERM)
    _, rest = process.communicate(timeout=120)
    assert process.returncode == 0
    assert "shut down" in rest


def test_once_a_pass_was_made_whatever_stops_the_next_is_logged_and_tried_again(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    outcomes: list[Exception | None] = [None, StateUnusable("The disk is full."), NotEnoughData("Nothing yet."), None]

    def renew(*_: object, **__: object) -> None:
        if not outcomes:
            raise AskedToEnd(signal.SIGTERM)
        if (outcome := outcomes.pop(0)) is not None:
            raise outcome

    monkeypatch.setattr(watching, "renew", renew)
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    given = (Request(everything=True), Settings(), RULES["in-place"], timedelta(0))
    watch._passes(*given, output="text", verbose=False, once=False)
    said = capsys.readouterr().err
    assert said.count("pass failed") == 2
    assert "The disk is full." in said
    outcomes.append(NotEnoughData("Nothing yet."))
    with pytest.raises(NotEnoughData):
        watch._passes(*given, output="text", verbose=False, once=False)


def test_a_cloud_is_read_in_full_with_a_note(tmp_path: Path) -> None:
    nowhere = str(tmp_path / "credentials.json")
    run = mora(
        *("watch", "--source", "gcp", "--state", "kept", "--once"), cwd=tmp_path, GOOGLE_APPLICATION_CREDENTIALS=nowhere
    )
    assert run.returncode == 1
    assert "--source gcp is read in full in every pass" in run.stderr
    assert "Google credentials" in run.stderr


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (("--every", "1s"), "--every 1s is too short"),
        (("--follow", "monthly"), "There is no way of applying 'monthly'"),
        (("-o", "yaml"), "prints text or json, not 'yaml'"),
        (("--all-clusters",), "needs clusters in mora.toml"),
        (("--context", "a", "--context", "b"), "looks at one cluster"),
        (("--no-history",), "nothing is left to answer from"),
    ],
)
def test_what_cannot_be_meant_is_an_error(tmp_path: Path, flags: tuple[str, ...], words: str) -> None:
    run = mora("watch", "--prometheus", "http://127.0.0.1:1", "--once", "--state", "kept", *flags, cwd=tmp_path)
    assert run.returncode == 1
    assert words in run.stderr
