"""Recommendations for the VPA recommender: the workloads of a namespace, sized from Prometheus' history."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from mora import pipeline
from mora.domain import Recommendation, Slo, Workload
from mora.errors import NotEnoughData
from mora.fleet.settings import FleetSettings
from mora.seams import FleetSource
from mora.vpa.advice import Advise


def from_history(
    source: FleetSource,
    *,
    history: timedelta,
    settings: FleetSettings,
    models_dir: Path | None = None,
    data_dir: Path = Path("data"),
    slo: Slo | None = None,
    remark: Callable[[str], None] = lambda words: None,
) -> Advise:
    """A function of workloads of one namespace that returns a recommendation for each one that exists.

    Each recommendation is the final number. Step limits and minimum changes are for people who roll a template out
    again and again. The VPA never changes the template, so a cut in steps would end after the first; and the VPA itself
    limits how often it changes pods. A cut that is deferred is compared with what the VPA has set (status.py), not with
    the template.
    """
    policy = replace(settings.policy, allow_any_step=True, min_change=0.0)
    sizing = replace(settings, policy=policy, holds_cuts=False)

    def advise(workloads: Sequence[Workload]) -> Iterable[Recommendation]:
        (namespace,) = {workload.namespace for workload in workloads}
        wanted = frozenset(workloads)
        try:
            known = pipeline.find_workload_states(source, namespace=namespace, remark=remark)
        except NotEnoughData:
            return []  # the namespace is empty: none of the workloads has a pod
        # What is computed here is what the VPA sets.
        chosen = [replace(state, vpas=()) for state in known if state.workload in wanted]
        if not chosen:
            return []
        window = pipeline.fleet_window(history)
        return pipeline.recommend_fleet(
            chosen, source, window, settings=sizing, models_dir=models_dir, data_dir=data_dir, slo=slo
        )

    return advise
