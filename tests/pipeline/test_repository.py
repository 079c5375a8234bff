"""Recommendations into a checkout: nothing is written without leave, and a commit says why."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from mora.errors import BadInput
from mora.outputs import OutputSettings
from mora.pipeline.repository import Repository, change_repository, commit_message
from tests.repo.advice import advised
from tests.repo.conftest import committed, run_git
from tests.repo.manifests import deployment
from tests.repo.test_changes import NOW


@pytest.fixture
def top(tmp_path: Path) -> Path:
    return committed(tmp_path / "repo", {"a.yaml": deployment(resources=NOW)})


def test_a_dry_run_writes_nothing_and_a_write_what_the_diff_says(top: Path) -> None:
    dry = Repository(top)
    changed = change_repository(dry, dry.open(), [advised()])
    assert (changed.written, run_git(top, "status", "--porcelain")) == ((), "")
    writing = Repository(top, writes=True)
    change_repository(writing, writing.open(), [advised()])
    assert [line for line in run_git(top, "diff").splitlines() if line[:1] in "+-"] == changed.diff.splitlines()[:2] + [
        line for line in changed.diff.splitlines()[2:] if line[:1] in "+-"
    ]


def test_a_commit_has_the_text_of_a_pull_request(top: Path) -> None:
    repository = Repository(top, commits=True)
    for expected in ("mora/rightsize-2026-11-26", "mora/rightsize-2026-11-26-2"):
        changed = change_repository(
            repository, repository.open(), [advised()], now=lambda: datetime(2026, 11, 26, tzinfo=UTC)
        )
        assert changed.branch == expected
        run_git(top, "switch", "--quiet", "main")
    message = run_git(top, "log", "-1", "--format=%B", "mora/rightsize-2026-11-26")
    assert message.startswith("Rightsize shop/web\n\nSizes this workload by the use that MOrA measured")
    assert "### Risks" in message
    assert message.strip() == commit_message([advised()], OutputSettings()).strip()


def test_what_would_fail_in_the_end_is_refused_at_the_start(top: Path, tmp_path: Path) -> None:
    (tmp_path / "plain").mkdir()
    for repository, why in (
        (Repository(tmp_path / "plain", commits=True), "in no Git checkout"),
        (Repository(top, commits=True, per="app"), "--commit-per 'app'"),
    ):
        with pytest.raises(BadInput, match=why):
            repository.open()
    (top / "new.yaml").write_text("a: 1\n")
    with pytest.raises(BadInput, match="not committed"):
        Repository(top, writes=True).open()
    assert Repository(top).open().is_git
