"""mora watch: recommend again and again, read what is new, and tell what changed."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mora.cli.asking import OUTPUT, Asked
from mora.cli.changing import (
    ChangesPerDay,
    Deadband,
    DeadbandDown,
    DeadbandUp,
    Follow,
    MaintenanceWindow,
    SettleDown,
    change_rule_of,
)
from mora.cli.common import log, progress, say, show
from mora.cli.taking import takes
from mora.errors import BadInput, ClusterError, MoraError, SourceUnavailable

if TYPE_CHECKING:
    from mora.changes.rule import ChangeRule
    from mora.pipeline import Request
    from mora.pipeline.watching import Number, Renewed
    from mora.settings import Settings

STATE = "mora-state"


@takes(Asked)
def watch(
    asked: Asked,
    every: Annotated[
        str, typer.Option("--every", help="Time from one pass to the next.", rich_help_panel=OUTPUT)
    ] = "15m",
    output: Annotated[
        str,
        typer.Option("--output", "-o", help="text, or json: a line for each change.", rich_help_panel=OUTPUT),
    ] = "text",
    verbose: Annotated[
        bool, typer.Option("--verbose", help="Also the numbers that stay, and why.", rich_help_panel=OUTPUT)
    ] = False,
    once: Annotated[
        bool, typer.Option("--once", help="One pass, then exit: for a timer.", rich_help_panel=OUTPUT)
    ] = False,
    follow: Follow = None,
    deadband: Deadband = None,
    deadband_up: DeadbandUp = None,
    deadband_down: DeadbandDown = None,
    settle_down: SettleDown = None,
    changes_per_day: ChangesPerDay = None,
    window: MaintenanceWindow = None,
) -> None:
    """Recommend every 15 minutes, and print what is worth a change; it changes nothing.

    It takes what mora recommend takes; without names, -n, -l or --all it
    watches every namespace. The first pass reads the whole history. Later
    ones read what is new: samples are kept in --state (mora-state in this
    folder by default). A change is printed once. Numbers are for the next
    hour, unless --horizon says otherwise; what is worth a change is that of
    resizing in place, unless --follow does. Ctrl-C and SIGTERM end it.

    \b
    mora watch --prometheus http://127.0.0.1:9090
    mora watch -n shop --all --every 1h -o json >> changes.jsonl
    mora watch --once --state /var/lib/mora        from a timer
    """
    from mora.changes.rule import RULES
    from mora.quantities import parse_duration

    pause = parse_duration(every)
    if pause < timedelta(seconds=10):
        raise BadInput(f"--every {every} is too short: a pass asks for every workload.", hint="Give at least 10s.")
    rule = change_rule_of(
        RULES["in-place"],
        follow=follow,
        deadband=deadband,
        deadband_up=deadband_up,
        deadband_down=deadband_down,
        settle_down=settle_down,
        changes_per_day=changes_per_day,
        window=window,
    )
    if output not in ("text", "json"):
        raise BadInput(f"mora watch prints text or json, not {output!r}.", hint="Give -o text or -o json.")
    settings = asked.settings()
    if asked.clusters(settings):
        raise BadInput("mora watch looks at one cluster.", hint="Run one for each, each with a --state of its own.")
    if settings.is_flag("train_scheduler"):
        raise BadInput("mora watch reads little and works here.", hint="Leave out --backend and --scheduler.")
    if settings.state_dir is None:
        settings = replace(settings, state_dir=Path(STATE))
    if settings.origin("horizon") == "default":
        settings = replace(settings, horizon=timedelta(hours=1))
    request = _everything_unless_named(asked, settings)
    request.check(settings)
    if request.is_cloud:
        # What was printed is kept there all the same.
        settings = replace(settings, origins={**settings.origins, "state_dir": "default"})
        say(
            f"--source {request.source.partition(':')[0]} is read in full in every pass: only what is read of a "
            "Prometheus is kept. A longer --every, or a shorter --history, costs less."
        )
    _passes(request, settings, rule, pause, output=output, verbose=verbose, once=once)


def _everything_unless_named(asked: Asked, settings: Settings) -> Request:
    """The request of the flags, of all namespaces where none is named; from history alone."""
    request = replace(asked.request(settings), use_model=False)
    if request.names or request.everything or request.all_namespaces or request.selector:
        return request
    if settings.origin("namespace") == "default":
        return replace(request, all_namespaces=True)
    return replace(request, everything=True)


def _passes(
    request: Request,
    settings: Settings,
    rule: ChangeRule,
    pause: timedelta,
    *,
    output: str,
    verbose: bool,
    once: bool,
) -> None:
    """Pass after pass until a signal; one that cannot be made is logged, and the next catches up on it.

    Before any pass was made, what cannot be meant ends it.
    """
    from mora.pipeline.watching import renew
    from mora.serving.process import AskedToEnd, ended_by_signals
    from mora.vpa.loop import Backoff

    backoff, has_passed = Backoff(), False
    try:
        with ended_by_signals():
            while True:
                began = time.monotonic()
                try:
                    with progress() as reporter:
                        renew(
                            request,
                            settings,
                            rule,
                            tell=partial(_tell, output=output, verbose=verbose),
                            say=say,
                            reporter=reporter,
                        )
                except MoraError as error:
                    if once or not (has_passed or isinstance(error, (SourceUnavailable, ClusterError))):
                        raise
                    wait = backoff.next()
                    log(
                        "warning",
                        "pass failed",
                        error=error.message,
                        hint=error.hint or "",
                        again_in_seconds=round(wait),
                    )
                    time.sleep(wait)
                    continue
                backoff.reset()
                has_passed = True
                if once:
                    return
                time.sleep(max(0.0, pause.total_seconds() - (time.monotonic() - began)))
    except AskedToEnd as asked:
        log("info", "shut down", signal=str(asked))


def _tell(found: Renewed, *, output: str, verbose: bool) -> None:
    from datetime import UTC, datetime

    from mora.columns import columns
    from mora.quantities import counted, format_duration, format_moment

    at = format_moment(datetime.fromtimestamp(found.at, UTC))
    numbers = [*found.changes, *(found.stays if verbose else ())]
    if output == "json":
        for place, one in enumerate(numbers):
            show(json.dumps(_document(one, at, is_change=place < len(found.changes)), ensure_ascii=False))
    else:
        if numbers:
            for line in columns(
                [_cells(one) for one in numbers], is_right=(False, False, False, True, True, False, False)
            ):
                show(line)
        if verbose:
            for workload, why in found.without:
                show(f"{workload.namespace}/{workload.name}  no number: {why}")
    say(
        f"{at}: {counted(len(found.changes), 'change')} of {len(found.changes) + len(found.stays)} numbers of "
        f"{counted(found.workloads, 'workload')}, {len(found.without)} without a number, "
        f"in {format_duration(timedelta(seconds=found.seconds), about=True)}."
    )


def _cells(one: Number) -> tuple[str, ...]:
    share = "" if one.share is None else f"{one.share:+.0%}"
    sure = "" if one.confidence is None else f"confidence {one.confidence:.0%}"
    return (
        f"{one.workload.namespace}/{one.workload.name}",
        one.container,
        f"{one.target.value} request",
        f"{one.written(one.before)} -> {one.written(one.after)}",
        share,
        sure,
        one.why,
    )


def _document(one: Number, at: str, *, is_change: bool) -> dict[str, object]:
    return {
        "at": at,
        "namespace": one.workload.namespace,
        "kind": one.workload.kind,
        "workload": one.workload.name,
        "container": one.container,
        "number": f"{one.target.value}_request",
        "change": is_change,
        "before": one.before,
        "after": one.after,
        "confidence": one.confidence,
        "why": one.why,
    }
