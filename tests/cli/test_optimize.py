"""mora optimize, as a user types it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.running import mora


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "Which load?"),
        (("--load", "checkout"), "is not of the form SCENARIO=VALUE"),
        (("--load", "checkout=many"), "'many' is no number of users"),
        (("--load", "checkout=0"), "'0' is no number of users"),
        (("--load", "nope=5"), "there is no scenario 'nope'"),
        (("--load", "checkout=5", "--load", "checkout=6"), "is given twice"),
        (("--load", "checkout=5", "--slo", "browsing=1s"), "--slo names browsing"),
        (("--load", "checkout=5", "--margin", "95%"), "leaves nothing of the SLO"),
        (("--load", "checkout=5", "--max-pod-cpu", "5m"), "is no size of a pod"),
        (("--load", "checkout=5", "--interval", "200ms"), "not a whole number of seconds"),
        (("--load", "checkout=5", "-o", "nope"), "There is no output 'nope'"),
    ],
)
def test_a_question_that_cannot_be_meant_is_refused_before_a_sandbox_starts(
    arguments: tuple[str, ...], words: str, tmp_path: Path
) -> None:
    done = mora("optimize", *arguments, cwd=tmp_path, MORA_SANDBOX_HOME=str(tmp_path / "sandboxes"))
    assert (done.returncode, done.stdout) == (1, "")
    assert words in done.stderr
    assert "Starting" not in done.stderr
    assert not (tmp_path / "data").exists()


def test_a_dry_run_prints_the_experiments_and_starts_nothing(tmp_path: Path) -> None:
    asked = ("optimize", "--load", "checkout=60", "--load", "browsing=200", "--dry-run")
    done = mora(*asked, cwd=tmp_path, MORA_SANDBOX_HOME=str(tmp_path / "sandboxes"))
    assert done.returncode == 0, done.stderr
    assert "20 users of checkout alone" in done.stdout
    assert "60 users of checkout and 200 users of browsing, every service ample" in done.stdout
    assert "at most 20 in all" in done.stdout
    assert not (tmp_path / "data").exists()


def test_a_load_may_be_in_requests_per_second(tmp_path: Path) -> None:
    done = mora("optimize", "--load", "checkout=12rps", "--dry-run", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "4 requests/s of checkout alone" in done.stdout
    assert "12 requests/s of checkout, every service ample" in done.stdout


def test_there_is_nothing_to_restore_without_a_run(tmp_path: Path) -> None:
    done = mora("optimize", "--restore", cwd=tmp_path)
    assert done.returncode == 0
    assert "Nothing to restore" in done.stdout
