"""Whether a namespace's ResourceQuota has room for all of its advice together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from mora.domain import JOB_KINDS, Quota, Reason, Recommendation, WorkloadState
from mora.quantities import format_cpu, format_memory

# Field of Resources -> how a ResourceQuota names it.
_NAMES: Mapping[str, str] = {
    "cpu_request_millicores": "requests.cpu",
    "cpu_limit_millicores": "limits.cpu",
    "memory_request_bytes": "requests.memory",
    "memory_limit_bytes": "limits.memory",
}


def with_quotas(advice: Sequence[Recommendation], states: Sequence[WorkloadState]) -> list[Recommendation]:
    """The advice of one namespace, with a reason on every workload that would grow beyond what its quotas allow.

    The pods that run now count (replicas; a DaemonSet's where known), not those of jobs, which come and go.
    """
    quotas = {quota.name: quota for state in states for quota in state.quotas}
    added: dict[int, list[Reason]] = {number: [] for number in range(len(advice))}
    for quota in quotas.values():
        for name in _NAMES:
            growth = [_growth(one, name) for one in advice]
            text = _over(quota, name, growth)
            for number, change in enumerate(growth):
                if text is not None and change > 0:
                    added[number].append(Reason("quota", text))
    return [replace(one, reasons=(*one.reasons, *added[number])) for number, one in enumerate(advice)]


def _growth(advice: Recommendation, name: str) -> int:
    """By how much all pods of a workload together would ask for more of a resource, less being negative."""
    replicas = advice.current.replicas
    if replicas is None or advice.workload.kind in JOB_KINDS:
        return 0
    now, then = advice.current.effective(name), advice.target.effective(name)
    return then * (advice.target.replicas or replicas) - now * replicas


def _over(quota: Quota, name: str, growth: Sequence[int]) -> str | None:
    hard, used = getattr(quota.hard, name), getattr(quota.used, name)
    if hard is None:
        return None
    write = format_cpu if name.startswith("cpu") else format_memory
    free = hard - (used or 0)
    net, raises = sum(growth), sum(change for change in growth if change > 0)
    what = f"the ResourceQuota {quota.name} ({_NAMES[name]} {write(hard)}, {write(used or 0)} of it in use)"
    if net > free:
        return f"{what} is too small for all recommendations of this namespace: they need {write((used or 0) + net)}"
    if raises > free:
        return (
            f"{what} is large enough for all recommendations of this namespace only after the cuts: apply those first"
        )
    return None
