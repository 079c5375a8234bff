"""Every workload of a Kubernetes API, with what bounds its numbers; it only reads a dozen lists.

Pods are found by their chain of owners (Pod -> ReplicaSet -> Deployment, Pod -> Job -> CronJob), never by name: a name
pattern would count a canary's pods as the service's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from mora.clusters.connection import JSON, METADATA_ONLY, Api, Forbidden, NotFound
from mora.clusters.objects import (
    DEFAULT_CONTAINER,
    Manifest,
    choose_main,
    has_name,
    named,
    read_autoscalers,
    read_containers,
    read_defaults,
    read_limit_range,
    read_pod_range,
    read_quota,
    read_resources,
    replicas_of,
    runs_java,
    template_of,
    with_defaults,
    without_odd_containers,
)
from mora.domain import (
    API_VERSIONS,
    Allocation,
    Autoscaler,
    Container,
    Quota,
    Reason,
    Resources,
    Workload,
    WorkloadState,
)
from mora.errors import ClusterError

ANNOTATIONS = "mora.dev/"
_PLURALS = {
    "Deployment": "deployments",
    "StatefulSet": "statefulsets",
    "DaemonSet": "daemonsets",
    "CronJob": "cronjobs",
    "Job": "jobs",
    "Rollout": "rollouts",
}
# Without these there is no inventory. Another list that may not be read is reported, and the rest is read.
_NEEDED = ("Deployment", "StatefulSet", "DaemonSet")
_REVISION = "deployment.kubernetes.io/revision"
_ROLLOUT_REVISION = "rollout.argoproj.io/revision"
_KEDA_OBJECT = "scaledobject.keda.sh/name"

Owner = tuple[str, str, str]
"""Namespace, kind and name."""


@dataclass(slots=True)
class _Pods:
    """A few values of a workload's pods, however many they are: a page of pods is some 5 MB.

    newness: orders pods by their template. Only the newest count: an older one may have containers that were renamed
    since.
    """

    newness: int = -1
    containers: dict[str, Container] = field(default_factory=dict)
    jvm: set[str] = field(default_factory=set)
    default_container: str | None = None
    overhead: Resources = field(default_factory=Resources)
    odd: dict[str, None] = field(default_factory=dict)
    """Names of containers that are none in Kubernetes."""

    def add(self, pod: Manifest, newness: int) -> None:
        if newness < self.newness:
            return
        if newness > self.newness:
            self.newness, self.containers, self.jvm, self.default_container = newness, {}, set(), None
        spec, odd = without_odd_containers(pod["spec"])
        self.odd.update(dict.fromkeys(odd))
        self.overhead = read_resources({"resources": {"requests": spec.get("overhead") or {}}})
        for container in read_containers(spec, None, is_injected=True):
            self.containers.setdefault(container.name, container)
        self.jvm.update(_java_containers(spec))
        annotations = pod["metadata"].get("annotations") or {}
        self.default_container = self.default_container or annotations.get(DEFAULT_CONTAINER)


@dataclass(slots=True)
class _Lists:
    """Everything that was listed, by its lookup key."""

    workloads: list[tuple[Workload, dict[str, Any]]] = field(default_factory=list)
    pods: dict[Owner, _Pods] = field(default_factory=dict)
    hpas: dict[Owner, list[dict[str, Any]]] = field(default_factory=dict)
    limit_ranges: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    quotas: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    namespace_annotations: dict[str, dict[str, str]] = field(default_factory=dict)
    unknown: list[Reason] = field(default_factory=list)
    """Why some lists are missing that concern every workload."""


class KubernetesInventory:
    """The workloads of the cluster that a kubeconfig (or, inside a pod, the service account) points at.

    remarks: after states(), lists that could not be read and concern no single workload, such as Argo's Rollouts.
    """

    def __init__(
        self,
        kubeconfig: Path | str | None = None,
        context: str | None = None,
        *,
        request_timeout: timedelta = timedelta(seconds=60),
        backoff: timedelta = timedelta(seconds=0.5),
    ) -> None:
        self._api = Api(kubeconfig=kubeconfig, context=context, request_timeout=request_timeout, backoff=backoff)
        self.remarks: tuple[Reason, ...] = ()

    def __repr__(self) -> str:
        return f"KubernetesInventory({self._api.host!r})"

    def states(self, namespace: str | None = None, selector: str | None = None) -> list[WorkloadState]:
        """Every workload of a namespace (None: of all), sorted. selector: a label selector, as kubectl's -l.

        Jobs of a CronJob count as the CronJob's. ClusterError where Deployments, StatefulSets or DaemonSets cannot be
        listed; other lists that cannot be read are in the states' reasons, or in `remarks`.
        """
        self.remarks = ()
        lists = _Lists()
        self._list_workloads(lists, namespace, selector)
        if not lists.workloads:
            return []
        self._list_pods(lists, namespace)
        self._list_bounds(lists, namespace)
        return sorted((_current_state(workload, item, lists) for workload, item in lists.workloads), key=_order)

    # --- what is asked -----------------------------------------------------------------------------------------------

    def _list_workloads(self, lists: _Lists, namespace: str | None, selector: str | None) -> None:
        query = {} if selector is None else {"labelSelector": selector}
        for kind, plural in _PLURALS.items():
            path = _path(API_VERSIONS[kind], plural, namespace)
            if kind in _NEEDED:
                items: Iterable[dict[str, Any]] = self._named(self._api.pages(path, query), plural)
            else:
                items = self._optional(path, query, self._remark(f"{kind}s"))
            for item in items:
                if kind == "Job" and _controller(item, "CronJob"):
                    continue
                meta = item["metadata"]
                lists.workloads.append((Workload(meta["namespace"], meta["name"], kind), item))

    def _list_pods(self, lists: _Lists, namespace: str | None) -> None:
        unknown = _unknown(lists, "pods-unknown", "injected sidecars are not known")
        sets: dict[Owner, dict[str, Any]] = {}
        for one in self._optional(_path("apps/v1", "replicasets", namespace), {}, unknown, accept=METADATA_ONLY):
            sets[one["metadata"]["namespace"], "ReplicaSet", one["metadata"]["name"]] = one
        if any(workload.kind == "CronJob" for workload, _ in lists.workloads):
            for one in self._optional(_path("batch/v1", "jobs", namespace), {}, unknown, accept=METADATA_ONLY):
                sets[one["metadata"]["namespace"], "Job", one["metadata"]["name"]] = one
        for pod in self._optional(_path("v1", "pods", namespace), {}, unknown):
            found = _owner(pod, sets)
            if found is not None:
                lists.pods.setdefault(found[0], _Pods()).add(pod, found[1])

    def _list_bounds(self, lists: _Lists, namespace: str | None) -> None:
        report = _unknown(lists, "autoscalers-unknown", "it is not known whether an HPA scales it")
        for hpa in self._optional(_path("autoscaling/v2", "horizontalpodautoscalers", namespace), {}, report):
            target = hpa["spec"]["scaleTargetRef"]
            lists.hpas.setdefault((hpa["metadata"]["namespace"], target["kind"], target["name"]), []).append(hpa)
        for plural, kept, code in (
            ("limitranges", lists.limit_ranges, "limit-range-unknown"),
            ("resourcequotas", lists.quotas, "quota-unknown"),
        ):
            report = _unknown(lists, code, "its bounds are not known")
            for one in self._optional(_path("v1", plural, namespace), {}, report):
                kept.setdefault(one["metadata"]["namespace"], []).append(one)
        report = self._remark("annotations of namespaces")
        for one in self._namespaces(namespace, report):
            lists.namespace_annotations[one["metadata"]["name"]] = _own_annotations(one)

    def _namespaces(self, namespace: str | None, report: Callable[[ClusterError], None]) -> Iterable[dict[str, Any]]:
        if namespace is None:
            return self._optional("/api/v1/namespaces", {}, report, accept=METADATA_ONLY)
        try:
            return [self._api.get(f"/api/v1/namespaces/{namespace}")]
        except (Forbidden, NotFound) as error:
            report(error)
            return []

    def _optional(
        self, path: str, query: Mapping[str, str | int], report: Callable[[ClusterError], None], *, accept: str = JSON
    ) -> Iterator[dict[str, Any]]:
        """A list; where it may not be read, or the kind does not exist, nothing and a report."""
        try:
            yield from self._named(self._api.pages(path, query, accept=accept), path.rpartition("/")[2])
        except (Forbidden, NotFound) as error:
            report(error)

    def _named(self, items: Iterable[dict[str, Any]], plural: str) -> Iterator[dict[str, Any]]:
        """The objects whose names Kubernetes allows; the others are remarked on and left out."""
        for item in items:
            if has_name(item):
                yield item
                continue
            name = ascii((item.get("metadata") or {}).get("name"))
            self.remarks = (*self.remarks, Reason("odd-name", f"{name} is no valid name, left out of the {plural}"))

    def _remark(self, what: str) -> Callable[[ClusterError], None]:
        def report(error: ClusterError) -> None:
            if isinstance(error, Forbidden):  # a kind that does not exist is not missing
                words = f"{what} could not be read: {error.message} {error.hint or ''}".rstrip()
                self.remarks = (*self.remarks, Reason("not-listed", words))

        return report


def _unknown(lists: _Lists, code: str, so: str) -> Callable[[ClusterError], None]:
    def report(error: ClusterError) -> None:
        reason = Reason(code, f"{so[0].upper()}{so[1:]}: {error.message} {error.hint or ''}".rstrip())
        if code not in [one.code for one in lists.unknown]:
            lists.unknown.append(reason)

    return report


def _path(api_version: str, plural: str, namespace: str | None) -> str:
    root = "/api" if api_version == "v1" else "/apis"
    return f"{root}/{api_version}/" + (f"namespaces/{namespace}/" if namespace is not None else "") + plural


def _order(state: WorkloadState) -> tuple[str, str, str]:
    return state.workload.namespace, state.workload.name, state.workload.kind


# --- who owns a pod --------------------------------------------------------------------------------------------------


def _controller(item: Manifest, kind: str | None = None) -> dict[str, Any] | None:
    """The owner that manages an object; with `kind` only one of that kind."""
    for owner in item["metadata"].get("ownerReferences") or []:
        if owner.get("controller") and kind in (None, owner["kind"]):
            found: dict[str, Any] = owner
            return found
    return None


def _owner(pod: Manifest, between: Mapping[Owner, Manifest]) -> tuple[Owner, int] | None:
    """The workload that a pod belongs to, and how new its template is; None for a pod without a controller."""
    owner = _controller(pod)
    if owner is None:
        return None
    meta, newness = pod["metadata"], 0
    namespace, labels = meta["namespace"], meta.get("labels") or {}
    middle = between.get((namespace, owner["kind"], owner["name"]))
    if middle is not None:
        annotations = middle["metadata"].get("annotations") or {}
        newness = _whole(annotations.get(_REVISION) or annotations.get(_ROLLOUT_REVISION))
        owner = _controller(middle) or owner
    elif owner["kind"] == "DaemonSet":
        newness = _whole(labels.get("pod-template-generation"))
    return (namespace, owner["kind"], owner["name"]), newness


def _whole(text: str | None) -> int:
    return int(text) if text and text.isdigit() else 0


# --- one workload ----------------------------------------------------------------------------------------------------


def _current_state(workload: Workload, item: Manifest, lists: _Lists) -> WorkloadState:
    template, reasons = _template(workload, item, lists)
    spec, odd = without_odd_containers(template.get("spec") or {})
    template = {**template, "spec": spec} if spec.get("containers") else {}
    pods = lists.pods.get((workload.namespace, workload.kind, workload.name), _Pods())
    containers, main_reasons = _containers(workload, template, pods)
    defaults = read_defaults(lists.limit_ranges.get(workload.namespace, []))
    given = [with_defaults(container, defaults) for container in containers]
    autoscalers, scaler_reasons = _autoscalers(workload, lists)
    odd = list(dict.fromkeys([*odd, *pods.odd]))
    if odd:
        text = f"containers are left out, since Kubernetes allows no such name: {', '.join(odd)}"
        reasons = [*reasons, Reason("odd-name", text)]
    quotas, quota_reasons = _quotas(lists.quotas.get(workload.namespace, []))
    return WorkloadState(
        workload=workload,
        allocation=Allocation(
            replicas=replicas_of(item, workload.kind),
            containers=tuple(container for container, _ in given),
            autoscaler=autoscalers[0] if autoscalers else None,
            overhead=pods.overhead,
        ),
        autoscalers=autoscalers,
        labels=dict(item["metadata"].get("labels") or {}),
        annotations=_annotations(workload, item, template, lists),
        limit_range=read_limit_range(lists.limit_ranges.get(workload.namespace, [])),
        pod_range=read_pod_range(lists.limit_ranges.get(workload.namespace, [])),
        pod_resources=_pod_resources(template),
        quotas=quotas,
        jvm=frozenset({*_java_containers(template.get("spec") or {}), *pods.jvm}),
        known_by="kubernetes",
        reasons=(
            *reasons,
            *main_reasons,
            *(reason for _, reasons_given in given for reason in reasons_given),
            *scaler_reasons,
            *quota_reasons,
            *lists.unknown,
        ),
    )


def _template(workload: Workload, item: Manifest, lists: _Lists) -> tuple[Manifest, list[Reason]]:
    """The pod template; for a Rollout that refers to a Deployment, the Deployment's."""
    template = template_of(item, workload.kind)
    reference = item["spec"].get("workloadRef")
    if template.get("spec") or reference is None:
        return template, []
    wanted = (workload.namespace, reference["kind"], reference["name"])
    for other, manifest in lists.workloads:
        if (other.namespace, other.kind, other.name) == wanted:
            text = f"its pod template is in {named(other)}; change it there"
            return template_of(manifest, other.kind), [Reason("template-elsewhere", text)]
    text = f"its pod template is in {reference['kind']} {reference['name']!r}, which was not listed"
    return {}, [Reason("template-unknown", text)]


def _containers(workload: Workload, template: Manifest, pods: _Pods) -> tuple[tuple[Container, ...], list[Reason]]:
    """The template's containers, then those that are only in the pods."""
    spec = template.get("spec")
    if not spec:
        return (), []
    main, how = choose_main(template, workload.name, annotated=pods.default_container)
    own = read_containers(spec, main)
    names = {container.name for container in own}
    injected = {name: container for name, container in pods.containers.items() if name not in names}
    reasons = [Reason("main-container", f"{main} is the main container: {how}")] if len(own) > 1 else []
    if injected:
        text = f"{', '.join(injected)}: injected at admission, so not in the template; set them where they are injected"
        reasons.append(Reason("injected-sidecars", text))
    return (*own, *injected.values()), reasons


def _pod_resources(template: Manifest) -> Resources | None:
    """Requests and limits of the pod itself (Kubernetes 1.34); None where its template has none."""
    found = read_resources(template.get("spec") or {})
    return None if found == Resources() else found


def _java_containers(spec: Manifest) -> list[str]:
    """Containers of a pod spec that run a Java virtual machine."""
    both = [*(spec.get("containers") or []), *(spec.get("initContainers") or [])]
    return [container["name"] for container in both if runs_java(container)]


def _autoscalers(workload: Workload, lists: _Lists) -> tuple[tuple[Autoscaler, ...], list[Reason]]:
    hpas = lists.hpas.get((workload.namespace, workload.kind, workload.name), [])
    every = [one for hpa in hpas for one in read_autoscalers(hpa)]
    found = [one for one in every if one.container is None or has_name({"name": one.container})]
    reasons = []
    if len(found) < len(every):
        text = "a metric of its HPA is left out, since Kubernetes allows no such name of a container"
        reasons.append(Reason("odd-name", text))
    if len(hpas) > 1:
        names = ", ".join(hpa["metadata"]["name"] for hpa in hpas)
        reasons.append(Reason("several-hpas", f"{len(hpas)} HPAs scale it and work against each other: {names}"))
    for hpa in hpas:
        scaled = (hpa["metadata"].get("labels") or {}).get(_KEDA_OBJECT)
        if scaled or hpa["metadata"]["name"].startswith("keda-hpa-"):
            name = scaled or hpa["metadata"]["name"].removeprefix("keda-hpa-")
            text = (
                f"HPA {hpa['metadata']['name']} belongs to KEDA: change its ScaledObject {name}, or KEDA overwrites it"
            )
            reasons.append(Reason("keda", text))
    return tuple(found), reasons


def _quotas(objects: Sequence[Manifest]) -> tuple[tuple[Quota, ...], list[Reason]]:
    found = tuple(quota for one in objects if (quota := read_quota(one)) is not None)
    scoped = [
        one["metadata"]["name"] for one in objects if one["spec"].get("scopes") or one["spec"].get("scopeSelector")
    ]
    text = f"ResourceQuota {', '.join(scoped)} has scopes, so it counts only some pods; it is not checked"
    return found, [Reason("quota-scoped", text)] if scoped else []


def _own_annotations(item: Manifest) -> dict[str, str]:
    annotations = item["metadata"].get("annotations") or {}
    return {name: value for name, value in annotations.items() if name.startswith(ANNOTATIONS)}


def _annotations(workload: Workload, item: Manifest, template: Manifest, lists: _Lists) -> dict[str, str]:
    """MOrA's annotations: the namespace's, overridden by the workload's; and the template's default container."""
    found = {**lists.namespace_annotations.get(workload.namespace, {}), **_own_annotations(item)}
    named_container = ((template.get("metadata") or {}).get("annotations") or {}).get(DEFAULT_CONTAINER)
    return found if named_container is None else {**found, DEFAULT_CONTAINER: named_container}
