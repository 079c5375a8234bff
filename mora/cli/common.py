"""What every command shares: options, settings, notes on stderr, progress bars."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mora.columns import printable
from mora.errors import BadInput

if TYPE_CHECKING:
    from rich.progress import TaskID

    from mora.seams import Reporter
    from mora.settings import Settings

EXIT_ERROR = 1
EXIT_CHANGE_DUE = 3
EXIT_CONTENDED = 4
EXIT_INTERRUPTED = 130

# --- options that several commands share -----------------------------------------------------------------------------

DataDir = Annotated[
    Path | None,
    typer.Option("--data", help="Folder of the collected CSV files.", show_default="data"),
]
ModelsDir = Annotated[
    Path | None,
    typer.Option("--models", help="Folder of the trained models.", show_default="models"),
]
Namespace = Annotated[
    str | None,
    typer.Option("--namespace", "-n", help="Kubernetes namespace.", show_default="default"),
]
SandboxName = Annotated[str, typer.Option("--sandbox", help="Name of the sandbox, where several run.")]
OldHorizon = Annotated[str | None, typer.Option("--hold", hidden=True)]
PrometheusUrl = Annotated[
    str | None,
    typer.Option(
        "--prometheus",
        help="URL of a Prometheus, e.g. http://127.0.0.1:9090.",
        show_default=False,
    ),
]
Backend = Annotated[
    str | None,
    typer.Option(
        "--backend",
        help="loky: on this machine; dask: on the workers of a Dask cluster.",
        show_default="loky",
    ),
]
Scheduler = Annotated[
    str | None,
    typer.Option(
        "--scheduler",
        help="With --backend dask: the scheduler, e.g. tcp://10.0.0.7:8786.",
        show_default=False,
    ),
]
IncludeFlagged = Annotated[
    bool,
    typer.Option("--include-flagged", help="Also use experiments that failed the quality check."),
]
StateDir = Annotated[
    Path | None,
    typer.Option(
        "--state",
        help="Keep samples in this folder between runs: the next one reads only what is new from Prometheus.",
        show_default=False,
    ),
]
RECORD = "mora-record.sqlite"
Record = Annotated[Path, typer.Option("--record", help="SQLite file with the history of recommendations.")]


class Globals:
    """The options before the command."""

    debug = False
    quiet = False
    config: Path | None = None
    interrupted_at: float | None = None


def say(words: str) -> None:
    """Print a note on stderr; nothing with --quiet."""
    if not Globals.quiet:
        complain(words)


def on_one_line(words: str) -> str:
    """Text without line breaks; names in it are a server's."""
    return printable(" ".join(words.split()))


def complain(words: str) -> None:
    """Print on stderr, even with --quiet."""
    print(printable(words), file=sys.stderr, flush=True)


def show(words: object = "") -> None:
    """Print on stdout, in order with what is printed on stderr, also through a pipe."""
    print(printable(str(words)), flush=True)


def log(level: str, message: str, **about: object) -> None:
    """Write a log line of a long-running command on stderr; with --quiet, warnings and errors alone."""
    from datetime import UTC, datetime

    from mora.serving.logs import log_line

    if level != "info" or not Globals.quiet:
        print(log_line(level, message, about, now=datetime.now(UTC)), file=sys.stderr, flush=True)


def current_name(name: str, value: str | None, old_name: str, old_value: str | None) -> str | None:
    """The value of an option that had another name, which still works for one release and is noted."""
    if old_value is None:
        return value
    say(f"{old_name} is now called {name}; the old name still works for one release.")
    if value is not None:
        raise BadInput(f"{old_name} is the old name of {name}, and both are given.", hint=f"Leave out {old_name}.")
    return old_value


def settings_of(**flags: Any) -> Settings:
    """Settings of this call: flag > MORA_* > mora.toml > default; a flag that was not given is None."""
    from mora.config import load_settings

    given = {name: value for name, value in flags.items() if value is not None}
    settings = load_settings(given, os.environ, Path.cwd(), config_file=Globals.config)
    for note in settings.notes:
        say(note)
    return settings


@contextmanager
def progress() -> Iterator[Reporter]:
    """Bars on stderr with the time left, lines where it is no terminal; silent with --quiet."""
    from mora.seams import Silent

    if Globals.quiet:
        yield Silent()
        return
    if not sys.stderr.isatty():
        yield _Lines()
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description:<10}"),
        BarColumn(bar_width=24),
        TextColumn("{task.percentage:>3.0f} %"),
        TextColumn("left"),
        TimeRemainingColumn(),
        TextColumn("after"),
        TimeElapsedColumn(),
        TextColumn("{task.fields[note]}", markup=False),
    )
    with Progress(*columns, console=Console(stderr=True), refresh_per_second=4, transient=True) as bars:
        tasks: dict[str, TaskID] = {}

        class Bars:
            def advance(self, task: str, done: float, total: float, note: str = "") -> None:
                note = on_one_line(note)
                if task not in tasks:
                    tasks[task] = bars.add_task(task, total=total, note=note)
                bars.update(tasks[task], completed=done, total=total, note=note)

        yield Bars()


class _Lines:
    """Progress for a log file: a line when a task begins, ends, or has printed nothing for a while."""

    EVERY_SECONDS = 15.0

    def __init__(self) -> None:
        self._printed: dict[str, float] = {}

    def advance(self, task: str, done: float, total: float, note: str = "") -> None:
        now = time.monotonic()
        is_due = now - self._printed.get(task, -self.EVERY_SECONDS) >= self.EVERY_SECONDS
        if is_due or done >= total:
            self._printed[task] = now
            complain(f"{task}: {done / total if total else 1:.0%} {on_one_line(note)}".rstrip())
