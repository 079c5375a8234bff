"""/healthz, /readyz and /metrics of a process, as handlers for the HTTP server."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Protocol

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Gauge, generate_latest

from mora.quantities import format_duration
from mora.serving.http import Answer, Endpoints, Handler

# A step that takes longer hangs. The longest one measured, a large namespace's history, takes minutes.
_HANGS_AFTER_SECONDS = 900.0
PASS_BUCKETS = (0.1, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600)
"""Of a histogram of how long passes take, in seconds."""


class Health(Protocol):
    """What a process knows of itself: its metrics, and why it is not healthy or not ready."""

    registry: CollectorRegistry

    def unhealthy(self) -> str | None:
        """Why the process should be restarted; None where it is healthy."""

    def unready(self) -> str | None:
        """Why the process cannot do its work now; None where it can."""


def health_handlers(health: Health) -> Mapping[str, Handler]:
    """Path -> handler: /healthz and /readyz answer 200 or 503 with the reason, /metrics in Prometheus' format."""
    return {
        "/healthz": lambda query: _probe(health.unhealthy),
        "/readyz": lambda query: _probe(health.unready),
        "/metrics": lambda query: Answer(generate_latest(health.registry), content_type=CONTENT_TYPE_LATEST),
    }


@contextmanager
def listening(address: tuple[str, int] | None, health: Health) -> Iterator[int | None]:
    """Serve health and metrics at an address while the block runs, and yield the port; None: do not serve."""
    if address is None:
        yield None
        return
    with Endpoints(address, health_handlers(health)) as endpoints:
        yield endpoints.port


class LoopHealth:
    """The health of a loop that makes pass after pass while it leads, and the metrics that every such loop has.

    prefix: of the metrics' names. does: what the leader does, in its metric's help. leads, answers, votes: whether this
    instance leads, its lease can be read, its election runs (lease.py).
    """

    def __init__(
        self,
        prefix: str,
        does: str,
        *,
        leads: Callable[[], bool] = lambda: True,
        answers: Callable[[], bool] = lambda: True,
        votes: Callable[[], bool] = lambda: True,
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        self._leads, self._answers, self._votes, self._steady = leads, answers, votes, steady
        self._beat_at = steady()
        self._passed_at: float | None = None
        self._not_ready: str | None = "the first pass has not ended"
        self.registry = CollectorRegistry()
        Gauge(f"{prefix}_is_leader", f"1 where this instance {does}.", registry=self.registry).set_function(
            lambda: float(self._leads())
        )
        Gauge(
            f"{prefix}_last_pass_age_seconds",
            "Time since the last pass without errors; +Inf before the first.",
            registry=self.registry,
        ).set_function(self._age)

    def beat(self) -> None:
        """The loop is alive."""
        self._beat_at = self._steady()

    def unhealthy(self) -> str | None:
        """Why the process should be restarted; None where it is healthy."""
        if not self._votes():
            return "the leader election has ended"
        still = self._steady() - self._beat_at
        if still > _HANGS_AFTER_SECONDS:
            return f"the loop has not moved for {format_duration(still, about=True)}"
        return None

    def unready(self) -> str | None:
        """Why this instance cannot do its work now; None where it can."""
        if not self._leads():
            return None if self._answers() else "the lease cannot be read"
        return self._not_ready

    def _ended(self, problem: str | None) -> None:
        """A pass has ended. problem: what failed of it."""
        self.beat()
        self._not_ready = None if problem is None else f"the last pass failed: {problem}"
        if problem is None:
            self._passed_at = self._steady()

    def _age(self) -> float:
        return float("inf") if self._passed_at is None else self._steady() - self._passed_at


def _probe(problem: Callable[[], str | None]) -> Answer:
    reason = problem()
    return Answer(f"{reason or 'ok'}\n".encode(), status=200 if reason is None else 503)
