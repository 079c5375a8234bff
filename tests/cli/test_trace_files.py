"""The options of trace files."""

from __future__ import annotations

from typing import Any

import pytest
from typer.main import get_command

from mora.cli import app

NAMES = ("series", "cpu_scale", "mem_scale", "time_column", "series_column", "value_columns")


def parameters(command: str) -> dict[str, Any]:
    commands: Any = get_command(app)
    return {str(one.name): one for one in commands.commands[command].params}


@pytest.mark.parametrize("name", NAMES)
def test_compare_and_backtest_say_the_same_of_a_trace_file(name: str) -> None:
    one, other = parameters("compare")[name], parameters("backtest")[name]
    assert (one.opts, one.help, one.default, one.show_default) == (
        other.opts,
        other.help,
        other.default,
        other.show_default,
    )
    assert one.rich_help_panel == other.rich_help_panel == "Trace files"
