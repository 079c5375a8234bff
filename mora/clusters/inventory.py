"""Every workload of a Kubernetes API, with what bounds its numbers; it only reads a dozen lists.

Pods are found by their chain of owners (Pod -> ReplicaSet -> Deployment, Pod -> Job -> CronJob), never by name: a name
pattern would count a canary's pods as the service's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from mora.clusters.connection import Api
from mora.clusters.lists import DEPLOYED_BY, Listing, Lists, Pods, java_containers, own_annotations
from mora.clusters.objects import (
    DEFAULT_CONTAINER,
    Manifest,
    choose_main,
    has_name,
    named,
    read_containers,
    read_defaults,
    read_limit_range,
    read_pod_range,
    read_quota,
    read_resources,
    replicas_of,
    template_of,
    with_defaults,
    without_odd_containers,
)
from mora.clusters.scalers import read_autoscalers, read_vertical
from mora.domain import (
    JOB_KINDS,
    Allocation,
    Autoscaler,
    Container,
    Quota,
    Reason,
    Resources,
    Role,
    VerticalScaler,
    Workload,
    WorkloadState,
    choose_main_container,
    owned_by_keda,
    set_by_vpas,
)
from mora.quantities import format_cpu, format_memory

_KEDA_OBJECT = "scaledobject.keda.sh/name"


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
        listing = Listing(self._api, namespace, selector)
        try:
            lists = listing.lists()
        finally:
            self.remarks = listing.remarks
        found = [_current_state(workload, item, lists) for workload, item in lists.workloads]
        found += [_state_of_pods(workload, lists) for workload in lists.others]
        found += [_unreadable_state(workload, reason, lists) for workload, reason in lists.unreadable.items()]
        return sorted(found, key=_order)


def _order(state: WorkloadState) -> tuple[str, str, str]:
    return state.workload.namespace, state.workload.name, state.workload.kind


# --- one workload ----------------------------------------------------------------------------------------------------


def _current_state(workload: Workload, item: Manifest, lists: Lists) -> WorkloadState:
    template, template_in, reasons = _template(workload, item, lists)
    spec, odd = without_odd_containers(template.get("spec") or {})
    template = {**template, "spec": spec} if spec.get("containers") else {}
    pods = lists.pods.get((workload.namespace, workload.kind, workload.name), Pods())
    containers, main_reasons = _containers(workload, template, pods)
    defaults = read_defaults(lists.limit_ranges.get(workload.namespace, []))
    given = [with_defaults(container, defaults) for container in containers]
    vpas = tuple(map(read_vertical, lists.vpas.get((workload.namespace, workload.kind, workload.name), [])))
    running, pod_reasons = _as_in_pods([container for container, _ in given], pods, vpas)
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
            containers=running,
            autoscaler=autoscalers[0] if autoscalers else None,
            overhead=pods.overhead,
            pod=_pod_resources(template) or Resources(),
        ),
        autoscalers=autoscalers,
        vpas=vpas,
        labels=dict(item["metadata"].get("labels") or {}),
        annotations=_annotations(workload, item, template, lists),
        limit_range=read_limit_range(lists.limit_ranges.get(workload.namespace, [])),
        pod_range=read_pod_range(lists.limit_ranges.get(workload.namespace, [])),
        pod_resources=_pod_resources(template),
        template_in=template_in,
        quotas=quotas,
        jvm=frozenset({*java_containers(template.get("spec") or {}), *pods.jvm}),
        known_by="kubernetes",
        reasons=(
            *reasons,
            *main_reasons,
            *(reason for _, reasons_given in given for reason in reasons_given),
            *pod_reasons,
            *_names_taken(workload, lists),
            *scaler_reasons,
            *quota_reasons,
            *lists.reasons_of(workload),
        ),
    )


def _state_of_pods(workload: Workload, lists: Lists) -> WorkloadState:
    """A workload whose kind is not listed, as all of its pods together are."""
    pods = lists.pods[workload.namespace, workload.kind, workload.name]
    names = [container.name for container in pods.containers.values() if container.role in (Role.APP, Role.SIDECAR)]
    main = choose_main_container(names, workload.name, annotated=pods.default_container)[0] if names else None
    containers = tuple(
        replace(one, is_main=True, role=Role.APP) if one.name == main else one for one in pods.containers.values()
    )
    autoscalers, scaler_reasons = _autoscalers(workload, lists)
    quotas, quota_reasons = _quotas(lists.quotas.get(workload.namespace, []))
    text = "its pods do not all have the same containers, so what it reserves in all is not counted"
    differ = [Reason("pods-differ", text)] if len(pods.lists) > 1 else []
    is_job = workload.kind in JOB_KINDS
    return WorkloadState(
        workload=workload,
        allocation=Allocation(
            replicas=None if differ or is_job else pods.count,
            containers=containers,
            autoscaler=autoscalers[0] if autoscalers else None,
            overhead=pods.overhead,
        ),
        autoscalers=autoscalers,
        annotations={**lists.namespace_annotations.get(workload.namespace, {}), **pods.annotations},
        limit_range=read_limit_range(lists.limit_ranges.get(workload.namespace, [])),
        pod_range=read_pod_range(lists.limit_ranges.get(workload.namespace, [])),
        quotas=quotas,
        jvm=frozenset(pods.jvm),
        known_by="kubernetes",
        reasons=(*differ, *scaler_reasons, *quota_reasons, *lists.reasons_of(workload)),
    )


def _unreadable_state(workload: Workload, why: Reason, lists: Lists) -> WorkloadState:
    return WorkloadState(workload, Allocation(), problem=why, reasons=(why, *lists.reasons_of(workload)))


def _template(workload: Workload, item: Manifest, lists: Lists) -> tuple[Manifest, Workload | None, list[Reason]]:
    """The pod template and, for a Rollout that refers to a Deployment, that Deployment."""
    template = template_of(item, workload.kind)
    reference = item["spec"].get("workloadRef")
    if (template.get("spec") or {}).get("containers") or reference is None:
        return template, None, []
    wanted = (workload.namespace, reference["kind"], reference["name"])
    for other, manifest in lists.workloads:
        if (other.namespace, other.kind, other.name) == wanted:
            text = f"its pod template is in {named(other)}; change it there"
            return template_of(manifest, other.kind), other, [Reason("template-elsewhere", text)]
    text = f"its pod template is in {reference['kind']} {reference['name']!r}, which was not listed"
    return {}, None, [Reason("template-unknown", text)]


def _containers(workload: Workload, template: Manifest, pods: Pods) -> tuple[tuple[Container, ...], list[Reason]]:
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


def _names_taken(workload: Workload, lists: Lists) -> list[Reason]:
    """HPAs and VPAs of the workload's name that are for another workload: one printed for it would replace them."""
    own, reasons = (workload.namespace, workload.kind, workload.name), []
    for kind, code in (("HPA", "hpa-name-taken"), ("VPA", "vpa-name-taken")):
        target = lists.scalers.get((kind, workload.namespace, workload.name), own)
        if target != own:
            text = (
                f"the {kind} {workload.name} is for {target[1]} {target[2]}: one for this workload needs another name"
            )
            reasons.append(Reason(code, text))
    return reasons


def _as_in_pods(
    containers: Sequence[Container], pods: Pods, vpas: Sequence[VerticalScaler]
) -> tuple[tuple[Container, ...], list[Reason]]:
    """The containers, with what their pods run with where a VPA sets it; and how else pods differ from the template."""
    reasons = list(set_by_vpas(vpas))
    found = []
    for container in containers:
        own, live = container.resources, pods.containers.get(container.name, container).resources
        if live in (own, Resources()):
            found.append(container)
        elif reasons:
            written = own if container.written is None else container.written
            found.append(replace(container, resources=live, written=written))
        else:
            text = (
                f"the pods' {container.name} runs with {_amounts(live)}, its template says {_amounts(own)}: a rollout "
                "is under way, or they were resized in place or changed at admission"
            )
            reasons.append(Reason("pods-differ", text))
            found.append(container)
    return tuple(found), reasons


def _amounts(resources: Resources) -> str:
    parts = (
        ("CPU", resources.cpu_request_millicores, resources.cpu_limit_millicores, format_cpu),
        ("memory", resources.memory_request_bytes, resources.memory_limit_bytes, format_memory),
    )
    return ", ".join(
        f"{word} {'-' if request is None else write(request)}/{'-' if limit is None else write(limit)}"
        for word, request, limit, write in parts
    )


def _pod_resources(template: Manifest) -> Resources | None:
    """Requests and limits of the pod itself (Kubernetes 1.34); None where its template has none."""
    found = read_resources(template.get("spec") or {})
    return None if found == Resources() else found


def _autoscalers(workload: Workload, lists: Lists) -> tuple[tuple[Autoscaler, ...], list[Reason]]:
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
        owned = owned_by_keda(hpa["metadata"]["name"], (hpa["metadata"].get("labels") or {}).get(_KEDA_OBJECT))
        reasons += [] if owned is None else [owned]
    return tuple(found), reasons


def _quotas(objects: Sequence[Manifest]) -> tuple[tuple[Quota, ...], list[Reason]]:
    found = tuple(quota for one in objects if (quota := read_quota(one)) is not None)
    scoped = [
        one["metadata"]["name"] for one in objects if one["spec"].get("scopes") or one["spec"].get("scopeSelector")
    ]
    text = f"ResourceQuota {', '.join(scoped)} has scopes, so it counts only some pods; it is not checked"
    return found, [Reason("quota-scoped", text)] if scoped else []


def _annotations(workload: Workload, item: Manifest, template: Manifest, lists: Lists) -> dict[str, str]:
    """MOrA's annotations: the namespace's, overridden by the workload's; its deployer's; and the default container."""
    found = {**lists.namespace_annotations.get(workload.namespace, {}), **own_annotations(item)}
    written = item["metadata"].get("annotations") or {}
    found |= {name: written[name] for name in DEPLOYED_BY if name in written}
    named_container = ((template.get("metadata") or {}).get("annotations") or {}).get(DEFAULT_CONTAINER)
    return found if named_container is None else {**found, DEFAULT_CONTAINER: named_container}
