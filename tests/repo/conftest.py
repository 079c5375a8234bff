"""A small Git checkout to search and to change."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

MakeRepo = Callable[[Mapping[str, str]], Path]


def run_git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=True)
    return done.stdout


def committed(top: Path, files: Mapping[str, str]) -> Path:
    """A new repository of files, path -> text, in one commit."""
    for path, text in files.items():
        (top / path).parent.mkdir(parents=True, exist_ok=True)
        (top / path).write_bytes(text.encode())
    run_git(top, "init", "--quiet", "--initial-branch", "main")
    for key, value in (("user.name", "Ada"), ("user.email", "ada@example.org"), ("core.autocrlf", "false")):
        run_git(top, "config", key, value)
    run_git(top, "add", "--all")
    run_git(top, "commit", "--quiet", "--message", "Start")
    return top


@pytest.fixture
def make_repo(tmp_path: Path) -> MakeRepo:
    """Makes a committed repository of files: path -> text."""

    return lambda files: committed(tmp_path / "repo", files)
