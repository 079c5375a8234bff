"""mora review: what MOrA would say to the resources that a branch changes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from mora.cli.asking import OUTPUT, Asked, end_of
from mora.cli.common import EXIT_CHANGE_DUE, progress, say, show
from mora.cli.taking import takes


@takes(Asked)
def review(
    asked: Asked,
    repo: Annotated[
        Path, typer.Option("--repo", help="The Git checkout of the branch.", rich_help_panel=OUTPUT)
    ] = Path(),
    base: Annotated[
        str, typer.Option("--base", help="What the branch is to be merged into.", rich_help_panel=OUTPUT)
    ] = "origin/main",
    fail_on_lack: Annotated[
        bool,
        typer.Option(
            "--fail-on-lack",
            help="Exit with 3 where the branch sets less than is needed; for CI.",
            rich_help_panel=OUTPUT,
        ),
    ] = False,
) -> None:
    """Review a branch that changes requests or limits: what it sets, beside what is needed.

    It prints the comment for a pull request, as Markdown, and nothing where
    the branch changes no resources; then Prometheus is not asked. It takes
    what mora recommend takes; without names, -n, -l or --all it asks for
    every namespace. Nothing is written.

    \b
    mora review --prometheus http://127.0.0.1:9090
    mora review -n shop --all --base origin/release --fail-on-lack
    mora review > comment.md && gh pr comment --body-file comment.md
    """
    from mora import pipeline
    from mora.repo.review import comment

    settings = asked.settings()
    if not asked.workloads and not asked.selector and not asked.everything and not asked.all_namespaces:
        is_default = settings.origin("namespace") == "default"
        asked = replace(asked, all_namespaces=is_default, everything=not is_default)
    with progress() as reporter:
        branch = pipeline.edited_in(repo, base, reporter=reporter)
    if not branch.edited:
        say(f"No resources differ from {base}.")
        return
    advised = asked.answer(settings)
    reviewed = pipeline.review_branch(branch, advised.recommendations, advised.states)
    show(comment(reviewed))
    end_of(advised)
    if fail_on_lack and any(one.is_short for one in reviewed):
        raise typer.Exit(EXIT_CHANGE_DUE)
