"""Kubernetes as a Cluster: reads what workloads are given, patches, scales and restarts them.

What is sent is what `kubectl patch`, `kubectl scale` and `kubectl rollout restart` send: strategic merge patches by
container name, the scale subresource, the annotation kubectl.kubernetes.io/restartedAt.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from mora.domain import Allocation, Autoscaler, Container, Resources, Target, Workload, choose_main_container
from mora.errors import ClusterError, MoraError
from mora.quantities import format_cpu, format_memory, parse_cpu, parse_memory

_DEFAULT_CONTAINER = "kubectl.kubernetes.io/default-container"
_RESTARTED_AT = "kubectl.kubernetes.io/restartedAt"
_STRATEGIC_MERGE = "application/strategic-merge-patch+json"
_MERGE = "application/merge-patch+json"
_KINDS = {"Deployment": "deployment", "StatefulSet": "stateful_set", "DaemonSet": "daemon_set"}
# deployments.apps "web" is forbidden: User "ada" cannot patch resource "deployments/scale" in API group "apps" in ...
_FORBIDDEN = re.compile(r'cannot (?P<verb>\w+) resource "(?P<resource>[^"]+)" in API group "(?P<group>[^"]*)"')


class KubernetesCluster:
    """The cluster that a kubeconfig (or, inside a pod, the service account) points at.

    kubeconfig, context: as kubectl's flags; by default $KUBECONFIG or ~/.kube/config and its current context, else the
    service account. request_timeout: of each request. poll: how often wait_ready looks.
    """

    def __init__(
        self,
        *,
        kubeconfig: Path | str | None = None,
        context: str | None = None,
        request_timeout: timedelta = timedelta(seconds=30),
        poll: timedelta = timedelta(seconds=1),
    ) -> None:
        from kubernetes import client

        self._client = _connect(kubeconfig, context)
        self._apps = client.AppsV1Api(self._client)
        self._core = client.CoreV1Api(self._client)
        self._autoscaling = client.AutoscalingV2Api(self._client)
        self._request_timeout_seconds = request_timeout.total_seconds()
        self._poll_seconds = poll.total_seconds()

    def __repr__(self) -> str:
        return f"KubernetesCluster({self._client.configuration.host!r})"

    def services(self, namespace: str) -> list[str]:
        """Names of the Deployments, StatefulSets and DaemonSets of a namespace, sorted."""
        return sorted(workload.name for workload in self._workloads(namespace))

    def allocation(self, workload: Workload) -> Allocation:
        """Replicas, the containers of the pod template in its order, and the HPA that scales the workload.

        Sidecars that are injected into pods stand in no template and are not listed: injected_sidecars() has them.
        """
        manifest = self._read(workload)
        template = manifest["spec"]["template"]
        sized = _sized(template["spec"])
        main, _ = choose_main_container(
            [container["name"] for container in template["spec"]["containers"]],
            workload.name,
            annotated=(template.get("metadata", {}).get("annotations") or {}).get(_DEFAULT_CONTAINER),
        )
        return Allocation(
            replicas=_replicas(manifest, workload),
            containers=tuple(_container(container, is_main=container["name"] == main) for container in sized),
            autoscaler=self._autoscaler(workload),
        )

    def injected_sidecars(self, workload: Workload) -> tuple[Container, ...]:
        """Containers that run in the workload's pods but stand in no template: meshes and the like put them there."""
        manifest = self._read(workload)
        own = {container["name"] for container in _sized(manifest["spec"]["template"]["spec"])}
        seen: dict[str, Container] = {}
        for pod in self._pods(workload, manifest):
            for container in _sized(pod["spec"]):
                if container["name"] not in own:
                    seen.setdefault(container["name"], _container(container, is_main=False))
        return tuple(seen.values())

    def apply(self, workload: Workload, allocation: Allocation) -> None:
        """Set replicas and resources where they differ; one patch, so one rollout. Returns before it is ready.

        Raises ClusterError for a container that the template does not have (a patch by name would add it), and for
        replicas of a workload that an HPA scales, which would set them back.
        """
        manifest = self._read(workload)
        patch = _resources_patch(workload, manifest["spec"]["template"]["spec"], allocation.containers)
        rescales = allocation.replicas is not None and allocation.replicas != _replicas(manifest, workload)
        if rescales:
            self._check_scalable(workload, allocation)
        if patch:
            self._patch(workload, {"spec": {"template": {"spec": patch}}})
        if rescales:
            body = {"spec": {"replicas": allocation.replicas}}
            self._call(self._method("patch", workload, "_scale"), workload, body, _content_type=_MERGE)

    def restart(self, workloads: Sequence[Workload], timeout: timedelta) -> None:
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        for workload in workloads:
            self._patch(workload, {"spec": {"template": {"metadata": {"annotations": {_RESTARTED_AT: now}}}}})
        self.wait_ready(workloads, timeout)

    def wait_ready(self, workloads: Sequence[Workload], timeout: timedelta) -> None:
        """Return once every replica is of the newest template and available, and no older one is left."""
        deadline = time.monotonic() + timeout.total_seconds()
        waiting = list(workloads)
        while True:
            reports = [(workload, _rollout(self._read(workload), workload)) for workload in waiting]
            pending = [(workload, report) for workload, report in reports if report is not None]
            if not pending:
                return
            if time.monotonic() >= deadline:
                raise ClusterError(
                    f"Not ready after {timeout.total_seconds():g} s: "
                    + "; ".join(f"{_named(workload)} has {report}" for workload, report in pending)
                    + ".",
                    hint=self._complaints([workload for workload, _ in pending]),
                )
            waiting = [workload for workload, _ in pending]
            time.sleep(min(self._poll_seconds, max(0.0, deadline - time.monotonic())))

    # --- what is asked and sent --------------------------------------------------------------------------------------

    def _method(self, verb: str, workload: Workload, ending: str = "") -> Callable[..., Any]:
        method: Callable[..., Any] = getattr(self._apps, f"{verb}_namespaced_{_KINDS[workload.kind]}{ending}")
        return method

    def _call(self, method: Callable[..., Any], workload: Workload, *arguments: Any, **options: Any) -> dict[str, Any]:
        try:
            return self._ask(method, workload.name, workload.namespace, *arguments, **options)
        except _NotFound as error:
            raise self._not_there(workload) from error

    def _ask(self, method: Callable[..., Any], *arguments: Any, **options: Any) -> dict[str, Any]:
        """One request, and its answer in Kubernetes' own field names."""
        with _in_words(self._client.configuration.host):
            answer = method(*arguments, _request_timeout=self._request_timeout_seconds, **options)
            found: dict[str, Any] = self._client.sanitize_for_serialization(answer)
            return found

    def _read(self, workload: Workload) -> dict[str, Any]:
        return self._call(self._method("read", workload), workload)

    def _patch(self, workload: Workload, body: Mapping[str, Any]) -> None:
        self._call(self._method("patch", workload), workload, body, _content_type=_STRATEGIC_MERGE)

    def _pods(self, workload: Workload, manifest: Mapping[str, Any]) -> list[dict[str, Any]]:
        labels = manifest["spec"]["selector"].get("matchLabels") or {}
        selector = ",".join(f"{name}={value}" for name, value in sorted(labels.items()))
        pods = self._ask(self._core.list_namespaced_pod, workload.namespace, label_selector=selector)
        return list(pods["items"])

    def _autoscaler(self, workload: Workload) -> Autoscaler | None:
        listed = self._ask(self._autoscaling.list_namespaced_horizontal_pod_autoscaler, workload.namespace)
        for hpa in listed["items"]:
            target = hpa["spec"]["scaleTargetRef"]
            if (target["kind"], target["name"]) == (workload.kind, workload.name):
                return _autoscaler(hpa)
        return None

    def _check_scalable(self, workload: Workload, allocation: Allocation) -> None:
        if workload.kind == "DaemonSet":
            raise ClusterError(f"{_named(workload)} runs one pod a node; it has no replicas to set.")
        autoscaler = self._autoscaler(workload)
        if autoscaler is not None:
            raise ClusterError(
                f"{_named(workload)} is scaled by the HPA {autoscaler.name!r} ({autoscaler.min_replicas} to "
                f"{autoscaler.max_replicas} replicas), which would set {allocation.replicas} replicas back.",
                hint="Set the HPA's minReplicas and maxReplicas, or take it away while experiments run "
                "(KEDA: annotate the ScaledObject with autoscaling.keda.sh/paused).",
            )

    def _workloads(self, namespace: str) -> list[Workload]:
        return [
            Workload(namespace, item["metadata"]["name"], kind)
            for kind, noun in _KINDS.items()
            for item in self._ask(getattr(self._apps, f"list_namespaced_{noun}"), namespace)["items"]
        ]

    def _not_there(self, workload: Workload) -> ClusterError:
        known = self._workloads(workload.namespace)
        what = ", ".join(f"{other.name} ({other.kind})" for other in sorted(known))
        return ClusterError(
            f"There is no {_named(workload)}.",
            hint=f"Namespace {workload.namespace!r} has: {what}."
            if known
            else f"Namespace {workload.namespace!r} has no workloads, or does not exist: kubectl get namespaces",
        )

    def _complaints(self, workloads: Sequence[Workload]) -> str:
        """Why pods do not run, in Kubernetes' words, each reason once."""
        reasons: dict[str, None] = {}
        for workload in workloads:
            for pod in self._pods(workload, self._read(workload)):
                reasons.update(dict.fromkeys(f"{pod['metadata']['name']}: {reason}" for reason in _pod_reasons(pod)))
        return "; ".join(list(reasons)[:5]) or f"Look: kubectl get pods -n {workloads[0].namespace}"


# --- reading manifests -----------------------------------------------------------------------------------------------


def _named(workload: Workload) -> str:
    return f"{workload.kind} {workload.name!r} in namespace {workload.namespace!r}"


def _sized(pod_spec: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Containers that run as long as the pod: the ordinary ones, then native sidecars (init containers that stay)."""
    native = [one for one in pod_spec.get("initContainers") or [] if one.get("restartPolicy") == "Always"]
    return [*pod_spec["containers"], *native]


def _container(container: Mapping[str, Any], *, is_main: bool) -> Container:
    return Container(container["name"], _resources(container), container.get("image"), is_main)


def _resources(container: Mapping[str, Any]) -> Resources:
    resources = container.get("resources") or {}
    requests, limits = resources.get("requests") or {}, resources.get("limits") or {}
    return Resources(
        cpu_request_millicores=parse_cpu(requests["cpu"]) if "cpu" in requests else None,
        cpu_limit_millicores=parse_cpu(limits["cpu"]) if "cpu" in limits else None,
        memory_request_bytes=parse_memory(requests["memory"]) if "memory" in requests else None,
        memory_limit_bytes=parse_memory(limits["memory"]) if "memory" in limits else None,
    )


def _replicas(manifest: Mapping[str, Any], workload: Workload) -> int:
    if workload.kind == "DaemonSet":
        return int((manifest.get("status") or {}).get("desiredNumberScheduled") or 0)
    return int(manifest["spec"].get("replicas", 1))  # Kubernetes' own default


def _autoscaler(hpa: Mapping[str, Any]) -> Autoscaler:
    """The HPA by its CPU metric, else by its memory metric; one that follows neither has the target 0 replicas."""
    spec = hpa["spec"]
    bounds = {"min_replicas": spec.get("minReplicas", 1), "max_replicas": spec["maxReplicas"]}
    for resource in (Target.CPU, Target.MEMORY):
        for metric in spec.get("metrics") or []:
            on = metric.get("resource") or metric.get("containerResource")
            if on is None or on["name"] != resource.value:
                continue
            target = on["target"]
            is_utilisation = target["type"] == "Utilization"
            parse = parse_cpu if resource is Target.CPU else parse_memory
            amount = target["averageUtilization"] if is_utilisation else parse(target["averageValue"])
            return Autoscaler(hpa["metadata"]["name"], resource, is_utilisation, int(amount), **bounds)
    return Autoscaler(hpa["metadata"]["name"], Target.REPLICAS, is_utilisation=False, target=0, **bounds)


def _rollout(manifest: Mapping[str, Any], workload: Workload) -> str | None:
    """What is still missing, in words; None once it is done. The rules of `kubectl rollout status`."""
    status = manifest.get("status") or {}
    for condition in status.get("conditions") or []:
        if condition.get("reason") == "ProgressDeadlineExceeded":
            raise ClusterError(f"{_named(workload)} does not get ready: {condition.get('message', '')}")
    if status.get("observedGeneration", 0) < manifest["metadata"].get("generation", 0):
        return "a change that its controller has not seen yet"
    wanted = _replicas(manifest, workload)
    if workload.kind == "DaemonSet":
        updated, available = status.get("updatedNumberScheduled", 0), status.get("numberAvailable", 0)
        total = updated
    else:
        updated, available = status.get("updatedReplicas", 0), status.get("availableReplicas", 0)
        total = status.get("replicas", 0)
    if updated == available == total == wanted:
        return None
    return f"{available} of {wanted} replicas available, {updated} of the newest template, {total} in all"


def _pod_reasons(pod: Mapping[str, Any]) -> Iterator[str]:
    status = pod.get("status") or {}
    for condition in status.get("conditions") or []:
        if condition.get("type") == "PodScheduled" and condition.get("status") == "False":
            yield f"{condition.get('reason', 'Unschedulable')}: {condition.get('message', '')}".rstrip(": ")
    for container in status.get("containerStatuses") or []:
        waiting = (container.get("state") or {}).get("waiting")
        if waiting:
            yield f"{container['name']} {waiting.get('reason', 'waits')} {waiting.get('message', '')}".rstrip()


# --- writing patches -------------------------------------------------------------------------------------------------


def _resources_patch(
    workload: Workload, pod_spec: Mapping[str, Any], containers: Sequence[Container]
) -> dict[str, list[dict[str, Any]]]:
    """The part of the pod spec that changes: containers (and native sidecars) by name; empty where nothing does."""
    now = {container["name"]: container for container in _sized(pod_spec)}
    patch: dict[str, list[dict[str, Any]]] = {}
    for container in containers:
        if container.name not in now:
            raise ClusterError(
                f"{_named(workload)} has no container {container.name!r} in its template.",
                hint=f"It has: {', '.join(now)}.",
            )
        if container.resources == _resources(now[container.name]):
            continue
        is_native = container.name not in {one["name"] for one in pod_spec["containers"]}
        entry = {"name": container.name, "resources": _resources_entry(container.resources)}
        patch.setdefault("initContainers" if is_native else "containers", []).append(entry)
    return patch


def _resources_entry(resources: Resources) -> dict[str, dict[str, str | None]]:
    """null takes a request or limit away; what is not named, such as ephemeral-storage, stays."""
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


# --- the connection --------------------------------------------------------------------------------------------------


class _NotFound(ClusterError):
    """The object that was asked for is not there."""


def _connect(kubeconfig: Path | str | None, context: str | None) -> Any:
    from kubernetes import client, config

    try:
        file = None if kubeconfig is None else str(kubeconfig)
        return config.new_client_from_config(file, context)  # type: ignore[no-untyped-call]  # the library's
    except config.ConfigException as error:
        problem = str(error).rstrip(".")
    if kubeconfig is None and context is None:
        settings = client.Configuration()
        try:
            config.load_incluster_config(client_configuration=settings)  # type: ignore[no-untyped-call]
        except config.ConfigException:
            pass  # not inside a pod either: what the kubeconfig lacks is what to tell
        else:
            return client.ApiClient(settings)
    raise ClusterError(
        f"There is no usable kubeconfig: {problem}.",
        hint="Point $KUBECONFIG at one, and see what it knows: kubectl config get-contexts",
    )


@contextmanager
def _in_words(host: str) -> Iterator[None]:
    """What the client raises, as a ClusterError that says what happened and what to do."""
    from kubernetes.client.exceptions import ApiException
    from urllib3.exceptions import HTTPError

    try:
        yield
    except ApiException as error:
        raise _refusal(host, error.status, error.reason, error.body) from error
    except HTTPError as error:
        cause: BaseException = getattr(error, "reason", None) or error
        raise ClusterError(
            f"The API server {host} cannot be reached: {str(cause).rpartition('] ')[2].rstrip('.')}.",
            hint="Is the cluster up, and the VPN? Try: kubectl version",
        ) from error


def _refusal(host: str, status: int | None, reason: str | None, body: str | bytes | None) -> MoraError:
    said = _said(body) or str(reason or "")
    if status == 404:
        return _NotFound(f"{host} answered 404: {said}.")
    if status == 401:
        return ClusterError(
            f"The API server {host} does not know these credentials: {said}.", hint="Log in again: kubectl auth whoami"
        )
    if status == 403:
        match = _FORBIDDEN.search(said)
        rule = (
            f'{{apiGroups: ["{match["group"]}"], resources: ["{match["resource"]}"], verbs: ["{match["verb"]}"]}}'
            if match
            else "see the ClusterRole in manifests/"
        )
        return ClusterError(f"Kubernetes forbids this: {said}.", hint=f"A Role with this rule grants it: {rule}")
    if status == 422:
        return ClusterError(f"Kubernetes finds this invalid: {said}.")
    return ClusterError(f"The API server {host} answered {status}: {said}.")


def _said(body: str | bytes | None) -> str:
    try:
        answer = json.loads(body or "")
    except ValueError:
        return ""
    return str(answer.get("message") or "").rstrip(".") if isinstance(answer, dict) else ""
