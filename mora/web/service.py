"""`mora serve` as a process: listen, refresh in the background, end on SIGTERM and Ctrl-C.

What runs at a signal only reads: the process that computes is killed, a record is written whole or not at all.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

from mora.errors import MoraError
from mora.record.store import Record
from mora.serving.asgi import AsgiServer
from mora.serving.http import url_of
from mora.serving.process import AskedToEnd, ended_by_signals
from mora.web.app import Served, application
from mora.web.compute import Failed
from mora.web.guard import Guard
from mora.web.health import POSTS
from mora.web.live import Live
from mora.web.metrics import Telemetry
from mora.web.page import page
from mora.web.refresh import Compute, Log, Refresher
from mora.web.watching import Watch

_LOOK_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class ServeSettings:
    """Settings of the process. refresh_seconds: between the ends of two refreshes. keep_days: of the record."""

    listen: tuple[str, int]
    record: Path
    refresh_seconds: float
    keep_days: float


def serve(
    computes: Mapping[str, Callable[[threading.Event], Compute]],
    settings: ServeSettings,
    *,
    log: Log,
    watch: Watch | None = None,
) -> None:
    """Serve until SIGTERM or SIGINT. computes: for each cluster what makes its answers, given when to stop.

    watch: watches the health of services beside it.
    """
    is_over = threading.Event()
    live = Live(tuple(computes), settings.refresh_seconds)
    telemetry = Telemetry(live)
    threads: dict[str, threading.Thread] = {}
    with Record(settings.record, keep_days=settings.keep_days) as record:
        refreshers = [
            Refresher(name, make(is_over), live, record, settings.refresh_seconds, log, telemetry, is_over)
            for name, make in computes.items()
        ]
        served = Served(
            live,
            telemetry,
            settings.record,
            unhealthy=lambda: _ended(threads) or (None if watch is None else watch.unhealthy()),
            page=lambda shown, cluster, namespace: page(shown, settings.record, cluster, namespace, now=time.time()),
            health=None if watch is None else watch.part,
        )
        application_ = Guard(application(served), settings.listen[0], frozenset() if watch is None else POSTS)
        try:
            with (
                ended_by_signals(also=is_over.set),
                AsgiServer(settings.listen, application_) as server,
                nullcontext() if watch is None else watch.running(is_over),
            ):
                for one in refreshers:
                    one.restore()
                    threads[one.name] = threading.Thread(target=one.run, name=f"mora-refresh-{one.name}", daemon=True)
                    threads[one.name].start()
                log("info", "started", url=url_of(settings.listen[0], server.port), record=str(settings.record))
                while server.is_alive():
                    time.sleep(_LOOK_SECONDS)
                raise MoraError("The HTTP server has ended.", hint="See the log lines above.")
        except AskedToEnd as asked:
            log("info", "shut down", signal=str(asked))
        finally:
            is_over.set()
            for thread in threads.values():
                thread.join()


def refresh_once(
    computes: Mapping[str, Callable[[threading.Event], Compute]], settings: ServeSettings, *, log: Log
) -> None:
    """Refresh each cluster once and record its answer, without serving; Failed where one has none."""
    is_over = threading.Event()
    live = Live(tuple(computes), settings.refresh_seconds)
    telemetry = Telemetry(live)
    with Record(settings.record, keep_days=settings.keep_days) as record:
        for name, make in computes.items():
            Refresher(name, make(is_over), live, record, settings.refresh_seconds, log, telemetry, is_over).refresh()
    for one in live.shown().clusters:
        problem = one.problem or one.unrecorded
        if problem is not None:
            raise Failed(problem.message, hint=problem.hint)


def _ended(threads: Mapping[str, threading.Thread]) -> str | None:
    """Why the process should be restarted: a thread that refreshes has ended."""
    ended = [name or "the cluster" for name, thread in threads.items() if not thread.is_alive()]
    return f"the refresh of {', '.join(ended)} has ended" if ended else None
