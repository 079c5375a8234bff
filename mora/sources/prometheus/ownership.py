"""Which pods belong to which workload, by the owners that kube-state-metrics names; never by the look of a name.

pod -> ReplicaSet -> Deployment or Rollout; pod -> Job -> CronJob; pod -> ReplicationController -> DeploymentConfig;
pod -> StatefulSet, DaemonSet or any other kind. Pods without an owner, and the static pods of nodes, are workloads of
kind Pod. Runs that nothing owns (Jobs, Workflows) are one workload by what their names have in common.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from mora.domain import RUN_KINDS, Workload
from mora.domain.kinds import is_kind, is_nobody, top_owner
from mora.errors import BadInput

Pod = tuple[str, str]
"""Namespace and name of a pod."""

Labels = Mapping[str, str]

# kind of a pod's owner -> the metric by which that owner's own owner is known, and the label with its name.
BETWEEN: Mapping[str, tuple[str, str]] = {
    "ReplicaSet": ("kube_replicaset_owner", "replicaset"),
    "Job": ("kube_job_owner", "job_name"),
    "ReplicationController": ("kube_replicationcontroller_owner", "replicationcontroller"),
}
OWNER_METRICS = ("kube_pod_owner", *(metric for metric, _ in BETWEEN.values()))


@dataclass(frozen=True, slots=True)
class Owners:
    """Pods of workloads. refused: what is called as nothing in Kubernetes can be, and so is left out."""

    pods: Mapping[Pod, Workload]
    refused: tuple[str, ...] = ()
    between: Mapping[tuple[str, str, str], Workload] = field(default_factory=dict)
    """(namespace, kind between pod and workload, its name) -> the workload above it."""
    runs: Mapping[Pod, str] = field(default_factory=dict)
    """Pod of a run -> the name of the run: ten parallel pods of one Job are one run."""
    orphans: Mapping[str, frozenset[Workload]] = field(default_factory=dict)
    """Metric that lacks the owners of some ReplicaSets (or such) -> the workloads that these stand for themselves."""


def resolve(
    pods: Iterable[Labels],
    replica_sets: Iterable[Labels],
    jobs: Iterable[Labels],
    controllers: Iterable[Labels] = (),
) -> Owners:
    """The workload of each pod.

    pods, replica_sets, jobs, controllers: labels of OWNER_METRICS, doubled or not.

    >>> pod = {"namespace": "shop", "pod": "web-7d4-x", "owner_kind": "ReplicaSet", "owner_name": "web-7d4"}
    >>> above = {"namespace": "shop", "replicaset": "web-7d4", "owner_kind": "Deployment", "owner_name": "web"}
    >>> resolve([pod], [above], []).pods
    {('shop', 'web-7d4-x'): Workload(namespace='shop', name='web', kind='Deployment')}
    """
    refused: dict[str, None] = {}
    between: dict[tuple[str, str, str], Workload] = {}
    for (kind, (_, label)), rows in zip(BETWEEN.items(), (replica_sets, jobs, controllers), strict=True):
        for labels in rows:
            namespace, name = labels.get("namespace", ""), labels.get(label, "")
            owner = labels.get("owner_kind") or "", labels.get("owner_name") or ""
            above = _workload(namespace, *top_owner(name, *((kind, name) if is_nobody(owner[0]) else owner)), refused)
            if above is not None:
                between[namespace, kind, name] = above
    owned: dict[Pod, Workload] = {}
    runs: dict[Pod, str] = {}
    orphans: dict[str, set[Workload]] = {}
    for labels in pods:
        namespace, name = labels.get("namespace", ""), labels.get("pod", "")
        kind, owner_name = labels.get("owner_kind") or "", labels.get("owner_name") or ""
        workload = between.get((namespace, kind, owner_name))
        if workload is None:
            workload = _workload(namespace, *top_owner(name, kind, owner_name), refused)
            if workload is not None and kind in BETWEEN:
                orphans.setdefault(BETWEEN[kind][0], set()).add(workload)
        if workload is not None:
            owned[namespace, name] = workload
            if kind in RUN_KINDS:
                runs[namespace, name] = owner_name
    without = {metric: frozenset(found) for metric, found in orphans.items()}
    return Owners(owned, tuple(refused), between, runs, without)


def _workload(namespace: str, kind: str, name: str, refused: dict[str, None]) -> Workload | None:
    try:
        return Workload(namespace, name, kind)
    except BadInput as error:
        what = kind if is_kind(kind) else "workload"
        refused[f"A {what} is skipped: {error.message}"] = None
        return None
