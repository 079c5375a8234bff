"""Numbers for workloads, and how long they stand before Prometheus is asked again.

Reading two weeks of history once a minute would cost more than it tells: MOrA's numbers move over days. So a pass every
minute sees new VPA objects and changed policies at once, and takes the numbers from here; each workload's are computed
anew after `refresh`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from mora.domain import Recommendation, Workload
from mora.errors import ClusterError, MoraError, SourceUnavailable

# Workloads in, a recommendation for each that is known out; a missing one has no pods that anybody knows of.
Advise = Callable[[Sequence[Workload]], Iterable[Recommendation]]


@dataclass(frozen=True, slots=True)
class Answer:
    """What is known of a workload: a recommendation, or none and the words of why not (None: it has no pods)."""

    recommendation: Recommendation | None
    refusal: str | None = None


class Adviser:
    """Asks `advise` for what is not known or too old, one namespace at a time."""

    def __init__(self, advise: Advise, *, refresh: timedelta, steady: Callable[[], float] = time.monotonic) -> None:
        self._advise = advise
        self._refresh_seconds = refresh.total_seconds()
        self._steady = steady
        self._known: dict[Workload, tuple[float, Answer]] = {}

    def answers(self, workloads: Sequence[Workload]) -> Mapping[Workload, Answer]:
        """The answer for each; raises what says that nobody can be answered now (Prometheus, the API server)."""
        now = self._steady()
        due = [one for one in dict.fromkeys(workloads) if not self._stands(one, now)]
        if due:
            answered = self._ask(due)
            self._known.update({workload: (now, answered[workload]) for workload in due})
        return {workload: self._known[workload][1] for workload in workloads}

    def forget(self, keep: Iterable[Workload]) -> None:
        """Drop what no VPA object asks for any more."""
        wanted = set(keep)
        self._known = {workload: known for workload, known in self._known.items() if workload in wanted}

    def _stands(self, workload: Workload, now: float) -> bool:
        known = self._known.get(workload)
        return known is not None and now - known[0] < self._refresh_seconds

    def _ask(self, workloads: Sequence[Workload]) -> dict[Workload, Answer]:
        try:
            found = {advice.workload: Answer(advice) for advice in self._advise(workloads)}
        except (SourceUnavailable, ClusterError):
            raise
        except MoraError as error:
            if len(workloads) == 1:
                return {workloads[0]: Answer(None, str(error))}
            # One among them is refused. By halves, one of a hundred costs fourteen questions more, not a hundred.
            middle = len(workloads) // 2
            return {**self._ask(workloads[:middle]), **self._ask(workloads[middle:])}
        return {workload: found.get(workload, Answer(None)) for workload in workloads}
