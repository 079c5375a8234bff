"""Histories as they come in -> recommendations as they are due: in batches, so that only a few are in memory.

A history of 14 days at a sample every five minutes is 100 kB a container; a recommendation is a hundredth of that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial

from mora.domain import Demand, Reason, Recommendation, Window, Workload, WorkloadHistory, WorkloadState
from mora.fleet.advise import advise
from mora.fleet.batch import AT_ONCE, Bounds, bounds_of
from mora.fleet.certain import Causes, no_causes
from mora.fleet.evidence import without
from mora.fleet.incidents import Incident, spans_of, with_both, within, without_incidents
from mora.fleet.quota import with_quotas
from mora.fleet.settings import FleetSettings, sizing_of
from mora.seams import KeepsBounds, Reporter, Silent


@dataclass(frozen=True, slots=True)
class Modelled:
    """What a trained model predicts for a workload's main container, or why none is used; empty without a model."""

    demand: Demand | None = None
    digest: str | None = None
    remarks: tuple[Reason, ...] = ()
    trained_on: datetime | None = None
    facts: tuple[tuple[str, str], ...] = ()


Ask = Callable[[WorkloadState], Modelled]


Look = Callable[[WorkloadHistory], None]
"""Gets every history that is sized, once, without the excluded time ranges; it must not keep many."""


def no_look(history: WorkloadHistory) -> None:
    """Look at nothing."""


def no_keeper() -> KeepsBounds | None:
    """Keep nothing between runs."""
    return None


def no_models(state: WorkloadState) -> Modelled:
    """The answer where no model is at hand."""
    return Modelled()


@dataclass(slots=True)
class _Run:
    """What has come and is still due; a namespace is yielded whole, since its quota looks at all of it."""

    settings: FleetSettings
    ask: Ask
    look: Look
    causes: Causes
    keeper: Callable[[], KeepsBounds | None]
    waiting: dict[Workload, WorkloadState]
    batch: list[WorkloadHistory] = field(default_factory=list)
    with_incidents: dict[Workload, tuple[WorkloadHistory, tuple[Incident, ...]]] = field(default_factory=dict)
    sized: dict[str, list[tuple[WorkloadState, Recommendation]]] = field(default_factory=dict)

    def take(self, history: WorkloadHistory) -> None:
        history = without(history, self.settings.excluded)
        sizing = sizing_of(self.waiting[history.workload], self.settings)
        incidents = (*sizing.incidents, *(self.causes(history) if sizing.certain else ()))
        less = without_incidents(history, incidents)
        if less is not history:
            self.with_incidents[history.workload], history = (history, incidents), less
        self.look(history)
        self.batch.append(history)
        # The last ones are sized while their source is still open, and keeps what their bounds go on from.
        if sum(len(one.containers) for one in self.batch) >= AT_ONCE or len(self.batch) == len(self.waiting):
            self.size()

    def size(self) -> None:
        """Size what has been gathered."""
        found = bounds_of(self.batch, self.settings.horizon, self.keeper())
        for history, bounds in zip(self.batch, found, strict=True):
            state = self.waiting.pop(history.workload)
            predicted = self.ask(state)
            advice = self.advise(state, history, bounds, predicted)
            if advice.basis != "history":
                advice = replace(
                    advice,
                    model_digest=predicted.digest,
                    model_as_of=predicted.trained_on,
                    model_facts=predicted.facts,
                )
            self.sized.setdefault(state.workload.namespace, []).append((state, advice))
        self.batch.clear()

    def advise(
        self, state: WorkloadState, history: WorkloadHistory, bounds: Bounds, predicted: Modelled
    ) -> Recommendation:
        """The advice on one workload; where incidents were left out, each number beside the one with them."""
        sized = partial(advise, state, model=predicted.demand, remarks=predicted.remarks)
        if history.workload not in self.with_incidents:
            return sized(history, self.settings, bounds=bounds)
        whole, incidents = self.with_incidents.pop(history.workload)
        incidents = within(incidents, history.window)
        settings = replace(self.settings, excluded=(*self.settings.excluded, *spans_of(incidents)))
        less = sized(history, settings, bounds=bounds, whole=whole)
        return with_both(less, sized(whole, self.settings), incidents, whole)

    def give(self) -> Iterator[Recommendation]:
        """The recommendations of namespaces that are done, sorted by workload."""
        open_namespaces = {workload.namespace for workload in self.waiting}
        for namespace in [name for name in self.sized if name not in open_namespaces]:
            done = sorted(self.sized.pop(namespace), key=lambda pair: pair[0].workload)
            yield from with_quotas([advice for _, advice in done], [state for state, _ in done])


def stream(
    states: Sequence[WorkloadState],
    histories: Iterable[WorkloadHistory],
    window: Window,
    settings: FleetSettings,
    *,
    ask: Ask = no_models,
    look: Look = no_look,
    causes: Causes = no_causes,
    keeper: Callable[[], KeepsBounds | None] = no_keeper,
    reporter: Reporter | None = None,
) -> Iterator[Recommendation]:
    """One recommendation for every workload, namespace by namespace.

    histories: one per workload, in any order; a workload without one gets a recommendation that says so. causes: finds
    the incidents whose cause is certain, in the histories of those workloads that ask for it. keeper: where, while
    histories come, it is kept between runs what bounds go on from.
    """
    run = _Run(settings, ask, look, causes, keeper, {state.workload: state for state in states})
    reporter, total = reporter or Silent(), len(run.waiting)
    given = 0
    for history in histories:
        if history.workload not in run.waiting or any(history.workload == one.workload for one in run.batch):
            continue
        run.take(history)
        for advice in run.give():
            given += 1
            reporter.advance("sized", given, total, advice.workload.namespace)
            yield advice
    run.size()
    for workload in list(run.waiting):
        run.take(WorkloadHistory(workload, window, {}))
    run.size()
    for advice in run.give():
        given += 1
        reporter.advance("sized", given, total, advice.workload.namespace)
        yield advice
