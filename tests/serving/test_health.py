"""Probes say ok, or why not; metrics are in Prometheus' format."""

from __future__ import annotations

from dataclasses import dataclass, field

from prometheus_client import CollectorRegistry, Gauge

from mora.serving.health import LoopHealth, health_handlers, listening


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


def test_a_loop_is_ready_after_a_pass_without_errors_and_says_what_failed() -> None:
    now = [0.0]
    health = LoopHealth("mora_test", "works", steady=lambda: now[0])
    assert health.unready() == "the first pass has not ended"
    health._ended("no answer")
    assert health.unready() == "the last pass failed: no answer"
    health._ended(None)
    assert (health.unready(), health.unhealthy()) == (None, None)
    now[0] = 3600.0
    assert health.unhealthy() == "the loop has not moved for 1h"
    assert health.registry.get_sample_value("mora_test_last_pass_age_seconds") == 3600.0


def test_without_an_address_nothing_is_served() -> None:
    with listening(None, LoopHealth("mora_test", "works")) as port:
        assert port is None
