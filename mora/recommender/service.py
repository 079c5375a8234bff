"""The recommender as a process: endpoints, election and loop together, and a polite end.

SIGTERM (a rolling update, a drained node) and SIGINT end it at once wherever it waits or computes: a status is one
request, so nothing is half-written, the lease is given back, and the next instance need not wait for it to run out.
"""

from __future__ import annotations

import signal
import socket
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta

from mora.recommender.advice import Adviser
from mora.recommender.endpoints import Endpoints, Telemetry
from mora.recommender.lease import Election, Leases, Terms
from mora.recommender.loop import Log, Recommender, Vpas


@dataclass(frozen=True, slots=True)
class ServiceSettings:
    """name: what VPA objects call this recommender. namespace: None for all. listen: None for no endpoints."""

    name: str = "mora"
    namespace: str | None = None
    interval: timedelta = timedelta(seconds=60)
    listen: tuple[str, int] | None = ("127.0.0.1", 8942)
    terms: Terms = field(default_factory=Terms)


class AskedToEnd(BaseException):
    """A signal asked the process to end; no error, so that nothing takes it for one."""


def own_identity() -> str:
    """A name for this instance in the lease: the pod's, and something that no earlier life of it had.

    >>> own_identity() != own_identity()
    True
    """
    return f"{socket.gethostname()}_{uuid.uuid4().hex[:8]}"


@contextmanager
def ended_by_signals() -> Iterator[None]:
    """SIGTERM and SIGINT raise AskedToEnd, once; what comes later finds the end under way."""
    asked = False

    def ask(number: int, frame: object) -> None:
        nonlocal asked
        if not asked:
            asked = True
            raise AskedToEnd(signal.Signals(number).name)

    before = {number: signal.signal(number, ask) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def serve(
    vpas: Vpas,
    adviser: Adviser,
    settings: ServiceSettings,
    *,
    log: Log,
    leases: Leases | None,
    identity: str | None = None,
    ready: Callable[[int | None], None] = lambda port: None,
) -> None:
    """Recommend until a signal says to end.

    leases: None for no election, where one instance is all there is. ready: called with the port once it listens.
    """
    identity = identity if identity is not None else own_identity()
    election = None
    if leases is not None:
        election = Election(
            leases,
            identity,
            terms=settings.terms,
            say=lambda words: log("info", "leader election", identity=identity, state=words),
        )
    telemetry = (
        Telemetry()
        if election is None
        else Telemetry(leads=election.leads, answers=election.answers, votes=election.is_alive)
    )
    recommender = Recommender(
        vpas,
        adviser,
        name=settings.name,
        namespace=settings.namespace,
        log=log,
        observer=telemetry,
        leadership=election,
    )
    try:
        with ended_by_signals():
            try:
                with _listening(settings.listen, telemetry) as port:
                    log(
                        "info",
                        "started",
                        recommender=settings.name,
                        namespace=settings.namespace or "(all)",
                        interval_seconds=settings.interval.total_seconds(),
                        identity=identity,
                        **({} if port is None else {"port": port}),
                    )
                    ready(port)
                    if election is not None:
                        election.start()
                    recommender.run(threading.Event(), settings.interval)
            finally:
                # Still deaf to further signals: the lease is given back whatever happens.
                if election is not None:
                    election.stop()
    except AskedToEnd as asked:
        log("info", "ended", signal=str(asked))


@contextmanager
def _listening(address: tuple[str, int] | None, telemetry: Telemetry) -> Iterator[int | None]:
    if address is None:
        yield None
        return
    with Endpoints(address, telemetry) as endpoints:
        yield endpoints.port
