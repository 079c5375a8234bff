"""Which pods belong to which workload, by the owners that kube-state-metrics names; never by the look of a name.

pod -> ReplicaSet -> Deployment or Rollout; pod -> Job -> CronJob; pod -> ReplicationController -> DeploymentConfig;
pod -> StatefulSet, DaemonSet or any other kind. Pods without an owner, and the static pods of nodes, are workloads of
kind Pod. Runs that nothing owns (Jobs, Workflows) are one workload by what their names have in common.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from mora.domain import RUN_KINDS, Workload
from mora.domain.kinds import group_of_run, is_kind, is_no_owner, top_owner
from mora.errors import BadInput
from mora.sources.prometheus.labels import label_named

Pod = tuple[str, str]
"""Namespace and name of a pod."""

Labels = Mapping[str, str]
JOB_LABELS = "kube_job_labels"

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


GROUP = "mora_group"
"""A label of our own in rows of kube_job_owner: the work that a Job is a run of."""


def grouped_jobs(jobs: Sequence[Labels], labels_of_jobs: Callable[[], Iterable[Labels]]) -> list[Labels]:
    """Rows of kube_job_owner, those of Jobs that nothing owns with the work that each is a run of.

    labels_of_jobs: asks for kube_job_labels; only where there is such a Job.
    """
    if not any(is_no_owner(labels.get("owner_kind") or "") for labels in jobs):
        return list(jobs)
    known = {(row.get("namespace", ""), row.get("job_name", "")): row for row in labels_of_jobs()}
    found: list[Labels] = []
    for row in jobs:
        exported = known.get((row.get("namespace", ""), row.get("job_name", "")), {})
        labels = {named: value for name, value in exported.items() if (named := label_named(name)) is not None}
        work = group_of_run(row.get("job_name", ""), labels)
        found.append({**row, GROUP: work} if is_no_owner(row.get("owner_kind") or "") else row)
    return found


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
            if is_no_owner(owner[0]):
                owner = (kind, labels[GROUP]) if GROUP in labels else top_owner(name, kind, name)
            else:
                owner = top_owner(name, *owner)
            above = _workload(namespace, *owner, refused)
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
