"""mora serve: recommendations as a page, an API and Prometheus metrics, renewed in the background."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mora.cli.asking import OUTPUT, Asked
from mora.cli.common import RECORD, Record, log
from mora.cli.health_common import HealthDir
from mora.cli.taking import takes
from mora.errors import BadInput

if TYPE_CHECKING:
    from mora.pipeline import Request
    from mora.settings import Settings
    from mora.web.refresh import Compute
    from mora.web.watching import Watch

_LISTEN = "127.0.0.1:8943"


@takes(Asked)
def serve(
    asked: Asked,
    listen: Annotated[
        str,
        typer.Option(
            "--listen",
            help="Address to listen on; in a pod: 0.0.0.0:8943. Who reaches it may read everything.",
            rich_help_panel=OUTPUT,
        ),
    ] = _LISTEN,
    refresh: Annotated[
        str, typer.Option("--refresh", help="Time from one refresh to the next.", rich_help_panel=OUTPUT)
    ] = "15m",
    record: Record = Path(RECORD),
    keep: Annotated[
        str, typer.Option("--keep", help="How long the record keeps what has ended.", rich_help_panel=OUTPUT)
    ] = "90d",
    watch_health: Annotated[
        bool,
        typer.Option(
            "--watch-health",
            help="Also watch the health of the services that have a detector: /health, /v1/score, metrics.",
            rich_help_panel=OUTPUT,
        ),
    ] = False,
    health: HealthDir = None,
    once: Annotated[
        bool,
        typer.Option(
            "--once",
            help="Refresh once, record it and exit, without serving: for a nightly job before mora digest.",
            rich_help_panel=OUTPUT,
        ),
    ] = False,
    cpu_price: Annotated[
        float | None,
        typer.Option(
            "--cpu-price", help="Cost per core-hour: savings in money.", show_default=False, rich_help_panel=OUTPUT
        ),
    ] = None,
    memory_price: Annotated[
        float | None,
        typer.Option(
            "--memory-price", help="Cost per GiB-hour: savings in money.", show_default=False, rich_help_panel=OUTPUT
        ),
    ] = None,
) -> None:
    """Serve recommendations as a page, an API and Prometheus metrics; it only reads.

    It takes what mora recommend takes; without names, -n, -l or --all it
    serves every namespace. It refreshes in the background. While Prometheus
    is away it serves the last good answer, with its age. What was recommended
    and applied, and whether it covered the use since, is kept in --record.

    \b
    mora serve --prometheus http://127.0.0.1:9090      then open http://127.0.0.1:8943/
    mora serve -n shop --all --refresh 1h --cpu-price 0.03
    mora serve --all-clusters                          one page of all clusters of mora.toml
    mora serve --once --record night.sqlite            a nightly job, then mora digest
    mora serve --watch-health                          with the health of services (mora health train)
    curl http://127.0.0.1:8943/api/v1/recommendations?namespace=shop
    """
    from mora.extras import require

    require("serve", by="mora serve")
    from mora.quantities import parse_duration
    from mora.serving.http import parse_address
    from mora.web.service import ServeSettings, refresh_once
    from mora.web.service import serve as run_server

    address, pause, kept = parse_address(listen, example=_LISTEN), parse_duration(refresh), parse_duration(keep)
    if pause.total_seconds() < 10:
        raise BadInput(
            f"--refresh {refresh} is too short: a refresh reads the history of every workload.",
            hint="Give at least 10s; 15m is the default.",
        )
    if kept.total_seconds() < 86_400:
        raise BadInput(f"--keep {keep} is too short for a history.", hint="Give at least 1d; 90d is the default.")
    if once and watch_health:
        raise BadInput("--once does not watch.", hint="For one look at health: mora health watch --once")
    settings = asked.settings(prices_cpu=cpu_price, prices_memory=memory_price, health_dir=health)
    request = _everything_unless_named(asked, settings)
    request.check(settings)
    how = ServeSettings(address, record, pause.total_seconds(), kept.total_seconds() / 86_400)
    computes = {settings.prometheus.cluster or "": _computing(request, settings)}
    if clusters := asked.clusters(settings):
        from mora.pipeline import for_each

        request, of = for_each(request, settings, clusters, say=lambda words: log("info", words))
        computes = {name: _computing(request, of[name]) for name in of}
    if once:
        refresh_once(computes, how, log=log)
        return
    run_server(computes, how, log=log, watch=_watching(settings) if watch_health else None)


def _everything_unless_named(asked: Asked, settings: Settings) -> Request:
    """The request of the flags; without any, a server serves everything."""
    request = asked.request(settings)
    if request.names or request.everything or request.all_namespaces or request.selector:
        return request
    if settings.origin("namespace") == "default":
        return replace(request, all_namespaces=True)
    return replace(request, everything=True)


def _watching(settings: Settings) -> Watch:
    """What watches the health of all services that have a detector, now or later."""
    from mora import pipeline
    from mora.health.live import LiveReader
    from mora.health.stored import Stored
    from mora.web.watching import Watch

    source = pipeline.open_prometheus(settings, discover=True, say=lambda words: log("info", words))
    return Watch(Stored(settings.health_dir), LiveReader(source), log)


def _computing(request: Request, settings: Settings) -> Callable[[threading.Event], Compute]:
    """What computes answers, each in a process of its own, until the server ends."""
    from mora.web.compute import MOST_SECONDS, Task, run

    def until(is_over: threading.Event) -> Compute:
        return lambda applied: run(Task(request, settings, tuple(applied)), is_over=is_over, most_seconds=MOST_SECONDS)

    return until
