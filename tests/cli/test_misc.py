"""mora list and mora doctor, as a user runs them."""

from __future__ import annotations

from pathlib import Path

import pytest

from mora.cli import misc
from mora.doctor import Check, State
from tests.running import mora


def test_list_shows_what_there_is(home: Path) -> None:
    told = mora("list", cwd=home).stdout
    assert "services with data (data): frontend" in told
    assert "services with a model (models): frontend" in told


def test_several_findings_of_one_cause_share_the_remedy(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    checks = [
        Check("metrics", State.WARNING, "a had no samples", "Is node-exporter scraped?"),
        Check("metrics", State.WARNING, "b had no samples", "Is node-exporter scraped?"),
        Check("data", State.WARNING, "none", "Collect some."),
    ]
    monkeypatch.setattr("mora.doctor.examine", lambda _: checks)
    misc.doctor()
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["warning", "warning", "->", "warning", "->"]
