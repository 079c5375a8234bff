"""CPU requests that add up to what a node must hold, and not to the sum of what each of its pods may need at its worst.

Pods peak at different times. The scheduler adds up requests, so a node is full when every pod could peak at once. The
bound rule on what the pods of a node used together says what they need together; each request is scaled by that over
the sum, the largest factor of the nodes that a workload runs on. So the requests on every node still add up to at least
what it must hold. Memory is not pooled: what is short of it is killed, and what is short of CPU waits.
Source: Bashir et al. (2021), "Take it to the Limit: Peak Prediction-driven Resource Overcommitment in Datacenters".
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

import numpy as np
from numpy.typing import NDArray

from mora.bounds.cpu import cpu_bounds_many
from mora.domain import (
    JOB_KINDS,
    Advice,
    ContainerAdvice,
    NodeLoad,
    Reason,
    Recommendation,
    Role,
    Target,
    Window,
    WorkloadState,
    quality_of,
)
from mora.fleet.settings import FleetSettings, Sizing, sizing_of
from mora.policies import PolicySettings
from mora.quantities import counted, format_cpu, readable_cores

Floats = NDArray[np.float64]

# As many past windows as the bound of a node has to rest on.
_LEAST_WINDOWS = 3
_MOST_NAMED = 3


@dataclass(frozen=True, slots=True)
class PooledNode:
    """A node, in cores. alone: the sum of what is recommended for each pod that stays. together: what all use, bounded.

    Pods of jobs are in the use alone: what they request goes with them, and must not be what the others rest on.
    confidence: the stated chance, 0..1, that it covers the horizon. windows: how many it was learnt from.
    """

    name: str
    pods: int
    alone: float
    together: float
    confidence: float
    windows: int

    @property
    def factor(self) -> float:
        """What of each request is left, 0..1."""
        return min(self.together / self.alone, 1.0) if self.alone > 0 else 1.0


def pooled_nodes(
    advice: Sequence[Recommendation], loads: Sequence[NodeLoad], window: Window, horizon: timedelta
) -> dict[str, PooledNode]:
    """Every node whose past is long enough, by name; loads: of the same workloads and no others."""
    each = {one.workload: _pod_millicores(one) / 1000 for one in advice}
    found = {}
    for load in loads:
        use = load.as_now()
        known = np.flatnonzero(~np.isnan(use))
        windows = int((len(use) - known[0]) * window.step / horizon) if len(known) else 0
        if windows < _LEAST_WINDOWS:
            continue
        bound = cpu_bounds_many(
            use[None],
            step_seconds=window.step.total_seconds(),
            decisions=np.array([len(use)]),
            horizon_seconds=horizon.total_seconds(),
        )
        together = float(bound.requests[0, 0])
        if math.isnan(together):
            continue
        stay = {workload: count for workload, count in load.pods.items() if workload.kind not in JOB_KINDS}
        found[load.node] = PooledNode(
            load.node,
            sum(stay.values()),
            sum(each.get(workload, 0.0) * count for workload, count in stay.items()),
            together,
            float(bound.confidence[0, 0]),
            windows,
        )
    return found


def with_pools(
    advice: Sequence[Recommendation],
    states: Sequence[WorkloadState],
    loads: Sequence[NodeLoad],
    nodes: Mapping[str, PooledNode],
    settings: FleetSettings,
) -> list[Recommendation]:
    """The same advice with CPU requests that add up to what each node must hold; a reason where one is not pooled."""
    of_state = {one.workload: one for one in states}
    return [_with_pool(one, of_state.get(one.workload), loads, nodes, settings) for one in advice]


def _with_pool(
    advice: Recommendation,
    state: WorkloadState | None,
    loads: Sequence[NodeLoad],
    nodes: Mapping[str, PooledNode],
    settings: FleetSettings,
) -> Recommendation:
    # Without a number there may be an annotation, too, that cannot be read.
    if all(one.cpu_request.value is None for one in advice.containers):
        return advice
    sizing = Sizing(settings.policy) if state is None else sizing_of(state, settings)
    homes = [load.node for load in loads if load.pods.get(advice.workload, 0)]
    why = _why_not(advice, state, sizing, homes, nodes)
    if why is not None:
        return replace(advice, reasons=(*advice.reasons, Reason("not-pooled", f"not pooled: {why}")))
    node = max((nodes[home] for home in homes), key=lambda one: (one.factor, one.name))
    if node.factor >= 1.0:
        return advice
    minimum = None if state is None or state.limit_range is None else state.limit_range.minimum.cpu_request_millicores
    least = max(sizing.policy.cpu_floor_millicores, minimum or 0)
    containers = tuple(
        one if one.role is Role.INIT else replace(one, cpu_request=_pooled(one, node, least, sizing.policy))
        for one in advice.containers
    )
    return replace(advice, containers=containers)


def _why_not(
    advice: Recommendation,
    state: WorkloadState | None,
    sizing: Sizing,
    homes: Sequence[str],
    nodes: Mapping[str, PooledNode],
) -> str | None:
    if advice.workload.kind in JOB_KINDS:
        return "the pods of a job come and go"
    if any(reason.code == "deferred-abnormal" for reason in advice.reasons):
        return "it is abnormal now, so nothing of it is cut"
    if any(one.is_utilisation and one.resource is Target.CPU for one in advice.autoscalers):
        return "an HPA scales on its CPU requests"
    if sizing.cpu_quantile is not None:
        return f"cpu-quantile asks for {sizing.cpu_quantile:.0%} of its own samples"
    if quality_of(advice.target.containers) == "Guaranteed":
        return "its pods are Guaranteed, so their CPU limits would have to follow, and it could not have idle CPU"
    if state is not None and state.limit_range is not None and state.limit_range.cpu_ratio is not None:
        return "a LimitRange ties the CPU limit to the request"
    if not homes:
        return "which nodes its pods run on is not known"
    young = sorted(home for home in homes if home not in nodes)
    if young:
        more = f" and {len(young) - _MOST_NAMED} others" if len(young) > _MOST_NAMED else ""
        return f"no past of {_LEAST_WINDOWS} windows is known of {', '.join(young[:_MOST_NAMED])}{more}"
    return None


def _pooled(container: ContainerAdvice, node: PooledNode, least: int, policy: PolicySettings) -> Advice:
    """A request after pooling: never more than before, and no further down than one change may go."""
    before = container.cpu_request
    if before.value is None:
        return before
    # Limit-bound use, a crash loop: what it needs is not known, so neither is what the node needs for it.
    if before.confidence is None:
        text = "not pooled: no confidence is known of what it needs alone"
        return replace(before, reasons=(*before.reasons, Reason("not-pooled", text)))
    alone = before.value if before.goal is None else before.goal
    goal = max(math.ceil(round(alone * node.factor, 6)), least)
    value = goal
    if before.now is not None and not policy.allow_any_step:
        value = max(goal, math.ceil(round(before.now * (1 - policy.max_cpu_cut), 6)))
    if value >= before.value and goal >= alone:
        return before
    if before.now is not None and value < before.now and before.now - value < policy.min_change * before.now:
        return before
    value = min(value, before.value)
    text = (
        f"pooled: the {counted(node.pods, 'pod')} on {node.name} need {readable_cores(node.together)} together, and "
        f"each alone would add up to {readable_cores(node.alone)}: {node.factor:.0%} of {format_cpu(alone)} = "
        f"{format_cpu(goal)}. The confidence is that of the node"
    )
    return replace(
        before,
        value=value,
        goal=goal if goal < value else None,
        confidence=node.confidence,
        windows=node.windows,
        reasons=(*before.reasons, Reason("pooled", text)),
        summary=f"pooled on its node: {node.factor:.0%} of {format_cpu(alone)}",
    )


def _pod_millicores(advice: Recommendation) -> int:
    """What a pod would request by the advice, after the last step: the containers that run."""
    total = 0
    for one in advice.containers:
        if one.role is Role.INIT:
            continue
        number = one.cpu_request.at_goal
        total += (number.now if number.value is None else number.value) or 0
    return total
