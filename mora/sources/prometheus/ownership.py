"""Which pods belong to which workload, by the owners that kube-state-metrics names; never by the look of a name.

pod -> ReplicaSet -> Deployment or Rollout; pod -> Job -> CronJob; pod -> StatefulSet or DaemonSet.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from mora.domain import API_VERSIONS, Workload
from mora.errors import BadInput

Pod = tuple[str, str]
"""Namespace and name of a pod."""

Labels = Mapping[str, str]

# kind of a pod's owner -> the label by which that owner's own series name it.
_BETWEEN: Mapping[str, str] = {"ReplicaSet": "replicaset", "Job": "job_name"}


@dataclass(frozen=True, slots=True)
class Owners:
    """Pods of workloads. refused: what is called as nothing in Kubernetes can be, and so is left out."""

    pods: Mapping[Pod, Workload]
    refused: tuple[str, ...] = ()
    between: Mapping[tuple[str, str, str], Workload] = field(default_factory=dict)
    """(namespace, "ReplicaSet" or "Job", its name) -> the workload above it."""


def resolve(pods: Iterable[Labels], replica_sets: Iterable[Labels], jobs: Iterable[Labels]) -> Owners:
    """The workload of each pod; bare pods and pods of other kinds (custom resources) are skipped.

    pods, replica_sets, jobs: labels of kube_pod_owner, kube_replicaset_owner, kube_job_owner, doubled or not.

    >>> pod = {"namespace": "shop", "pod": "web-7d4-x", "owner_kind": "ReplicaSet", "owner_name": "web-7d4"}
    >>> above = {"namespace": "shop", "replicaset": "web-7d4", "owner_kind": "Deployment", "owner_name": "web"}
    >>> resolve([pod], [above], []).pods
    {('shop', 'web-7d4-x'): Workload(namespace='shop', name='web', kind='Deployment')}
    """
    refused: dict[str, None] = {}
    between: dict[tuple[str, str, str], Workload] = {}
    for kind, rows in (("ReplicaSet", replica_sets), ("Job", jobs)):
        for labels in rows:
            name = labels.get(_BETWEEN[kind], "")
            above = _workload(labels, refused)
            if above is None and kind == "Job" and labels.get("owner_kind") in (None, "", "<none>"):
                above = _named(labels, "Job", name, refused)
            if above is not None:
                between[labels.get("namespace", ""), kind, name] = above
    owned: dict[Pod, Workload] = {}
    for labels in pods:
        kind = labels.get("owner_kind", "")
        if kind in _BETWEEN:
            workload = between.get((labels.get("namespace", ""), kind, labels.get("owner_name", "")))
            if workload is None and kind == "Job":  # an older kube-state-metrics has no kube_job_owner
                workload = _workload(labels, refused)
        else:
            workload = _workload(labels, refused)
        if workload is not None:
            owned[labels.get("namespace", ""), labels.get("pod", "")] = workload
    return Owners(owned, tuple(refused), between)


def _workload(labels: Labels, refused: dict[str, None]) -> Workload | None:
    kind = labels.get("owner_kind", "")
    return _named(labels, kind, labels.get("owner_name", ""), refused) if kind in API_VERSIONS else None


def _named(labels: Labels, kind: str, name: str, refused: dict[str, None]) -> Workload | None:
    try:
        return Workload(labels.get("namespace", ""), name, kind)
    except BadInput as error:
        refused[f"A {kind} is skipped: {error.message}"] = None
        return None
