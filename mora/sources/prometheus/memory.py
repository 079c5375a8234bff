"""Memory that the working set does not tell: what was swapped out beside it, and page cache within it.

Both are rare, and every further metric of every container costs the server as much as memory itself. So single moments
are asked for first, of whole namespaces at once, and only the containers that show swap or much cache are read again.

- Swap: what was moved out is still the process' own, so it counts as needed beside the working set.
- Page cache: the working set has the file pages that were used lately (active). The kernel gives them back before it
  kills anything, so memory is not raised for them (mora/policies/cache.py). tmpfs and shared memory are none of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial

import numpy as np
from numpy.typing import NDArray

from mora.domain import Window, Workload
from mora.quantities import readable_bytes
from mora.sources.prometheus import fleet_promql as promql
from mora.sources.prometheus.answered import Answers, Ask, Asked
from mora.sources.prometheus.asked import Batch, Owned
from mora.sources.prometheus.fleet_promql import ACTIVE_FILE, RSS, SWAP, Scope
from mora.sources.prometheus.grid import row_of
from mora.sources.prometheus.matrix import Strip
from mora.sources.prometheus.ownership import Pod
from mora.sources.prometheus.parts import exposed, in_parts
from mora.sources.prometheus.tally import Limits, Tally, Track, by_container, moved
from mora.sources.prometheus.wire import Wire

# Moments of the window that are looked at.
_MOMENTS, _LEAST_BETWEEN = 7, timedelta(hours=1)
_NODES_EVERY = timedelta(hours=6)
# The upper bound lies at most so far above the peak: who requests more is not raised, whatever the cache.
_BOUND_ABOVE_PEAK = 1.5
# Resident memory alone tells cache from shared memory only where the limit is full and nothing was killed.
_AT_LIMIT = 0.95
# Where so many pods of a batch are meant, their names are left out of the query.
_SHARE_TO_ASK_FOR_ALL = 0.5


@dataclass(frozen=True, slots=True)
class MemoryAgain:
    """Reads the memory of some containers of a batch again, once their working sets are known."""

    wire: Wire
    answers: Answers
    batch: Batch
    window: Window
    span: timedelta
    tallies: Mapping[Owned, Tally]
    starts: Mapping[Pod, Sequence[slice]]
    limits: Mapping[tuple[str, ...], Limits]

    def read(self, parts: Sequence[Window]) -> dict[Workload, dict[str, str]]:
        """Add swap to memory, and what memory is without page cache; the queries that were sent, by workload."""
        sent: dict[Workload, dict[str, str]] = {}
        known = exposed(self.wire, self._broad(), (SWAP, ACTIVE_FILE, RSS), 'container!=""', self.window)
        looks = SWAP in known and self._may_swap()
        swapped = self._shown(lambda part: promql.swapped(part, self._moments())) if looks else {}
        if swapped:
            self._add_swap(swapped, parts, sent)
        # Nodes of several ages tell by several metrics; the better one counts where it is there.
        for metric in (name for name in (ACTIVE_FILE, RSS) if name in known):
            asked = {of for of in self._in_question(is_full=metric == RSS) if not self.tallies[of].cache_known_by}
            telling = self._telling(metric) if asked else set()
            asked = {of for of in asked if of[0] in telling}
            if asked:
                for of in asked:
                    self.tallies[of].cache_known_by = metric
                shown = self._shown(partial(promql.cached, moments=self._moments(), metric=metric))
                self._leave_out_cache(asked & shown.keys(), metric, parts, sent, has_swap=bool(swapped))
        return sent

    # -- which containers --

    def _broad(self) -> Scope:
        return self.batch.scope.broad()

    def _moments(self) -> list[timedelta]:
        """How long before the end of the window each moment is."""
        between = max((self.window.end - self.window.start) / _MOMENTS, _LEAST_BETWEEN)
        count = int((self.window.end - self.window.start) / between)
        return [number * between for number in range(count + 1)]

    def _may_swap(self) -> bool:
        """Whether a node has swap; where that is not known, one may."""
        span = self.window.end - self.window.start
        rows = self.wire.instant(
            promql.swap_of_nodes(self._broad(), max(span, _NODES_EVERY), _NODES_EVERY), self.window.end
        )
        return not rows or any(float(row["value"][1]) > 0 for row in rows)

    def _telling(self, metric: str) -> set[Workload]:
        """The workloads of this batch that have a metric of cAdvisor; the server reads only its index."""

        def ask(part: Scope) -> list[str]:
            return self.wire.label_values("pod", promql.containers(part, metric), self.window.start, self.window.end)

        names = set(in_parts(ask, self._broad()))
        return {workload for (_, pod), workload in self.batch.pods.items() if pod in names}

    def _shown(self, query: Callable[[Scope], str]) -> dict[Owned, float]:
        """The containers of this batch that answer, with the largest value of their pods."""
        found: dict[Owned, float] = {}
        rows = in_parts(lambda part: self.wire.instant(query(part), self.window.end), self._broad())
        for row in rows:
            labels = row["metric"]
            workload = self.batch.pods.get((labels.get("namespace", ""), labels.get("pod", "")))
            of = workload, labels.get("container", "")
            if workload is not None and of in self.tallies:
                found[workload, of[1]] = max(found.get((workload, of[1]), 0.0), float(row["value"][1]))
        return found

    def _in_question(self, *, is_full: bool) -> Iterator[Owned]:
        """The containers whose memory may be raised; is_full: those at their limit alone."""
        requests = {
            (state.workload, container.name): container.resources.memory_request_bytes
            for state in self.batch.states
            for container in state.allocation.containers
        }
        for of, tally in self.tallies.items():
            used, limits = tally.memory.values, tally.memory.limits
            if np.isnan(used).all():
                continue
            if is_full:
                if limits is not None and bool((used >= _AT_LIMIT * limits).any()):
                    yield of
                continue
            request = requests.get(of)
            if request is None or float(np.nanmax(used)) * _BOUND_ABOVE_PEAK > request:
                yield of

    # -- reading again --

    def _add_swap(
        self, swapped: Mapping[Owned, float], parts: Sequence[Window], sent: dict[Workload, dict[str, str]]
    ) -> None:
        for of, most in swapped.items():
            self.tallies[of].begin_memory_again(
                f"up to {readable_bytes(most)} was swapped out: memory is read as working set + swap ({SWAP})"
            )
        ask = partial(promql.memory_again, span=self.span, has_swap=True)
        text = ask(self._scope_of(swapped))
        for of, pod, rows, values, limits in self._strips(ask, swapped, parts):
            self.tallies[of].add_memory(pod[1], rows, values, self.starts.get(pod, ()), limits)
        for workload, _ in swapped:
            sent.setdefault(workload, {})["memory"] = text

    def _leave_out_cache(
        self,
        wanted: set[Owned],
        metric: str,
        parts: Sequence[Window],
        sent: dict[Workload, dict[str, str]],
        *,
        has_swap: bool,
    ) -> None:
        if not wanted:
            return
        for of in wanted:
            self.tallies[of].less_cache = Track(self.window)
        ask = partial(promql.memory_again, span=self.span, has_swap=has_swap, less=metric)
        text = ask(self._scope_of(wanted))
        for of, pod, rows, values, limits in self._strips(ask, wanted, parts):
            self.tallies[of].add_memory_less_cache(pod[1], rows, values, limits)
        for workload, _ in wanted:
            sent.setdefault(workload, {})["memory without page cache"] = text

    def _scope_of(self, wanted: Mapping[Owned, float] | set[Owned]) -> Scope:
        workloads = {workload for workload, _ in wanted}
        names = {name for (_, name), workload in self.batch.pods.items() if workload in workloads}
        if len(names) >= _SHARE_TO_ASK_FOR_ALL * len(self.batch.pods):
            return self.batch.scope
        return replace(self.batch.scope, pods=tuple(sorted(names)))

    def _strips(
        self, ask: Ask, wanted: Mapping[Owned, float] | set[Owned], parts: Sequence[Window]
    ) -> Iterator[tuple[Owned, Pod, slice | NDArray[np.intp], NDArray[np.float64], Limits | None]]:
        """The series of the wanted containers, on the rows of the whole window."""
        asked: list[Asked] = [("memory", ask, piece) for piece in parts]
        for _, piece, strips in self.answers.ranges(self.batch, asked, self._scope_of(wanted)):
            ahead = row_of(piece.start, self.window)
            for (namespace, pod, container), found in by_container(strips).items():
                workload = self.batch.pods.get((namespace, pod))
                if workload is None or (workload, container) not in wanted:
                    continue
                limits = self.limits.get((namespace, pod, container, "memory"))
                for strip in found:
                    here: Strip = moved(strip, ahead)
                    yield (workload, container), (namespace, pod), here.rows, here.values, limits
