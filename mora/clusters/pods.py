"""The running pods of a namespace, and their resize in place (the subresource pods/resize, Kubernetes 1.33 and later).

Requests and their errors only: mora/inplace decides what is resized.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from mora.clusters import kinds
from mora.clusters.conflicts import conflicts
from mora.clusters.connection import METADATA_ONLY, STRATEGIC_MERGE, Api
from mora.clusters.objects import Manifest, has_name, read_containers, read_resources
from mora.clusters.owners import Owner, controller_of, owner_of
from mora.clusters.shapes import Unreadable, read
from mora.domain import Container, Resources, Role, Target, Workload
from mora.domain.pods import ResizeState, RunningContainer, RunningPod
from mora.errors import ClusterError
from mora.quantities import format_cpu, format_memory

# Without resize there is nothing that this room could do.
FIRST_VERSION = (1, 33)
# From here on a memory limit can be lowered without a restart.
LOWERS_MEMORY = (1, 35)
KINDS = ("Deployment", "StatefulSet", "DaemonSet", "Rollout")
_PENDING, _RUNNING = "PodResizePending", "PodResizeInProgress"
# https://github.com/kubernetes/kubernetes, pkg/kubelet/types and apps/v1: the template that a pod was made of.
_REVISIONS = ("pod-template-hash", "rollouts-pod-template-hash", "controller-revision-hash")
_LIST_OF = {Role.NATIVE_SIDECAR: "initContainers"}


class KubernetesPods:
    """The pods of one namespace that belong to Deployments, StatefulSets, DaemonSets and Argo's Rollouts.

    patience: doubles from try to try where the server is overloaded. remarks: after pods(), what could not be read.
    """

    def __init__(
        self,
        namespace: str,
        *,
        kubeconfig: Path | str | None = None,
        context: str | None = None,
        patience: timedelta = timedelta(seconds=0.5),
    ) -> None:
        self.namespace = namespace
        self._api = Api(kubeconfig=kubeconfig, context=context, backoff=patience)
        self._core = f"/api/v1/namespaces/{namespace}"
        self.remarks: tuple[str, ...] = ()

    def identity(self) -> str:
        """The uid of the namespace: another cluster has another one, and so has a namespace that was made anew."""
        found = read(kinds.IDENTITY, self._api.get(f"/api/v1/namespaces/{self.namespace}"))
        return str(found["metadata"]["uid"])

    def version(self) -> tuple[int, int]:
        """Major and minor version of the API server."""
        found = self._api.get("/version")
        numbers = [re.match(r"\d+", str(found.get(key) or "")) for key in ("major", "minor")]
        if None in numbers:
            raise ClusterError(f"{self._api.host} does not say which version of Kubernetes it is.")
        major, minor = (int(one[0]) for one in numbers if one is not None)
        return major, minor

    def pods(self) -> list[RunningPod]:
        """Every pod that runs now, by name; without those that end."""
        remarks: list[str] = []

        def odd(error: Unreadable) -> None:
            remarks.append(error.message)

        sets: dict[Owner, dict[str, Any]] = {}
        path = f"/apis/apps/v1/namespaces/{self.namespace}/replicasets"
        for one in self._api.pages(path, shape=kinds.OWNED, odd=odd, accept=METADATA_ONLY):
            sets[one["metadata"]["namespace"], "ReplicaSet", one["metadata"]["name"]] = one
        listed = self._api.pages(f"{self._core}/pods", shape=kinds.RUNNING_POD, odd=odd)
        found = [_read(pod, sets) for pod in listed if has_name(pod)]
        self.remarks = tuple(remarks)
        return sorted((one for one in found if one is not None), key=lambda one: one.name)

    def resize(self, pod: RunningPod, wanted: Mapping[str, Resources], *, dry_run: bool = False) -> RunningPod:
        """Ask for other resources of containers of a pod, by name; the pod as it is then.

        dry_run: the server checks everything and changes nothing. ChangedMeanwhile where the pod has changed since it
        was read, GoneMeanwhile where it is no more; ClusterError with the server's words where it refuses.
        """
        lists: dict[str, list[dict[str, Any]]] = {}
        for one in pod.containers:
            if one.name in wanted:
                amounts = _amounts(wanted[one.name])
                lists.setdefault(_LIST_OF.get(one.spec.role, "containers"), []).append(
                    {"name": one.name, "resources": amounts}
                )
        # With its version in it a patch of another pod of this name, or of a changed one, is a conflict.
        body = {"metadata": {"resourceVersion": pod.version}, "spec": lists}
        query = {"fieldValidation": "Strict", **({"dryRun": "All"} if dry_run else {})}
        with conflicts():
            answer = self._api.send(
                "PATCH", f"{self._core}/pods/{pod.name}/resize", body, content_type=STRATEGIC_MERGE, query=query
            )
        resized = _read(read(kinds.RUNNING_POD, answer), {}, workload=pod.workload)
        return pod if resized is None else resized


def _amounts(resources: Resources) -> dict[str, dict[str, str]]:
    """Requests and limits, exactly: what is read again is what was asked for."""
    found: dict[str, dict[str, str]] = {}
    for section, name, amount in (
        ("requests", "cpu", resources.cpu_request_millicores),
        ("requests", "memory", resources.memory_request_bytes),
        ("limits", "cpu", resources.cpu_limit_millicores),
        ("limits", "memory", resources.memory_limit_bytes),
    ):
        if amount is not None:
            found.setdefault(section, {})[name] = format_cpu(amount) if name == "cpu" else format_memory(amount)
    return found


def _read(pod: Manifest, sets: Mapping[Owner, Manifest], *, workload: Workload | None = None) -> RunningPod | None:
    """A pod of a kind that runs all the time; None where it is of another, ends, or does not run yet."""
    meta, status = pod["metadata"], pod.get("status") or {}
    if meta.get("deletionTimestamp") or status.get("phase") != "Running":
        return None
    if workload is None:
        (namespace, kind, name), _ = owner_of(pod, sets)
        if kind not in KINDS:
            return None
        workload = Workload(namespace, name, kind)
    conditions = {one.get("type"): one for one in status.get("conditions") or []}
    ready = conditions.get("Ready") or {}
    labels, owner = meta.get("labels") or {}, controller_of(pod)
    revision = next((labels[name] for name in _REVISIONS if name in labels), None) or (owner or {}).get("name") or ""
    statuses = {
        one["name"]: one
        for one in (*(status.get("containerStatuses") or []), *(status.get("initContainerStatuses") or []))
    }
    policies = {
        one["name"]: one.get("resizePolicy") or []
        for one in (*pod["spec"]["containers"], *(pod["spec"].get("initContainers") or []))
    }
    state, message = _resize(conditions)
    return RunningPod(
        workload=workload,
        name=meta["name"],
        uid=meta["uid"],
        version=meta["resourceVersion"],
        containers=tuple(
            _container(one, statuses.get(one.name) or {}, policies[one.name])
            for one in read_containers(pod["spec"], None)
            if one.role is not Role.INIT
        ),
        revision=revision,
        is_ready=ready.get("status") == "True",
        ready_since=_moment(ready.get("lastTransitionTime")),
        started_at=_moment(status.get("startTime")),
        resize=state,
        resize_message=message,
        node=pod["spec"].get("nodeName") or "",
        has_own_resources=read_resources(pod["spec"]) != Resources(),
    )


def _container(spec: Container, status: Manifest, policies: list[Manifest]) -> RunningContainer:
    ends = [(status.get(key) or {}).get("terminated") or {} for key in ("state", "lastState")]
    killed = [_moment(end.get("finishedAt")) for end in ends if end.get("reason") == "OOMKilled"]
    given = status.get("resources")
    return RunningContainer(
        spec,
        actual=None if given is None else read_resources(status),
        restarts=status.get("restartCount", 0),
        oom_killed_at=max((at for at in killed if at is not None), default=None),
        restarted_by=frozenset(
            Target(one["resourceName"])
            for one in policies
            if one.get("restartPolicy") == "RestartContainer" and one["resourceName"] in ("cpu", "memory")
        ),
    )


def _resize(conditions: Mapping[Any, Manifest]) -> tuple[ResizeState, str]:
    """What the node makes of a resize, by the pod's conditions."""
    pending, running = conditions.get(_PENDING) or {}, conditions.get(_RUNNING) or {}
    if pending.get("status") == "True":
        state = ResizeState.INFEASIBLE if pending.get("reason") == "Infeasible" else ResizeState.DEFERRED
        return state, pending.get("message") or ""
    if running.get("status") == "True":
        state = ResizeState.ERROR if running.get("reason") == "Error" else ResizeState.IN_PROGRESS
        return state, running.get("message") or ""
    return ResizeState.DONE, ""


def _moment(text: str | None) -> datetime | None:
    """A time of the API server; None where there is none that can be read."""
    if not text:
        return None
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except ValueError:
        return None
