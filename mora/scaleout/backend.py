"""Running tasks on the workers of a Dask cluster, with every way to fail as a ClusterError.

Each task carries its arguments: what is spread over workers beforehand is lost with a worker. The client is asked for
what has ended once a second, and not by `as_completed`, which waits for ever where every worker has gone.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import CancelledError
from itertools import islice
from typing import Any, TypeVar
from uuid import uuid4

from distributed import Client, Future, wait
from distributed.scheduler import KilledWorker

from mora.errors import ClusterError

T = TypeVar("T")
_LOOK_SECONDS = 1.0


class Run:
    """One call of Cluster.run: tasks in flight, two for each thread of the cluster, so that no worker is idle."""

    def __init__(self, client: Client, address: str, no_worker_seconds: float) -> None:
        self._client = client
        self._address = address
        self._no_worker_seconds = no_worker_seconds
        self._in_flight: dict[Future[Any], str] = {}

    def outcomes(
        self, function: Callable[..., T], tasks: Iterable[Sequence[Any]]
    ) -> Iterator[tuple[str, T | ClusterError]]:
        """The name of each task with what it returned, or how it was lost, as they end; see Cluster.run."""
        pending = iter(tasks)
        try:
            while True:
                room = 2 * max(self._threads(), 1) - len(self._in_flight)
                for task in islice(pending, max(room, 0)):
                    self._submit(function, task)
                if not self._in_flight:
                    return
                for future in self._ended():
                    name = self._in_flight.pop(future)
                    # The next one is on its way before the caller takes the outcome, which may take a while.
                    for task in islice(pending, 1):
                        self._submit(function, task)
                    yield name, self._outcome(name, future)
        finally:
            if self._in_flight and self._client.status == "running":
                self._client.cancel(list(self._in_flight), force=True)  # type: ignore[no-untyped-call]  # as below

    def _submit(self, function: Callable[..., T], task: Sequence[Any]) -> None:
        name = str(task[0])
        future: Future[Any] = self._client.submit(function, *task, key=f"mora-{name}-{uuid4().hex}", pure=False)
        self._in_flight[future] = name

    def _ended(self) -> list[Future[Any]]:
        """Those that have ended, one at least; ClusterError where none can end any more."""
        alone_since: float | None = None
        while True:
            try:
                with self._client.as_current():
                    found = wait(  # type: ignore[no-untyped-call]  # distributed is typed in part
                        list(self._in_flight), timeout=_LOOK_SECONDS, return_when="FIRST_COMPLETED"
                    )
                return list(found.done)
            except TimeoutError:
                pass
            except (CancelledError, OSError) as failure:
                raise self._scheduler_gone() from failure
            if self._client.status != "running":
                raise self._scheduler_gone()
            now = time.monotonic()
            alone_since = None if self._threads() else alone_since or now
            if alone_since is not None and now - alone_since > self._no_worker_seconds:
                raise ClusterError(
                    f"The Dask scheduler at {self._address} has had no worker for {self._no_worker_seconds:g} s.",
                    hint="Start some and run this again; what was done before is kept.",
                )

    def _outcome(self, name: str, future: Future[Any]) -> Any:
        """What a task returned; raises what it raised."""
        try:
            return future.result()
        except KilledWorker as failure:
            return ClusterError(
                f"{name}: every worker that tried it went down, the last one at {failure.last_worker.address}.",
                hint="Its log has the reason; too little memory is the usual one (dask worker --memory-limit).",
            )
        # Cancelled or lost, with the scheduler that knew of it; a task's own OSError is not one of these.
        except CancelledError as failure:
            raise self._scheduler_gone() from failure

    def _threads(self) -> int:
        try:
            threads: dict[str, int] = self._client.nthreads()  # type: ignore[no-untyped-call]  # as above
        except OSError:  # the connection broke; the client's status shows it from now on
            return 0
        return sum(threads.values())

    def _scheduler_gone(self) -> ClusterError:
        return ClusterError(
            f"The Dask scheduler at {self._address} has gone, and what it was doing with it.",
            hint="Start it and run this again; what was done before is kept.",
        )
