"""The current state of workloads from kube-state-metrics alone, without access to the cluster."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from mora.domain import (
    INJECTED_SIDECARS,
    JOB_KINDS,
    Allocation,
    AmountRange,
    Autoscaler,
    Container,
    Quota,
    Reason,
    Resources,
    Role,
    Target,
    Workload,
    WorkloadState,
    choose_main_container,
    is_jvm_image,
    is_name,
)
from mora.quantities import bytes_up, cores_to_millicores
from mora.sources.prometheus.fleet_promql import Scope
from mora.sources.prometheus.labels import annotation_named, is_image, is_label_value, label_named
from mora.sources.prometheus.ownership import Labels, Owners, Pod, resolve
from mora.sources.prometheus.promql import DEFAULT_CONTAINER_LABEL, duration
from mora.sources.prometheus.wire import Wire

# A workload without pods (scaled to zero, between two runs) is described by its newest pod of this time range.
LOOKED_BACK = timedelta(days=7)
_PODS_TO_CHOOSE_FROM = 50

# kind -> the metric that lists its workloads, the label with the name, and whether its value is the desired replicas.
_DECLARED: Mapping[str, tuple[str, str, bool]] = {
    "Deployment": ("kube_deployment_spec_replicas", "deployment", True),
    "StatefulSet": ("kube_statefulset_replicas", "statefulset", True),
    "DaemonSet": ("kube_daemonset_status_desired_number_scheduled", "daemonset", True),
    "CronJob": ("kube_cronjob_info", "cronjob", False),
}
_RESOURCE_FIELDS = {
    ("requests", "cpu"): "cpu_request_millicores",
    ("limits", "cpu"): "cpu_limit_millicores",
    ("requests", "memory"): "memory_request_bytes",
    ("limits", "memory"): "memory_limit_bytes",
}
# What a RuntimeClass adds to its pods.
_OVERHEADS = {
    "kube_pod_overhead_cpu_cores": ("cpu_request_millicores", "cpu"),
    "kube_pod_overhead_memory_bytes": ("memory_request_bytes", "memory"),
}
_QUOTA_FIELDS = {
    "cpu": "cpu_request_millicores",
    "requests.cpu": "cpu_request_millicores",
    "limits.cpu": "cpu_limit_millicores",
    "memory": "memory_request_bytes",
    "requests.memory": "memory_request_bytes",
    "limits.memory": "memory_limit_bytes",
}
_DEFAULT_CONTAINER = "kubectl.kubernetes.io/default-container"

ContainerKey = tuple[str, str, str]
"""Namespace, pod and container."""


def read(wire: Wire, scope: Scope, at: datetime) -> tuple[list[WorkloadState], tuple[str, ...]]:
    """Every workload in the scope at a moment, sorted, and warnings about what is skipped."""
    ask = _Asking(wire, scope, at)
    owners = resolve(*(ask.labels(metric) for metric in OWNER_METRICS))
    declared = {kind: ask.all(metric) for kind, (metric, _, _) in _DECLARED.items()}
    replicas, refused = _replicas(declared)
    replicas |= _rollout_replicas(owners, ask.values("kube_replicaset_spec_replicas"))
    workloads = {*owners.pods.values(), *replicas}
    newest = _newest(owners, _by_pod(ask.values("kube_pod_created")))
    pods = _Pods(ask, {pod: workload for workload, pod in newest.items()})
    idle = workloads - newest.keys()
    earlier = _Pods.nothing() if not idle else _earlier(ask, idle)
    autoscalers = _autoscalers(ask)
    ranges, quotas = _ranges(ask.values("kube_limitrange")), _quotas(ask.values("kube_resourcequota"))
    labels = {
        workload: {name: value for name, value in of.items() if is_label_value(value)}
        for workload, of in _own(ask, _LABELS_METRIC, label_named).items()
    }
    annotations = _own(ask, _ANNOTATIONS_METRIC, annotation_named)
    states = []
    for workload in sorted(workloads):
        described = pods if workload in newest else earlier
        allocation, annotated = described.allocation(workload)
        scalers = autoscalers.get(workload, ())
        named = {} if annotated is None else {_DEFAULT_CONTAINER: annotated}
        states.append(
            WorkloadState(
                workload,
                replace(allocation, replicas=replicas.get(workload), autoscaler=scalers[0] if scalers else None),
                autoscalers=scalers,
                labels=labels.get(workload, {}),
                annotations={**annotations.get(workload, {}), **named},
                limit_range=ranges.get(workload.namespace),
                quotas=quotas.get(workload.namespace, ()),
                jvm=frozenset(c.name for c in allocation.containers if is_jvm_image(c.image)),
                known_by="prometheus",
                reasons=_reasons(workload, allocation, described.knows(workload), is_idle=workload in idle),
            )
        )
    return states, (*owners.refused, *refused)


OWNER_METRICS = ("kube_pod_owner", "kube_replicaset_owner", "kube_job_owner")


@dataclass(frozen=True, slots=True)
class _Asking:
    wire: Wire
    scope: Scope
    at: datetime

    def values(self, metric: str, *matchers: str, over: timedelta | None = None) -> list[tuple[Labels, float]]:
        """The series with their values, without those that are not known."""
        return [(labels, value) for labels, value in self.all(metric, *matchers, over=over) if _is_known(value)]

    def all(self, metric: str, *matchers: str, over: timedelta | None = None) -> list[tuple[Labels, float]]:
        """The series with their values, whatever these are."""
        selector = self.scope.select(metric, *matchers)
        query = selector if over is None else f"last_over_time({selector}[{duration(over)}])"
        return [(row["metric"], float(row["value"][1])) for row in self.wire.instant(query, self.at)]

    def labels(self, metric: str) -> list[Labels]:
        return [labels for labels, _ in self.all(metric)]

    def earlier_labels(self, metric: str) -> list[dict[str, str]]:
        return self.wire.series(self.scope.select(metric), self.at - LOOKED_BACK, self.at)


# --- workloads and their pods ----------------------------------------------------------------------------------------


def _replicas(
    declared: Mapping[str, Iterable[tuple[Labels, float]]],
) -> tuple[dict[Workload, int | None], tuple[str, ...]]:
    """Workloads by their own metrics, with the desired replicas; None where the kind has no such number."""
    rows = [
        (
            {**labels, "owner_kind": kind, "owner_name": labels.get(_DECLARED[kind][1], ""), "pod": str(number)},
            round(value) if _DECLARED[kind][2] and _is_known(value) else None,
        )
        for kind, found in declared.items()
        for number, (labels, value) in enumerate(found)
    ]
    replicas: dict[Workload, int | None] = {}
    refused: dict[str, None] = {}
    for labels, value in rows:
        owners = resolve([labels], [], [])
        refused.update(dict.fromkeys(owners.refused))
        for workload in owners.pods.values():  # of several kube-state-metrics one may not know
            replicas[workload] = replicas.get(workload) if value is None else value
    return replicas, tuple(refused)


def _rollout_replicas(owners: Owners, values: Iterable[tuple[Labels, float]]) -> dict[Workload, int | None]:
    """Argo Rollouts have no metric in kube-state-metrics: the replicas of their ReplicaSets are added up."""
    asked = {(labels.get("namespace", ""), labels.get("replicaset", "")): value for labels, value in values}
    replicas: dict[Workload, int | None] = {}
    for (namespace, kind, name), workload in owners.between.items():
        if workload.kind == "Rollout" and kind == "ReplicaSet" and (namespace, name) in asked:
            replicas[workload] = (replicas.get(workload) or 0) + round(asked[namespace, name])
    return replicas


def _newest(owners: Owners, created: Mapping[Pod, float]) -> dict[Workload, Pod]:
    """The pod that describes each workload: in a rollout the new one; with equal ages the first by name."""
    newest: dict[Workload, Pod] = {}
    for pod, workload in sorted(owners.pods.items(), key=lambda item: (-created.get(item[0], 0.0), item[0])):
        newest.setdefault(workload, pod)
    return newest


def _earlier(ask: _Asking, idle: set[Workload]) -> _Pods:
    """The newest pods that these had within LOOKED_BACK."""
    owners = resolve(*(ask.earlier_labels(metric) for metric in OWNER_METRICS))
    of_each: defaultdict[Workload, list[Pod]] = defaultdict(list)
    for pod, workload in sorted(owners.pods.items(), reverse=True):  # a Job's name ends in its time
        if workload in idle and len(of_each[workload]) < _PODS_TO_CHOOSE_FROM:
            of_each[workload].append(pod)
    chosen = [pod for pods in of_each.values() for pod in pods]
    if not chosen:
        return _Pods.nothing()
    asking = replace(ask, scope=replace(ask.scope, pods=tuple(sorted({name for _, name in chosen}))))
    created = _by_pod(asking.values("kube_pod_created", over=LOOKED_BACK))
    newest = _newest(Owners({pod: owners.pods[pod] for pod in chosen}), created)
    asking = replace(asking, scope=replace(ask.scope, pods=tuple(sorted({name for _, name in newest.values()}))))
    return _Pods(asking, {pod: workload for workload, pod in newest.items()}, over=LOOKED_BACK)


def _by_pod(rows: Iterable[tuple[Labels, float]]) -> dict[Pod, float]:
    return {(labels.get("namespace", ""), labels.get("pod", "")): value for labels, value in rows}


class _Pods:
    """The containers of the pods that describe their workloads."""

    def __init__(self, ask: _Asking | None, pods: Mapping[Pod, Workload], *, over: timedelta | None = None) -> None:
        self._pods = {workload: pod for pod, workload in pods.items()}
        self._containers: defaultdict[Pod, dict[str, Container]] = defaultdict(dict)
        self._annotated: dict[Pod, str] = {}
        self._overheads: defaultdict[Pod, dict[str, int]] = defaultdict(dict)
        if ask is None or not pods:
            return
        resources = _resources(ask, over)
        for metric in ("kube_pod_init_container_info", "kube_pod_container_info"):
            for labels, _ in ask.values(metric, over=over):
                pod, name = (labels.get("namespace", ""), labels.get("pod", "")), labels.get("container", "")
                if pod in pods and name:
                    self._containers[pod][name] = Container(
                        name,
                        resources.get((*pod, name), Resources()),
                        image=_image(ask, labels),
                        role=_role(name, labels, is_init="init" in metric),
                        is_injected=name in INJECTED_SIDECARS,
                    )
        for metric, (field, resource) in _OVERHEADS.items():
            for labels, value in ask.values(metric, over=over):
                pod = labels.get("namespace", ""), labels.get("pod", "")
                self._overheads[pod][field] = _amount(resource, value)
        for labels, _ in ask.values("kube_pod_annotations", f'{DEFAULT_CONTAINER_LABEL}!=""', over=over):
            if is_name(labels[DEFAULT_CONTAINER_LABEL]):
                self._annotated[labels.get("namespace", ""), labels.get("pod", "")] = labels[DEFAULT_CONTAINER_LABEL]

    @classmethod
    def nothing(cls) -> _Pods:
        return cls(None, {})

    def knows(self, workload: Workload) -> bool:
        """Whether there is a pod that describes the workload."""
        return workload in self._pods

    def allocation(self, workload: Workload) -> tuple[Allocation, str | None]:
        """The containers, the main one first, then by name; and the default container that the annotation names."""
        pod = self._pods.get(workload, ("", ""))
        containers = self._containers.get(pod, {})
        own = sorted(name for name, container in containers.items() if container.role in (Role.APP, Role.SIDECAR))
        if not own:
            return Allocation(), None
        annotated = self._annotated.get(pod)
        main, _ = choose_main_container(own, workload.name, annotated=annotated, order="by name")
        ordered = sorted(containers.values(), key=lambda one: (one.name != main, one.role is Role.INIT, one.name))
        return Allocation(
            containers=tuple(replace(one, is_main=True, role=Role.APP) if one.name == main else one for one in ordered),
            overhead=Resources(**self._overheads.get(pod, {})),
        ), annotated


def _image(ask: _Asking, labels: Labels) -> str | None:
    image = labels.get("image_spec") or labels.get("image") or None
    if image is None or is_image(image):
        return image
    ask.wire.names.note("image", image)
    return None


def _role(name: str, labels: Labels, *, is_init: bool) -> Role:
    if is_init:  # restart_policy: since kube-state-metrics 2.10
        return Role.NATIVE_SIDECAR if labels.get("restart_policy") == "Always" else Role.INIT
    return Role.SIDECAR if name in INJECTED_SIDECARS else Role.APP


def _resources(ask: _Asking, over: timedelta | None) -> dict[ContainerKey, Resources]:
    found: defaultdict[ContainerKey, dict[str, int]] = defaultdict(dict)
    for part in ("container", "init_container"):
        for side in ("requests", "limits"):
            for labels, value in ask.values(f"kube_pod_{part}_resource_{side}", 'resource=~"cpu|memory"', over=over):
                key = (labels.get("namespace", ""), labels.get("pod", ""), labels.get("container", ""))
                found[key][_RESOURCE_FIELDS[side, labels["resource"]]] = _amount(labels["resource"], value)
    return {key: Resources(**fields) for key, fields in found.items()}


def _is_known(value: float) -> bool:
    """Whether a value of kube-state-metrics can be meant; recording rules of 0/0 bring NaN, sums bring Inf."""
    return math.isfinite(value) and value >= 0


def _amount(resource: str, value: float) -> int:
    """Millicores or bytes of a metric's cores or bytes."""
    return cores_to_millicores(value) if resource.endswith("cpu") else bytes_up(value)


# --- what bounds the numbers -----------------------------------------------------------------------------------------


def _autoscalers(ask: _Asking) -> dict[Workload, tuple[Autoscaler, ...]]:
    """The HPAs of each workload, KEDA's included, that scale on CPU or memory."""
    named: dict[tuple[str, str], Workload] = {}
    for labels in ask.labels("kube_horizontalpodautoscaler_info"):
        row = {
            "namespace": labels.get("namespace", ""),
            "owner_kind": labels.get("scaletargetref_kind", ""),
            "owner_name": labels.get("scaletargetref_name", ""),
        }
        for workload in resolve([row], [], []).pods.values():
            named[row["namespace"], labels.get("horizontalpodautoscaler", "")] = workload
    if not named:
        return {}
    minimum, maximum = (
        {
            _scaler(labels): round(value)
            for labels, value in ask.values(f"kube_horizontalpodautoscaler_spec_{side}_replicas")
        }
        for side in ("min", "max")
    )
    found: defaultdict[Workload, dict[tuple[str, str, str], Autoscaler]] = defaultdict(dict)
    for labels, value in ask.values("kube_horizontalpodautoscaler_spec_target_metric"):
        key, resource, target = _scaler(labels), labels.get("metric_name", ""), labels.get("metric_target_type", "")
        if key not in named or resource not in ("cpu", "memory") or target not in ("utilization", "average"):
            continue
        is_utilisation = target == "utilization"
        found[named[key]][key[1], resource, target] = Autoscaler(
            key[1],
            Target(resource),
            is_utilisation,
            round(value) if is_utilisation else _amount(resource, value),
            minimum.get(key, 1),
            maximum.get(key, 1),
            labels.get("container") or None,
        )
    return {workload: tuple(of[key] for key in sorted(of)) for workload, of in found.items()}


def _scaler(labels: Labels) -> tuple[str, str]:
    return labels.get("namespace", ""), labels.get("horizontalpodautoscaler", "")


def _ranges(rows: Iterable[tuple[Labels, float]]) -> dict[str, AmountRange]:
    """What the LimitRanges of each namespace allow a container; the narrowest of several."""
    bounds: defaultdict[tuple[str, str], dict[str, int]] = defaultdict(dict)
    for labels, value in rows:
        resource, side = labels.get("resource", ""), labels.get("constraint", "")
        if labels.get("type") != "Container" or resource not in ("cpu", "memory"):
            continue
        if side == "default":
            name = _RESOURCE_FIELDS["limits", resource]
            # Kubernetes does not define which of several LimitRanges wins; the first is taken, as from the API.
            bounds[labels.get("namespace", ""), side].setdefault(name, _amount(resource, value))
        if side not in ("min", "max"):
            continue
        bound, amount = bounds[labels.get("namespace", ""), side], _amount(resource, value)
        narrower: Callable[..., int] = max if side == "min" else min
        # A minimum binds the request, a maximum the limit; neither may cross the other, so each binds both.
        for kind in ("requests", "limits"):
            name = _RESOURCE_FIELDS[kind, resource]
            bound[name] = narrower(bound.get(name, amount), amount)
    return {
        namespace: AmountRange(*(Resources(**bounds.get((namespace, side), {})) for side in ("min", "max", "default")))
        for namespace in {namespace for namespace, _ in bounds}
    }


def _quotas(rows: Iterable[tuple[Labels, float]]) -> dict[str, tuple[Quota, ...]]:
    amounts: defaultdict[tuple[str, str], dict[str, dict[str, int]]] = defaultdict(lambda: {"hard": {}, "used": {}})
    for labels, value in rows:
        resource, side = labels.get("resource", ""), labels.get("type", "")
        if resource in _QUOTA_FIELDS and side in ("hard", "used"):
            key = (labels.get("namespace", ""), labels.get("resourcequota", ""))
            amounts[key][side][_QUOTA_FIELDS[resource]] = _amount(resource, value)
    found: defaultdict[str, list[Quota]] = defaultdict(list)
    for (namespace, name), sides in sorted(amounts.items()):
        found[namespace].append(Quota(name, Resources(**sides["hard"]), Resources(**sides["used"])))
    return {namespace: tuple(quotas) for namespace, quotas in found.items()}


# --- labels and annotations of the workloads themselves --------------------------------------------------------------


_LABELS_METRIC, _ANNOTATIONS_METRIC = "kube_{}_labels", "kube_{}_annotations"


def _own(ask: _Asking, metric: str, named: Callable[[str], str | None]) -> dict[Workload, dict[str, str]]:
    """What kube-state-metrics exposes of them (--metric-labels-allowlist, --metric-annotations-allowlist)."""
    found: dict[Workload, dict[str, str]] = {}
    for kind, (_, label, _) in _DECLARED.items():
        for labels in ask.labels(metric.format(label)):
            row = {"namespace": labels.get("namespace", ""), "owner_kind": kind, "owner_name": labels.get(label, "")}
            for workload in resolve([row], [], []).pods.values():
                names = {name: named(name) for name in labels}
                found[workload] = {known: labels[name] for name, known in names.items() if known}
    return found


def _reasons(workload: Workload, allocation: Allocation, has_pod: bool, *, is_idle: bool) -> tuple[Reason, ...]:
    days = LOOKED_BACK.days
    if not has_pod:
        return (Reason("no-pods", f"it had no pods in the last {days} days, so its containers are unknown"),)
    if not allocation.containers:
        return (Reason("no-containers", "Prometheus has no kube_pod_container_info, so its containers are unknown"),)
    if is_idle and workload.kind not in JOB_KINDS:
        return (Reason("no-pods", f"it has no pods now; its newest pod of the last {days} days describes it"),)
    return ()


def known_namespaces(states: Sequence[WorkloadState]) -> tuple[str, ...]:
    """Their namespaces, sorted."""
    return tuple(sorted({state.workload.namespace for state in states}))
