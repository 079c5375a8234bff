"""mora explain, as a user runs it."""

from __future__ import annotations

from pathlib import Path

from tests.running import mora


def test_a_model_s_numbers_are_explained_without_any_cluster(home: Path) -> None:
    done = mora("explain", "frontend", cwd=home)
    assert (done.returncode, done.stderr) == (0, "")
    assert "Deployment default/frontend" in done.stdout
    assert "mean use = " in done.stdout
    assert "no Prometheus is configured" in done.stdout


def test_what_cannot_be_explained_is_an_error_that_says_what_to_do(home: Path) -> None:
    done = mora("explain", "nope", cwd=home)
    assert (done.returncode, done.stdout) == (1, "")
    assert "mora train nope" in done.stderr
