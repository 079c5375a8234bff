"""What is served now: for each cluster the last good answer, how old it is, and what has been wrong since."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from mora.errors import MoraError
from mora.record.store import InForce
from mora.web.answer import Answer, Entry

# An answer is stale once it is older than three refreshes: one may fail, and the next one take as long as the last.
_STALE_AFTER_REFRESHES = 3


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong since when (unix seconds), and what to do."""

    message: str
    hint: str | None
    since: float


@dataclass(frozen=True, slots=True)
class Cluster:
    """One cluster. answer: None before the first. problem: why the last refresh failed. unrecorded: why the record
    does not have the last answer. applied: what was applied and is set now."""

    name: str
    answer: Answer | None = None
    problem: Problem | None = None
    unrecorded: Problem | None = None
    applied: Sequence[InForce] = ()


@dataclass(frozen=True, slots=True)
class Shown:
    """All clusters at one moment. version: rises with every change, so that what was made from it can be kept."""

    version: int
    clusters: tuple[Cluster, ...]
    stale_after: float

    def age(self, cluster: Cluster, now: float) -> float | None:
        """How old a cluster's answer is, in seconds; None without one."""
        return None if cluster.answer is None else max(0.0, now - cluster.answer.made_at)

    def is_stale(self, cluster: Cluster, now: float) -> bool:
        """Whether an answer is too old to be called current."""
        age = self.age(cluster, now)
        return age is None or age > self.stale_after

    def stale(self, now: float) -> int:
        """How many clusters have no current answer; within a version it only rises."""
        return sum(self.is_stale(one, now) for one in self.clusters)

    def oldest(self, now: float) -> float | None:
        """The age of the oldest answer that is shown."""
        return max((age for one in self.clusters if (age := self.age(one, now)) is not None), default=None)

    def entries(
        self,
        *,
        cluster: str | None = None,
        namespace: str | None = None,
        workload: str | None = None,
        kind: str | None = None,
    ) -> list[tuple[Cluster, Entry]]:
        """The workloads that match, in the order of clusters and answers."""
        return [
            (one, entry)
            for one in self.clusters
            if one.answer is not None and cluster in (None, one.name)
            for entry in one.answer.entries
            if namespace in (None, entry.namespace) and workload in (None, entry.workload)
            if kind is None or kind.lower() == entry.kind.lower()
        ]

    @property
    def namespaces(self) -> list[str]:
        """The namespaces of all clusters, sorted."""
        return sorted({name for one in self.clusters if one.answer for name in one.answer.namespaces})


@dataclass
class Live:
    """The clusters as they are served; changed by the threads that refresh, read by those that answer."""

    names: Sequence[str]
    refresh_seconds: float
    now: Callable[[], float] = time.time
    _clusters: dict[str, Cluster] = field(init=False)
    _version: int = field(init=False, default=0)
    _lock: threading.Lock = field(init=False, default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self._clusters = {name: Cluster(name) for name in self.names}
        self._shown = self._snapshot()

    def shown(self) -> Shown:
        """What is served now."""
        return self._shown

    def answered(self, name: str, answer: Answer) -> None:
        """A refresh has given an answer."""
        self._change(name, lambda one: replace(one, answer=answer, problem=None))

    def failed(self, name: str, error: MoraError) -> None:
        """A refresh has failed: the last good answer stays."""
        self._change(name, lambda one: replace(one, problem=self._problem(one.problem, error)))

    def recorded(self, name: str, applied: Sequence[InForce]) -> None:
        """The record has the last answer."""
        self._change(name, lambda one: replace(one, applied=tuple(applied), unrecorded=None))

    def unrecorded(self, name: str, error: MoraError) -> None:
        """The record does not have the last answer."""
        self._change(name, lambda one: replace(one, unrecorded=self._problem(one.unrecorded, error)))

    def unready(self) -> str | None:
        """Why there is nothing to serve: no cluster has an answer. An old one is served, with its age."""
        shown = self.shown()
        if any(one.answer is not None for one in shown.clusters):
            return None
        problems = [one.problem.message for one in shown.clusters if one.problem is not None]
        return f"no answer yet: {' '.join(problems)}" if problems else "the first refresh has not ended"

    def _problem(self, before: Problem | None, error: MoraError) -> Problem:
        return Problem(error.message, error.hint, self.now() if before is None else before.since)

    def _change(self, name: str, change: Callable[[Cluster], Cluster]) -> None:
        with self._lock:
            self._clusters[name] = change(self._clusters[name])
            self._version += 1
            self._shown = self._snapshot()

    def _snapshot(self) -> Shown:
        return Shown(self._version, tuple(self._clusters.values()), self.refresh_seconds * _STALE_AFTER_REFRESHES)
