"""Completion in a real bash, and as kubectl asks for it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from mora import registry
from tests.running import clean_environment, command, mora

CALL = "from mora.cli.front import complete_for_kubectl; complete_for_kubectl()"


def in_shell(line: str, folder: Path) -> list[str]:
    """What bash offers at the end of a line, by the script that mora prints."""
    program = folder / "bin" / "mora"
    program.parent.mkdir(parents=True)
    program.write_text(f'#!/bin/sh\nexec {" ".join(command())} "$@"\n', encoding="utf-8")
    program.chmod(0o755)
    words = " ".join(f"'{word}'" for word in line.split(" "))
    script = f"""
    source <(mora completion bash)
    COMP_WORDS=({words}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))
    _mora_completion mora
    printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    path = f"{program.parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "--norc", "-c", script],
        env={**clean_environment(), "PATH": path, "PYTHONPATH": str(Path(__file__).parents[2])},
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""
    return done.stdout.split()


def for_kubectl(*words: str) -> list[str]:
    done = subprocess.run([sys.executable, "-c", CALL, *words], capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


def test_bash_completes_commands_options_and_outputs(tmp_path: Path) -> None:
    assert in_shell("mora rec", tmp_path / "command") == ["recommend"]
    assert in_shell("mora recommend --all-n", tmp_path / "option") == ["--all-namespaces"]
    assert in_shell("mora recommend frontend -o pa", tmp_path / "output") == ["patch"]


@pytest.mark.parametrize(("shell", "begins"), [("zsh", "#compdef mora"), ("fish", "complete --command mora")])
def test_other_shells_get_scripts_of_their_own(shell: str, begins: str, tmp_path: Path) -> None:
    told = mora("completion", shell, cwd=tmp_path)
    assert told.stdout.startswith(begins)
    if program := shutil.which(shell):
        subprocess.run([program, "-n"], input=told.stdout, text=True, check=True)


def test_a_shell_that_is_not_known_is_wrong_usage(tmp_path: Path) -> None:
    told = mora("completion", "tcsh", cwd=tmp_path)
    assert told.returncode == 2
    assert "bash" in told.stderr


def test_kubectl_gets_each_completion_with_what_it_is_for() -> None:
    *found, directive = for_kubectl("recommend", "--all-n")
    assert found == ["--all-namespaces\tWorkloads of every namespace."]
    assert directive == ":4"
    *outputs, _ = for_kubectl("recommend", "-o", "")
    assert outputs == list(registry.names("outputs"))


def test_kubectl_completes_file_names_where_mora_knows_nothing() -> None:
    assert for_kubectl("publish", "./") == [":0"]
