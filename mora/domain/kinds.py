"""Kinds of owners of pods: those whose manifests MOrA writes, those of operators, and runs that come and go."""

from __future__ import annotations

import re
from collections.abc import Mapping

# Kinds that run pods, and the API each lives in. A Rollout is Argo's Deployment.
API_VERSIONS: Mapping[str, str] = {
    "Deployment": "apps/v1",
    "StatefulSet": "apps/v1",
    "DaemonSet": "apps/v1",
    "CronJob": "batch/v1",
    "Job": "batch/v1",
    "Rollout": "argoproj.io/v1alpha1",
}

# Kinds whose pods run and end; no HPA scales them, and their replicas are as many as their runs ask for. Of those that
# are not in API_VERSIONS: Argo Workflows, Tekton, KEDA, JobSet, Spark, Ray and the training operators of Kubeflow.
JOB_KINDS = frozenset(
    {
        "Job",
        "CronJob",
        "Workflow",
        "PipelineRun",
        "TaskRun",
        "ScaledJob",
        "JobSet",
        "SparkApplication",
        "RayJob",
        "TFJob",
        "PyTorchJob",
        "MPIJob",
        "TrainJob",
    }
)
# Of these each object is one run; the others above make a Job, or an object of these, for each of their runs.
RUN_KINDS = JOB_KINDS - {"CronJob", "ScaledJob"}

# Kinds of other projects -> where the resources of their pods are set.
_SET_IN: Mapping[str, str] = {
    "Cluster": "spec.resources of the Cluster (CloudNativePG)",
    "DeploymentConfig": "spec.template of the DeploymentConfig",
    "Pod": "the manifest that makes the pod",
    "RayCluster": "the pod templates of the RayCluster",
    "ReplicaSet": "what owns the ReplicaSet, or its spec.template",
    "ReplicationController": "what owns the ReplicationController, or its spec.template",
    "ScaledJob": "spec.jobTargetRef.template of the ScaledJob",
    "SparkApplication": "spec.driver and spec.executor of the SparkApplication",
    "StrimziPodSet": "the Kafka resource or its node pools (spec.resources)",
    "Workflow": "the templates of the Workflow, or of the WorkflowTemplate that it comes from",
}

_NO_OWNER = ("", "<none>")
_LONGEST_NAME = 253
_KIND = re.compile(r"[A-Za-z][A-Za-z0-9]{0,62}", re.ASCII)

# What controllers and scripts put into the name of each run: a UUID, a hash and a long number anywhere; at the end also
# a date, a time, any number, and the five characters of Kubernetes' own generateName (which has no vowels).
_UUID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_HASH = r"(?=[a-f]*\d)(?=\d*[a-f])[0-9a-f]{6,40}|\d{6,}"
_ANYWHERE = re.compile(rf"(?<![^-])(?:{_UUID}|{_HASH})(?![^-])", re.ASCII)
_AT_THE_END = re.compile(
    r"""(?P<stem>.*?[a-z0-9])
    (?: -\d{4}-\d{2}-\d{2}(?:[-t]?\d+)*z? | -\d{6,}t\d+z? | -\d+ )?
    (?: -[bcdfghjklmnpqrstvwxz2456789]{5} )?
    """,
    re.ASCII | re.VERBOSE,
)
# The label by which a team groups Jobs, and those that say what an object is a part of, where its name says nothing.
_GROUP_LABEL = "mora.dev/group"
_NAME_LABELS = ("app.kubernetes.io/name", "app")
_DNS_NAME = re.compile(r"[a-z0-9](?:[-a-z0-9.]{0,61}[a-z0-9])?", re.ASCII)


def is_kind(text: str) -> bool:
    """Whether a text is written as the kind of a Kubernetes object is.

    >>> is_kind("StrimziPodSet"), is_kind("<none>"), is_kind("Pod\\nkind: Role")
    (True, False, False)
    """
    return _KIND.fullmatch(text) is not None


def is_written(kind: str) -> bool:
    """Whether MOrA writes patches for the pod template of this kind. That of a Job cannot be changed."""
    return kind in API_VERSIONS and kind != "Job"


def where_set(kind: str) -> str:
    """Where the resources of the pods of a kind are set that MOrA writes no patch for."""
    return _SET_IN.get(kind, f"the {kind}, or what makes it")


def top_owner(pod: str, kind: str, name: str) -> tuple[str, str]:
    """Kind and name of the workload of a pod (or Job), by its owner, where nothing is known to be above that.

    A bare pod is a workload of kind Pod. So is a static pod, which has its node's name behind its own and is the same
    on every node. Runs are one workload by what their names have in common.

    >>> top_owner("etcd-node-1", "Node", "node-1"), top_owner("x-1", "Workflow", "etl-x7k2p"), top_owner("a", "", "")
    (('Pod', 'etcd'), ('Workflow', 'etl'), ('Pod', 'a'))
    """
    if kind in _NO_OWNER:
        return "Pod", pod
    if kind == "Node":
        return "Pod", pod.removesuffix(f"-{name}") or pod
    return kind, stem_of_run(name) if kind in RUN_KINDS else name


def is_no_owner(kind: str) -> bool:
    """Whether an owner's kind says that there is none, as kube-state-metrics writes it."""
    return kind in _NO_OWNER


def stem_of_run(name: str) -> str:
    """The part of its name that a run shares with the other runs of the same work; the name itself where it has none.

    >>> [stem_of_run(name) for name in ("etl-59", "import-2026-11-26-x7k2p", "migrate-v2", "1764133200-backup-db")]
    ['etl', 'import', 'migrate-v2', 'backup-db']
    """
    if len(name) > _LONGEST_NAME:
        return name
    short = _without_end(name)
    rest = "-".join(part for part in _ANYWHERE.sub("", short).split("-") if part)
    if not _DNS_NAME.fullmatch(rest):
        return name
    return _without_end(rest) if short == name else rest


def _without_end(name: str) -> str:
    found = _AT_THE_END.fullmatch(name)
    return name if found is None else found["stem"]


def group_of_run(name: str, labels: Mapping[str, str]) -> str:
    """The name of the work that a run belongs to: its label mora.dev/group, else the stem of its name.

    A name in which all is generated has no stem; then its labels app.kubernetes.io/name and app count.

    >>> group_of_run("etl-59", {"mora.dev/group": "nightly"}), group_of_run("1764133200", {"app": "etl"})
    ('nightly', 'etl')
    """
    if _DNS_NAME.fullmatch(own := labels.get(_GROUP_LABEL, "")):
        return own
    stem = stem_of_run(name)
    if stem == name and not _ANYWHERE.sub("", name).strip("-"):
        named = (labels.get(label, "") for label in _NAME_LABELS)
        return next((one for one in named if _DNS_NAME.fullmatch(one)), stem)
    return stem
