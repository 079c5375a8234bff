"""Probes say ok, or why not; metrics are in Prometheus' format."""

from __future__ import annotations

from dataclasses import dataclass, field

from prometheus_client import CollectorRegistry, Gauge

from mora.serving.health import health_handlers


@dataclass
class Process:
    registry: CollectorRegistry = field(default_factory=CollectorRegistry)
    problem: str | None = None

    def unhealthy(self) -> str | None:
        return self.problem

    def unready(self) -> str | None:
        return None


def test_a_probe_gives_the_reason_and_each_has_its_own() -> None:
    process = Process()
    handlers = health_handlers(process)
    assert (handlers["/healthz"]({}).status, handlers["/healthz"]({}).body) == (200, b"ok\n")
    process.problem = "the loop hangs"
    assert (handlers["/healthz"]({}).status, handlers["/healthz"]({}).body) == (503, b"the loop hangs\n")
    assert handlers["/readyz"]({}).status == 200


def test_metrics_are_those_of_the_processs_own_registry() -> None:
    process = Process()
    Gauge("answers", "Everything.", registry=process.registry).set(42)
    answer = health_handlers(process)["/metrics"]({})
    assert b"answers 42.0" in answer.body
    assert answer.content_type.startswith("text/plain")
