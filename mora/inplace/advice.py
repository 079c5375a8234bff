"""The numbers of a renewal: every workload of one namespace, sized from history as `mora recommend` does."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from mora import pipeline
from mora.domain import Recommendation, Slo
from mora.errors import NotEnoughData
from mora.fleet.settings import FleetSettings
from mora.inplace.loop import Advise
from mora.seams import FleetSource
from mora.settings import KubernetesAccess


def from_history(
    source: FleetSource,
    *,
    namespace: str,
    history: timedelta,
    settings: FleetSettings,
    access: KubernetesAccess | None = None,
    selector: str | None = None,
    models_dir: Path | None = None,
    data_dir: Path = Path("data"),
    slo: Slo | None = None,
    remark: Callable[[str], None] = lambda words: None,
) -> Advise:
    """A function that recommends for the workloads of a namespace, from history up to now.

    Each number is the final one: step limits, and what is worth a change, are counted from what the pods have
    (fit.py, rules.py), and not from what their template says.
    """
    policy = replace(settings.policy, allow_any_step=True, min_change=0.0, touch_autoscaled=True)
    sizing = replace(settings, policy=policy, holds_cuts=False)

    def advise() -> Iterable[Recommendation]:
        try:
            states = pipeline.find_workload_states(
                source, namespace=namespace, selector=selector, access=access, remark=remark
            )
        except NotEnoughData:
            return []  # the namespace is empty
        window = pipeline.fleet_window(history)
        return pipeline.recommend_fleet(
            states, source, window, settings=sizing, models_dir=models_dir, data_dir=data_dir, slo=slo
        )

    return advise
