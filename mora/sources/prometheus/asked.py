"""What is asked for at once: which workloads, at what pace, and which part of the whole it is."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from mora.domain import Workload, WorkloadState
from mora.seams import Reporter
from mora.sources.prometheus.fleet_promql import Scope
from mora.sources.prometheus.ownership import Pod


@dataclass(frozen=True, slots=True)
class Pace:
    """How often cAdvisor is scraped, and the rate window that follows from it."""

    interval: timedelta
    rate_window: timedelta


@dataclass(frozen=True, slots=True)
class Batch:
    """Workloads that are queried together; jobs are never together with long-running ones."""

    states: tuple[WorkloadState, ...]
    pods: Mapping[Pod, Workload]
    scope: Scope
    is_jobs: bool

    @property
    def series_at_once(self) -> int:
        """About how many containers run at the same time."""
        pods_of: defaultdict[Workload, int] = defaultdict(int)
        for workload in self.pods.values():
            pods_of[workload] += 1
        return sum(
            min(pods_of[one.workload], one.allocation.replicas or 3) * max(1, len(one.allocation.containers))
            for one in self.states
        )


@dataclass(frozen=True, slots=True)
class Part:
    """Progress of one batch of several."""

    reporter: Reporter
    number: int
    batches: int

    def advance(self, done: int, of: int, note: str) -> None:
        """`done` of `of` answers of this batch have been read."""
        self.reporter.advance("history", self.number + done / of, self.batches, note)
