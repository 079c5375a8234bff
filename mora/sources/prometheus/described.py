"""The containers of workloads, as kube-state-metrics describes the pod that stands for each."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta

from mora.domain import (
    INJECTED_SIDECARS,
    Allocation,
    Container,
    Resources,
    Role,
    Workload,
    choose_main_container,
    is_name,
)
from mora.sources.prometheus.asking import RESOURCE_FIELDS, Asking, amount_of
from mora.sources.prometheus.labels import is_image
from mora.sources.prometheus.ownership import Labels, Pod
from mora.sources.prometheus.promql import DEFAULT_CONTAINER_LABEL, quoted

# What a RuntimeClass adds to its pods.
_OVERHEADS = {
    "kube_pod_overhead_cpu_cores": ("cpu_request_millicores", "cpu"),
    "kube_pod_overhead_memory_bytes": ("memory_request_bytes", "memory"),
}

ContainerKey = tuple[str, str, str]
"""Namespace, pod and container."""


class Pods:
    """The containers of the pods that describe their workloads, the first of several before the others."""

    def __init__(
        self, ask: Asking | None, of: Mapping[Workload, Sequence[Pod]], *, over: timedelta | None = None
    ) -> None:
        self._pods = of
        pods = {pod for several in of.values() for pod in several}
        self._containers: defaultdict[Pod, dict[str, Container]] = defaultdict(dict)
        self._annotated: dict[Pod, str] = {}
        self._overheads: defaultdict[Pod, dict[str, int]] = defaultdict(dict)
        self.have_requests = False
        if ask is None or not pods:
            return
        resources = _resources(ask, over)
        self.have_requests = any(
            (one.cpu_request_millicores, one.memory_request_bytes) != (None, None) for one in resources.values()
        )
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
        if over is None:
            for pod, name in _staying(ask, self._containers):
                one = self._containers[pod][name]
                self._containers[pod][name] = replace(one, role=Role.NATIVE_SIDECAR)
        for metric, (field, resource) in _OVERHEADS.items():
            for labels, value in ask.values(metric, over=over):
                pod = labels.get("namespace", ""), labels.get("pod", "")
                self._overheads[pod][field] = amount_of(resource, value)
        for labels, _ in ask.values("kube_pod_annotations", f'{DEFAULT_CONTAINER_LABEL}!=""', over=over):
            if is_name(labels[DEFAULT_CONTAINER_LABEL]):
                self._annotated[labels.get("namespace", ""), labels.get("pod", "")] = labels[DEFAULT_CONTAINER_LABEL]

    @classmethod
    def nothing(cls) -> Pods:
        """No pod of any workload."""
        return cls(None, {})

    def knows(self, workload: Workload) -> bool:
        """Whether there is a pod that describes the workload."""
        return workload in self._pods

    def are_alike(self, workload: Workload) -> bool:
        """Whether all pods that describe the workload have the same containers."""
        return len({frozenset(self._containers.get(pod, {})) for pod in self._pods.get(workload, ())}) <= 1

    def allocation(self, workload: Workload) -> tuple[Allocation, str | None]:
        """The containers, the main one first, then by name; and the default container that the annotation names."""
        pods = self._pods.get(workload, ())
        containers: dict[str, Container] = {}
        for pod in pods:
            containers = {**self._containers.get(pod, {}), **containers}
        own = sorted(name for name, container in containers.items() if container.role in (Role.APP, Role.SIDECAR))
        if not own:
            return Allocation(), None
        annotated = self._annotated.get(pods[0])
        main, _ = choose_main_container(own, workload.name, annotated=annotated, order="by name")
        ordered = sorted(containers.values(), key=lambda one: (one.name != main, one.role is Role.INIT, one.name))
        return Allocation(
            containers=tuple(
                replace(one, is_main=True, role=Role.APP)
                if one.name == main
                # Operators inject containers under names that no list has; only the main one is surely its own.
                else replace(one, may_be_injected=not one.is_injected and one.role is not Role.INIT)
                for one in ordered
            ),
            overhead=Resources(**self._overheads.get(pods[0], {})),
        ), annotated


def _image(ask: Asking, labels: Labels) -> str | None:
    image = labels.get("image_spec") or labels.get("image") or None
    if image is None or is_image(image):
        return image
    ask.wire.names.note("image", image)
    return None


def _role(name: str, labels: Labels, *, is_init: bool) -> Role:
    if is_init:  # restart_policy: since kube-state-metrics 2.10
        return Role.NATIVE_SIDECAR if labels.get("restart_policy") == "Always" else Role.INIT
    return Role.SIDECAR if name in INJECTED_SIDECARS else Role.APP


def _staying(ask: Asking, containers: Mapping[Pod, Mapping[str, Container]]) -> list[tuple[Pod, str]]:
    """Init containers that run beside the others of their pod, so they are native sidecars.

    A kube-state-metrics before 2.10 does not tell them apart; cAdvisor shows which run.
    """
    suspects = {one.name for of_pod in containers.values() for one in of_pod.values() if one.role is Role.INIT}
    running = _running(ask, suspects)
    pods = [pod for pod in containers if any((pod, name) in running for name in containers[pod])]
    others = {one.name for pod in pods for one in containers[pod].values() if one.role is not Role.INIT}
    has_started = {pod for pod, _ in _running(ask, others)}
    return [
        (pod, one.name)
        for pod in pods
        for one in containers[pod].values()
        if one.role is Role.INIT and (pod, one.name) in running and pod in has_started
    ]


def _running(ask: Asking, names: Collection[str]) -> set[tuple[Pod, str]]:
    """Which containers of some names run now."""
    if not names:
        return set()
    matcher = f"container=~{quoted('|'.join(name.replace('.', '[.]') for name in sorted(names)))}"
    return {
        ((labels.get("namespace", ""), labels.get("pod", "")), labels.get("container", ""))
        for labels, value in ask.values("container_memory_working_set_bytes", matcher)
        if value > 0 and labels.get("container", "") in names
    }


def _resources(ask: Asking, over: timedelta | None) -> dict[ContainerKey, Resources]:
    found: defaultdict[ContainerKey, dict[str, int]] = defaultdict(dict)
    for part in ("container", "init_container"):
        for side in ("requests", "limits"):
            for labels, value in ask.values(f"kube_pod_{part}_resource_{side}", 'resource=~"cpu|memory"', over=over):
                key = (labels.get("namespace", ""), labels.get("pod", ""), labels.get("container", ""))
                found[key][RESOURCE_FIELDS[side, labels["resource"]]] = amount_of(labels["resource"], value)
    return {key: Resources(**fields) for key, fields in found.items()}
