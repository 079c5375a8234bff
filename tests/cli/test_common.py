"""What all commands share: notes on stderr, settings of a call, former names of options, progress."""

from __future__ import annotations

import ast
from collections import Counter
from pathlib import Path

import pytest

from mora.cli import common
from mora.cli.common import Globals, current_name, progress, say, settings_of, show
from mora.errors import BadInput


def test_a_note_goes_to_stderr_and_quiet_leaves_it_out(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    say("a note")
    monkeypatch.setattr(Globals, "quiet", True)
    say("another")
    assert capsys.readouterr() == ("", "a note\n")


def test_a_note_carries_nothing_that_a_terminal_obeys(capsys: pytest.CaptureFixture[str]) -> None:
    say("Prometheus warns: \x1b[2J\x9b\u202e\r\u2028\ud800 caf\u00e9\nsecond line")
    assert capsys.readouterr().err == "Prometheus warns: ?[2J????? caf\u00e9\nsecond line\n"


def test_a_progress_note_stays_on_its_line_and_carries_nothing_that_a_terminal_obeys(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with progress() as reporter:
        reporter.advance("sized", 1, 1, "shop\x1b[2J\u202e\n [red]web")
    assert capsys.readouterr().err == "sized: 100% shop?[2J? [red]web\n"


def test_what_is_shown_carries_nothing_that_a_terminal_obeys(capsys: pytest.CaptureFixture[str]) -> None:
    show("frontend: \x1b[2J\x07\n  - a remark")
    assert capsys.readouterr().out == "frontend: ?[2J?\n  - a remark\n"


# What renders its text itself and cleans it there: outputs (tests/outputs/test_hostile.py), scores, VPA objects, the
# digest (tests/record), the man page, completions, a repository's diff (raw where `git apply` reads it).
CLEANED_THERE = {
    **dict.fromkeys(
        ("backtest.py", "compare.py", "digest.py", "explain.py", "health_compare.py", "manual.py", "optimizing.py"), 1
    ),
    **{"front.py": 2, "recommend.py": 1, "repository.py": 1, "vpa_recommender.py": 1},
    "drift.py": 1,
}


def test_every_line_of_every_command_goes_through_what_cleans_it() -> None:
    raw: Counter[str] = Counter()
    for path in sorted(Path(common.__file__).parent.glob("*.py")):
        if path.name != "common.py":
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Call) and ast.unparse(node.func) in ("print", "sys.stdout.write", "typer.echo"):
                    raw[path.name] += 1
    assert raw == CLEANED_THERE


def test_a_former_name_of_an_option_is_taken_and_noted(capsys: pytest.CaptureFixture[str]) -> None:
    assert current_name("--new", "1h", "--old", None) == "1h"
    assert capsys.readouterr().err == ""
    assert current_name("--new", None, "--old", "2h") == "2h"
    assert "--old is now called --new" in capsys.readouterr().err
    with pytest.raises(BadInput, match="both are given"):
        current_name("--new", "1h", "--old", "2h")


def test_settings_come_from_this_folder_and_their_notes_are_printed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mora.toml").write_text('hold = "1h"\n', encoding="utf-8")
    settings = settings_of(namespace="shop", plan=None)
    assert (settings.namespace, settings.horizon.total_seconds(), settings.plan) == ("shop", 3600, "quick")
    assert "'hold' is now called 'horizon'" in capsys.readouterr().err


def test_progress_in_a_log_file_is_a_line_at_the_start_and_at_the_end(capsys: pytest.CaptureFixture[str]) -> None:
    with progress() as reporter:
        reporter.advance("train", 0, 2)
        reporter.advance("train", 1, 2)
        reporter.advance("train", 2, 2, "cart")
    assert capsys.readouterr().err == "train: 0%\ntrain: 100% cart\n"
