"""docs/outputs.md shows what MOrA prints: every example is printed anew, every flag exists, no output is missing."""

from __future__ import annotations

import os
import re
from pathlib import Path

from typer.main import get_command

from mora import registry
from tests.outputs import examples

PAGE = Path(__file__).parents[2] / "docs" / "outputs.md"
# <!-- OUTPUT EXAMPLE [first N | last N] -->, then a fenced block.
_EXAMPLE = re.compile(
    r"<!-- (?P<output>\S+) (?P<example>\S+)(?: (?P<end>first|last) (?P<count>\d+))? -->\n"
    r"(?P<fence>`{3,})(?P<language>\w+)\n(?P<text>.*?)^(?P=fence)$",
    re.DOTALL | re.MULTILINE,
)


def printed(found: re.Match[str]) -> str:
    """The example with its block as MOrA prints it now."""
    text = registry.load("outputs", found["output"])([getattr(examples, found["example"])()])
    lines = text.splitlines()
    if found["end"] == "first":
        lines = [*lines[: int(found["count"])], "..."]
    if found["end"] == "last":
        lines = ["...", *lines[-int(found["count"]) :]]
    shown = "\n".join(lines)
    # A fence must be longer than any inside of it.
    fence = "````" if "```" in shown else "```"
    return f"{found[0].partition('-->')[0]}-->\n{fence}{found['language']}\n{shown}\n{fence}"


def test_every_example_is_what_mora_prints() -> None:
    page = PAGE.read_text(encoding="utf-8")
    anew = _EXAMPLE.sub(printed, page)
    if os.environ.get("MORA_WRITE_GOLDEN"):
        PAGE.write_text(anew, encoding="utf-8")
        page = anew
    assert page == anew, "docs/outputs.md differs; if that is meant: MORA_WRITE_GOLDEN=1 pytest tests/outputs"


def test_every_output_has_its_example_and_its_heading() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert {found["output"] for found in _EXAMPLE.finditer(page)} == set(registry.names("outputs")) - {"html"}
    assert "](pictures/page.png)" in page  # the example of html
    headings = re.findall(r"^## (.+)$", page, re.MULTILINE)
    named = {name for heading in headings for name in heading.split(", ")}
    assert set(registry.names("outputs")) <= named


def test_every_flag_on_the_page_exists() -> None:
    from mora.cli import app

    recommend = get_command(app).commands["recommend"]  # type: ignore[attr-defined]  # a typer app is a click Group
    known = {option for parameter in recommend.params for option in (*parameter.opts, *parameter.secondary_opts)}
    page = _EXAMPLE.sub("", PAGE.read_text(encoding="utf-8"))
    of_kubectl = {"--type", "--dry-run", "--subresource"}
    flags = set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", page)) - of_kubectl
    assert flags
    assert flags - known == set()
