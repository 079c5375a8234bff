"""The watch of health as a process: the loop in a thread of its own, its paths on a server."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from mora.errors import MoraError
from mora.health.board import Board
from mora.health.watch import Log, Models, Read, Watcher
from mora.serving.asgi import AsgiServer
from mora.serving.http import url_of
from mora.serving.process import AskedToEnd, ended_by_signals
from mora.web.app import health_application
from mora.web.guard import Guard
from mora.web.health import POSTS, HealthPart
from mora.web.health_metrics import HealthMetrics
from mora.web.scoring import Scoring

_LOOK_SECONDS = 0.5
# A look at 10,000 services takes seconds; one that shows no life for so long hangs.
_SILENT_SECONDS = 900.0


@dataclass(slots=True)
class Watch:
    """What watches, and what answers of it. has_alias: whether the score is also exported under its plain name."""

    models: Models
    read: Read
    log: Log
    has_alias: bool = False
    board: Board = field(init=False, default_factory=Board)
    part: HealthPart = field(init=False)
    _watcher: Watcher = field(init=False)
    _thread: threading.Thread | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        self._watcher = Watcher(self.models, self.read, self.board, log=self.log)
        metrics = HealthMetrics(self.board, self.has_alias)
        self.board.changed = metrics.refresh
        self.part = HealthPart(self.board, metrics, Scoring(self.models))

    @contextmanager
    def running(self, is_over: threading.Event) -> Iterator[None]:
        """Watch in a thread until the end of the block, or is_over."""
        thread = self._thread = threading.Thread(
            target=self._watcher.run, args=(is_over,), name="mora-health", daemon=True
        )
        thread.start()
        try:
            yield
        finally:
            is_over.set()
            # A Prometheus that hangs must not hold the end up; the thread ends with the process.
            thread.join(timeout=5)

    def unhealthy(self) -> str | None:
        """Why the process should be restarted; None where it is well."""
        if self._thread is not None and not self._thread.is_alive():
            return "the watch of health has ended"
        silent = time.monotonic() - self._watcher.beat
        return f"the watch of health has not moved for {silent / 60:.0f} minutes" if silent > _SILENT_SECONDS else None

    def unready(self) -> str | None:
        """Why there is nothing to answer yet."""
        return None if self.board.shown().version else "the first look has not ended"


def watch(one: Watch, listen: tuple[str, int]) -> None:
    """Watch and answer until SIGTERM or SIGINT."""
    is_over = threading.Event()
    application = Guard(health_application(one.part, one.unhealthy, one.unready), listen[0], POSTS)
    try:
        with (
            ended_by_signals(also=is_over.set),
            AsgiServer(listen, application) as server,
            one.running(is_over),
        ):
            one.log("info", "started", url=url_of(listen[0], server.port))
            while server.is_alive():
                time.sleep(_LOOK_SECONDS)
            raise MoraError("The HTTP server has ended.", hint="See the log lines above.")
    except AskedToEnd as asked:
        one.log("info", "shut down", signal=str(asked))
