"""The health and the metrics of the recommender's loop."""

from __future__ import annotations

import time
from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from mora.quantities import format_duration
from mora.vpa.loop import PassReport

# A step that takes longer hangs. The longest one measured, a large namespace's history, takes minutes.
_HANGS_AFTER_SECONDS = 900.0
_PASS_BUCKETS = (0.1, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600)


class Telemetry:
    """Health and metrics of the loop (mora.vpa.loop.Observer).

    leads, answers, votes: whether this instance leads, its lease can be read, its election runs (serving/lease.py).
    """

    def __init__(
        self,
        *,
        leads: Callable[[], bool] = lambda: True,
        answers: Callable[[], bool] = lambda: True,
        votes: Callable[[], bool] = lambda: True,
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        self._leads, self._answers, self._votes, self._steady = leads, answers, votes, steady
        self._beat_at = steady()
        self._last: PassReport | None = None
        self._passed_at: float | None = None
        self.registry = CollectorRegistry()
        self._passes = Counter(
            "mora_recommender_passes", "Passes over the VPA objects.", ["outcome"], registry=self.registry
        )
        for outcome in ("ok", "failed"):
            self._passes.labels(outcome)
        self._seconds = Histogram(
            "mora_recommender_pass_seconds", "How long a pass took.", buckets=_PASS_BUCKETS, registry=self.registry
        )
        self._errors = Counter(
            "mora_recommender_errors",
            "Errors by kind: list, object, numbers, write, conflict, bug.",
            ["kind"],
            registry=self.registry,
        )
        self._writes = Counter("mora_recommender_status_writes", "Statuses written.", registry=self.registry)
        vpas = Gauge(
            "mora_recommender_vpas",
            "VPA objects that name this recommender, in the leader's last pass; 0 where another instance leads.",
            ["provided"],
            registry=self.registry,
        )
        vpas.labels("true").set_function(lambda: float(self._led().with_number))
        vpas.labels("false").set_function(lambda: float(self._led().vpas - self._led().with_number))
        Gauge("mora_recommender_is_leader", "1 where this instance writes.", registry=self.registry).set_function(
            lambda: float(self._leads())
        )
        Gauge(
            "mora_recommender_last_pass_age_seconds",
            "Time since the last pass without errors; +Inf before the first.",
            registry=self.registry,
        ).set_function(self._age)

    def beat(self) -> None:
        """The loop is alive."""
        self._beat_at = self._steady()

    def passed(self, report: PassReport) -> None:
        """A pass has ended: count it."""
        self.beat()
        self._last = report
        self._passes.labels("ok" if report.is_ok else "failed").inc()
        self._seconds.observe(report.seconds)
        for kind, count in report.errors.items():
            self._errors.labels(kind).inc(count)
        self._writes.inc(report.written)
        if report.is_ok:
            self._passed_at = self._steady()

    def unhealthy(self) -> str | None:
        """Why the process should be restarted; None where it is healthy."""
        if not self._votes():
            return "the leader election has ended"
        still = self._steady() - self._beat_at
        return (
            f"the loop has not moved for {format_duration(still, about=True)}" if still > _HANGS_AFTER_SECONDS else None
        )

    def unready(self) -> str | None:
        """Why this instance cannot do its work now; None where it can."""
        if not self._leads():
            return None if self._answers() else "the lease cannot be read"
        if self._last is None:
            return "the first pass has not ended"
        if self._last.is_ok:
            return None
        kinds = ", ".join(f"{kind} {count}" for kind, count in sorted(self._last.errors.items()))
        return f"the last pass failed: {self._last.stopped or kinds}"

    def _led(self) -> PassReport:
        """The last pass; an empty one where another leads, so that a sum over instances counts each object once."""
        return self._last if self._last is not None and self._leads() else PassReport()

    def _age(self) -> float:
        return float("inf") if self._passed_at is None else self._steady() - self._passed_at
