"""Workloads as Kubernetes knows them: containers, resources, replicas, autoscalers, quotas."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING

from mora.domain.kinds import API_VERSIONS, is_kind
from mora.domain.runtimes import Runtime
from mora.errors import BadInput

if TYPE_CHECKING:
    pass


_DNS_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", re.ASCII)
_DNS_SUBDOMAIN_MAX = 253


def check_name(name: str, what: str = "name") -> str:
    """`name` itself where it is a DNS-1123 name (labels joined by dots), else BadInput.

    Everything that enters PromQL, a path or a manifest passes through here.

    >>> check_name("frontend-v2")
    'frontend-v2'
    """
    if is_name(name):
        return name
    raise BadInput(
        f"{name!r} is not a valid {what}.",
        hint="Use lower-case letters, digits, '-' and '.', with a letter or a digit at both ends.",
    )


def is_name(name: str) -> bool:
    """Whether check_name() accepts a name.

    >>> is_name("frontend-v2"), is_name("web --kubeconfig=x"), is_name("")
    (True, False, False)
    """
    return len(name) <= _DNS_SUBDOMAIN_MAX and all(_DNS_LABEL.fullmatch(label) for label in name.split("."))


class Target(StrEnum):
    """What is forecast and recommended."""

    CPU = "cpu"
    MEMORY = "memory"
    REPLICAS = "replicas"


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a number is what it is: a stable code for programs, the arithmetic as text for people."""

    code: str
    text: str


@dataclass(frozen=True, slots=True, order=True)
class Workload:
    """Something that runs pods: a Deployment, StatefulSet, DaemonSet, CronJob, Job, Argo Rollout or one of any kind.

    kind: of the owner of the pods. "Pod" where they have none; MOrA writes patches for the kinds of API_VERSIONS alone.
    """

    namespace: str
    name: str
    kind: str = "Deployment"

    def __post_init__(self) -> None:
        check_name(self.namespace, "namespace")
        check_name(self.name, "workload name")
        if not is_kind(self.kind):
            raise BadInput(f"{self.kind!r} is not a kind of Kubernetes objects, such as {', '.join(API_VERSIONS)}.")

    @property
    def api_version(self) -> str:
        """The API group and version of the kind, e.g. apps/v1; BadInput for a kind that MOrA writes nothing for."""
        if self.kind not in API_VERSIONS:
            raise BadInput(f"MOrA writes no manifests of a {self.kind} ({', '.join(API_VERSIONS)}).")
        return API_VERSIONS[self.kind]


@dataclass(frozen=True, slots=True)
class Resources:
    """Requests and limits of one container; None where not set."""

    cpu_request_millicores: int | None = None
    cpu_limit_millicores: int | None = None
    memory_request_bytes: int | None = None
    memory_limit_bytes: int | None = None


class Role(StrEnum):
    """What a container is in its pod: where a manifest lists it, and whether it is sized by default.

    APP: the service's own, under `containers`. SIDECAR: put there by a mesh or a platform (in the template or only in
    the pods). NATIVE_SIDECAR: an init container with restartPolicy Always, under `initContainers`. INIT: runs and ends
    before the others start, under `initContainers`.
    """

    APP = "app"
    SIDECAR = "sidecar"
    NATIVE_SIDECAR = "native-sidecar"
    INIT = "init"


@dataclass(frozen=True, slots=True)
class Container:
    """A container of a pod template, or (is_injected) one that is injected at admission.

    resources: what its pods run with. written: what the template says, where the pods have more than that (the defaults
    of a LimitRange, a request from a limit); None where it is the same. sections: what the template has, even if empty,
    of "resources" and, in that, "requests" and "limits"; None where not known. may_be_injected: it stands in the pods,
    and only the Kubernetes API, which was not asked, knows whether the template has it.
    runtime: what its flags and variables tell it that it may take of memory; None where they tell nothing.
    """

    name: str
    resources: Resources = Resources()
    image: str | None = None
    is_main: bool = False
    role: Role = Role.APP
    is_injected: bool = False
    written: Resources | None = None
    sections: frozenset[str] | None = None
    may_be_injected: bool = False
    runtime: Runtime | None = None


# Containers that meshes and platforms inject beside the one that does the service's work.
INJECTED_SIDECARS = frozenset(
    {
        "istio-proxy",
        "linkerd-proxy",
        "kuma-sidecar",
        "consul-dataplane",
        "envoy",
        "daprd",
        "vault-agent",
        "cloud-sql-proxy",
    }
)


# The words of an image's name and tag by which a Java virtual machine is known.
_JAVA_IMAGES = (
    "openjdk|temurin|adoptopenjdk|corretto|amazoncorretto|zulu|liberica|semeru|graalvm|java|jre|jdk|jvm|tomcat|tomee|jetty"
    "|wildfly|jboss|payara|openliberty|liberty|spring|springboot|quarkus|micronaut|keycloak|kafka|zookeeper|cassandra"
    "|elasticsearch|opensearch|logstash|solr|neo4j|jenkins|hazelcast|flink|trino"
)
_JAVA_IMAGE = re.compile(rf"(?<![a-z])({_JAVA_IMAGES})(?![a-z])", re.IGNORECASE)


def is_jvm_image(image: str | None) -> bool:
    """Whether a Java virtual machine runs in an image, by its name or tag.

    >>> [is_jvm_image(image) for image in ("eclipse-temurin:21-jre", "shop/javascript-api:1", None)]
    [True, False, False]
    """
    return image is not None and _JAVA_IMAGE.search(image) is not None


def choose_main_container(
    names: Sequence[str], workload_name: str, *, annotated: str | None = None, order: str = "in the spec"
) -> tuple[str, str]:
    """The container that is sized, and how it was chosen; `names` is not empty, and sorted as `order` says.

    annotated: what the annotation kubectl.kubernetes.io/default-container names, where it is known.

    >>> choose_main_container(["istio-proxy", "server"], "frontend")
    ('server', 'the only container beside injected sidecars')
    >>> choose_main_container(["cache", "frontend"], "frontend")
    ('frontend', 'named like the workload')
    """
    if annotated in names:
        return str(annotated), "the annotation kubectl.kubernetes.io/default-container"
    if workload_name in names:
        return workload_name, "named like the workload"
    own = [name for name in names if name not in INJECTED_SIDECARS] or list(names)
    if len(own) == 1:
        return own[0], "the only container" if len(names) == 1 else "the only container beside injected sidecars"
    return own[0], f"the first {order} of {', '.join(own)}"


@dataclass(frozen=True, slots=True)
class Autoscaler:
    """The HPA (or KEDA's HPA) that scales a workload on one resource of its pods.

    resource: REPLICAS for what is neither CPU nor memory (a queue, requests per second); its target is then not known.
    target: per cent of the request where `is_utilisation`, else millicores or bytes per pod (averageValue). container:
    the one that it looks at (a metric of type ContainerResource), None where the whole pod's sum counts.
    """

    name: str
    resource: Target
    is_utilisation: bool
    target: int
    min_replicas: int
    max_replicas: int
    container: str | None = None


# KEDA writes HPAs of this prefix from its ScaledObjects, and would overwrite what is changed in them.
KEDA_PREFIX = "keda-hpa-"


def owned_by_keda(hpa: str, scaled_object: str | None = None) -> Reason | None:
    """Why an HPA must not be changed itself; None where KEDA does not own it. scaled_object: what its label names."""
    if scaled_object is None and not hpa.startswith(KEDA_PREFIX):
        return None
    name = scaled_object or hpa.removeprefix(KEDA_PREFIX)
    return Reason("keda", f"HPA {hpa} belongs to KEDA: change its ScaledObject {name}, or KEDA overwrites it")


BOTH_RESOURCES = frozenset({Target.CPU, Target.MEMORY})


@dataclass(frozen=True, slots=True)
class VerticalScaler:
    """A VerticalPodAutoscaler (VPA) whose target is the workload.

    mode: its updateMode; with any but Off it sets the requests of the pods, whatever the template says. recommender:
    who computes its numbers, None for the VPA's own. controlled: container ("*": every other) -> the resources that it
    sets; none in a container's mode Off.
    """

    name: str
    mode: str = "Auto"
    recommender: str | None = None
    controlled: tuple[tuple[str, frozenset[Target]], ...] = ()

    def rules(self, container: str, resource: Target) -> bool:
        """Whether it sets this request of this container."""
        by_container = dict(self.controlled)
        resources = by_container.get(container, by_container.get("*", BOTH_RESOURCES))
        return self.mode != "Off" and resource in resources


def set_by_vpas(vpas: Iterable[VerticalScaler]) -> tuple[Reason, ...]:
    """Which VPAs set the requests of the pods, so that the pods' numbers are those that count."""
    return tuple(
        Reason("vpa-rules", f"VPA {vpa.name} (mode {vpa.mode}) sets its pods' requests: compared is what they run with")
        for vpa in vpas
        if vpa.mode != "Off"
    )


@dataclass(frozen=True, slots=True)
class Allocation:
    """A workload's replicas and containers, as they are or as they should be.

    overhead: the requests that a RuntimeClass adds to each pod. is_described: whether requests and limits are known; if
    not, None says nothing about what is set. pod: what the pod itself requests and is limited to (Kubernetes 1.34); it
    counts in place of its containers'.
    """

    replicas: int | None = None
    containers: tuple[Container, ...] = ()
    autoscaler: Autoscaler | None = None
    overhead: Resources = Resources()
    is_described: bool = True
    pod: Resources = Resources()

    @property
    def main(self) -> Container | None:
        """The container that is sized: the one marked main, else the first; None without containers."""
        marked = [container for container in self.containers if container.is_main] or list(self.containers)
        return marked[0] if marked else None

    def with_main(self, resources: Resources) -> Allocation:
        """The same workload with its main container resized."""
        main = self.main
        return replace(
            self, containers=tuple(replace(c, resources=resources) if c is main else c for c in self.containers)
        )

    def running(self, amount: str) -> int:
        """What the containers of one pod that run together have of an amount (a field of Resources); unset counts 0."""
        return sum(_set(c, amount) for c in self.containers if c.role is not Role.INIT)

    def starting(self, amount: str) -> tuple[int, Container | None]:
        """The most that one init container, with the native sidecars that started before it, has of an amount; it."""
        most: tuple[int, Container | None] = (0, None)
        before = 0
        for container in self.containers:
            if container.role is Role.NATIVE_SIDECAR:
                before += _set(container, amount)
            elif container.role is Role.INIT and (own := _set(container, amount)) and before + own > most[0]:
                most = before + own, container
        return most

    def effective(self, amount: str) -> int:
        """What one pod counts for where it is scheduled and in a quota.

        Init containers run one after another before the others start, so the larger of the two counts, and overhead.

        >>> web, migrate = Container("web", Resources(100)), Container("migrate", Resources(2000), role=Role.INIT)
        >>> Allocation(1, (web, migrate)).effective("cpu_request_millicores")
        2000
        """
        own: int | None = getattr(self.pod, amount)
        reserved = max(self.running(amount), self.starting(amount)[0]) if own is None else own
        return reserved + (getattr(self.overhead, amount) or 0)


def _set(container: Container, amount: str) -> int:
    value: int | None = getattr(container.resources, amount)
    return value or 0


def quality_of(containers: Sequence[Container]) -> str:
    """The QoS class of a pod of these containers: Guaranteed, Burstable or BestEffort.

    https://kubernetes.io/docs/concepts/workloads/pods/pod-qos/
    """
    resources = [container.resources for container in containers]
    amounts = [(one.cpu_request_millicores, one.cpu_limit_millicores) for one in resources]
    amounts += [(one.memory_request_bytes, one.memory_limit_bytes) for one in resources]
    if all(request is None and limit is None for request, limit in amounts):
        return "BestEffort"
    # A limit without a request is a request of the same size.
    is_guaranteed = all(limit is not None and request in (None, limit) for request, limit in amounts)
    return "Guaranteed" if is_guaranteed else "Burstable"


@dataclass(frozen=True, slots=True)
class AmountRange:
    """What a LimitRange allows one container, or one pod in all: minimum and maximum, None where there is none.

    given: the limits that a container without its own gets when its pod is made. cpu_ratio, memory_ratio: how many
    times its request a limit may be at most (maxLimitRequestRatio); where there is one, both have to be set.
    """

    minimum: Resources = Resources()
    maximum: Resources = Resources()
    given: Resources = Resources()
    cpu_ratio: float | None = None
    memory_ratio: float | None = None


@dataclass(frozen=True, slots=True)
class Quota:
    """A ResourceQuota of the namespace: what its pods may request and be limited to in all, and what they do now."""

    name: str
    hard: Resources
    used: Resources


@dataclass(frozen=True, slots=True)
class WorkloadState:
    """A workload as the cluster (or a Prometheus) knows it now, with what bounds its numbers.

    allocation: replicas, every container (injected ones too), the first autoscaler. autoscalers: every resource that an
    HPA scales on. vpas: those that target it. limit_range, pod_range: what LimitRanges allow a container, and a pod in
    all. pod_resources: requests and limits of the pod itself (spec.resources of its template), None where it has none.
    template_in: the workload whose pod template its pods have (a Rollout's workloadRef); None where it is its own.
    labels, annotations: the workload's own (annotations: those under mora.dev/, of Helm's and Argo CD's, and kubectl's
    default container). jvm: names of the containers that run a Java virtual machine. known_by: "kubernetes" or
    "prometheus". reasons: what was unusual.
    problem: why the workload gets no numbers, whatever its history shows; None where it may.
    """

    workload: Workload
    allocation: Allocation
    autoscalers: tuple[Autoscaler, ...] = ()
    vpas: tuple[VerticalScaler, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    limit_range: AmountRange | None = None
    pod_range: AmountRange | None = None
    pod_resources: Resources | None = None
    template_in: Workload | None = None
    quotas: tuple[Quota, ...] = ()
    jvm: frozenset[str] = frozenset()
    known_by: str = "kubernetes"
    reasons: tuple[Reason, ...] = ()
    problem: Reason | None = None
