"""The loop as a process: the audit log, the lease, endpoints, and a clean shutdown.

SIGTERM and SIGINT end it at once, wherever it waits or computes. A resize is one request, and announced before it is
sent, so none is half-done; open changes stay as they are, and the next start goes on with them. The lease is released.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta

from mora.errors import MoraError
from mora.inplace.journal import Journal
from mora.inplace.loop import Advise, Log, Loop, LoopSettings, PassReport, Pods, Signals
from mora.inplace.telemetry import Telemetry
from mora.serving.health import listening
from mora.serving.lease import Election, Leases, Terms
from mora.serving.process import AskedToEnd, deadline, ended_by_signals, own_identity

# Well below the 30 s that Kubernetes waits before SIGKILL; the lease is released within it.
_PATIENCE_SECONDS = 3.0


class Alone:
    """Leadership without a lease: a dry run, which changes nothing."""

    def leads(self) -> bool:
        """Always."""
        return True

    def wait(self, timeout: float) -> bool:
        """Do not wait."""
        return True


@dataclass(frozen=True, slots=True)
class ServiceSettings:
    """Settings of the process. listen: None for no endpoints. once: one renewal, and its changes to their end."""

    listen: tuple[str, int] | None = ("127.0.0.1", 8943)
    terms: Terms = field(default_factory=Terms)
    once: bool = False


def serve(
    pods: Pods,
    advise: Advise,
    signals: Signals,
    journal: Journal,
    leases: Leases,
    settings: ServiceSettings,
    *,
    loop: LoopSettings,
    log: Log,
    identity: str | None = None,
    leave: Callable[[], None] | None = None,
) -> PassReport | None:
    """Resize until SIGTERM or SIGINT; with `once`, until the changes of one renewal have ended: its report.

    leave: ends the process at once; it is called where the process still waits for an answer some seconds after the
    signal. MoraError where another process has the audit log, or (with once) another instance the lease.
    """
    identity = identity if identity is not None else own_identity()
    election = Election(
        leases,
        identity,
        terms=settings.terms,
        say=lambda words: log("info", "leader election", identity=identity, state=words),
    )
    telemetry = Telemetry(leads=election.leads, answers=election.answers, votes=election.is_alive)
    resizer = Loop(pods, advise, signals, journal, settings=loop, log=log, observer=telemetry, leadership=election)
    insist = (lambda: None) if leave is None else deadline(_PATIENCE_SECONDS, lambda: _abandon(election, log, leave))
    report = None
    try:
        with ended_by_signals(also=insist):
            try:
                with journal.opened() as events, listening(settings.listen, telemetry) as port:
                    resizer.open_log(events)
                    about = {} if port is None else {"port": port}
                    log("info", "started", namespace=pods.namespace, identity=identity, **about)
                    election.start()
                    if settings.once:
                        report = _once(resizer, election, settings.terms, loop.look)
                    else:
                        resizer.run(threading.Event())
            finally:
                # Further signals are still ignored here: the lease is released in any case.
                election.stop()
    except AskedToEnd as asked:
        log("info", "shut down", signal=str(asked))
    return report


def rehearse(
    pods: Pods, advise: Advise, signals: Signals, journal: Journal, *, loop: LoopSettings, log: Log
) -> PassReport:
    """What would be changed now: the API server checks every resize, and nothing is written, the audit log included."""
    resizer = Loop(pods, advise, signals, journal, settings=loop, log=log, observer=Telemetry(), leadership=Alone())
    return resizer.run_pass(renew=True)


def _once(resizer: Loop, election: Election, terms: Terms, look: timedelta) -> PassReport:
    """One renewal, and looks until no change is open."""
    if not election.wait(2 * terms.duration.total_seconds()):
        raise MoraError(
            "Another instance resizes pods of this namespace: it has the lease.",
            hint="Look at it: kubectl get lease mora-in-place -n NAMESPACE. Or wait until it ends.",
        )
    report = resizer.run_pass(renew=True)
    while resizer.desk.book.open:
        threading.Event().wait(look.total_seconds())
        if not election.wait(2 * terms.duration.total_seconds()):
            raise MoraError(
                "The lease was lost while changes were open; they stay as they are.",
                hint="Run it again: it goes on with them, by its audit log.",
            )
        resizer.run_pass(renew=False)
    return report


def _abandon(election: Election, log: Log, leave: Callable[[], None]) -> None:
    """Release the lease, which others wait for, and end. What still runs only reads."""
    election.stop()
    log("warning", "shut down while a request was still unanswered")
    leave()
