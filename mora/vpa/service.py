"""The recommender as a process: endpoints, leader election and loop together, and a clean shutdown.

SIGTERM (a rolling update, a drained node) and SIGINT end it at once, wherever it waits or computes. A status is one
request, so none is half-written. The lease is released, so the next instance does not wait for it to expire. A
Prometheus that does not answer cannot delay the shutdown: its threads are abandoned after a few seconds.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta

from mora.changes.rule import RULES, ChangeRule
from mora.serving.health import listening
from mora.serving.lease import Election, Leases, Terms
from mora.serving.process import AskedToEnd, deadline, ended_by_signals, own_identity
from mora.vpa.advice import Adviser
from mora.vpa.loop import Log, Recommender, Vpas
from mora.vpa.telemetry import Telemetry

# Well below the 30 s that Kubernetes waits before SIGKILL; the lease is released within it.
_PATIENCE_SECONDS = 3.0


@dataclass(frozen=True, slots=True)
class ServiceSettings:
    """Settings of the process.

    name: what VPA objects call this recommender. namespace: None for all. listen: None for no endpoints.
    rule: which new numbers become targets.
    """

    name: str = "mora"
    namespace: str | None = None
    interval: timedelta = timedelta(seconds=60)
    listen: tuple[str, int] | None = ("127.0.0.1", 8942)
    terms: Terms = field(default_factory=Terms)
    rule: ChangeRule = RULES["vpa"]


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
    """Recommend until SIGTERM or SIGINT.

    leases: None for no leader election, where only one instance runs. leave: ends the process at once; it is called
    where the process still waits for an answer some seconds after the signal. None: wait as long as that takes.
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
        rule=settings.rule,
    )

    insist = (lambda: None) if leave is None else deadline(_PATIENCE_SECONDS, lambda: _abandon(election, log, leave))
    try:
        with ended_by_signals(also=insist):
            try:
                with listening(settings.listen, telemetry) as port:
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
                # Further signals are still ignored here: the lease is released in any case.
                if election is not None:
                    election.stop()
    except AskedToEnd as asked:
        log("info", "shut down", signal=str(asked))


def _abandon(election: Election | None, log: Log, leave: Callable[[], None]) -> None:
    """Release the lease, which others wait for, and end. What still runs only reads."""
    if election is not None:
        election.stop()
    log("warning", "shut down while a query was still unanswered")
    leave()
