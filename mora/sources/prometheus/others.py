"""Pods that no built-in workload owns: those of custom resources, bare pods, and Jobs that come one by one."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import replace

from mora.domain import API_VERSIONS, JOB_KINDS, Workload
from mora.sources.prometheus.asking import Asking
from mora.sources.prometheus.ownership import JOB_LABELS, Owners, Pod, grouped_jobs, resolve

# Runs of the same work within the last days that make it a workload, though none of them is there now.
_LEAST_RUNS = 3
ENDED = 'phase=~"Succeeded|Failed"'


def is_other(workload: Workload) -> bool:
    """Whether the workload is of a kind that runs all the time and has no metric of its own."""
    return workload.kind not in API_VERSIONS and workload.kind not in JOB_KINDS


def without_ended(ask: Asking, owners: Owners) -> Owners:
    """The owners without bare pods and pods of custom resources that have ended: those are no workload any more."""
    others = {pod for pod, workload in owners.pods.items() if is_other(workload)}
    if not others:
        return owners
    ended = {
        (labels.get("namespace", ""), labels.get("pod", ""))
        for labels, value in ask.values("kube_pod_status_phase", ENDED)
        if value > 0
    }
    return replace(owners, pods={pod: of for pod, of in owners.pods.items() if pod not in ended or pod not in others})


def pods_of_others(owners: Owners) -> dict[Workload, int]:
    """How many pods each of them runs, which is all that is known of its replicas."""
    return dict(Counter(workload for workload in owners.pods.values() if is_other(workload)))


def repeated(ask: Asking) -> set[Workload]:
    """Runs of the last days that nothing owns and that were made again and again, with a name of their own each."""
    one_off = ask.earlier_labels("kube_job_owner", 'owner_kind=~"|<none>"')
    rows = grouped_jobs(one_off, lambda: ask.earlier_labels(JOB_LABELS))
    names = Counter(resolve([], [], rows).between.values())  # one entry a Job, however often it was scraped
    return {workload for workload, count in names.items() if count >= _LEAST_RUNS}


def by_workload(
    owners: Owners, created: dict[Pod, float], sets: Mapping[Pod, str] | None = None
) -> dict[Workload, list[Pod]]:
    """The pods that describe each workload, newest first; with equal ages the first by name.

    In a rollout the newest alone counts; beside a canary of an Argo Rollout, which may stay for days, one of the
    ReplicaSet with the most pods (sets: the ReplicaSet of each pod). The pods of a custom resource need not be alike (a
    head and workers), so all of them count.
    """
    found: defaultdict[Workload, list[Pod]] = defaultdict(list)
    many = Counter((pod[0], name) for pod, name in (sets or {}).items() if pod in owners.pods)

    def rank(item: tuple[Pod, Workload]) -> tuple[float, float, Pod]:
        pod, workload = item
        of_set = many[pod[0], (sets or {}).get(pod, "")] if workload.kind == "Rollout" else 0
        return -of_set, -created.get(pod, 0.0), pod

    for pod, workload in sorted(owners.pods.items(), key=rank):
        if is_other(workload) or not found[workload]:
            found[workload].append(pod)
    return dict(found)
