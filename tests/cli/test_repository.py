"""mora recommend --repo, as a user runs it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.repo.conftest import committed, run_git
from tests.running import mora

FRONTEND = """\
# The shop's door
apiVersion: apps/v1
kind: Deployment
metadata: {name: frontend}
spec:
  replicas: 7
  template:
    spec:
      containers:
      - name: server
        resources:
          # measured in May
          requests:
            cpu: '900m'   # busy
            memory: 900Mi
"""


@pytest.fixture
def top(tmp_path: Path) -> Path:
    return committed(tmp_path / "clusters", {"apps/frontend.yaml": FRONTEND, "bad.yaml": "a:\n\tb: 1\n"})


def test_the_diff_is_on_stdout_git_applies_it_and_nothing_was_written(home: Path, top: Path) -> None:
    done = mora("recommend", "frontend", "--repo", str(top), cwd=home)
    assert done.returncode == 0, done.stderr
    assert run_git(top, "status", "--porcelain") == ""
    subprocess.run(["git", "-C", str(top), "apply", "-"], input=done.stdout, text=True, check=True)
    text = (top / "apps" / "frontend.yaml").read_text()
    assert text.startswith(FRONTEND[: FRONTEND.index("replicas")])
    assert "# measured in May\n" in text
    assert "m'   # busy\n" in text
    assert "default/frontend server: apps/frontend.yaml:10 (spec.template.spec.containers[0].resources)" in done.stderr
    assert "Deployment frontend, container server" in done.stderr
    assert "the repository differs from the cluster: cpu request 900m, not" in done.stderr
    assert "Skipped: bad.yaml: it is not valid YAML in line 2" in done.stderr
    assert "nothing was written. Add --write" in done.stderr


def test_writing_and_committing_are_asked_for_and_said(home: Path, top: Path) -> None:
    done = mora("recommend", "frontend", "--repo", str(top / "apps"), "--write", cwd=home)
    assert done.returncode == 0, done.stderr
    assert "1 file written: 1 workload" in done.stderr
    refused = mora("recommend", "frontend", "--repo", str(top), "--commit", cwd=home)
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "not committed: apps/frontend.yaml" in refused.stderr
    run_git(top, "checkout", "--quiet", ".")
    done = mora("recommend", "frontend", "--repo", str(top), "--commit", "--branch", "mora/try", cwd=home)
    assert done.returncode == 0, done.stderr
    assert "1 commit on the branch mora/try" in done.stderr
    assert run_git(top, "log", "--format=%s", "main..mora/try") == "Rightsize default/frontend\n"


def test_what_is_set_as_recommended_already_is_counted(home: Path, top: Path) -> None:
    asked = ("recommend", "frontend", "--repo", str(top))
    first = mora(*asked, "--write", cwd=home)
    assert "already" not in first.stderr
    again = mora(*asked, cwd=home)
    assert (again.returncode, again.stdout) == (0, "")
    assert "Set as recommended already: 1 workload.\nNothing to change in this repository.\n" in again.stderr


def test_a_folder_that_is_no_git_checkout_is_read_and_named_as_one(home: Path, tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    plain.mkdir()
    nothing = mora("recommend", "frontend", "--repo", str(plain), cwd=home)
    assert f"{plain} is in no Git checkout" in nothing.stderr
    assert "Nothing to change in this folder." in nothing.stderr
    (plain / "a.yaml").write_text(FRONTEND)
    found = mora("recommend", "frontend", "--repo", str(plain), cwd=home)
    assert "1 workload would change, in 1 file; nothing was written. Add --write.\n" in found.stderr
    written = mora("recommend", "frontend", "--repo", str(plain), "--write", cwd=home)
    assert f"{plain} is in no Git checkout" in written.stderr
    assert "1 file written: 1 workload.\n" in written.stderr
    assert "git diff" not in written.stderr


def test_a_change_that_is_due_in_the_repository_exits_with_3(home: Path, top: Path) -> None:
    asked = ("recommend", "frontend", "--repo", str(top), "--fail-on-change")
    assert mora(*asked, cwd=home).returncode == 3
    assert mora(*asked, "--write", cwd=home).returncode == 3
    assert mora(*asked, cwd=home).returncode == 0


@pytest.mark.parametrize(
    ("flags", "why"),
    [
        (["--write"], "--write needs a Git checkout"),
        (["--repo", "nowhere"], "nowhere does not exist"),
        (["--repo", ".", "-o", "json"], "-o asks for another output"),
        (["--repo", ".", "--dry-run", "--write"], "--dry-run writes nothing"),
        (["--repo", ".", "--branch", "x"], "about commits"),
        (["--repo", ".", "--commit", "--commit-per", "app"], "--commit-per 'app' is not known"),
    ],
)
def test_flags_that_contradict_each_other_are_refused(home: Path, flags: list[str], why: str) -> None:
    done = mora("recommend", "frontend", *flags, cwd=home)
    assert (done.returncode, done.stdout) == (1, "")
    assert why in done.stderr
