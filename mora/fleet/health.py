"""What a workload's health means for its numbers: while it is abnormal, cuts are deferred and less is sure.

A cut that rests on what a sick service used may starve the healthy one, and the next run can still make it. A raise is
never deferred: more is needed now, for whatever reason.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from mora.domain import (
    JOB_KINDS,
    AbnormalTime,
    ContainerHistory,
    Evidence,
    Reason,
    Role,
    TargetDemand,
    WorkloadHistory,
    WorkloadState,
)
from mora.fleet.evidence import Floats
from mora.fleet.need import Need
from mora.fleet.settings import FleetSettings, Sizing
from mora.health.histories import Condition, condition_of
from mora.health.screen import may_be_abnormal
from mora.quantities import format_moment

if TYPE_CHECKING:
    from mora.health.events import Event

# The share of numbers that covered their window of those made while the series was abnormal: counted in the backtest of
# the default rule on vms.parquet, experiments/benchmarks/health_gate.py.
COVERED_CPU, COVERED_MEMORY = 0.64, 0.87
_WORDS = {
    "cpu_cores_value": "CPU",
    "mem_bytes_value": "memory",
    "throttled_ratio": "CPU throttling",
}


def conditions_of(
    state: WorkloadState, history: WorkloadHistory, names: Iterable[str], settings: FleetSettings, sizing: Sizing
) -> dict[str, Condition]:
    """Container -> its condition, of those in `names` that serve: not sidecars, not what runs and ends.

    Only one that a quick look finds suspicious may be abnormal now; unless charts are drawn, the others are not
    examined. So what is drawn changes no number. Empty where cuts are made all the same and nothing is drawn.
    """
    if state.workload.kind in JOB_KINDS or (sizing.cut_while_abnormal and not settings.marks_abnormal):
        return {}
    roles = {one.name: one.role for one in state.allocation.containers}
    found = {}
    for name in names:
        if roles.get(name) is Role.APP and name in history.containers:
            metrics = _metrics_of(history.containers[name])
            is_suspicious = may_be_abnormal(metrics, history.window)
            if settings.marks_abnormal or is_suspicious:
                condition = condition_of(metrics, history.window)
                is_passed_over = condition.state == "abnormal" and not is_suspicious
                found[name] = replace(condition, state="healthy") if is_passed_over else condition
    return found


def _metrics_of(one: ContainerHistory) -> dict[str, Floats]:
    metrics = {"cpu_cores_value": one.cpu_cores, "mem_bytes_value": one.mem_bytes}
    return metrics if one.throttled is None else {**metrics, "throttled_ratio": one.throttled}


def why_deferred(conditions: Mapping[str, Condition], sizing: Sizing) -> Reason | None:
    """Why no cut is made now; None where the workload is itself, or cuts are asked for all the same."""
    sick = {name: one.current for name, one in conditions.items() if one.current is not None}
    if not sick or sizing.cut_while_abnormal:
        return None
    since = " and ".join(
        f"{name} is abnormal, since {format_moment(event.start)}, most of all its {_most(event)}"
        for name, event in sick.items()
    )
    return Reason(
        "deferred-abnormal", f"cuts are deferred while {since} (make them all the same: --cut-while-abnormal)"
    )


def _most(event: Event) -> str:
    """The metric that carries most of an event, as people call it."""
    metric = next(iter(event.metrics), "")
    return _WORDS.get(metric, metric)


def less_sure(need: Need) -> Need:
    """The same need, no surer than numbers that were made at such moments of the backtest."""
    demand = need.demand
    return replace(
        need,
        demand=replace(
            demand,
            cpu=_less_sure(demand.cpu, COVERED_CPU),
            memory=_less_sure(demand.memory, COVERED_MEMORY),
            memory_less_cache=_less_sure(demand.memory_less_cache, COVERED_MEMORY),
        ),
    )


def _less_sure(target: TargetDemand | None, covered: float) -> TargetDemand | None:
    if target is None:
        return None
    confidence = min(target.confidence, covered)
    text = (
        f"confidence {confidence:.0%}, and no more: in the backtest, numbers made while a service was abnormal were "
        f"covered in {covered:.0%} of their windows"
    )
    return replace(target, confidence=confidence, reasons=(*target.reasons, Reason("confidence-abnormal", text)))


def marked(evidence: Evidence | None, condition: Condition | None) -> Evidence | None:
    """The evidence with the times at which the container was abnormal; without, where too little is known to tell."""
    if evidence is None or condition is None or (condition.state == "unknown" and not condition.events):
        return evidence
    times = (AbnormalTime(one.start, one.end, _most(one)) for one in condition.events)
    return replace(evidence, abnormal=tuple(times))
