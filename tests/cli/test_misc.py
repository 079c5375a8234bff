"""mora list, as a user runs it."""

from __future__ import annotations

from pathlib import Path

from tests.cli.running import mora


def test_list_shows_what_there_is(home: Path) -> None:
    told = mora("list", cwd=home).stdout
    assert "services with data (data): frontend" in told
    assert "services with a model (models): frontend" in told
