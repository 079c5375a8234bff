"""What bounds a workload's numbers beside its use: its namespace, its pod, the nodes, what runs in its containers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from mora.domain import AmountRange, Container, CrashLoop, Reason, Role, WorkloadHistory, WorkloadState, quality_of
from mora.domain.runtimes import JAVA, Runtime, largest
from mora.fleet.settings import Sizing
from mora.policies import PodBounds, PolicySettings, Surroundings
from mora.quantities import counted, format_duration, readable_bytes

# Memory that came so near to its limit, by samples a scrape apart, may have reached it.
_NEAR_THE_LIMIT = 0.8


def policy_of(state: WorkloadState, sizing: Sizing) -> PolicySettings:
    """The policy of the workload, within what its namespace's quotas and LimitRanges ask for."""
    if with_own_cores(state):  # one container without a limit, and no pod is Guaranteed
        return replace(sizing.policy, cpu_limit="request", memory_limit="request")
    if sizing.policy.cpu_limit == "unset" and why_cpu_limits(state) is not None:
        return replace(sizing.policy, cpu_limit="keep")
    return sizing.policy


def around_of(container: Container, state: WorkloadState, history: WorkloadHistory, sizing: Sizing) -> Surroundings:
    """What bounds the numbers of one container, but for the nodes."""
    runtime = runtime_of(container, state, history, sizing)
    return Surroundings(
        autoscalers=state.autoscalers,
        shares_pod=sum(one.role is not Role.INIT for one in state.allocation.containers) > 1,
        limit_range=_container_range(state),
        no_memory_cut=_why_no_memory_cut(container, runtime, sizing) or _killed(container, history),
        no_cut=_why_no_cut(history),
        vpas=state.vpas,
        keeps_cores=container.name in with_own_cores(state),
        runtime=runtime,
    )


def _container_range(state: WorkloadState) -> AmountRange | None:
    """What LimitRanges allow a container. Where each keeps a pod's ratio, so do all of them together."""
    if state.pod_range is None:
        return state.limit_range
    own = state.limit_range or AmountRange()
    return replace(
        own,
        cpu_ratio=_narrower(own.cpu_ratio, state.pod_range.cpu_ratio),
        memory_ratio=_narrower(own.memory_ratio, state.pod_range.memory_ratio),
    )


def _narrower(*ratios: float | None) -> float | None:
    return min((ratio for ratio in ratios if ratio is not None), default=None)


def with_own_cores(state: WorkloadState) -> frozenset[str]:
    """The containers to which a static CPU manager may give cores for their own: whole ones, in Guaranteed pods.

    https://kubernetes.io/docs/tasks/administer-cluster/cpu-management-policies/
    """
    containers = state.allocation.containers
    if quality_of(containers) != "Guaranteed":
        return frozenset()
    return frozenset(
        one.name
        for one in containers
        if one.role is not Role.INIT and (one.resources.cpu_limit_millicores or 1) % 1000 == 0
    )


def pod_bounds(state: WorkloadState, history: WorkloadHistory) -> PodBounds:
    """What bounds the containers of its pods together."""
    is_on_each = state.workload.kind == "DaemonSet"
    return PodBounds(
        limit_range=state.pod_range,
        resources=state.pod_resources,
        rooms=history.rooms,
        nodes="the smallest node that it runs on" if is_on_each else "the largest node",
    )


def crash_loop_of(history: WorkloadHistory) -> CrashLoop | None:
    """The container of the workload that restarts most; None where none keeps restarting."""
    found = [one.crash_loop for one in history.containers.values() if one.crash_loop is not None]
    return max(found, key=lambda one: (one.restarts, one.pod), default=None)


def _why_no_cut(history: WorkloadHistory) -> Reason | None:
    """A pod that keeps restarting serves nothing, so the use of its other containers shows too little, too."""
    loop = crash_loop_of(history)
    if loop is None:
        return None
    times = f"{loop.restarts} restarts in {format_duration(loop.span)}"
    return Reason(
        "crash-loop", f"{loop.container} keeps crashing ({times}), so its use is not that of a working service"
    )


def runtime_of(container: Container, state: WorkloadState, history: WorkloadHistory, sizing: Sizing) -> Runtime | None:
    """What runs in a container, where it may take more memory than it does: by annotation, else by what tells it."""
    main = state.allocation.main
    for name in (container.name, *([""] if main is not None and main.name == container.name else [])):
        if name in sizing.runtimes:
            return sizing.runtimes[name]
    seen = history.containers.get(container.name)
    java = Runtime(JAVA) if container.name in state.jvm else None
    return largest((container.runtime, None if seen is None else seen.runtime, java))


def _why_no_memory_cut(container: Container, runtime: Runtime | None, sizing: Sizing) -> Reason | None:
    """Of a heap whose size nothing fixes, the use says nothing: it follows the memory limit."""
    if sizing.allow_jvm_cut or runtime is None or runtime.name != JAVA or runtime.most_bytes is not None:
        return None
    text = (
        f"memory of a JVM is not cut (allow it with --allow-jvm-cut), since the heap of {container.name} follows its "
        "memory limit and not its use"
    )
    return Reason("kept-jvm", text)


def _killed(container: Container, history: WorkloadHistory) -> Reason | None:
    """What was killed near its memory limit may have run out of it, whatever the reason that the kubelet noted."""
    seen, limit = history.containers.get(container.name), container.resources.memory_limit_bytes
    if seen is None or not seen.killed or limit is None:
        return None
    share = float(np.fmax.reduce(seen.mem_bytes, initial=0.0)) / limit
    if share < _NEAR_THE_LIMIT:
        return None
    text = (
        f"killed {counted(seen.killed, 'time')} (exit code 137) with its memory at up to {share:.0%} of the limit, and "
        "no reason says that it was not for memory"
    )
    return Reason("killed", text)


def runtime_above_limit(container: Container, runtime: Runtime | None) -> tuple[Reason, ...]:
    """A reason where a runtime may take more memory than its container has."""
    limit = container.resources.memory_limit_bytes
    if runtime is None or runtime.most_bytes is None or limit is None or runtime.most_bytes <= limit:
        return ()
    text = (
        f"{runtime.told_by} lets {runtime.name} take {readable_bytes(runtime.most_bytes)}, more than the memory limit "
        f"of {readable_bytes(limit)}: it is killed before it is full. Lower the one or raise the other"
    )
    return (Reason("runtime-above-limit", text),)


def why_cpu_limits(state: WorkloadState) -> Reason | None:
    """Why CPU limits are kept: a quota on limits.cpu, or the maximum of a pod, lets no pod in without one."""
    quota = next((quota for quota in state.quotas if quota.hard.cpu_limit_millicores is not None), None)
    if quota is not None:
        text = f"the ResourceQuota {quota.name} requires a CPU limit on every container, so this one is kept"
        return Reason("quota-needs-limit", text)
    if state.pod_range is not None and state.pod_range.maximum.cpu_limit_millicores is not None:
        text = "the namespace's LimitRange refuses a pod without a CPU limit, so this one is kept"
        return Reason("limit-range", text)
    return None
