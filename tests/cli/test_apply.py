"""mora apply as a user starts it: what is asked back, and the audit log on a terminal."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner

from mora.cli.front import app
from mora.errors import BadInput
from mora.inplace.journal import Journal

RUNNER = CliRunner()
AMOUNTS = {"server": {"cpu_request_millicores": 400}}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["-n", "shop"], "How is it to be applied"),
        (["--in-place"], "Which namespace"),
        (["--in-place", "-n", "shop", "--yes", "--dry-run"], "exclude each other"),
        (["--in-place", "-n", "Shop"], "not a valid namespace"),
        (["--in-place", "-n", "shop", "--interval", "1s"], "too short"),
        (["--in-place", "-n", "shop", "--maintenance-window", "at night"], "not a maintenance window"),
        (["log", "-n", "shop", "--state", "nowhere"], "There is no audit log"),
        (["log", "-n", "shop", "-o", "xml"], "is no output of the log"),
    ],
)
def test_what_cannot_be_meant_is_asked_back_before_anything_is_read(arguments: list[str], words: str) -> None:
    with pytest.raises(BadInput, match=words):
        RUNNER.invoke(app, ["apply", *arguments], catch_exceptions=False)


def test_the_audit_log_is_printed_for_people_and_programs(tmp_path: Path) -> None:
    journal = Journal(tmp_path, "shop")
    at = datetime(2026, 11, 26, 12, 0, tzinfo=UTC)
    with journal.opened():
        workload = {"kind": "Deployment", "name": "web", "change": "c"}
        after = {"server": {"cpu_request_millicores": 200}}
        journal.append("asked", now=at, **workload, pod="web-0", uid="u", before=AMOUNTS, after=after)
        journal.append("ended", now=at, **workload, outcome="undone", why="container server\x1b[2J restarted")
    table = RUNNER.invoke(app, ["apply", "log", "-n", "shop", "--state", str(tmp_path)], catch_exceptions=False)
    lines = table.stdout.splitlines()
    assert lines[1].split() == [
        "2026-11-26T12:00:00Z",
        "web",
        "asked",
        "web-0",
        "server:",
        "CPU",
        "request",
        "400m",
        "->",
        "200m",
    ]
    assert "undone: container server?[2J restarted" in lines[2]
    raw = RUNNER.invoke(
        app, ["apply", "log", "-n", "shop", "--state", str(tmp_path), "-o", "json", "--workload", "web"]
    )
    assert [json.loads(line)["event"] for line in raw.stdout.splitlines()] == ["asked", "ended"]
