"""Git as it is installed: what is tracked, what is not committed, and errors in git's own words."""

from __future__ import annotations

from pathlib import Path

import pytest

from mora.errors import MoraError
from mora.repo import git
from tests.repo.conftest import MakeRepo, run_git


def test_tracked_and_new_files_are_known_and_ignored_ones_are_not(make_repo: MakeRepo) -> None:
    top = make_repo({"a.yaml": "a: 1\n", ".gitignore": "c.yaml\n", "é b.yaml": "b: 1\n"})
    (top / "c.yaml").write_text("c: 1\n")
    (top / "new\nline.yaml").write_text("d: 1\n")
    assert git.known_files(top) == [".gitignore", "a.yaml", "new\nline.yaml", "é b.yaml"]
    assert git.uncommitted(top) == ["new\nline.yaml"]
    run_git(top, "mv", "a.yaml", "z.yaml")
    assert git.uncommitted(top) == ["a.yaml", "new\nline.yaml", "z.yaml"]


def test_the_top_is_found_from_within_and_a_plain_folder_has_none(make_repo: MakeRepo, tmp_path: Path) -> None:
    top = make_repo({"a/b.yaml": "a: 1\n"})
    assert git.top_of(top / "a") == top.resolve()
    assert git.top_of(tmp_path) is None


def test_a_failure_has_gits_own_words(make_repo: MakeRepo) -> None:
    with pytest.raises(MoraError, match=r"git rev-parse failed in .*: fatal: .*nonesuch"):
        git.git(make_repo({"a.yaml": "a: 1\n"}), "rev-parse", "nonesuch")
