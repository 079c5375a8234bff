"""The health and the metrics of the loop."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from mora.inplace.book import Book, Stage
from mora.inplace.loop import PassReport
from mora.quantities import format_duration

# The longest step, a large namespace's history, takes minutes.
_HANGS_AFTER_SECONDS = 900.0
_PASS_BUCKETS = (0.1, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600)
_OUTCOMES = ("kept", "undone", "refused", "dropped", "stuck")


class Telemetry:
    """Health and metrics of the loop (mora.inplace.loop.Observer).

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
        self._open: Mapping[str, int] = {}
        self.registry = CollectorRegistry()
        self._passes = Counter("mora_in_place_passes", "Looks and renewals.", ["outcome"], registry=self.registry)
        self._seconds = Histogram(
            "mora_in_place_renewal_seconds", "How long a renewal took.", buckets=_PASS_BUCKETS, registry=self.registry
        )
        self._changes = Counter(
            "mora_in_place_changes",
            "Changes that ended, by outcome: kept, undone, refused, dropped (its pods went), stuck (not put back).",
            ["outcome"],
            registry=self.registry,
        )
        self._resizes = Counter(
            "mora_in_place_resizes", "Pods that were asked for other resources.", ["what"], registry=self.registry
        )
        for outcome in ("ok", "failed"):
            self._passes.labels(outcome)
        for outcome in _OUTCOMES:
            self._changes.labels(outcome)
        for what in ("asked", "refused", "put-back"):
            self._resizes.labels(what)
        stages = Gauge("mora_in_place_open_changes", "Open changes by stage.", ["stage"], registry=self.registry)
        for stage in Stage:
            stages.labels(stage.value).set_function(partial(self._open_in, stage.value))
        Gauge("mora_in_place_is_leader", "1 where this instance resizes.", registry=self.registry).set_function(
            lambda: float(self._leads())
        )
        Gauge(
            "mora_in_place_last_pass_age_seconds",
            "Time since the last pass without errors; +Inf before the first.",
            registry=self.registry,
        ).set_function(self._age)

    def beat(self) -> None:
        """The loop is alive."""
        self._beat_at = self._steady()

    def passed(self, report: PassReport, book: Book) -> None:
        """A pass has ended: count it."""
        self.beat()
        self._last = report
        self._passes.labels("ok" if report.stopped is None else "failed").inc()
        if report.is_renewal:
            self._seconds.observe(report.seconds)
        if report.stopped is None:
            self._passed_at = self._steady()
        stages = [change.stage.value for change in book.open.values()]
        self._open = {stage: stages.count(stage) for stage in set(stages)}

    def noted(self, event: str, about: Mapping[str, Any]) -> None:
        """An event was written to the audit log."""
        if event in ("asked", "refused", "put-back"):
            self._resizes.labels(event).inc()
        elif event == "ended":
            self._changes.labels(about["outcome"]).inc()

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
        if self._last is None:
            return "the first pass has not ended"
        return None if self._last.stopped is None else f"the last pass failed: {self._last.stopped}"

    def _open_in(self, stage: str) -> float:
        return float(self._open.get(stage, 0))

    def _age(self) -> float:
        return float("inf") if self._passed_at is None else self._steady() - self._passed_at
