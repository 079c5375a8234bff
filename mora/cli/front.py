"""The front of the command line: the commands by name, errors, interrupts."""

from __future__ import annotations

import errno
import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from mora.cli import (
    ab,
    apply,
    backtest,
    chaos,
    collect,
    compare,
    completion,
    demo,
    digest,
    drift,
    explain,
    health,
    manual,
    mcp,
    misc,
    models,
    optimize,
    publish,
    recommend,
    repo,
    report,
    review,
    sandbox,
    serve,
    sources,
    train,
    vpa_recommender,
    watch,
)
from mora.cli.common import EXIT_ERROR, EXIT_INTERRUPTED, Globals, complain, say, show
from mora.errors import MoraError

_PATIENCE_SECONDS = 2.0


class _Front(TyperGroup):
    """The group of all commands; the error of an option that belongs before the command says so."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except Exception as error:
            # typer keeps its classes of errors to itself.
            option = getattr(error, "option_name", "") if type(error).__name__ == "NoSuchOption" else ""
            own = next((one for one in self.params if option and option in one.opts), None)
            if own is not None:
                value = "" if getattr(own, "is_flag", False) else " VALUE"
                used = f"{ctx.info_name} {option}{value} {ctx.invoked_subcommand} ..."
                error.message = f"{option} stands before the command: {used}"  # type: ignore[attr-defined]
                error.possibilities = None  # type: ignore[attr-defined]
            raise


app = typer.Typer(
    name="mora",
    cls=_Front,
    help="Rightsize Kubernetes workloads from history and load experiments: CPU, memory and replicas, with reasons."
    "\n\nWithout a cluster: [bold]mora demo[/bold]. With a Prometheus: [bold]mora recommend -n shop --all --prometheus "
    "URL[/bold]. From load experiments: [bold]mora train frontend[/bold], then [bold]mora recommend frontend[/bold].",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
_SIZE, _LEARN, _HEALTH = "Size workloads", "Measure and train", "Detect faults"
_RUN, _LOOK = "Run in a cluster", "Look around"
for _name, _command, _panel in (
    ("recommend", recommend.recommend, _SIZE),
    ("explain", explain.explain, _SIZE),
    ("optimize", optimize.optimize, _SIZE),
    ("backtest", backtest.backtest, _SIZE),
    ("review", review.review, _SIZE),
    ("collect", collect.collect, _LEARN),
    ("train", train.train, _LEARN),
    ("compare", compare.compare, _LEARN),
    ("drift", drift.drift, _LEARN),
    ("watch", watch.watch, _RUN),
    ("serve", serve.serve, _RUN),
    ("digest", digest.digest, _RUN),
    ("vpa-recommender", vpa_recommender.vpa_recommender, _RUN),
    ("publish", publish.publish, _RUN),
    ("mcp", mcp.mcp, _RUN),
    ("doctor", misc.doctor, _LOOK),
    ("list", misc.list_known, _LOOK),
    ("sources", sources.sources, _LOOK),
    ("demo", demo.demo, _LOOK),
    ("completion", completion.completion, _LOOK),
    ("man", manual.man, _LOOK),
):
    app.command(_name, rich_help_panel=_panel)(_command)
app.add_typer(apply.app, name="apply", rich_help_panel=_RUN)
app.add_typer(report.app, name="report", rich_help_panel=_LEARN)
app.add_typer(models.app, name="models", rich_help_panel=_LEARN)
app.add_typer(ab.app, name="ab", rich_help_panel=_LEARN)
app.add_typer(health.app, name="health", rich_help_panel=_HEALTH)
app.add_typer(repo.app, name="repo", rich_help_panel=_LOOK)
app.add_typer(chaos.app, name="chaos", rich_help_panel=_LEARN)
app.add_typer(sandbox.app, name="sandbox", rich_help_panel=_LOOK)


def _print_version(is_asked: bool) -> None:
    if is_asked:
        from mora import __version__

        show(f"mora {__version__}")
        raise typer.Exit


@app.callback()
def _main(
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress and no log output; results only.")] = False,
    config: Annotated[
        Path | None, typer.Option("--config", help="Settings file.", show_default="mora.toml here")
    ] = None,
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and stop.", is_eager=True, callback=_print_version)
    ] = False,
) -> None:
    Globals.debug, Globals.quiet, Globals.config = debug, quiet, config


def main() -> None:
    """Run the command line; a MoraError is printed, with exit code 1."""
    # SIGTERM (kubectl, CI, systemd) cleans up as Ctrl-C does: loads end, replicas are restored.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _as_interrupt)
    try:
        app(prog_name="kubectl mora" if Path(sys.argv[0]).name == "kubectl-mora" else "mora")
    except SystemExit as stop:
        if stop.code == EXIT_INTERRUPTED:
            say("Interrupted. Finished work is kept, and no file is half-written.")
            _leave_readers_behind()
        raise
    except MoraError as error:
        if Globals.debug:
            raise
        complain(f"mora: {error.message}")
        if error.hint:
            complain(f"      {error.hint}")
        sys.exit(EXIT_ERROR)
    except OSError as error:
        if Globals.debug:
            raise
        where = f": {error.filename}" if error.filename else ""
        complain(f"mora: {error.strerror or error}{where}")
        if error.errno == errno.ENOSPC:
            complain("      Free some space, and run it again.")
        sys.exit(EXIT_ERROR)
    except Exception as error:
        if Globals.debug:
            raise
        complain(f"mora: this is a bug in MOrA: {type(error).__name__}: {error}")
        complain("      Run it again with `mora --debug ...` and report what it prints.")
        sys.exit(EXIT_ERROR)


def complete_for_kubectl() -> None:
    """Print the completions of `kubectl mora WORDS`, one a line, and how kubectl is to treat them.

    kubectl runs `kubectl_complete-mora` with the words after `kubectl mora`; the last one is incomplete, maybe empty.
    """
    from typer._completion_classes import BashComplete, completion_init
    from typer.main import get_command

    completion_init()
    words = sys.argv[1:] or [""]
    found = BashComplete(get_command(app), {}, "mora", "_MORA_COMPLETE").get_completions(words[:-1], words[-1])
    for one in found:
        about = " ".join((one.help or "").split())
        print(f"{one.value}\t{about}" if about else one.value)  # kubectl splits at the tab
    # cobra's directives: no file names beside these; or, where there are none, file names.
    print(":4" if found else ":0")


def _leave_readers_behind() -> None:
    """Exit at once where threads still wait for a server: they only read, and everything is restored."""
    if any(thread.is_alive() and not thread.daemon for thread in threading.enumerate()[1:]):
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(EXIT_INTERRUPTED)


def _as_interrupt(signum: int, frame: object) -> None:
    """The first interrupt cleans up; where that takes long (a Prometheus that does not answer), the next one exits."""
    now = time.monotonic()
    if Globals.interrupted_at is None:
        Globals.interrupted_at = now
        note = "Interrupted, shutting down. Press Ctrl-C again to exit at once, without restoring anything."
        patience = threading.Timer(_PATIENCE_SECONDS, say, [note])
        patience.daemon = True
        patience.start()
        raise KeyboardInterrupt
    # Two presses within a second count as one interrupt.
    if now - Globals.interrupted_at > 1.0:
        os._exit(EXIT_INTERRUPTED)
