"""What is asked for at once: which workloads, at what pace, and which part of the whole it is."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import pairwise

from mora.domain import Window, Workload, WorkloadState
from mora.quantities import format_duration, format_moment
from mora.seams import Reporter
from mora.sources.prometheus.fleet_promql import Scope
from mora.sources.prometheus.grid import cut
from mora.sources.prometheus.ownership import Pod

Owned = tuple[Workload, str]
"""A workload and the name of a container."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How often cAdvisor is scraped, and the rate window that follows from it."""

    interval: timedelta
    rate_window: timedelta

    def span(self, step: timedelta) -> timedelta:
        """The span over which a sample of memory is the largest: its step, and at least two scrapes."""
        return max(step, 2 * self.interval)


@dataclass(frozen=True, slots=True)
class Paces:
    """The paces of a window, each from its moment on: a scrape interval changes, and stores downsample what is old."""

    since: tuple[tuple[datetime, Pace], ...]

    @property
    def latest(self) -> Pace:
        """The pace at the end."""
        return self.since[-1][1]

    def at(self, moment: datetime) -> Pace:
        """The pace at a moment; before the first one, the first."""
        return next((pace for since, pace in reversed(self.since) if since <= moment), self.since[0][1])

    def cut(self, window: Window, longest: int) -> list[tuple[Window, Pace]]:
        """A window in pieces of at most `longest` samples, each with the one pace that is its own."""
        count = window.sample_count
        rows = [min(count, max(0, -((window.start - since) // window.step))) for since, _ in self.since]
        edges = [0, *rows[1:], count]
        found = []
        for first, after, (_, pace) in zip(edges, edges[1:], self.since, strict=False):
            if after > first:
                last = window.start + (after - 1) * window.step
                own = Window(window.start + first * window.step, last, window.step)
                found += [(piece, pace) for piece in cut(own, longest)]
        return found

    def words(self) -> tuple[str, ...]:
        """That the scrape interval changed, and what follows; nothing where it did not."""
        return tuple(
            f"The scrape interval of cAdvisor changed from {format_duration(before.interval)} to "
            f"{format_duration(pace.interval)} about {format_moment(since)}: rates are taken over "
            f"{format_duration(before.rate_window)} before that, and over {format_duration(pace.rate_window)} after it."
            for (_, before), (since, pace) in pairwise(self.since)
        )


@dataclass(frozen=True, slots=True)
class Batch:
    """Workloads that are queried together; jobs are never together with long-running ones.

    runs: pod of a job -> the name of its run.
    """

    states: tuple[WorkloadState, ...]
    pods: Mapping[Pod, Workload]
    scope: Scope
    is_jobs: bool
    runs: Mapping[Pod, str] = field(default_factory=dict)

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

    @property
    def is_alone(self) -> bool:
        """Whether there is one workload, so that what a store does not answer for at once is read in shorter times."""
        return len(self.states) == 1

    def halves(self) -> tuple[Batch, Batch]:
        """Two batches of half of the workloads each, whose pods are named."""
        middle = len(self.states) // 2
        return self._of(self.states[:middle]), self._of(self.states[middle:])

    def _of(self, states: tuple[WorkloadState, ...]) -> Batch:
        chosen = {state.workload for state in states}
        pods = {pod: workload for pod, workload in self.pods.items() if workload in chosen}
        namespaces = tuple(sorted({workload.namespace for workload in chosen}))
        names = tuple(sorted({name for _, name in pods}))
        return Batch(states, pods, replace(self.scope, namespaces=namespaces, pods=names), self.is_jobs)


@dataclass(frozen=True, slots=True)
class Part:
    """Progress of one batch of several."""

    reporter: Reporter
    number: int
    batches: int

    def advance(self, done: int, of: int, note: str) -> None:
        """`done` of `of` answers of this batch have been read."""
        self.reporter.advance("history", self.number + done / of, self.batches, note)
