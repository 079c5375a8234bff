"""Files and commits are made whole or not at all, and nothing of the user's own gets into them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from mora.errors import BadInput, MoraError
from mora.repo.changes import Change, Plan, plan
from mora.repo.checkout import Checkout
from mora.repo.commits import check_clean, commit, free_branch, write
from tests.repo.advice import advised
from tests.repo.conftest import MakeRepo, run_git
from tests.repo.manifests import deployment
from tests.repo.test_changes import NOW

BRANCH = "mora/rightsize"


def planned(top: Path) -> Plan:
    return plan(Checkout(top), [advised(), advised("api"), advised("pay", "bank")])


def subject(changes: Sequence[Change]) -> str:
    return f"Rightsize {', '.join(change.workload.name for change in changes)}\n\n# why\n"


@pytest.fixture
def top(make_repo: MakeRepo) -> Path:
    both = deployment(resources=NOW) + "---\n" + deployment("api", resources=NOW)
    return make_repo(
        {"shop.yaml": both, "bank.yaml": deployment("pay", namespace="bank", resources=NOW), "README": "x\n"}
    )


def test_each_workload_is_a_commit_on_a_new_branch_that_is_checked_out(top: Path) -> None:
    made = commit(planned(top), BRANCH, subject)
    log = run_git(top, "log", "--format=%s", f"main..{BRANCH}").splitlines()
    assert (len(made), log) == (3, ["Rightsize web", "Rightsize api", "Rightsize pay"])
    assert run_git(top, "log", "-1", "--format=%b").strip() == "# why"
    assert run_git(top, "symbolic-ref", "--short", "HEAD").strip() == BRANCH
    assert run_git(top, "status", "--porcelain") == ""
    touched = [run_git(top, "show", "--format=", "--name-only", one).split() for one in made]
    assert touched == [["bank.yaml"], ["shop.yaml"], ["shop.yaml"]]
    assert run_git(top, "diff", "--stat", "main", "--", "README") == ""


def test_one_commit_can_be_reverted_alone(top: Path) -> None:
    made = commit(planned(top), BRANCH, subject)
    run_git(top, "revert", "--no-edit", made[1])
    assert (top / "shop.yaml").read_text().count("228Mi") == 2


def test_a_namespace_can_be_a_commit(top: Path) -> None:
    made = commit(planned(top), BRANCH, subject, per="namespace")
    log = run_git(top, "log", "--format=%s", f"main..{BRANCH}").splitlines()
    assert (len(made), log) == (2, ["Rightsize api, web", "Rightsize pay"])


def test_changes_of_your_own_are_refused_and_with_leave_kept_out_of_the_commits(top: Path) -> None:
    (top / "README").write_text("mine\n")
    (top / "new.txt").write_text("mine\n")
    for act in (lambda: write(planned(top)), lambda: commit(planned(top), BRANCH, subject)):
        with pytest.raises(BadInput, match=r"not committed: README, new\.txt"):
            act()
    assert run_git(top, "branch", "--list", "mora/*") == ""
    commit(planned(top), BRANCH, subject, allow_dirty=True)
    assert run_git(top, "diff", "--name-only", "main", BRANCH).split() == ["bank.yaml", "shop.yaml"]
    assert run_git(top, "status", "--porcelain") == " M README\n?? new.txt\n"


def test_a_file_to_change_with_changes_of_your_own_is_never_committed(top: Path) -> None:
    (top / "bank.yaml").write_text((top / "bank.yaml").read_text() + "# mine\n")
    with pytest.raises(BadInput, match=r"bank\.yaml has changes of your own"):
        commit(planned(top), BRANCH, subject, allow_dirty=True)
    assert run_git(top, "branch", "--list", "mora/*") == ""
    write(planned(top), allow_dirty=True)
    assert (top / "bank.yaml").read_text().endswith("# mine\n")


def test_a_file_that_changed_in_between_stops_everything(top: Path) -> None:
    found = planned(top)
    (top / "shop.yaml").write_text("# rewritten\n")
    with pytest.raises(MoraError, match=r"shop\.yaml changed while MOrA worked on it"):
        write(found, allow_dirty=True)
    assert "500m" in (top / "bank.yaml").read_text()
    assert (top / "shop.yaml").read_text() == "# rewritten\n"


def test_a_file_keeps_its_mode_and_its_bytes_elsewhere(top: Path) -> None:
    (top / "bank.yaml").chmod(0o755)
    run_git(top, "commit", "--all", "--quiet", "--message", "Mode")
    assert [path.name for path in write(planned(top))] == ["bank.yaml", "shop.yaml"]
    assert (top / "bank.yaml").stat().st_mode & 0o777 == 0o755
    assert run_git(top, "diff", "--numstat").split()[:2] == ["1", "1"]


def test_a_branch_that_exists_is_refused_or_gets_a_number(top: Path) -> None:
    run_git(top, "branch", BRANCH)
    with pytest.raises(BadInput, match="exists already"):
        commit(planned(top), BRANCH, subject)
    assert free_branch(Checkout(top), BRANCH) == f"{BRANCH}-2"
    with pytest.raises(MoraError, match="not a valid branch name"):
        commit(planned(top), "mora/..", subject)


def test_a_checkout_that_names_a_program_to_run_starts_none(top: Path, tmp_path: Path) -> None:
    hook = tmp_path / "hook"
    hook.write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
    hook.chmod(0o755)
    run_git(top, "config", "core.fsmonitor", str(hook))
    check_clean(Checkout(top), allow_dirty=False)
    assert not (tmp_path / "ran").exists()


def test_a_plain_folder_is_written_and_never_committed_to(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(deployment(resources=NOW))
    found = plan(Checkout(tmp_path), [advised()])
    with pytest.raises(BadInput, match="in no Git checkout"):
        commit(found, BRANCH, subject)
    assert write(found) == [tmp_path.resolve() / "a.yaml"]
