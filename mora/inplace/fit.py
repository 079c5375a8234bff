"""What a running pod can be given of what is recommended for its workload. Pure.

A request goes to the recommended number, a cut at most half of the way at a time for CPU and 30 % for memory. A limit
follows its request up, in the ratio that they have now, and stays where it is when the request falls: a resize cannot
remove a limit, and a CPU limit cut with its request would throttle. A memory limit is what is recommended. Numbers that
an HPA measures against, or that a VPA sets, stay. What no resize may do in a pod (another QoS class, an added or a
removed amount) mora/outputs/resize.py knows, for the script and the loop alike.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from mora.clusters.objects import read_resources
from mora.clusters.pods import LOWERS_MEMORY
from mora.domain import (
    Advice,
    Allocation,
    Autoscaler,
    Container,
    ContainerAdvice,
    Evidence,
    Recommendation,
    Resources,
    Target,
    VerticalScaler,
)
from mora.domain.pods import RunningContainer, RunningPod
from mora.outputs.resize import pod_patch
from mora.policies import PolicySettings
from mora.quantities import MIB, bytes_up, format_cpu, format_memory

_NEVER = datetime(1970, 1, 1, tzinfo=UTC)
# The code of a cut that is deferred since the workload is not itself; with what is running it is compared here.
_DEFERRED = "deferred-abnormal"
_SLACK = 1.05
"""A CPU limit is at least so much above the highest use that was seen."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """One container: what is set now, and what is to be, before the change rule.

    notes: what stays, and why. least_memory_bytes: a memory request below it is raised at once.
    """

    now: Resources
    then: Resources
    confidence: tuple[float | None, float | None]
    notes: tuple[str, ...] = ()
    least_memory_bytes: float = 0.0


def wanted_of(pod: RunningPod, recommendation: Recommendation) -> dict[str, Wanted]:
    """What is recommended for the containers of a pod that run now, by name; those without advice are left out."""
    found = {}
    for advice in recommendation.containers:
        running = pod.container(advice.container)
        if running is None:
            continue
        now, then, notes = running.resources, running.resources, []
        for target, number in ((Target.CPU, advice.cpu_request), (Target.MEMORY, advice.memory_request)):
            if number.value is None:
                continue
            why = _ruled_by(recommendation.autoscalers, recommendation.vpas, advice.container, target)
            if why is not None:
                notes.append(why)
                continue
            cuts = not any(reason.code == _DEFERRED for reason in number.reasons)
            if target is Target.CPU:
                then = replace(then, cpu_request_millicores=_or_kept(now.cpu_request_millicores, number.value, cuts))
            else:
                request = _or_kept(now.memory_request_bytes, number.value, cuts)
                # Where no limit is recommended the pod keeps its own: a resize cannot remove it.
                wanted_limit = advice.memory_limit.value or now.memory_limit_bytes or number.value
                limit = _or_kept(now.memory_limit_bytes, wanted_limit, cuts)
                then = replace(then, memory_request_bytes=request, memory_limit_bytes=max(limit, request))
        confidence = (advice.cpu_request.confidence, advice.memory_request.confidence)
        found[advice.container] = Wanted(now, then, confidence, tuple(notes), advice.least_memory_bytes)
    return found


def _or_kept(now: int | None, then: int, cuts: bool) -> int:
    return then if cuts or now is None else max(now, then)


def stepped(now: Resources, then: Resources, policy: PolicySettings) -> Resources:
    """The first step on the way from what is set to what is wanted: no number is cut by more than the policy's share.

    >>> stepped(Resources(1000), Resources(100), PolicySettings()).cpu_request_millicores
    500
    """

    def step(name: str, max_cut: float, unit: int) -> int | None:
        before: int | None = getattr(now, name)
        after: int | None = getattr(then, name)
        if before is None or after is None or after >= before:
            return after
        return max(after, bytes_up(before * (1 - max_cut), unit=unit))

    return Resources(
        step("cpu_request_millicores", policy.max_cpu_cut, 1),
        then.cpu_limit_millicores,
        step("memory_request_bytes", policy.max_memory_cut, MIB),
        step("memory_limit_bytes", policy.max_memory_cut, MIB),
    )


def _ruled_by(
    autoscalers: tuple[Autoscaler, ...], vpas: tuple[VerticalScaler, ...], container: str, target: Target
) -> str | None:
    """What else decides by, or sets, a request of a container; None where nothing does."""
    for scaler in autoscalers:
        if scaler.is_utilisation and scaler.resource is target and scaler.container in (None, container):
            return (
                f"the HPA {scaler.name} scales on {target.value} utilisation, which another request would move: its "
                f"{target.value} stays"
            )
    for vpa in vpas:
        if vpa.rules(container, target):
            return f"the VPA {vpa.name} (mode {vpa.mode}) sets its {target.value} request: it stays"
    return None


def left_to_others(wanted: Mapping[str, Resources], recommendation: Recommendation) -> dict[str, Resources]:
    """What is wanted, without what an HPA or a VPA decides by: that stays in every pod as it is there."""
    found = {}
    for name, one in wanted.items():
        if _ruled_by(recommendation.autoscalers, recommendation.vpas, name, Target.CPU) is not None:
            one = replace(one, cpu_request_millicores=None, cpu_limit_millicores=None)
        if _ruled_by(recommendation.autoscalers, recommendation.vpas, name, Target.MEMORY) is not None:
            one = replace(one, memory_request_bytes=None, memory_limit_bytes=None)
        found[name] = one
    return found


def possible(
    pod: RunningPod,
    wanted: Mapping[str, Resources],
    recommendation: Recommendation | None,
    version: tuple[int, int],
) -> tuple[dict[str, Resources], tuple[str, ...]]:
    """What a resize can give a pod of what is wanted of it, container -> resources; and remarks on what stays.

    recommendation: for the highest CPU use that was seen; None where the pod only gets what others of it have. Empty
    where nothing is to change. wanted: an amount that is None stays as the pod has it.
    """
    evidence = {} if recommendation is None else {one.container: one.evidence for one in recommendation.containers}
    advised, notes = [], []
    for one in pod.containers:
        then, now = wanted.get(one.name), one.resources
        if then is None:
            continue
        seen = evidence.get(one.name)
        then = replace(then, cpu_limit_millicores=_cpu_limit(now, then, None if seen is None else seen.cpu_peak_cores))
        then, kept = _without_restart(one, then)
        notes += kept
        peak = None if seen is None else seen.mem_peak_bytes
        if _lowers_memory(now, then) and peak is not None:
            floor = min(now.memory_limit_bytes or 0, bytes_up(peak, unit=MIB))
            then = replace(then, memory_limit_bytes=max(then.memory_limit_bytes or 0, floor))
        if _lowers_memory(now, then) and version < LOWERS_MEMORY:
            then = replace(then, memory_limit_bytes=now.memory_limit_bytes)
            notes.append(
                f"container {one.name} keeps its memory limit: Kubernetes {version[0]}.{version[1]} lowers none "
                "without a restart"
            )
        advised.append(_advice(one.spec, now, then, seen))
    if not advised:
        return {}, tuple(notes)
    first, *others = advised
    patch, remarks = pod_patch(
        Recommendation(
            workload=pod.workload,
            current=Allocation(containers=tuple(one.spec for one in pod.containers)),
            load=None,
            as_of=_NEVER,
            containers=(replace(first, is_main=True), *others),
            replicas=Advice(None, None),
        )
    )
    given = {
        one["name"]: read_resources(one)
        for part in ("containers", "initContainers")
        for one in (patch.get("spec") or {}).get(part) or []
    }
    return given, (*notes, *remarks)


def _cpu_limit(now: Resources, then: Resources, peak_cores: float | None) -> int | None:
    """The CPU limit that goes with a new request: up with it in the ratio of now, never down with it."""
    limit, before, request = now.cpu_limit_millicores, now.cpu_request_millicores, then.cpu_request_millicores
    if limit is None or request is None:
        return limit
    in_ratio = math.ceil(request * limit / before) if before and request > before else limit
    seen = 0 if peak_cores is None else math.ceil(peak_cores * 1000 * _SLACK)
    return max(limit, in_ratio, min(seen, 2 * limit))


def _without_restart(one: RunningContainer, then: Resources) -> tuple[Resources, list[str]]:
    """What is wanted without what would restart the container: all of a workload's would restart at once."""
    now, notes = one.resources, []
    if Target.CPU in one.restarted_by and then.cpu_request_millicores != now.cpu_request_millicores:
        notes.append(f"container {one.name} keeps its CPU: its resizePolicy restarts it")
    if Target.MEMORY in one.restarted_by and (then.memory_request_bytes, then.memory_limit_bytes) != (
        now.memory_request_bytes,
        now.memory_limit_bytes,
    ):
        notes.append(f"container {one.name} keeps its memory: its resizePolicy restarts it")
    if Target.CPU in one.restarted_by:
        then = replace(
            then, cpu_request_millicores=now.cpu_request_millicores, cpu_limit_millicores=now.cpu_limit_millicores
        )
    if Target.MEMORY in one.restarted_by:
        then = replace(then, memory_request_bytes=now.memory_request_bytes, memory_limit_bytes=now.memory_limit_bytes)
    return then, notes


def _lowers_memory(now: Resources, then: Resources) -> bool:
    limit, before = then.memory_limit_bytes, now.memory_limit_bytes
    return limit is not None and before is not None and limit < before


def _advice(spec: Container, now: Resources, then: Resources, seen: Evidence | None) -> ContainerAdvice:
    def number(before: int | None, after: int | None) -> Advice:
        return Advice(before, after)

    return ContainerAdvice(
        spec.name,
        number(now.cpu_request_millicores, then.cpu_request_millicores),
        number(now.cpu_limit_millicores, then.cpu_limit_millicores),
        number(now.memory_request_bytes, then.memory_request_bytes),
        number(now.memory_limit_bytes, then.memory_limit_bytes),
        role=spec.role,
        evidence=seen,
    )


def in_words(before: Resources, after: Resources) -> str:
    """What changes of a container's four numbers, for the log.

    >>> in_words(Resources(200, None, 2**28, 2**28), Resources(120, None, 2**28, 2**28))
    'CPU request 200m -> 120m'
    """
    parts = []
    for word, name, write in (
        ("CPU request", "cpu_request_millicores", format_cpu),
        ("CPU limit", "cpu_limit_millicores", format_cpu),
        ("memory request", "memory_request_bytes", format_memory),
        ("memory limit", "memory_limit_bytes", format_memory),
    ):
        old, new = getattr(before, name), getattr(after, name)
        if old != new:
            parts.append(f"{word} {'-' if old is None else write(old)} -> {'-' if new is None else write(new)}")
    return ", ".join(parts)
