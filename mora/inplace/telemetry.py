"""The health and the metrics of the loop."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from prometheus_client import Counter, Gauge, Histogram

from mora.inplace.book import Book, Stage
from mora.inplace.loop import PassReport
from mora.serving.health import PASS_BUCKETS, LoopHealth

_OUTCOMES = ("kept", "undone", "refused", "dropped", "stuck")


class Telemetry(LoopHealth):
    """Health and metrics of the loop (mora.inplace.loop.Observer).

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
        super().__init__("mora_in_place", "resizes", leads=leads, answers=answers, votes=votes, steady=steady)
        self._open: Mapping[str, int] = {}
        self._passes = Counter("mora_in_place_passes", "Looks and renewals.", ["outcome"], registry=self.registry)
        self._seconds = Histogram(
            "mora_in_place_renewal_seconds", "How long a renewal took.", buckets=PASS_BUCKETS, registry=self.registry
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

    def passed(self, report: PassReport, book: Book) -> None:
        """A pass has ended: count it."""
        self._ended(report.stopped)
        self._passes.labels("ok" if report.stopped is None else "failed").inc()
        if report.is_renewal:
            self._seconds.observe(report.seconds)
        stages = [change.stage.value for change in book.open.values()]
        self._open = {stage: stages.count(stage) for stage in set(stages)}

    def noted(self, event: str, about: Mapping[str, Any]) -> None:
        """An event was written to the audit log."""
        if event in ("asked", "refused", "put-back"):
            self._resizes.labels(event).inc()
        elif event == "ended":
            self._changes.labels(about["outcome"]).inc()

    def _open_in(self, stage: str) -> float:
        return float(self._open.get(stage, 0))
