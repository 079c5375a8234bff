"""mora health: the group of its commands, each a module of its own beside this one."""

from __future__ import annotations

from collections.abc import Callable

import typer

from mora.cli import (
    health_compare,
    health_generate,
    health_list,
    health_predict,
    health_score,
    health_train,
    health_watch,
)

app = typer.Typer(
    help="Detect when a service is not itself: learn what is usual, score, watch.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def _health() -> None:
    """Detect when a service is not itself: learn what is usual, score, watch."""


# A command is a module mora/cli/health_NAME.py and a line here.
_COMMANDS: tuple[tuple[str, Callable[..., None]], ...] = (
    ("train", health_train.train),
    ("score", health_score.score),
    ("watch", health_watch.watch),
    ("list", health_list.list_detectors),
    ("compare", health_compare.compare),
    ("predict", health_predict.predict),
    ("generate", health_generate.generate),
)
for _name, _command in _COMMANDS:
    app.command(_name)(_command)
