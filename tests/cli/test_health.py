"""mora health, as a user runs it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.running import mora

DATA = str(Path(__file__).parents[2] / "data")


def test_the_group_shows_what_it_has(tmp_path: Path) -> None:
    done = mora("health", "--help", cwd=tmp_path)
    assert done.returncode == 0
    shown = " ".join(done.stdout.split())
    assert "when a service is not itself" in shown
    for command in ("train", "score", "list"):
        assert command in shown


@pytest.mark.parametrize("command", ["train", "score", "list"])
def test_every_command_teaches_with_an_example(tmp_path: Path, command: str) -> None:
    done = mora("health", command, "--help", cwd=tmp_path)
    assert done.returncode == 0
    assert f"mora health {command}" in done.stdout.split("Usage", 1)[1].split("\n", 1)[1]


def test_a_service_is_trained_listed_and_scored(tmp_path: Path) -> None:
    trained = mora("health", "train", "frontend", "--data", DATA, cwd=tmp_path)
    assert trained.returncode == 0, trained.stderr
    assert trained.stdout.startswith("default/frontend: context-distance of 9 metrics on 2,232 samples, one every 1s, ")
    assert "default/frontend  context-distance  tracking" in mora("health", "list", cwd=tmp_path).stdout
    scored = mora("health", "score", "frontend", "--data", DATA, cwd=tmp_path)
    assert scored.returncode == 0, scored.stderr
    assert scored.stdout.startswith("default/frontend is ")
