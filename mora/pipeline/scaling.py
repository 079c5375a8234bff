"""Replicas from history: each workload's past demand is read, and an autoscaler is chosen by it (mora/replicas)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from mora import values
from mora.domain import (
    Allocation,
    Reason,
    Recommendation,
    Role,
    Scaling,
    ScalingRule,
    TotalUse,
    Window,
)
from mora.errors import BadInput, MoraError
from mora.quantities import counted, format_cpu, format_duration
from mora.seams import DemandSource, FleetSource, Reporter, Silent

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from mora.policies import PolicySettings
    from mora.replicas import Choice

_STEP = timedelta(minutes=1)
# Two days to choose on, and one that takes no part.
_LEAST_DAYS = 3
# Room above the most that ran in the past.
_HEADROOM = 2
_MINUTE = timedelta(minutes=1)
# One pod, and one that runs while the node of the other is drained.
_SPARE = 2
# Of a CPU request: use that a limit holds down.
_AT_LIMIT = frozenset({"limit-bound", "raised-limit-bound", "kept-limit-bound"})


@dataclass(frozen=True, slots=True)
class DemandQuestion:
    """start_up: of a pod, until it serves. query, per_pod: PromQL of the demand, and how much of it a pod carries.

    Without a query the demand is the CPU of all pods, and a pod carries its CPU request.
    """

    start_up: timedelta = timedelta(minutes=1)
    query: str | None = None
    per_pod: float | None = None


def question_of(start_up: str | None, query: str | None, per_pod: float | None) -> DemandQuestion:
    """From the flags; BadInput says what does not go together."""
    if (query is None) != (per_pod is None):
        raise BadInput(
            "--demand is a query, and --demand-per-pod is how much of its answer one pod carries: give both.",
            hint="For example: --demand 'sum(rate(requests_total{app=\"$service\"}[$window]))' --demand-per-pod 50",
        )
    if per_pod is not None and not (math.isfinite(per_pod) and per_pod > 0):
        raise BadInput(f"--demand-per-pod must be above 0, not {per_pod}.")
    try:
        waited = _MINUTE if start_up is None else values.written_span(start_up)
    except BadInput as error:
        raise BadInput(f"--pod-start-up: {error.message}", hint="For example: --pod-start-up 90s") from error
    if waited > timedelta(hours=1):
        raise BadInput(f"--pod-start-up must be at most 1h, not {format_duration(waited)}.")
    return DemandQuestion(waited, query, per_pod)


def with_scaling(
    advice: Sequence[Recommendation],
    source: FleetSource,
    window: Window,
    question: DemandQuestion,
    policy: PolicySettings,
    *,
    reporter: Reporter | None = None,
) -> list[Recommendation]:
    """The same advice with how an autoscaler is best set for each workload, or the reason why there is no such thing.

    Raises BadInput where the source is no Prometheus, or a query of one's own is asked of several workloads.
    """
    if not isinstance(source, DemandSource):
        raise BadInput(
            "--replicas history reads a demand by PromQL, and this source is no Prometheus.",
            hint="Name one: --prometheus URL.",
        )
    if question.query is not None and len(advice) != 1:
        raise BadInput(
            f"--demand is the query of one workload, and {len(advice)} are asked for.",
            hint="Name it: mora recommend frontend --replicas history --demand ...",
        )
    reporter = reporter or Silent()
    fine = Window(window.end - (window.end - window.start) // _STEP * _STEP, window.end, _STEP)
    found = []
    for number, one in enumerate(advice, 1):
        found.append(_with_scaling(one, source, fine, question, policy))
        reporter.advance("replicas", number, len(advice), one.workload.namespace)
    return found


def _with_scaling(
    advice: Recommendation, source: DemandSource, window: Window, question: DemandQuestion, policy: PolicySettings
) -> Recommendation:
    import numpy as np

    from mora.sources.prometheus.demand import KINDS

    def without(why: str) -> Recommendation:
        return replace(
            advice, reasons=(*advice.reasons, Reason("scaling-unknown", f"no autoscaler from history: {why}"))
        )

    if advice.workload.kind not in KINDS:
        return without(f"it is for a {' or a '.join(KINDS)}, and this is a {advice.workload.kind}")
    per_pod = question.per_pod or _carried(advice)
    if not per_pod:
        return without("how much CPU a pod requests is not known")
    if question.query is None and any(
        reason.code in _AT_LIMIT for one in advice.containers for reason in one.cpu_request.reasons
    ):
        return without("its CPU use is limit-bound, so how much it would use is not known until the limit is raised")
    try:
        use = source.total_use(advice.workload, window, question.query)
    except MoraError as error:
        if question.query is not None or isinstance(error, BadInput):
            raise
        return without(error.message)
    known = np.flatnonzero(~np.isnan(use.values))
    if len(known) * _STEP < timedelta(days=_LEAST_DAYS):
        span = format_duration(len(known) * _STEP, about=True) if len(known) else "nothing"
        return without(f"{_LEAST_DAYS} days of demand are needed, and {span} is known")
    demand = use.values[known[0] :] / per_pod
    start = window.start + int(known[0]) * _STEP
    scaling = _scaling(demand, start, use, per_pod, question, policy, advice)
    advice = replace(advice, scaling=scaling, reasons=(*advice.reasons, _told(scaling)))
    if scaling.by_hpa is None:
        return advice
    rule = scaling.by_hpa
    millicores = max(math.ceil(round(rule.target * per_pod * 1000, 6)), 1)
    return replace(
        advice,
        hpa_average_value_millicores=millicores,
        hpa_min_replicas=rule.least,
        hpa_max_replicas=rule.most,
        reasons=(
            *(one for one in advice.reasons if one.code != "hpa-average-value"),
            _told_of_hpa(rule, millicores),
        ),
    )


def _carried(advice: Recommendation) -> float:
    """The cores that a pod requests, as recommended, else as it is: all containers that run, as an HPA adds them up."""
    running = {one.name for one in advice.current.containers if one.role is not Role.INIT}
    total = 0
    for one in advice.containers:
        if one.container not in running:
            continue
        request = one.cpu_request.now if one.cpu_request.value is None else one.cpu_request.value
        if not request:
            return 0.0
        total += request
    return total / 1000


def _scaling(
    demand: NDArray[np.float64],
    start: datetime,
    use: TotalUse,
    per_pod: float,
    question: DemandQuestion,
    policy: PolicySettings,
    advice: Recommendation,
) -> Scaling:
    from mora.replicas import Setting, choose

    current, is_cpu = advice.current, question.query is None
    least = _least(current, policy)
    limit = _limit(advice) if is_cpu else math.inf
    setting = Setting(_STEP, question.start_up, least=least, most=policy.max_replicas, limit=limit)
    best = _rule(choose(demand, start, setting), current, policy, least)
    by_hpa = _rule(choose(demand, start, setting, may_smooth=False), current, policy, least) if is_cpu else None
    return Scaling(use.query, is_cpu, per_pod, _STEP, values.shown(use.server), best, by_hpa)


def _least(current: Allocation, policy: PolicySettings) -> int:
    """The fewest replicas that may be set: what the HPA has, and a second one where there is one.

    How few are enough for the demand says nothing of a node that is drained.
    """
    kept = min(current.replicas or 1, _SPARE) if current.autoscaler is None else current.autoscaler.min_replicas
    least = max(policy.min_replicas, kept)
    return least if policy.max_replicas is None else min(least, policy.max_replicas)


def _limit(advice: Recommendation) -> float:
    """How far a pod's CPU use can be above its requests, by the container whose limit is next; inf without limits."""
    found = math.inf
    for one in advice.containers:
        request, limit = one.cpu_request, one.cpu_limit
        of_request = request.now if request.value is None else request.value
        of_limit = None if limit.is_unset else limit.now if limit.value is None else limit.value
        if one.role is not Role.INIT and of_request and of_limit:
            found = min(found, of_limit / of_request)
    return found


def _rule(choice: Choice, current: Allocation, policy: PolicySettings, least: int) -> ScalingRule:
    most = _HEADROOM * choice.most
    if current.autoscaler is not None:
        most = max(most, current.autoscaler.max_replicas)
    if policy.max_replicas is not None:
        most = min(most, policy.max_replicas)
    return ScalingRule(
        target=choice.scaler.target,
        over=choice.scaler.over,
        spreads=choice.scaler.spreads,
        stabilisation=choice.scaler.stabilisation,
        floors=choice.floors,
        least=max(choice.least, least),
        usual=choice.usual,
        most=max(most, choice.least, least),
        pod_hours=choice.held_out.pod_hours,
        minutes_over=choice.held_out.over,
        plain_minutes_over=choice.held_out.plain_over,
        tested=choice.held_out.span,
        is_rejected=choice.rejected is not None,
    )


def _told_of_hpa(rule: ScalingRule, millicores: int) -> Reason:
    text = (
        f"an HPA (-o hpa) would add a replica above {format_cpu(millicores)} per pod ({rule.target:.0%} of a pod's "
        f"requests), from {rule.least} to {counted(rule.most, 'replica')}, and take none away within "
        f"{format_duration(rule.stabilisation)}: {_saved(rule)}"
    )
    return Reason("hpa-average-value", text)


def _saved(rule: ScalingRule) -> str:
    share = 1 - rule.pod_hours
    less = f"{abs(share):.0%} {'fewer' if share >= 0 else 'more'} pod-hours than an HPA at 70 %"
    tested = format_duration(rule.tested, about=True)
    return (
        f"{less}, {rule.minutes_over:.0f} minutes short of pods beside its {rule.plain_minutes_over:.0f}, on the last "
        f"{tested} of the history, which took no part in the choice"
    )


def _told(scaling: Scaling) -> Reason:
    rule = scaling.rule
    between = f"{rule.least} to {counted(rule.most, 'replica')}"
    if rule.is_rejected:
        text = f"from history: an HPA at 70 %, {between}; no other setting did better on what came after"
        return Reason("scaling", text)
    floors = f", with {counted(len(rule.floors), 'scheduled minimum')}" if rule.floors else ""
    how = "-o keda, or -o hpa" if scaling.by_hpa is not None else "-o keda"
    return Reason("scaling", f"from history: {between}{floors} ({how}); {_saved(rule)}")
