"""mora health, as a user runs it."""

from __future__ import annotations

from pathlib import Path

from tests.running import mora


def test_the_group_shows_what_it_has(tmp_path: Path) -> None:
    done = mora("health", "--help", cwd=tmp_path)
    assert done.returncode == 0
    assert "when a service is not itself" in " ".join(done.stdout.split())
