"""The man page: every command and option is on it, and man takes it without a warning."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from typer.main import get_command

from mora.cli import common
from mora.cli.front import app
from mora.cli.manual import page
from mora.settings import SETTINGS
from tests.running import mora


def read(text: str) -> str:
    """A page as a terminal shows it, without bold and underlines."""
    if not shutil.which("groff"):
        if os.environ.get("REQUIRE_ALL_TOOLS"):
            pytest.fail("groff is not installed")
        pytest.skip("groff is not installed")
    done = subprocess.run(
        ["groff", "-man", "-Tascii", "-P-cbou", "-ww"], input=text, capture_output=True, text=True, check=True
    )
    assert done.stderr == ""
    return done.stdout


def test_man_shows_every_command_option_and_variable_without_a_warning() -> None:
    shown = read(page(get_command(app)))
    main = get_command(app)
    for name, command in getattr(main, "commands", {}).items():
        assert f"mora {name}" in shown
        for parameter in command.params:
            if not getattr(parameter, "hidden", False):
                assert all(written in shown for written in parameter.opts if written.startswith("-"))
    for setting in SETTINGS:
        assert setting.variable in shown
    assert "mora - rightsize Kubernetes workloads" in re.sub(r"\s+", " ", shown)


def test_the_exit_status_names_every_code() -> None:
    status = read(page(get_command(app))).partition("EXIT STATUS")[2].partition("ENVIRONMENT")[0]
    codes = {value for name, value in vars(common).items() if name.startswith("EXIT_")}
    assert {int(code) for code in re.findall(r"\b\d+\b", status)} == {0, 2, *codes}  # 2 is typer's own


def test_examples_stand_as_they_are_typed() -> None:
    assert "mora recommend -n shop --all --prometheus http://127.0.0.1:9090" in read(page(get_command(app)))


def test_the_page_is_printed_where_the_output_is_no_terminal(tmp_path: Path) -> None:
    told = mora("man", cwd=tmp_path)
    assert told.returncode == 0
    assert told.stdout == page(get_command(app))
    assert told.stdout.startswith('.TH MORA 1 ""')
