"""/healthz, /readyz and /metrics of a process, as handlers for the HTTP server."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from mora.serving.http import Answer, Handler


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


def _probe(problem: Callable[[], str | None]) -> Answer:
    reason = problem()
    return Answer(f"{reason or 'ok'}\n".encode(), status=200 if reason is None else 503)
