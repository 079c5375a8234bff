"""The lists that an inventory reads of a Kubernetes API, by what they concern.

What cannot be read is kept as a reason: of one workload, of a namespace, or of all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from mora.clusters import kinds
from mora.clusters.connection import JSON, METADATA_ONLY, Api, NotFound
from mora.clusters.objects import (
    DEFAULT_CONTAINER,
    Manifest,
    has_name,
    read_containers,
    read_resources,
    runs_java,
    without_odd_containers,
)
from mora.clusters.owners import Owner, controller_of, owner_of
from mora.clusters.shapes import Shape, Unreadable, read
from mora.domain import API_VERSIONS, JOB_KINDS, Container, Reason, Resources, Workload, is_name
from mora.domain.kinds import group_of_run, is_kind
from mora.errors import ClusterError

ANNOTATIONS = "mora.dev/"
# Written by what deployed an object: evidence for the place in a repository that it comes from.
DEPLOYED_BY = ("meta.helm.sh/release-name", "meta.helm.sh/release-namespace", "argocd.argoproj.io/tracking-id")
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
_ENDED = ("Succeeded", "Failed")


@dataclass(slots=True)
class Pods:
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
    annotations: dict[str, str] = field(default_factory=dict)
    """MOrA's own on pods of what has no template here."""
    count: int = 0
    lists: set[frozenset[str]] = field(default_factory=set)
    """The names of the containers of a pod, of every pod once: more than one where the pods are not alike."""

    def add(self, pod: Manifest, newness: int, *, has_template: bool = True) -> None:
        """Count one pod more. newness: of its template. has_template: what the template lacks is injected."""
        if newness < self.newness:
            return
        if newness > self.newness:
            self.newness, self.containers, self.jvm, self.default_container = newness, {}, set(), None
        spec, odd = without_odd_containers(pod["spec"])
        self.odd.update(dict.fromkeys(odd))
        self.overhead = read_resources({"resources": {"requests": spec.get("overhead") or {}}})
        self.count += 1
        if not has_template:
            self.annotations.update(own_annotations(pod))
        found = read_containers(spec, None, is_injected=has_template)
        self.lists.add(frozenset(container.name for container in found))
        for container in found:
            self.containers.setdefault(container.name, container)
        self.jvm.update(java_containers(spec))
        annotations = pod["metadata"].get("annotations") or {}
        self.default_container = self.default_container or annotations.get(DEFAULT_CONTAINER)


@dataclass(slots=True)
class Lists:
    """Everything that was listed, by its lookup key."""

    workloads: list[tuple[Workload, dict[str, Any]]] = field(default_factory=list)
    others: list[Workload] = field(default_factory=list)
    """Workloads of other kinds, known by their pods alone."""
    pods: dict[Owner, Pods] = field(default_factory=dict)
    hpas: dict[Owner, list[dict[str, Any]]] = field(default_factory=dict)
    vpas: dict[Owner, list[dict[str, Any]]] = field(default_factory=dict)
    scalers: dict[tuple[str, str, str], Owner] = field(default_factory=dict)
    """HPA or VPA, its namespace and its name -> what it is for."""
    limit_ranges: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    quotas: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    namespace_annotations: dict[str, dict[str, str]] = field(default_factory=dict)
    unreadable: dict[Workload, Reason] = field(default_factory=dict)
    """Workloads of which no more than the name can be read."""
    unknown: list[Reason] = field(default_factory=list)
    """Why some lists are missing that concern every workload."""
    unknown_in: dict[str, list[Reason]] = field(default_factory=dict)
    """Namespace -> objects in it that cannot be read and may concern any of its workloads."""
    unknown_of: dict[Owner, list[Reason]] = field(default_factory=dict)
    """Objects that cannot be read and concern one workload."""

    def reasons_of(self, workload: Workload) -> list[Reason]:
        """What is not known of a workload, since something could not be read."""
        own = self.unknown_of.get((workload.namespace, workload.kind, workload.name), [])
        return list(dict.fromkeys([*own, *self.unknown_in.get(workload.namespace, []), *self.unknown]))


class Listing:
    """Reads the lists of one run. remarks: what concerns no single workload."""

    def __init__(self, api: Api, namespace: str | None, selector: str | None) -> None:
        self._api, self._namespace, self._selector = api, namespace, selector
        self.remarks: tuple[Reason, ...] = ()

    def lists(self) -> Lists:
        """Everything; without a workload the rest is not asked for. Errors as in KubernetesInventory.states()."""
        lists = Lists()
        self._list_workloads(lists, self._namespace, self._selector)
        if lists.workloads or lists.unreadable or self._selector is None:
            self._list_pods(lists, self._namespace)
            self._list_bounds(lists, self._namespace)
        return lists

    def _list_workloads(self, lists: Lists, namespace: str | None, selector: str | None) -> None:
        query = {} if selector is None else {"labelSelector": selector}
        for kind, plural in _PLURALS.items():
            path, shape = _path(API_VERSIONS[kind], plural, namespace), kinds.WORKLOADS[kind]
            odd = self._odd_workload(kind, lists)
            if kind in _NEEDED:
                items: Iterable[dict[str, Any]] = self._named(
                    self._api.pages(path, query, shape=shape, odd=odd), plural
                )
            else:
                items = self._optional(path, query, self._remark(f"{kind}s"), shape=shape, odd=odd)
            if kind == "Job":
                lists.workloads += _one_off(items)
                continue
            for item in items:
                meta = item["metadata"]
                lists.workloads.append((Workload(meta["namespace"], meta["name"], kind), item))

    def _odd_workload(self, kind: str, lists: Lists) -> Callable[[Unreadable], None]:
        def odd(error: Unreadable) -> None:
            if error.namespace is None or error.name is None:
                self._leave_out(f"A {kind}", error)
                return
            text = f"the {kind} cannot be read: {error.problem}"
            lists.unreadable[Workload(error.namespace, error.name, kind)] = Reason("unreadable", text)

        return odd

    def _list_pods(self, lists: Lists, namespace: str | None) -> None:
        unknown = _unknown(lists, "pods-unknown", "injected sidecars are not known")
        sets: dict[Owner, dict[str, Any]] = {}
        for version, plural, kind in (("apps/v1", "replicasets", "ReplicaSet"), ("batch/v1", "jobs", "Job")):
            odd = self._odd_in(lists, "pods-unknown", kind, "some of its pods may be missing")
            path = _path(version, plural, namespace)
            for one in self._optional(path, {}, unknown, shape=kinds.OWNED, odd=odd, accept=METADATA_ONLY):
                sets[one["metadata"]["namespace"], kind, one["metadata"]["name"]] = one
        odd = self._odd_in(lists, "pods-unknown", "pod", "its containers do not count")
        held = []
        for pod in self._optional(_path("v1", "pods", namespace), {}, unknown, shape=kinds.POD, odd=odd):
            if controller_of(pod, _CONTROLLER) is not None:
                held.append(pod)
            else:
                _count(pod, sets, lists)
        if held:  # OpenShift's DeploymentConfigs have these; few other clusters do
            path, report = _path("v1", "replicationcontrollers", namespace), self._remark(f"{_CONTROLLER}s")
            for one in self._optional(path, {}, report, shape=kinds.OWNED, odd=odd, accept=METADATA_ONLY):
                sets[one["metadata"]["namespace"], _CONTROLLER, one["metadata"]["name"]] = one
        for pod in held:
            _count(pod, sets, lists)
        if self._selector is None:  # which chooses by labels that only a workload has
            lists.others += _others(lists)

    def _list_bounds(self, lists: Lists, namespace: str | None) -> None:
        so = "it is not known whether an HPA scales it"
        odd = self._odd_in(lists, "autoscalers-unknown", "HPA", so)
        path = _path("autoscaling/v2", "horizontalpodautoscalers", namespace)
        report = _unknown(lists, "autoscalers-unknown", so)
        for item in self._optional(path, {}, report, shape=kinds.HPA_TARGET, odd=odd):
            namespace_of, target = item["metadata"]["namespace"], item["spec"]["scaleTargetRef"]
            owner = (namespace_of, target["kind"], target["name"])
            lists.scalers["HPA", namespace_of, item["metadata"]["name"]] = owner
            try:
                lists.hpas.setdefault(owner, []).append(read(kinds.HPA, item))
            except Unreadable as error:
                lists.unknown_of.setdefault(owner, []).append(_odd_reason("autoscalers-unknown", so, "HPA", error))
        self._list_vpas(lists, namespace)
        for plural, kind, shape, kept, code in (
            ("limitranges", "LimitRange", kinds.LIMIT_RANGE, lists.limit_ranges, "limit-range-unknown"),
            ("resourcequotas", "ResourceQuota", kinds.QUOTA, lists.quotas, "quota-unknown"),
        ):
            report = _unknown(lists, code, "its bounds are not known")
            odd = self._odd_in(lists, code, kind, "its bounds are not known")
            for one in self._optional(_path("v1", plural, namespace), {}, report, shape=shape, odd=odd):
                kept.setdefault(one["metadata"]["namespace"], []).append(one)
        report = self._remark("annotations of namespaces")
        for one in self._namespaces(namespace, report):
            lists.namespace_annotations[one["metadata"]["name"]] = own_annotations(one)

    def _list_vpas(self, lists: Lists, namespace: str | None) -> None:
        so = "it is not known whether a VPA sets the requests of its pods"
        report = _unknown(lists, "vpas-unknown", so)

        def unless_missing(error: ClusterError) -> None:
            if not isinstance(error, NotFound):  # a cluster without VPAs is nothing unusual
                report(error)

        odd = self._odd_in(lists, "vpas-unknown", "VPA", so)
        path = _path("autoscaling.k8s.io/v1", "verticalpodautoscalers", namespace)
        for vpa in self._optional(path, {}, unless_missing, shape=kinds.VPA, odd=odd):
            target = (vpa.get("spec") or {}).get("targetRef") or {}
            owner = (vpa["metadata"]["namespace"], target.get("kind", ""), target.get("name", ""))
            lists.vpas.setdefault(owner, []).append(vpa)
            lists.scalers["VPA", owner[0], vpa["metadata"]["name"]] = owner

    def _namespaces(self, namespace: str | None, report: Callable[[ClusterError], None]) -> Iterable[dict[str, Any]]:
        def odd(error: Unreadable) -> None:
            self._leave_out("The annotations of a namespace", error)

        if namespace is None:
            path = "/api/v1/namespaces"
            return self._optional(path, {}, report, shape=kinds.NAMESPACE, odd=odd, accept=METADATA_ONLY)
        try:
            return [read(kinds.NAMESPACE, self._api.get(f"/api/v1/namespaces/{namespace}"))]
        except Unreadable as error:
            odd(error)
        except ClusterError as error:
            report(error)
        return []

    def _optional(
        self,
        path: str,
        query: Mapping[str, str | int],
        report: Callable[[ClusterError], None],
        *,
        shape: Shape,
        odd: Callable[[Unreadable], None],
        accept: str = JSON,
    ) -> Iterator[dict[str, Any]]:
        """A list; where it cannot be read, or the kind does not exist, nothing and a report.

        The server may refuse it, or fail in it alone: where the webhook of a custom kind is down, or a proxy answers.
        """
        try:
            items = self._api.pages(path, query, shape=shape, odd=odd, accept=accept)
            yield from self._named(items, path.rpartition("/")[2])
        except ClusterError as error:
            report(error)

    def _named(self, items: Iterable[dict[str, Any]], plural: str) -> Iterator[dict[str, Any]]:
        """The objects whose names Kubernetes allows; the others are remarked on and left out."""
        for item in items:
            if has_name(item):
                yield item
                continue
            name = ascii(item["metadata"]["name"])
            self.remarks = (*self.remarks, Reason("odd-name", f"{name} is no valid name, left out of the {plural}"))

    def _odd_in(self, lists: Lists, code: str, kind: str, so: str) -> Callable[[Unreadable], None]:
        """For objects that may concern every workload of their namespace."""

        def odd(error: Unreadable) -> None:
            if error.namespace is None:
                self._leave_out(f"A {kind}", error)
                return
            lists.unknown_in.setdefault(error.namespace, []).append(_odd_reason(code, so, kind, error))

        return odd

    def _leave_out(self, what: str, error: Unreadable) -> None:
        name = f" {error.name}" if error.name else ""
        self.remarks = (
            *self.remarks,
            Reason("unreadable", f"{what}{name} is left out, since it cannot be read: {error.problem}"),
        )

    def _remark(self, what: str) -> Callable[[ClusterError], None]:
        def report(error: ClusterError) -> None:
            if not isinstance(error, NotFound):  # a kind that does not exist is not missing
                words = f"{what} could not be read: {error.message} {error.hint or ''}".rstrip()
                self.remarks = (*self.remarks, Reason("not-listed", words))

        return report


_CONTROLLER = "ReplicationController"


def _count(pod: Manifest, between: Mapping[Owner, Manifest], lists: Lists) -> None:
    """Count a pod for its workload; what ran once, of a kind that runs all the time, and ended is no workload."""
    owner, newness = owner_of(pod, between)
    kind = owner[1]
    has_ended = (pod.get("status") or {}).get("phase") in _ENDED
    if has_ended and kind not in API_VERSIONS and kind not in JOB_KINDS:
        return
    lists.pods.setdefault(owner, Pods()).add(pod, newness, has_template=kind in API_VERSIONS)


def _one_off(jobs: Iterable[Manifest]) -> list[tuple[Workload, dict[str, Any]]]:
    """Jobs that nothing owns, those with a common stem as one workload, which the newest describes."""
    newest: dict[Workload, dict[str, Any]] = {}
    for item in jobs:
        if controller_of(item) is not None:
            continue
        meta = item["metadata"]
        workload = Workload(meta["namespace"], group_of_run(meta["name"], meta.get("labels") or {}), "Job")
        if workload not in newest or _created(item) >= _created(newest[workload]):
            newest[workload] = dict(item)
    return list(newest.items())


def _created(item: Manifest) -> str:
    return str(item["metadata"].get("creationTimestamp") or "")


def _others(lists: Lists) -> list[Workload]:
    """Workloads of kinds that are not listed, by their pods. Where ReplicaSets are unknown, none of these is one."""
    unsure = {"ReplicaSet"} if any(one.code == "pods-unknown" for one in lists.unknown) else set()
    return [
        Workload(namespace, name, kind)
        for namespace, kind, name in lists.pods
        if kind not in API_VERSIONS and kind not in unsure and is_kind(kind) and is_name(name)
    ]


def _odd_reason(code: str, so: str, kind: str, error: Unreadable) -> Reason:
    named = f"{kind} {error.name}" if error.name else f"a {kind} without a name"
    return Reason(code, f"{so[0].upper()}{so[1:]}: {named} cannot be read: {error.problem}")


def _unknown(lists: Lists, code: str, so: str) -> Callable[[ClusterError], None]:
    def report(error: ClusterError) -> None:
        reason = Reason(code, f"{so[0].upper()}{so[1:]}: {error.message} {error.hint or ''}".rstrip())
        if code not in [one.code for one in lists.unknown]:
            lists.unknown.append(reason)

    return report


def _path(api_version: str, plural: str, namespace: str | None) -> str:
    root = "/api" if api_version == "v1" else "/apis"
    return f"{root}/{api_version}/" + (f"namespaces/{namespace}/" if namespace is not None else "") + plural


def java_containers(spec: Manifest) -> list[str]:
    """Containers of a pod spec that run a Java virtual machine."""
    both = [*(spec.get("containers") or []), *(spec.get("initContainers") or [])]
    return [container["name"] for container in both if runs_java(container)]


def own_annotations(item: Manifest) -> dict[str, str]:
    """An object's annotations that are MOrA's."""
    annotations = item["metadata"].get("annotations") or {}
    return {name: value for name, value in annotations.items() if name.startswith(ANNOTATIONS)}
