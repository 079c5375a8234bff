"""What all commands share: help, version, exit codes, errors, Ctrl-C."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from mora import __version__
from mora.cli.front import app
from mora.cli.manual import page
from tests.running import interrupt, mora, reader_of, standing_still, start

COMMANDS = ("collect", "train", "recommend", "doctor", "list", "demo", "sandbox")


def test_help_lists_every_command(tmp_path: Path) -> None:
    told = mora("--help", cwd=tmp_path)
    assert told.returncode == 0
    for command in COMMANDS:
        assert command in told.stdout
        its = mora(command, "--help", cwd=tmp_path)
        assert its.returncode == 0
        assert "Usage: mora" in its.stdout


def _helps(name: str, command: Any) -> Iterator[tuple[str, str]]:
    yield name, command.help or ""
    for parameter in command.params:
        yield f"{name} {parameter.name}", getattr(parameter, "help", None) or ""
    for below, one in getattr(command, "commands", {}).items():
        yield from _helps(f"{name} {below}", one)


def test_no_word_of_a_help_is_lost_as_markup() -> None:
    for where, text in _helps("mora", get_command(app)):
        for tag in re.findall(r"(?<!\\)\[/?[A-Za-z#@][^\]\n]*\]", text):
            assert tag in {"[bold]", "[/bold]"}, f"{where}: rich takes {tag} for markup and does not show it"
    assert "pip install 'mora-rightsizing[mcp]'" in page(get_command(app)).replace("\\-", "-")


def test_the_version_is_printed_without_a_command(tmp_path: Path) -> None:
    told = mora("--version", cwd=tmp_path)
    assert (told.returncode, told.stdout.strip()) == (0, f"mora {__version__}")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("train", "nope"), "nope"),
        (("train",), "Which service"),
        (("train", "--all"), "no data"),
        (("recommend", "frontend"), "There is no model of 'frontend'"),
        (("recommend", "--all"), "There is no model"),
        (("recommend", "Bad_Name"), "not a valid service name"),
        (("recommend", "frontend", "-o", "xml"), "xml"),
        (("collect", "--plan", "nope", "--dry-run"), "There is no plan 'nope'"),
        (("collect", "--plan", "quick", "--dry-run", "-s", "nope"), "There is no service 'nope'"),
        (("collect", "--history", "2h"), "Which Prometheus?"),
        (("collect", "--history", "soon", "--prometheus", "http://127.0.0.1:9"), "soon"),
        (("collect", "--history", "2h", "--prometheus", "http://127.0.0.1:9", "-s", "a"), "127.0.0.1:9"),
        (("sandbox", "status", "--name", "not-there"), "No sandbox named 'not-there'"),
        (("sandbox", "scale", "frontend", "--name", "not-there"), "has no number of replicas"),
    ],
)
def test_what_cannot_be_done_is_reported_on_stderr(arguments: tuple[str, ...], words: str, tmp_path: Path) -> None:
    done = mora(*arguments, cwd=tmp_path)
    assert done.returncode == 1, done.stdout + done.stderr
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_a_wrong_flag_is_wrong_usage(tmp_path: Path) -> None:
    assert mora("recommend", "--nope", cwd=tmp_path).returncode == 2


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("recommend", "frontend", "-q"), "-q stands before the command: mora -q recommend ..."),
        (("repo", "check", "--debug"), "--debug stands before the command: mora --debug repo ..."),
        (("list", "--config", "x"), "--config stands before the command: mora --config VALUE list ..."),
    ],
)
def test_an_option_of_every_command_that_stands_after_it_is_named_with_its_place(
    arguments: tuple[str, ...], words: str, tmp_path: Path
) -> None:
    done = mora(*arguments, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert words in done.stderr


def test_a_traceback_is_shown_only_when_asked_for(tmp_path: Path) -> None:
    assert "Traceback" in mora("--debug", "train", "nope", cwd=tmp_path).stderr


def test_an_unknown_setting_names_its_place(tmp_path: Path) -> None:
    (tmp_path / "mora.toml").write_text('data_dirr = "x"\n')
    done = mora("list", cwd=tmp_path)
    assert done.returncode == 1
    assert "mora.toml" in done.stderr
    assert "data_dir" in done.stderr


@pytest.mark.parametrize("command", [("train", "frontend"), ("recommend", "frontend"), ("doctor",)])
def test_ctrl_c_while_reading_data_exits_with_130(
    command: tuple[str, ...], tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """The command stands still where it opens the data, until it is interrupted."""
    folder = tmp_path / "data" / "frontend"
    folder.mkdir(parents=True)
    file = folder / "frontend_browsing_replicas_1_users_10.csv"
    file.touch()
    if command[0] == "recommend":
        command = (*command, "--models", str(request.getfixturevalue("home") / "models"))
    running = start(*command, cwd=tmp_path, **standing_still(tmp_path / "still"))
    reader_of(file)
    interrupt(running)
    _, said = running.communicate(timeout=120)
    assert running.returncode == 130
    assert "Interrupted" in said
    assert "Traceback" not in said
    assert not (tmp_path / "models").exists()


SLOW_TO_END = """
import signal, time
from mora.cli import front
signal.signal(signal.SIGINT, front._as_interrupt)
try:
    print("ready", flush=True)
    time.sleep(600)
except KeyboardInterrupt:
    time.sleep(600)
"""


def test_a_second_ctrl_c_does_not_wait_for_what_is_slow_to_end(tmp_path: Path) -> None:
    running = subprocess.Popen(
        [sys.executable, "-c", SLOW_TO_END], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert running.stdout is not None
    assert running.stderr is not None
    assert running.stdout.readline() == "ready\n"
    interrupt(running)
    assert "Ctrl-C again to exit at once" in running.stderr.readline()
    interrupt(running)
    running.communicate(timeout=120)
    assert running.returncode == 130


def test_an_error_carries_nothing_that_a_terminal_obeys(tmp_path: Path) -> None:
    told = mora("recommend", "web\u202e", "--prometheus", "http://x\x1b[2J", cwd=tmp_path)
    assert told.returncode == 1
    assert [c for c in told.stderr if not c.isprintable() and c != "\n"] == []
    told = mora("train", "web", "--data", "\x1b[2J", cwd=tmp_path)
    assert told.returncode == 1
    assert "\x1b" not in told.stderr
