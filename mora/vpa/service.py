"""The recommender as a process: endpoints, election and loop together, and a polite end.

SIGTERM (a rolling update, a drained node) and SIGINT end it at once wherever it waits or computes: a status is one
request, so nothing is half-written, the lease is given back, and the next instance need not wait for it to run out. A
Prometheus that does not answer cannot hold it: its readers are left behind after a few seconds.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta

from mora.serving.http import Endpoints
from mora.serving.lease import Election, Leases, Terms
from mora.serving.process import AskedToEnd, ended_by_signals, own_identity
from mora.vpa.advice import Adviser
from mora.vpa.loop import Log, Recommender, Vpas
from mora.vpa.telemetry import Telemetry

# Well below the 30 s that Kubernetes waits before it kills, and the lease is given back in that time.
_PATIENCE_SECONDS = 3.0


@dataclass(frozen=True, slots=True)
class ServiceSettings:
    """name: what VPA objects call this recommender. namespace: None for all. listen: None for no endpoints."""

    name: str = "mora"
    namespace: str | None = None
    interval: timedelta = timedelta(seconds=60)
    listen: tuple[str, int] | None = ("127.0.0.1", 8942)
    terms: Terms = field(default_factory=Terms)


def serve(
    vpas: Vpas,
    adviser: Adviser,
    settings: ServiceSettings,
    *,
    log: Log,
    leases: Leases | None,
    identity: str | None = None,
    leave: Callable[[], None] | None = None,
) -> None:
    """Recommend until a signal says to end.

    leases: None for no election, where one instance is all there is. leave: ends the process at once; called where it
    still waits for an answer some seconds after it was asked to end. None waits as long as that takes.
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

    def insist() -> None:
        if leave is not None:
            timer = threading.Timer(_PATIENCE_SECONDS, _leave_behind, [election, log, leave])
            timer.daemon = True
            timer.start()

    try:
        with ended_by_signals(also=insist):
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
                    if election is not None:
                        election.start()
                    recommender.run(threading.Event(), settings.interval)
            finally:
                # Still deaf to further signals: the lease is given back whatever happens.
                if election is not None:
                    election.stop()
    except AskedToEnd as asked:
        log("info", "ended", signal=str(asked))


def _leave_behind(election: Election | None, log: Log, leave: Callable[[], None]) -> None:
    """What still runs only reads; the lease is what others wait for."""
    if election is not None:
        election.stop()
    log("warning", "ended while a question was still unanswered")
    leave()


@contextmanager
def _listening(address: tuple[str, int] | None, telemetry: Telemetry) -> Iterator[int | None]:
    if address is None:
        yield None
        return
    with Endpoints(address, telemetry) as endpoints:
        yield endpoints.port
