"""joblib's Dask backend, with what it leaves open.

As it comes (1.6), it never answers when a task takes its worker down too often, when the scheduler goes, or when every
worker does; it runs everything in this process where the cluster has one thread; and what it spreads over the workers
beforehand is lost with a worker. Here each task carries its arguments, and every way to fail comes back.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any
from uuid import uuid4

from distributed import Client, Future
from distributed.scheduler import KilledWorker
from joblib._dask import DaskDistributedBackend

from mora.errors import ClusterError

_LOOK_SECONDS = 1.0


class ClusterBackend(DaskDistributedBackend):  # type: ignore[misc]  # joblib has no types
    """Tasks of one call of joblib.Parallel, one a batch; each yields (name, what it returned or how it was lost)."""

    def __init__(self, client: Client, address: str, no_worker_seconds: float) -> None:
        super().__init__(client=client)
        self._address = address
        self._no_worker_seconds = no_worker_seconds
        self._lock = threading.Lock()
        self._under_way: dict[Future[Any], Callable[[Any], None]] = {}
        self._ended = threading.Event()

    def effective_n_jobs(self, n_jobs: int) -> int:
        # joblib takes one for "here, one after the other"; tasks belong on the workers, how few there may be.
        threads: dict[str, int] = self.client.nthreads()
        return max(2, sum(threads.values()))

    def start_call(self) -> None:
        threading.Thread(target=self._watch, name="mora-dask-watch", daemon=True).start()

    def stop_call(self) -> None:
        self._ended.set()

    def submit(self, func: Any, callback: Callable[[Any], None] | None = None) -> Future[Any]:
        ((function, arguments, keywords),) = func.items
        name = str(arguments[0])
        future: Future[Any] = self.client.submit(
            function, *arguments, **keywords, key=f"mora-{name}-{uuid4().hex}", pure=False
        )
        if callback is not None:
            with self._lock:
                self._under_way[future] = callback
            future.add_done_callback(  # type: ignore[no-untyped-call]  # distributed is typed in part
                lambda ended: self._answer(ended, (name, ended))
            )
        return future

    def retrieve_result_callback(self, out: Any) -> list[tuple[str, Any]]:
        """What joblib hands on for a task that has ended; raising ends the whole call."""
        if isinstance(out, ClusterError):
            raise out
        name, future = out
        if future.status not in ("finished", "error"):  # cancelled or lost, with the scheduler that knew of it
            raise self._scheduler_gone()
        try:
            return [(name, future.result())]
        except KilledWorker as failure:
            lost = ClusterError(
                f"{name}: every worker that tried it went down, the last one at {failure.last_worker.address}.",
                hint="Its log says why; too little memory is the usual reason (dask worker --memory-limit).",
            )
            return [(name, lost)]

    def abort_everything(self, ensure_ready: bool = True) -> None:
        self._ended.set()
        with self._lock:
            futures = list(self._under_way)
            self._under_way.clear()
        if self.client.status == "running":
            self.client.cancel(futures, force=True)

    def _answer(self, future: Future[Any], out: Any) -> None:
        """Tell joblib, once."""
        with self._lock:
            callback = self._under_way.pop(future, None)
        if callback is not None:
            callback(out)

    def _watch(self) -> None:
        """End the call in words where nobody is left who could end its tasks."""
        alone_since: float | None = None
        while not self._ended.wait(_LOOK_SECONDS):
            now = time.monotonic()
            alone_since = None if self._has_workers() else alone_since or now
            if self.client.status != "running":
                self._fail(self._scheduler_gone())
            elif alone_since is not None and now - alone_since > self._no_worker_seconds:
                self._fail(
                    ClusterError(
                        f"The Dask scheduler at {self._address} has had no worker for {self._no_worker_seconds:g} s.",
                        hint="Start some and run this again; what was done before is kept.",
                    )
                )

    def _has_workers(self) -> bool:
        try:
            return bool(self.client.nthreads())
        except OSError:  # the connection broke; the client's status tells from now on
            return False

    def _fail(self, error: ClusterError) -> None:
        with self._lock:
            waiting = next(iter(self._under_way), None)
        if waiting is not None:  # the first one that fails ends the call
            self._answer(waiting, error)

    def _scheduler_gone(self) -> ClusterError:
        return ClusterError(
            f"The Dask scheduler at {self._address} has gone, and what it was doing with it.",
            hint="Start it and run this again; what was done before is kept.",
        )
