"""Argo Rollouts, as kube-state-metrics tells them: canaries beside stable pods, and templates in a Deployment."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from mora.domain import Reason, Workload
from mora.sources.prometheus.ownership import Labels, Owners, Pod

_ELSEWHERE = Reason(
    "template-elsewhere",
    "the Deployment of its name has no pods, so its template is taken for the Rollout's (workloadRef); change it there",
)
_CANARY = Reason("canary", "its pods are of several ReplicaSets (a canary): compared is what those of the largest have")


def sets_of(pod_owners: Iterable[Labels]) -> dict[Pod, str]:
    """The ReplicaSet of each pod that has one."""
    return {
        (labels.get("namespace", ""), labels.get("pod", "")): labels.get("owner_name", "")
        for labels in pod_owners
        if labels.get("owner_kind") == "ReplicaSet"
    }


def template_in(
    workload: Workload, replicas: Mapping[Workload, int | None], newest: Mapping[Workload, object]
) -> Workload | None:
    """The Deployment of a Rollout's name that has neither replicas nor pods: a workloadRef leaves it only the template.

    newest: the workloads that have pods.
    """
    if workload.kind != "Rollout":
        return None
    deployment = replace(workload, kind="Deployment")
    return deployment if replicas.get(deployment) == 0 and deployment not in newest else None


def reasons(
    workload: Workload, owners: Owners, sets: Mapping[Pod, str], elsewhere: Workload | None
) -> tuple[Reason, ...]:
    """What is unusual about a Rollout: its template is that of a Deployment, its pods are not alike."""
    if workload.kind != "Rollout":
        return ()
    of_it = {sets.get(pod) for pod, owner in owners.pods.items() if owner == workload}
    return (*([] if elsewhere is None else [_ELSEWHERE]), *([_CANARY] if len(of_it) > 1 else []))
