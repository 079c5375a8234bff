"""mora repo: what a Git checkout shows by itself, without a cluster."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mora.cli.common import EXIT_CHANGE_DUE, on_one_line, progress, say, show
from mora.cli.repository import tell_skipped

app = typer.Typer(
    help="Check the manifests of a Git checkout.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def _repo() -> None:
    """Keep `check` a command of its own."""


@app.command()
def check(
    paths: Annotated[
        list[Path] | None, typer.Argument(help="Folders or files of one checkout.", show_default="this folder")
    ] = None,
) -> None:
    """Name the containers that request no CPU or no memory, without a cluster; for CI and pre-commit.

    It reads manifests and Kustomize, each overlay as it is built. It leaves
    out init containers, and values of Helm charts, whose defaults no
    repository shows. Exits with 3 where it names any.

    \b
    mora repo check
    mora repo check ~/src/clusters/apps
    """
    from mora.errors import BadInput
    from mora.quantities import counted
    from mora.repo.changes import all_sites
    from mora.repo.check import bare
    from mora.repo.checkout import Checkout

    asked = [path.resolve() for path in paths or [Path()]]
    gone = [path for path in asked if not path.exists()]
    if gone:
        raise BadInput(f"{gone[0]} does not exist.", hint="Name folders or files of a checkout.")
    first = asked[0] if asked[0].is_dir() else asked[0].parent
    checkout = Checkout(Checkout(first).top)
    outside = [path for path in asked if not path.is_relative_to(checkout.top)]
    if outside:
        raise BadInput(f"{outside[0]} is not in the checkout {checkout.top}.", hint="Check one checkout at a time.")
    with progress() as reporter:
        found = bare(all_sites(checkout, reporter=reporter), [str(path.relative_to(checkout.top)) for path in asked])
    tell_skipped(checkout)
    for one in found:
        line = "" if one.site.line is None else f":{one.site.line}"
        show(on_one_line(f"{one.site.file}{line}: {one.who}: no {' and no '.join(one.missing)} request"))
    if found:
        say(f"{counted(len(found), 'container')} without a request. Sizes from recorded use: mora recommend --repo")
        raise typer.Exit(EXIT_CHANGE_DUE)
