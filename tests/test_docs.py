"""The pages are true: every `mora ...` line is one that the command line takes, and every link leads somewhere."""

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
    while hasattr(command, "commands") and not words[0].startswith("-"):  # options of a group's own: mora apply
        name = words.pop(0)
        command = command.commands[name]
    command.make_context(command.name, words)


def test_the_pages_show_commands() -> None:
    assert len(LINES) >= 30


# --- links and sizes -------------------------------------------------------------------------------------------------

LINKED = (*PAGES, ROOT / "ARCHITECTURE.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md")


def anchors_of(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", LINKED, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_of_a_page_leads_to_a_file_and_to_a_heading_of_it(page: Path) -> None:
    broken = []
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if link.startswith(("http://", "https://")):
            continue
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        if not target.exists() or (anchor and anchor not in anchors_of(target)):
            broken.append(link)
    assert broken == []


@pytest.mark.parametrize("page", LINKED, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_row_of_a_table_has_the_cells_of_its_head(page: Path) -> None:
    cells, is_code = 0, False
    for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), start=1):
        is_code ^= line.startswith("```")
        if is_code or not line.startswith("|"):
            cells = 0
            continue
        # A | without a backslash ends a cell, in code too; GitHub leaves out what is too much.
        found = len(re.findall(r"(?<!\\)\|", line))
        cells = cells or found
        assert found == cells, f"{page.name}:{number}"


def test_the_readme_is_short_enough_to_be_read() -> None:
    assert len((ROOT / "README.md").read_bytes()) <= 8192


def test_the_index_of_the_documentation_names_every_page() -> None:
    index = (ROOT / "docs" / "README.md").read_text(encoding="utf-8")
    pages = {path.name for path in (ROOT / "docs").glob("*.md")} - {"README.md"}
    assert {name for name in pages if f"]({name})" not in index} == set()
