"""The demo's recommendations in a Git repository: the diff has the numbers, and kubectl takes what is written."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from mora.demo import run as demo_run
from mora.demo.repository import diff_of, make_repository
from mora.domain import Workload
from mora.repo import git as git_module
from mora.tools import find_tool
from tests.demo.test_run import recommendation


def test_the_diff_changes_only_numbers_and_kubectl_takes_the_files(tmp_path: Path) -> None:
    advice = recommendation(2)
    folder = tmp_path / "repository"
    make_repository(folder, {advice.workload: advice.current, Workload("default", "cartservice"): advice.current})
    diff = diff_of(folder, [advice])
    changed = [line for line in diff.splitlines() if line.startswith(("+ ", "- "))]
    assert "frontend.yaml" in diff
    assert "cartservice.yaml" not in diff
    assert "-  replicas: 1" in diff
    assert "+  replicas: 2" in diff
    assert all(line[1:].strip().split(":")[0] in ("replicas", "cpu", "memory") for line in changed)
    shown = subprocess.run(["git", "diff"], cwd=folder, capture_output=True, text=True, check=True).stdout
    assert [line for line in shown.splitlines() if line.startswith(("+ ", "- "))] == changed
    command = [str(find_tool("kubectl")), "label", "--local", "-f", str(folder / "frontend.yaml"), "a=b", "-o", "name"]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "deployment.apps/frontend\n"


def test_without_git_the_demo_says_what_it_leaves_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(git_module, "_GIT", ("no-such-git",))
    advice = recommendation(2)
    demo_run._show_repository(tmp_path / "repository", {advice.workload: advice.current}, [advice], print, print)
    assert "Skipped: The program 'git' is not installed." in capsys.readouterr().out
