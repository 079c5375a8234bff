"""Kubernetes as a Cluster: reads the resources of workloads, patches, scales and restarts them.

What is sent is what `kubectl patch`, `kubectl scale` and `kubectl rollout restart` send: strategic merge patches by
container name, the scale subresource, the annotation kubectl.kubernetes.io/restartedAt.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from mora.clusters import kinds
from mora.clusters.connection import MERGE, METADATA_ONLY, STRATEGIC_MERGE, Api, NotFound
from mora.clusters.kubeconfig import Context
from mora.clusters.objects import (
    Manifest,
    choose_main,
    has_name,
    named,
    pod_complaints,
    read_container,
    read_containers,
    read_resources,
    replicas_of,
    rollout_report,
    staying,
    without_odd_containers,
)
from mora.clusters.scalers import read_autoscalers
from mora.clusters.shapes import Unreadable, read
from mora.domain import Allocation, Autoscaler, Container, Resources, Role, Workload
from mora.errors import ClusterError
from mora.quantities import format_cpu, format_duration, format_memory, format_moment

_RESTARTED_AT = "kubectl.kubernetes.io/restartedAt"
_PLURALS = {"Deployment": "deployments", "StatefulSet": "statefulsets", "DaemonSet": "daemonsets"}
# An unknown field is an error and is not dropped silently; older servers ignore the parameter.
_PATCHING: Mapping[str, str | int] = {"fieldValidation": "Strict"}


class KubernetesCluster:
    """The cluster that a kubeconfig (or, inside a pod, the service account) points at.

    kubeconfig, context: as kubectl's flags; by default $KUBECONFIG or ~/.kube/config and its current context, else the
    service account. request_timeout: of each request. poll: how often wait_ready checks.
    """

    def __init__(
        self,
        *,
        kubeconfig: Path | str | None = None,
        context: str | None = None,
        request_timeout: timedelta = timedelta(seconds=30),
        poll: timedelta = timedelta(seconds=1),
        backoff: timedelta = timedelta(seconds=0.5),
    ) -> None:
        self.api = Api(kubeconfig=kubeconfig, context=context, request_timeout=request_timeout, backoff=backoff)
        self._poll_seconds = poll.total_seconds()

    def __repr__(self) -> str:
        return f"KubernetesCluster({self.api.host!r})"

    @property
    def context(self) -> Context:
        """Where requests go and as which user, in the kubeconfig's names."""
        return self.api.context()

    def services(self, namespace: str) -> list[str]:
        """Names of the Deployments, StatefulSets and DaemonSets of a namespace, sorted."""
        return sorted(workload.name for workload in self.workloads(namespace))

    def workloads(self, namespace: str) -> list[Workload]:
        """The Deployments, StatefulSets and DaemonSets of a namespace."""
        return [
            Workload(namespace, item["metadata"]["name"], kind)
            for kind, plural in _PLURALS.items()
            for item in self.api.pages(
                f"/apis/apps/v1/namespaces/{namespace}/{plural}", shape=kinds.OWNED, odd=_refuse, accept=METADATA_ONLY
            )
            if has_name(item)
        ]

    def manifest(self, workload: Workload) -> dict[str, Any]:
        """A workload as the API server has it. ClusterError with the existing ones where it does not exist."""
        try:
            answer = self.api.get(_path(workload))
        except NotFound as error:
            raise self._not_found(workload) from error
        found: dict[str, Any] = read(kinds.WORKLOADS[workload.kind], answer)
        return found

    def allocation(self, workload: Workload) -> Allocation:
        """Replicas, the containers of the pod template in its order, and the HPA that scales the workload.

        Sidecars that are injected at admission are in no template and are not listed; injected_sidecars() lists them.
        """
        manifest = self.manifest(workload)
        template = manifest["spec"]["template"]
        _, odd = without_odd_containers(template["spec"])
        if odd:
            raise ClusterError(
                f"{named(workload)} has containers of names that Kubernetes does not allow: {', '.join(odd)}.",
                hint="Is this answer from a Kubernetes API server?",
            )
        main, _ = choose_main(template, workload.name)
        containers = read_containers(template["spec"], main)
        return Allocation(
            replicas=replicas_of(manifest, workload.kind),
            containers=tuple(container for container in containers if container.role is not Role.INIT),
            autoscaler=self.autoscaler(workload),
        )

    def injected_sidecars(self, workload: Workload) -> tuple[Container, ...]:
        """Containers that run in the workload's pods but are not in its template, such as a mesh's proxy."""
        manifest = self.manifest(workload)
        own = {container["name"] for container in staying(manifest["spec"]["template"]["spec"])}
        seen: dict[str, Container] = {}
        for pod in self._pods(workload, manifest):
            ordinary = {container["name"] for container in pod["spec"]["containers"]}
            for container in staying(pod["spec"]):
                name = container["name"]
                if name not in own:
                    seen.setdefault(name, read_container(container, is_init=name not in ordinary, is_injected=True))
        return tuple(seen.values())

    def autoscaler(self, workload: Workload) -> Autoscaler | None:
        """The HPA that scales a workload: by its CPU metric, else its memory metric, else by something else."""
        path = f"/apis/autoscaling/v2/namespaces/{workload.namespace}/horizontalpodautoscalers"
        # An HPA that cannot be read may be the one that scales this workload.
        for hpa in self.api.pages(path, shape=kinds.HPA, odd=_refuse):
            target = hpa["spec"]["scaleTargetRef"]
            if (target["kind"], target["name"]) == (workload.kind, workload.name) and has_name(hpa):
                return read_autoscalers(hpa)[0]
        return None

    def apply(self, workload: Workload, allocation: Allocation) -> None:
        """Set replicas and resources where they differ; one patch, so one rollout. Returns before it is ready.

        Raises ClusterError for a container that the template does not have (a patch by name would add it), and for
        replicas of a workload that an HPA scales, which would overwrite them.
        """
        manifest = self.manifest(workload)
        patch = _resources_patch(workload, manifest["spec"]["template"]["spec"], allocation.containers)
        rescales = allocation.replicas is not None and allocation.replicas != replicas_of(manifest, workload.kind)
        if rescales:
            self._check_scalable(workload, allocation)
        if patch:
            self._patch(workload, {"spec": {"template": {"spec": patch}}})
        if rescales:
            self._patch(workload, {"spec": {"replicas": allocation.replicas}}, "/scale", content_type=MERGE)

    def restart(self, workloads: Sequence[Workload], timeout: timedelta) -> None:
        """Replace every replica by a fresh one, as `kubectl rollout restart`, and wait until all are ready."""
        now = format_moment(datetime.now(UTC), "seconds")
        for workload in workloads:
            self._patch(workload, {"spec": {"template": {"metadata": {"annotations": {_RESTARTED_AT: now}}}}})
        self.wait_ready(workloads, timeout)

    def wait_ready(self, workloads: Sequence[Workload], timeout: timedelta) -> None:
        """Return once every replica has the newest template and is available, and no older one is left."""
        deadline = time.monotonic() + timeout.total_seconds()
        waiting = list(workloads)
        while True:
            reports = [(workload, rollout_report(self.manifest(workload), workload)) for workload in waiting]
            pending = [(workload, report) for workload, report in reports if report is not None]
            if not pending:
                return
            if time.monotonic() >= deadline:
                raise ClusterError(
                    f"Not ready after {format_duration(timeout)}: "
                    + "; ".join(f"{named(workload)} has {report}" for workload, report in pending)
                    + ".",
                    hint=self._complaints([workload for workload, _ in pending]),
                )
            waiting = [workload for workload, _ in pending]
            time.sleep(min(self._poll_seconds, max(0.0, deadline - time.monotonic())))

    # --- what is asked and sent --------------------------------------------------------------------------------------

    def _patch(
        self, workload: Workload, body: Mapping[str, Any], ending: str = "", *, content_type: str = STRATEGIC_MERGE
    ) -> None:
        path = _path(workload) + ending
        try:
            self.api.send("PATCH", path, body, content_type=content_type, query=_PATCHING)
        except NotFound as error:
            raise self._not_found(workload) from error

    def _pods(self, workload: Workload, manifest: Manifest) -> list[dict[str, Any]]:
        labels = (manifest["spec"].get("selector") or {}).get("matchLabels") or {}
        selector = ",".join(f"{name}={value}" for name, value in sorted(labels.items()))
        path = f"/api/v1/namespaces/{workload.namespace}/pods"
        return list(self.api.pages(path, {"labelSelector": selector}, shape=kinds.POD, odd=_refuse))

    def _check_scalable(self, workload: Workload, allocation: Allocation) -> None:
        if workload.kind == "DaemonSet":
            raise ClusterError(f"{named(workload)} runs one pod a node, so it has no replicas to set.")
        autoscaler = self.autoscaler(workload)
        if autoscaler is not None:
            raise ClusterError(
                f"{named(workload)} is scaled by the HPA {autoscaler.name!r} ({autoscaler.min_replicas} to "
                f"{autoscaler.max_replicas} replicas), which would overwrite {allocation.replicas} replicas.",
                hint="Set the HPA's minReplicas and maxReplicas, or remove it while experiments run "
                "(KEDA: annotate the ScaledObject with autoscaling.keda.sh/paused).",
            )

    def _not_found(self, workload: Workload) -> NotFound:
        known = self.workloads(workload.namespace)
        what = ", ".join(f"{other.name} ({other.kind})" for other in sorted(known))
        return NotFound(
            f"There is no {named(workload)}.",
            hint=f"Namespace {workload.namespace!r} has: {what}."
            if known
            else f"Namespace {workload.namespace!r} has no workloads, or does not exist: kubectl get namespaces",
        )

    def _complaints(self, workloads: Sequence[Workload]) -> str:
        """Why pods do not run, in Kubernetes' words, each reason once."""
        reasons: dict[str, None] = {}
        for workload in workloads:
            for pod in self._pods(workload, self.manifest(workload)):
                reasons.update(dict.fromkeys(f"{pod['metadata']['name']}: {reason}" for reason in pod_complaints(pod)))
        return "; ".join(list(reasons)[:5]) or f"See: kubectl get pods -n {workloads[0].namespace}"


def _refuse(error: Unreadable) -> None:
    """One object that cannot be read is no reason to guess before a change."""
    raise error


def _path(workload: Workload) -> str:
    if workload.kind not in _PLURALS:
        raise ClusterError(
            f"{named(workload)} cannot be scaled or resized by MOrA itself.",
            hint=f"It does that for {', '.join(_PLURALS)}. For others, apply its output with kubectl.",
        )
    return f"/apis/apps/v1/namespaces/{workload.namespace}/{_PLURALS[workload.kind]}/{workload.name}"


# --- writing patches -------------------------------------------------------------------------------------------------


def _resources_patch(
    workload: Workload, pod_spec: Manifest, containers: Sequence[Container]
) -> dict[str, list[dict[str, Any]]]:
    """The part of the pod spec that changes: containers (and native sidecars) by name; empty where nothing does."""
    now = {container["name"]: container for container in staying(pod_spec)}
    patch: dict[str, list[dict[str, Any]]] = {}
    for container in containers:
        if container.name not in now:
            raise ClusterError(
                f"{named(workload)} has no container {container.name!r} in its template.",
                hint=f"It has: {', '.join(now)}.",
            )
        if container.resources == read_resources(now[container.name]):
            continue
        is_native = container.name not in {one["name"] for one in pod_spec["containers"]}
        entry = {"name": container.name, "resources": _resources_entry(container.resources)}
        patch.setdefault("initContainers" if is_native else "containers", []).append(entry)
    return patch


def _resources_entry(resources: Resources) -> dict[str, dict[str, str | None]]:
    """null removes a request or limit; other resources, such as ephemeral-storage, stay."""
    return {
        "requests": {
            "cpu": _written(format_cpu, resources.cpu_request_millicores),
            "memory": _written(format_memory, resources.memory_request_bytes),
        },
        "limits": {
            "cpu": _written(format_cpu, resources.cpu_limit_millicores),
            "memory": _written(format_memory, resources.memory_limit_bytes),
        },
    }


def _written(write: Callable[[int], str], amount: int | None) -> str | None:
    return None if amount is None else write(amount)
