"""Recommendations for workloads, kept for a while before Prometheus is asked again.

Reading two weeks of history every minute would be a waste: MOrA's numbers change over days. A pass every minute sees
new VPA objects and changed policies at once, and takes the numbers from here. Each workload's numbers are computed
again after `refresh`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from mora.domain import Recommendation, Workload
from mora.errors import ClusterError, MoraError, SourceUnavailable, StateUnusable

# Workloads in, a recommendation for each that is known out. One that is missing has no known pods.
Advise = Callable[[Sequence[Workload]], Iterable[Recommendation]]


@dataclass(frozen=True, slots=True)
class Answer:
    """A recommendation for a workload; or none, and why (None: it has no pods)."""

    recommendation: Recommendation | None
    refusal: str | None = None


class Adviser:
    """Recommendations by workload. It asks `advise` for what is missing or too old, one namespace at a time."""

    def __init__(self, advise: Advise, *, refresh: timedelta, steady: Callable[[], float] = time.monotonic) -> None:
        self._advise = advise
        self._refresh_seconds = refresh.total_seconds()
        self._steady = steady
        self._known: dict[Workload, tuple[float, Answer]] = {}

    def answers(self, workloads: Sequence[Workload]) -> Mapping[Workload, Answer]:
        """The answer for each. SourceUnavailable, ClusterError or StateUnusable where none can be answered now."""
        now = self._steady()
        due = [one for one in dict.fromkeys(workloads) if not self._is_fresh(one, now)]
        if due:
            answered = self._ask(due)
            self._known.update({workload: (now, answered[workload]) for workload in due})
        return {workload: self._known[workload][1] for workload in workloads}

    def forget(self, keep: Iterable[Workload]) -> None:
        """Drop the workloads that no VPA object targets any more."""
        wanted = set(keep)
        self._known = {workload: known for workload, known in self._known.items() if workload in wanted}

    def _is_fresh(self, workload: Workload, now: float) -> bool:
        known = self._known.get(workload)
        return known is not None and now - known[0] < self._refresh_seconds

    def _ask(self, workloads: Sequence[Workload]) -> dict[Workload, Answer]:
        try:
            found = {advice.workload: Answer(advice) for advice in self._advise(workloads)}
        except (SourceUnavailable, ClusterError, StateUnusable):
            raise
        except MoraError as error:
            if len(workloads) == 1:
                return {workloads[0]: Answer(None, str(error))}
            # One of them is refused. Asking by halves, one of a hundred costs fourteen more queries, not a hundred.
            middle = len(workloads) // 2
            return {**self._ask(workloads[:middle]), **self._ask(workloads[middle:])}
        return {workload: found.get(workload, Answer(None)) for workload in workloads}
