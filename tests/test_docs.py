"""Every `mora ...` line of the README and of docs/ is one that the command line takes, flags and all."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from mora.cli import app

ROOT = Path(__file__).resolve().parents[1]
PAGES = (ROOT / "README.md", ROOT / "manifests" / "README.md", *sorted((ROOT / "docs").glob("*.md")))
# "..." stands for what is left out, "> file" for where the shell puts what is printed.
LINES = [
    pytest.param(line.partition(" #")[0].partition(" > ")[0].replace(" ... ", " ").strip(), id=f"{page.stem}: {line}")
    for page in PAGES
    for block in re.findall(r"```sh\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    for line in block.splitlines()
    if line.startswith("mora ")
]


@pytest.mark.parametrize("line", LINES)
def test_a_command_that_is_shown_is_taken(line: str) -> None:
    words = shlex.split(line)[1:]
    command: Any = get_command(app)
    while hasattr(command, "commands"):
        name = words.pop(0)
        command = command.commands[name]
    command.make_context(command.name, words)


def test_the_pages_show_commands() -> None:
    assert len(LINES) >= 30
