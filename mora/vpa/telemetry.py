"""The health and the metrics of the recommender's loop."""

from __future__ import annotations

import time
from collections.abc import Callable

from prometheus_client import Counter, Gauge, Histogram

from mora.serving.health import PASS_BUCKETS, LoopHealth
from mora.vpa.loop import PassReport


class Telemetry(LoopHealth):
    """Health and metrics of the loop (mora.vpa.loop.Observer).

    leads, answers, votes, steady: as in LoopHealth.
    """

    def __init__(
        self,
        *,
        leads: Callable[[], bool] = lambda: True,
        answers: Callable[[], bool] = lambda: True,
        votes: Callable[[], bool] = lambda: True,
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__("mora_recommender", "writes", leads=leads, answers=answers, votes=votes, steady=steady)
        self._last: PassReport | None = None
        self._passes = Counter(
            "mora_recommender_passes", "Passes over the VPA objects.", ["outcome"], registry=self.registry
        )
        for outcome in ("ok", "failed"):
            self._passes.labels(outcome)
        self._seconds = Histogram(
            "mora_recommender_pass_seconds", "How long a pass took.", buckets=PASS_BUCKETS, registry=self.registry
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

    def passed(self, report: PassReport) -> None:
        """A pass has ended: count it."""
        kinds = ", ".join(f"{kind} {count}" for kind, count in sorted(report.errors.items()))
        self._ended(None if report.is_ok else report.stopped or kinds)
        self._last = report
        self._passes.labels("ok" if report.is_ok else "failed").inc()
        self._seconds.observe(report.seconds)
        for kind, count in report.errors.items():
            self._errors.labels(kind).inc(count)
        self._writes.inc(report.written)

    def _led(self) -> PassReport:
        """The last pass; an empty one where another leads, so that a sum over instances counts each object once."""
        return self._last if self._last is not None and self._leads() else PassReport()
