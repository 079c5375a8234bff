"""Options of a dataclass as those of a command."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import typer
from typer.testing import CliRunner

from mora.cli.common import Namespace
from mora.cli.taking import takes


@dataclass(frozen=True)
class Size:
    """Options of two commands."""

    name: Annotated[str, typer.Argument()]
    width: Annotated[int, typer.Option("--width", help="How wide.")] = 3
    namespace: Namespace = None


def test_a_command_gets_the_options_as_one_value_beside_its_own() -> None:
    got: list[tuple[Size, int]] = []
    app = typer.Typer()

    @app.command()
    @takes(Size)
    def show(size: Size, times: Annotated[int, typer.Option("--times", help="How often.")] = 1) -> None:
        """Show a size."""
        got.append((size, times))

    run = CliRunner()
    assert run.invoke(app, ["box", "--width", "5", "--times", "2", "-n", "shop"]).exit_code == 0
    assert run.invoke(app, ["lid"]).exit_code == 0
    assert got == [(Size("box", 5, "shop"), 2), (Size("lid"), 1)]
    assert run.invoke(app, []).exit_code == 2  # the argument has no default
    page = run.invoke(app, ["--help"]).output
    # The shared --namespace stands in the panel "What".
    assert [text for text in ("How wide.", "How often.", "Show a size.", "What") if text not in page] == []
