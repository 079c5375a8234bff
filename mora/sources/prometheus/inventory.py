"""The current state of workloads from kube-state-metrics alone, without access to the cluster."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from mora.domain import (
    JOB_KINDS,
    Allocation,
    AmountRange,
    Quota,
    Reason,
    Resources,
    Workload,
    WorkloadState,
    is_jvm_image,
    set_by_vpas,
)
from mora.sources.prometheus import rollouts, scalers
from mora.sources.prometheus.asking import LOOKED_BACK, RESOURCE_FIELDS, Asking, amount_of, is_known
from mora.sources.prometheus.described import Pods
from mora.sources.prometheus.fleet_promql import Scope
from mora.sources.prometheus.labels import annotation_named, is_label_value, label_named
from mora.sources.prometheus.others import by_workload, pods_of_others, repeated, without_ended
from mora.sources.prometheus.ownership import (
    BETWEEN,
    JOB_LABELS,
    OWNER_METRICS,
    Labels,
    Owners,
    Pod,
    grouped_jobs,
    resolve,
)
from mora.sources.prometheus.silence import LATELY, silence
from mora.sources.prometheus.wire import Wire

_PODS_TO_CHOOSE_FROM = 50

# kind -> the metric that lists its workloads, the label with the name, and whether its value is the desired replicas.
_DECLARED: Mapping[str, tuple[str, str, bool]] = {
    "Deployment": ("kube_deployment_spec_replicas", "deployment", True),
    "StatefulSet": ("kube_statefulset_replicas", "statefulset", True),
    "DaemonSet": ("kube_daemonset_status_desired_number_scheduled", "daemonset", True),
    "CronJob": ("kube_cronjob_info", "cronjob", False),
}
_QUOTA_FIELDS = {
    "cpu": "cpu_request_millicores",
    "requests.cpu": "cpu_request_millicores",
    "limits.cpu": "cpu_limit_millicores",
    "memory": "memory_request_bytes",
    "requests.memory": "memory_request_bytes",
    "limits.memory": "memory_limit_bytes",
}
_REQUESTS = "kube_pod_container_resource_requests"
_DEFAULT_CONTAINER = "kubectl.kubernetes.io/default-container"


def read(wire: Wire, scope: Scope, at: datetime) -> tuple[list[WorkloadState], tuple[str, ...]]:
    """Every workload in the scope at a moment, sorted, and warnings about what is skipped.

    None where the names of pods are in another label: then all of them seem to be the pod of kube-state-metrics itself.
    """
    ask = Asking(wire, scope, at)
    pod_owners = ask.labels("kube_pod_owner")
    if any("exported_pod" in labels for labels in pod_owners):
        return [], ()
    missed = silence(ask, pod_owners)
    if missed.pods:
        ask = replace(ask, silent=(missed.matchers, LATELY))
        now = {_pod(labels) for labels in pod_owners}
        pod_owners = [one for one in ask.labels("kube_pod_owner") if _pod(one) in now | missed.pods]
    sets, jobs, controllers = (ask.labels(metric) for metric in OWNER_METRICS[1:])
    jobs = grouped_jobs(jobs, lambda: ask.labels(JOB_LABELS))
    owners = resolve(pod_owners, sets, jobs, controllers)
    if owners.orphans:  # what owns a ReplicaSet never changes, so what is silent now may have told it
        earlier_sets, earlier_jobs, earlier_ones = (ask.earlier_labels(metric) for metric in OWNER_METRICS[1:])
        all_jobs = [*grouped_jobs(earlier_jobs, lambda: ask.earlier_labels(JOB_LABELS)), *jobs]
        owners = resolve(pod_owners, [*earlier_sets, *sets], all_jobs, [*earlier_ones, *controllers])
    owners = without_ended(ask, owners)
    declared = {kind: ask.all(metric) for kind, (metric, _, _) in _DECLARED.items()}
    replicas, refused = _replicas(declared)
    replicas |= _rollout_replicas(owners, ask.values("kube_replicaset_spec_replicas"))
    replicas |= pods_of_others(owners)
    workloads = {*owners.pods.values(), *replicas, *repeated(ask)}
    in_sets = rollouts.sets_of(pod_owners)
    newest = by_workload(owners, _by_pod(ask.values("kube_pod_created")), in_sets)
    pods = Pods(ask, newest)
    idle = workloads - newest.keys()
    earlier = Pods.nothing() if not idle else _earlier(ask, idle)
    autoscalers, vpas = scalers.autoscalers(ask), scalers.vpas(ask)
    limit_ranges = ask.values("kube_limitrange")
    ranges, pod_ranges = _ranges(limit_ranges, "Container"), _ranges(limit_ranges, "Pod")
    quotas = _quotas(ask.values("kube_resourcequota"))
    labels = {
        workload: {name: value for name, value in of.items() if is_label_value(value)}
        for workload, of in _own(ask, _LABELS_METRIC, label_named).items()
    }
    annotations = _own(ask, _ANNOTATIONS_METRIC, annotation_named)
    has_requests = pods.have_requests or earlier.have_requests or ask.exposes(_REQUESTS)
    states = []
    for workload in sorted(workloads):
        described = pods if workload in newest else earlier
        allocation, annotated = described.allocation(workload)
        count = replicas.get(workload) if described.are_alike(workload) else None
        own_scalers = autoscalers.get(workload, ())
        if allocation.containers and not has_requests:
            allocation = replace(allocation, is_described=False)
        template_in = rollouts.template_in(workload, replicas, newest)
        named = {} if annotated is None else {_DEFAULT_CONTAINER: annotated}
        states.append(
            WorkloadState(
                workload,
                replace(allocation, replicas=count, autoscaler=next(iter(own_scalers), None)),
                autoscalers=own_scalers,
                vpas=vpas.get(workload, ()),
                labels=labels.get(workload, {}),
                annotations={**annotations.get(workload, {}), **named},
                limit_range=ranges.get(workload.namespace),
                pod_range=pod_ranges.get(workload.namespace),
                template_in=template_in,
                quotas=quotas.get(workload.namespace, ()),
                jvm=frozenset(c.name for c in allocation.containers if is_jvm_image(c.image)),
                known_by="prometheus",
                reasons=(
                    *_reasons(workload, allocation, described, owners, is_idle=workload in idle),
                    *_lacking(workload, allocation, is_declared=workload in replicas),
                    *rollouts.reasons(workload, owners, in_sets, template_in),
                    *scalers.keda(own_scalers),
                    *set_by_vpas(vpas.get(workload, ())),
                ),
            )
        )
    return states, (*owners.refused, *refused, *_orphans(owners), *missed.warnings)


# --- workloads and their pods ----------------------------------------------------------------------------------------


def _replicas(
    declared: Mapping[str, Iterable[tuple[Labels, float]]],
) -> tuple[dict[Workload, int | None], tuple[str, ...]]:
    """Workloads by their own metrics, with the desired replicas; None where the kind has no such number."""
    rows = [
        (
            {**labels, "owner_kind": kind, "owner_name": labels.get(_DECLARED[kind][1], ""), "pod": str(number)},
            round(value) if _DECLARED[kind][2] and is_known(value) else None,
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


def _earlier(ask: Asking, idle: set[Workload]) -> Pods:
    """The newest pods that these had within LOOKED_BACK."""
    pods, sets, jobs, controllers = (ask.earlier_labels(metric) for metric in OWNER_METRICS)
    owners = resolve(pods, sets, grouped_jobs(jobs, lambda: ask.earlier_labels(JOB_LABELS)), controllers)
    of_each: defaultdict[Workload, list[Pod]] = defaultdict(list)
    for pod, workload in sorted(owners.pods.items(), reverse=True):  # a Job's name ends in its time
        if workload in idle and len(of_each[workload]) < _PODS_TO_CHOOSE_FROM:
            of_each[workload].append(pod)
    chosen = [pod for pods in of_each.values() for pod in pods]
    if not chosen:
        return Pods.nothing()
    asking = replace(ask, scope=replace(ask.scope, pods=tuple(sorted({name for _, name in chosen}))))
    created = _by_pod(asking.values("kube_pod_created", over=LOOKED_BACK))
    newest = by_workload(Owners({pod: owners.pods[pod] for pod in chosen}), created)
    names = {name for pods in newest.values() for _, name in pods}
    asking = replace(asking, scope=replace(ask.scope, pods=tuple(sorted(names))))
    return Pods(asking, newest, over=LOOKED_BACK)


def _by_pod(rows: Iterable[tuple[Labels, float]]) -> dict[Pod, float]:
    return {_pod(labels): value for labels, value in rows}


def _pod(labels: Labels) -> Pod:
    return labels.get("namespace", ""), labels.get("pod", "")


# --- what bounds the numbers -----------------------------------------------------------------------------------------


def _ranges(rows: Iterable[tuple[Labels, float]], kind: str) -> dict[str, AmountRange]:
    """What the LimitRanges of each namespace allow a Container, or a Pod in all; the narrowest of several."""
    bounds: defaultdict[tuple[str, str], dict[str, int]] = defaultdict(dict)
    ratios: defaultdict[str, dict[str, float]] = defaultdict(dict)
    for labels, value in rows:
        resource, side = labels.get("resource", ""), labels.get("constraint", "")
        if labels.get("type") != kind or resource not in ("cpu", "memory"):
            continue
        if side == "maxLimitRequestRatio" and value >= 1:
            of_namespace = ratios[labels.get("namespace", "")]
            of_namespace[resource] = min(of_namespace.get(resource, value), value)
        if side == "default":
            name = RESOURCE_FIELDS["limits", resource]
            # Kubernetes does not define which of several LimitRanges wins; the first is taken, as from the API.
            bounds[labels.get("namespace", ""), side].setdefault(name, amount_of(resource, value))
        if side not in ("min", "max"):
            continue
        bound, amount = bounds[labels.get("namespace", ""), side], amount_of(resource, value)
        narrower: Callable[..., int] = max if side == "min" else min
        # A minimum binds the request, a maximum the limit; neither may cross the other, so each binds both.
        for bounded in ("requests", "limits"):
            name = RESOURCE_FIELDS[bounded, resource]
            bound[name] = narrower(bound.get(name, amount), amount)
    return {
        namespace: AmountRange(
            Resources(**bounds.get((namespace, "min"), {})),
            Resources(**bounds.get((namespace, "max"), {})),
            Resources(**bounds.get((namespace, "default"), {})),
            cpu_ratio=ratios[namespace].get("cpu"),
            memory_ratio=ratios[namespace].get("memory"),
        )
        for namespace in {*(namespace for namespace, _ in bounds), *ratios}
    }


def _quotas(rows: Iterable[tuple[Labels, float]]) -> dict[str, tuple[Quota, ...]]:
    amounts: defaultdict[tuple[str, str], dict[str, dict[str, int]]] = defaultdict(lambda: {"hard": {}, "used": {}})
    for labels, value in rows:
        resource, side = labels.get("resource", ""), labels.get("type", "")
        if resource in _QUOTA_FIELDS and side in ("hard", "used"):
            key = (labels.get("namespace", ""), labels.get("resourcequota", ""))
            amounts[key][side][_QUOTA_FIELDS[resource]] = amount_of(resource, value)
    found: defaultdict[str, list[Quota]] = defaultdict(list)
    for (namespace, name), sides in sorted(amounts.items()):
        found[namespace].append(Quota(name, Resources(**sides["hard"]), Resources(**sides["used"])))
    return {namespace: tuple(quotas) for namespace, quotas in found.items()}


# --- labels and annotations of the workloads themselves --------------------------------------------------------------


_LABELS_METRIC, _ANNOTATIONS_METRIC = "kube_{}_labels", "kube_{}_annotations"


def _own(ask: Asking, metric: str, named: Callable[[str], str | None]) -> dict[Workload, dict[str, str]]:
    """What kube-state-metrics exposes of them (--metric-labels-allowlist, --metric-annotations-allowlist)."""
    found: dict[Workload, dict[str, str]] = {}
    for kind, (_, label, _) in _DECLARED.items():
        for labels in ask.labels(metric.format(label)):
            row = {"namespace": labels.get("namespace", ""), "owner_kind": kind, "owner_name": labels.get(label, "")}
            for workload in resolve([row], [], []).pods.values():
                names = {name: named(name) for name in labels}
                found[workload] = {known: labels[name] for name, known in names.items() if known}
    return found


# The kinds whose pods are known through something in between.
_THROUGH = {"Deployment": "ReplicaSet", "Rollout": "ReplicaSet", "CronJob": "Job"}
_RESOURCES_OF = {"ReplicaSet": "replicasets", "Job": "jobs", "ReplicationController": "replicationcontrollers"}


def _reasons(
    workload: Workload, allocation: Allocation, described: Pods, owners: Owners, *, is_idle: bool
) -> tuple[Reason, ...]:
    days = LOOKED_BACK.days
    between = _THROUGH.get(workload.kind, "")
    if between in _RESOURCES_OF and BETWEEN[between][0] in owners.orphans and not described.knows(workload):
        text = _without(between, "its pods are not known")
        return (Reason("owners-unknown", text),)
    if not described.knows(workload):
        return (Reason("no-pods", f"it had no pods in the last {days} days, so its containers are unknown"),)
    if not allocation.containers:
        return (Reason("no-containers", _NO_CONTAINERS + _what_to_enable(_INFO, "pods")),)
    found = []
    if workload in owners.orphans.get(BETWEEN.get(workload.kind, ("", ""))[0], ()):
        text = _without(workload.kind, f"what owns this {workload.kind} is not known")
        found.append(Reason("owner-unknown", text))
    if not described.are_alike(workload):
        text = "its pods do not all have the same containers, so what it reserves in all is not counted"
        found.append(Reason("pods-differ", text))
    if is_idle and workload.kind not in JOB_KINDS:
        found.append(Reason("no-pods", f"it has no pods now; its newest pod of the last {days} days describes it"))
    return tuple(found)


_INFO = "kube_pod_container_info"
_NO_CONTAINERS = f"its containers are unknown: Prometheus has no {_INFO} of it. "


def _lacking(workload: Workload, allocation: Allocation, *, is_declared: bool) -> Iterator[Reason]:
    """What is not known of a workload since Prometheus lacks a metric of kube-state-metrics; and what to enable."""
    if workload.kind in _DECLARED and not is_declared:
        metric, label, _ = _DECLARED[workload.kind]
        text = f"its replicas are not known: Prometheus has no {metric} of it. {_what_to_enable(metric, f'{label}s')}"
        yield Reason("replicas-unknown", text)
    if allocation.containers and not allocation.is_described:
        text = f"its requests are not known: Prometheus has no {_REQUESTS}. {_what_to_enable(_REQUESTS, 'pods')}"
        yield Reason("requests-unknown", text)


def _without(kind: str, so: str) -> str:
    """What Prometheus lacks between pods and workloads, what is unknown so, and what to enable."""
    metric, resource = BETWEEN[kind][0], _RESOURCES_OF[kind]
    return f"without {metric} {so}. {_what_to_enable(metric, resource)}"


def _what_to_enable(metric: str, resource: str) -> str:
    return (
        f"Let kube-state-metrics export {resource} (--resources), with the right to list them, and keep {metric} where "
        "it is scraped"
    )


def _orphans(owners: Owners) -> tuple[str, ...]:
    """A sentence for each metric that is missing between pods and their workloads."""
    words = []
    for kind, (metric, _) in BETWEEN.items():
        if count := len(owners.orphans.get(metric, ())):
            whose = f"what owns {count} {kind}{'' if count == 1 else 's'} with pods is not known"
            enable = _what_to_enable(metric, _RESOURCES_OF[kind])
            words.append(f"{metric} is missing, so {whose}: they are sized by themselves. {enable}.")
    return tuple(words)


def known_namespaces(states: Sequence[WorkloadState]) -> tuple[str, ...]:
    """Their namespaces, sorted."""
    return tuple(sorted({state.workload.namespace for state in states}))
