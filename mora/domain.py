"""The nouns of MOrA, and the seams between its rooms.

Inside the house CPU requests and limits are int millicores, memory is int bytes, time is an aware UTC datetime. Plain
*use* (what was measured or is forecast) is float cores and float bytes, as in the unified CSV. None means "not set" or
"not known" and always comes with a reason beside it; NaN never leaves an array.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

from mora.errors import BadInput

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

_DNS_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", re.ASCII)
_DNS_SUBDOMAIN_MAX = 253


def check_name(name: str, what: str = "name") -> str:
    """`name` itself where it is a DNS-1123 name (labels joined by dots), else BadInput.

    Everything that enters PromQL, a path or a manifest passes through here.

    >>> check_name("frontend-v2")
    'frontend-v2'
    """
    if len(name) <= _DNS_SUBDOMAIN_MAX and all(_DNS_LABEL.fullmatch(label) for label in name.split(".")):
        return name
    raise BadInput(
        f"{name!r} is not a valid {what}.",
        hint="Kubernetes names hold lower-case letters, digits, '-' and '.', and start and end with a letter or digit.",
    )


class Target(StrEnum):
    """What is forecast and recommended."""

    CPU = "cpu"
    MEMORY = "memory"
    REPLICAS = "replicas"


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a number is what it is: a stable code for programs, the arithmetic in words for people."""

    code: str
    text: str


# Kinds that run pods, and the API each lives in. A Rollout is Argo's Deployment.
API_VERSIONS: Mapping[str, str] = {
    "Deployment": "apps/v1",
    "StatefulSet": "apps/v1",
    "DaemonSet": "apps/v1",
    "CronJob": "batch/v1",
    "Job": "batch/v1",
    "Rollout": "argoproj.io/v1alpha1",
}


@dataclass(frozen=True, slots=True, order=True)
class Workload:
    """Something that runs pods: a Deployment, StatefulSet, DaemonSet, CronJob, Job or Argo Rollout."""

    namespace: str
    name: str
    kind: str = "Deployment"

    def __post_init__(self) -> None:
        check_name(self.namespace, "namespace")
        check_name(self.name, "workload name")
        if self.kind not in API_VERSIONS:
            raise BadInput(f"{self.kind!r} is not a kind of workload that MOrA sizes ({', '.join(API_VERSIONS)}).")

    @property
    def api_version(self) -> str:
        return API_VERSIONS[self.kind]


@dataclass(frozen=True, slots=True)
class Resources:
    """Requests and limits of one container; None where not set."""

    cpu_request_millicores: int | None = None
    cpu_limit_millicores: int | None = None
    memory_request_bytes: int | None = None
    memory_limit_bytes: int | None = None


class Role(StrEnum):
    """What a container is in its pod, which says where a manifest lists it and whether it is sized by default.

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
    """A container of a pod template, or (is_injected) one that stands only in the pods."""

    name: str
    resources: Resources = Resources()
    image: str | None = None
    is_main: bool = False
    role: Role = Role.APP
    is_injected: bool = False


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
    """Whether an image's name or tag says that a Java virtual machine runs in it.

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


@dataclass(frozen=True, slots=True)
class Allocation:
    """A workload's replicas and containers, as they stand or as they should stand."""

    replicas: int | None = None
    containers: tuple[Container, ...] = ()
    autoscaler: Autoscaler | None = None

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


@dataclass(frozen=True, slots=True)
class AmountRange:
    """What a LimitRange allows one container: the least and the most, None where it does not say.

    given: the limits that a container without its own gets when its pod is made.
    """

    least: Resources = Resources()
    most: Resources = Resources()
    given: Resources = Resources()


@dataclass(frozen=True, slots=True)
class Quota:
    """A ResourceQuota of the namespace: what its pods may request and be limited to in all, and what they do now."""

    name: str
    hard: Resources
    used: Resources


@dataclass(frozen=True, slots=True)
class Standing:
    """A workload as the cluster (or a Prometheus) knows it now, with what bounds its numbers.

    allocation: replicas, every container (injected ones too), the first autoscaler. autoscalers: every resource that an
    HPA scales on. labels, annotations: the workload's own (annotations: those under mora.dev/ and kubectl's default
    container). jvm: names of the containers that run a Java virtual machine. known_by: "kubernetes" or "prometheus".
    reasons: what was odd, in words.
    """

    workload: Workload
    allocation: Allocation
    autoscalers: tuple[Autoscaler, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    limit_range: AmountRange | None = None
    quotas: tuple[Quota, ...] = ()
    jvm: frozenset[str] = frozenset()
    known_by: str = "kubernetes"
    reasons: tuple[Reason, ...] = ()


@dataclass(frozen=True, slots=True)
class ContainerHistory:
    """What one container of a workload used, sample by sample on its hottest pod (pods that are gone included).

    cpu_cores, mem_bytes: shape (window.sample_count,), float, NaN where nothing ran or was scraped; start-up is left
    out of them. startup_*: the peaks of the first minutes of pods, None where none was seen. throttled: share of CFS
    periods throttled, hottest pod, of the same shape; None where the source has no such metric. cpu_limit_cores,
    mem_limit_bytes: what it was limited to, sample by sample, None where never. oom_kills: kills in the window (guarded
    by restarts, FIELD.md 5.4); oom_limit_bytes: the limit they happened at. peak_pods: cpu and memory peak -> pod.
    pod_p95_cores: the highest p95 that any one pod had; cpu_cores is of whichever pod was hottest at each moment, and
    so lies higher where several take turns. None where too little was seen of each.
    """

    container: str
    cpu_cores: NDArray[np.float64]
    mem_bytes: NDArray[np.float64]
    startup_cpu_cores: float | None = None
    startup_mem_bytes: float | None = None
    throttled: NDArray[np.float64] | None = None
    cpu_limit_cores: NDArray[np.float64] | None = None
    mem_limit_bytes: NDArray[np.float64] | None = None
    oom_kills: int = 0
    oom_limit_bytes: float | None = None
    restarts: int = 0
    pods: int = 0
    peak_pods: Mapping[Target, str] = field(default_factory=dict)
    pod_p95_cores: float | None = None


@dataclass(frozen=True, slots=True)
class WorkloadHistory:
    """One workload's containers over a window, as one batch of queries answered.

    window: what was asked for; the effective one begins at the first known sample. replicas: available replicas, shape
    (window.sample_count,), None where not known. queries: what was sent, name -> text.
    """

    workload: Workload
    window: Window
    containers: Mapping[str, ContainerHistory]
    replicas: NDArray[np.float64] | None = None
    queries: Mapping[str, str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a container's numbers rest on, for `mora explain`.

    start, end: the effective window (first and last sample). samples: known ones of `expected`. peaks with the moment
    and the pod they were seen on; level_cores: the p95 of CPU. left_out: spans that were excluded, and why.
    """

    start: datetime
    end: datetime
    step: timedelta
    samples: int
    expected: int
    pods: int
    cpu_level_cores: float | None = None
    cpu_peak_cores: float | None = None
    cpu_peak_at: datetime | None = None
    cpu_peak_pod: str | None = None
    mem_peak_bytes: float | None = None
    mem_peak_at: datetime | None = None
    mem_peak_pod: str | None = None
    throttled_ratio: float | None = None
    oom_kills: int = 0
    restarts: int = 0
    left_out: tuple[str, ...] = ()
    queries: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Load:
    """A load that is asked for or was driven: a scenario and its concurrent users."""

    scenario: str
    users: int


@dataclass(frozen=True, slots=True)
class Slo:
    """What a service promises its callers: the 95th percentile of the response time and the share of failures."""

    p95_seconds: float = 0.3
    error_ratio: float = 0.01


@dataclass(frozen=True, slots=True)
class Experiment:
    """One cell of a plan for one service: what was asked for, and which repeat it is.

    >>> Experiment("frontend", "browsing", 2, 40).id
    'frontend_browsing_replicas_2_users_40'
    >>> Experiment("frontend", "browsing", 2, 40, repeat=3).id
    'frontend_browsing_replicas_2_users_40_run_3'
    """

    service: str
    scenario: str
    replicas: int
    users: int
    repeat: int = 1

    @property
    def id(self) -> str:
        suffix = "" if self.repeat == 1 else f"_run_{self.repeat}"
        return f"{self.service}_{self.scenario}_replicas_{self.replicas}_users_{self.users}{suffix}"


@dataclass(frozen=True, slots=True)
class Window:
    """A span of samples: from `start` to `end`, both included, every `step`."""

    start: datetime
    end: datetime
    step: timedelta

    def __post_init__(self) -> None:
        if self.start.tzinfo is None or self.end.tzinfo is None:
            raise BadInput("A window's start and end must carry a time zone (UTC).")
        if self.end < self.start or self.step <= timedelta(0):
            raise BadInput(f"A window must not end before it starts, and its step must be positive: {self}.")

    @property
    def sample_count(self) -> int:
        return int((self.end - self.start) / self.step) + 1


@dataclass(frozen=True, slots=True)
class Observation:
    """What a source saw of one workload over a window.

    metrics: one row a step, indexed by UTC timestamp; the measured columns of metrics.MEASURED_COLUMNS and whichever
        of the extra columns the source knows, NaN where nothing was answered.
    containers: rows of (timestamp, container, cpu_cores, mem_bytes, cpu_request_cores, cpu_limit_cores,
        mem_request_bytes, mem_limit_bytes) for the other containers, hottest pod each; may be empty.
    main_container: the container that the metrics are of, and how it was chosen.
    queries: what was sent, name -> text. warnings: what a reader must know, in words.
    rate_window: what the CPU and network rates are taken over; None where the source does not know.
    """

    workload: Workload
    window: Window
    metrics: pd.DataFrame
    containers: pd.DataFrame
    main_container: str | None
    main_container_chosen_by: str
    queries: Mapping[str, str]
    warnings: tuple[str, ...] = ()
    rate_window: timedelta | None = None


@dataclass(frozen=True, slots=True)
class Forecast:
    """One target's next steps, in its plain unit (cores, bytes, replicas) per pod.

    mean, lower, upper: shape (horizon,), finite; lower and upper bound `level` of what is expected.
    """

    target: Target
    forecaster: str
    mean: NDArray[np.float64]
    lower: NDArray[np.float64]
    upper: NDArray[np.float64]
    level: float
    step: timedelta
    reasons: tuple[Reason, ...] = ()


@dataclass(frozen=True, slots=True)
class TargetDemand:
    """What one target needs, before any policy.

    centre: the fused forecast of plain use (cores or bytes per pod; replicas), no buffer on it.
    bound: the upper bound around the centre that the service's own past has calibrated; at least `centre`.
    peak: the highest use that counts (of the last 7 days; on driven data of the runs at up to the asked load per pod).
    confidence: share of held-out holds in which the recommendation kept its promise, shrunk towards the prior; 0..1.
    holds: how many holds the confidence rests on. pinned: use was pinned at a limit, so it says "at least".
    takes_buffer: whether the policy's factor on the centre counts; not where the bound alone was replayed and scored
    (mora/bounds), since what `mora backtest` scores is then what is recommended.
    """

    centre: float
    bound: float
    peak: float
    confidence: float
    holds: int
    pinned: bool = False
    reasons: tuple[Reason, ...] = ()
    takes_buffer: bool = True


@dataclass(frozen=True, slots=True)
class Demand:
    """What a service needs at a load: input of the policies, output of ServiceModel.demand().

    cpu, memory, replicas: None where there is no honest number; then `reasons` says why.
    startup_cpu_cores, startup_memory_bytes: peaks of the first minutes of pods, kept apart; None where not seen.
    oom_kills: OOM kills seen in the runs that count; oom_peak_bytes: use when they happened (the limit, if pinned).
    """

    workload: Workload
    load: Load | None
    as_of: datetime
    cpu: TargetDemand | None
    memory: TargetDemand | None
    replicas: TargetDemand | None
    startup_cpu_cores: float | None = None
    startup_memory_bytes: float | None = None
    oom_kills: int = 0
    oom_peak_bytes: float | None = None
    reasons: tuple[Reason, ...] = ()


@dataclass(frozen=True, slots=True)
class Advice:
    """One number to set: what it is now, what it should be, how sure, and why.

    now, value: millicores, bytes or replicas. value None means "no number, see reasons" for a request or replicas,
    and "not set" for a limit where `is_unset` is true (the CPU limit, by default).
    confidence: 0..1, None without a number.
    """

    now: int | None
    value: int | None
    confidence: float | None = None
    holds: int = 0
    is_unset: bool = False
    reasons: tuple[Reason, ...] = ()

    @property
    def change(self) -> float | None:
        """Relative change, -0.4 for 40 % less; None where either side is not known."""
        if self.now is None or self.value is None or self.now == 0:
            return None
        return self.value / self.now - 1.0


@dataclass(frozen=True, slots=True)
class ContainerAdvice:
    """The four numbers of one container, and what they rest on."""

    container: str
    cpu_request: Advice
    cpu_limit: Advice
    memory_request: Advice
    memory_limit: Advice
    role: Role = Role.APP
    evidence: Evidence | None = None
    reasons: tuple[Reason, ...] = ()

    @property
    def resources(self) -> Resources:
        """Requests and limits to set; where there is no advice, what is set now stays."""
        return Resources(
            cpu_request_millicores=_settled(self.cpu_request),
            cpu_limit_millicores=_settled(self.cpu_limit),
            memory_request_bytes=_settled(self.memory_request),
            memory_limit_bytes=_settled(self.memory_limit),
        )


@dataclass(frozen=True, slots=True)
class Recommendation:
    """What MOrA advises for one workload: its main container, its replicas, and the pod's other containers.

    `hpa_average_value_millicores`: the use per pod at which an HPA (averageValue) should add a replica. others: advice
    for the pod's other containers, by name, in the order of the spec. basis: "model" (mora train) or "history" (the
    rule of the backtest alone). evidence: what the main container's numbers rest on. autoscalers: every resource that
    an HPA scales on; current.autoscaler is the first of them. retargets: those of them that have to change together
    with the requests, as they must become.
    """

    workload: Workload
    container: str
    current: Allocation
    load: Load | None
    as_of: datetime
    cpu_request: Advice
    cpu_limit: Advice
    memory_request: Advice
    memory_limit: Advice
    replicas: Advice
    hpa_average_value_millicores: int | None = None
    hpa_min_replicas: int | None = None
    hpa_max_replicas: int | None = None
    reasons: tuple[Reason, ...] = ()
    model_digest: str | None = None
    others: tuple[ContainerAdvice, ...] = ()
    basis: str = "model"
    evidence: Evidence | None = None
    autoscalers: tuple[Autoscaler, ...] = ()
    retargets: tuple[Autoscaler, ...] = ()

    @property
    def main(self) -> ContainerAdvice:
        """The main container's part, as every other container has one."""
        main = self.current.main
        return ContainerAdvice(
            self.container,
            self.cpu_request,
            self.cpu_limit,
            self.memory_request,
            self.memory_limit,
            role=Role.APP if main is None else main.role,
            evidence=self.evidence,
        )

    @property
    def containers(self) -> tuple[ContainerAdvice, ...]:
        """The main container's advice first, then the others'."""
        return (self.main, *self.others)

    @property
    def resources(self) -> Resources:
        """Requests and limits of the main container to set; where there is no advice, what is set now stays."""
        return self.main.resources

    @property
    def target(self) -> Allocation:
        """The workload as it should stand; injected containers as they are, since no manifest of it can size them."""
        replicas = self.current.replicas if self.replicas.value is None else self.replicas.value
        advised = {advice.container: advice.resources for advice in self.containers}
        containers = tuple(
            c if c.is_injected else replace(c, resources=advised.get(c.name, c.resources))
            for c in self.current.containers
        )
        return replace(self.current, replicas=replicas, containers=containers)


def _settled(advice: Advice) -> int | None:
    if advice.is_unset:
        return None
    return advice.now if advice.value is None else advice.value


# --- the seams -------------------------------------------------------------------------------------------------------


class Reporter(Protocol):
    """Where long work tells how far it is; the command line draws bars, the API stays silent."""

    def advance(self, task: str, done: float, total: float, note: str = "") -> None:
        """`task` has done `done` of `total` (any unit, same for both)."""


class Silent:
    """The reporter that says nothing."""

    def advance(self, task: str, done: float, total: float, note: str = "") -> None:
        return None


class MetricSource(Protocol):
    """Where metrics come from: a Prometheus, files."""

    def services(self, namespace: str) -> list[str]:
        """Names of the workloads that the source knows in a namespace, sorted."""

    def observe(self, workload: Workload, window: Window) -> Observation:
        """All measured metrics of a workload over a window; SourceUnavailable where nothing answers."""

    def queries(self, workload: Workload, window: Window) -> Mapping[str, str]:
        """What observe() would send, name -> text, without sending it."""


class FleetSource(Protocol):
    """A source that answers for many workloads at once; what discovery finds without a Kubernetes API."""

    def standings(self, namespace: str | None = None) -> list[Standing]:
        """Every workload of a namespace (None: of all), as far as kube-state-metrics tells, sorted."""

    def histories(
        self, standings: Sequence[Standing], window: Window, *, reporter: Reporter | None = None
    ) -> Iterator[WorkloadHistory]:
        """What the containers of each used over the window, namespace by namespace; one per standing, in any order."""


class Cluster(Protocol):
    """Where services run and are scaled: Kubernetes, the sandbox."""

    def allocation(self, workload: Workload) -> Allocation:
        """Replicas and containers as they stand; ClusterError naming what exists where it does not."""

    def apply(self, workload: Workload, allocation: Allocation) -> None:
        """Set replicas (where not None) and the containers' resources; returns before it is ready."""

    def restart(self, workloads: Sequence[Workload], timeout: timedelta) -> None:
        """Replace every replica by a fresh one and wait until all are ready."""

    def wait_ready(self, workloads: Sequence[Workload], timeout: timedelta) -> None:
        """Return once every replica asked for is available; ClusterError after `timeout`."""


class Forecaster(Protocol):
    """A model of one or several targets over time; registered under `forecasters`."""

    name: str

    def fit(self, history: Sequence[pd.DataFrame], *, driven: bool, seed: int) -> None:
        """Learn from segments (experiments, or one observed stretch) that windows never cross.

        Each frame: one row a step on a constant grid, columns of metrics.METRIC_COLUMNS plus, on driven data,
        replica_count and load_users, and `timestamp`.
        """

    def forecast(self, recent: pd.DataFrame, horizon: int, *, level: float = 0.9) -> Mapping[Target, Forecast]:
        """The next `horizon` steps after the rows of `recent`, in plain units; deterministic."""


class Policy(Protocol):
    """Demand and what is set now -> what should be set."""

    def __call__(self, demand: Demand, current: Allocation) -> Recommendation: ...


class Output(Protocol):
    """A recommendation as text that a person or a program takes."""

    def __call__(self, recommendations: Sequence[Recommendation]) -> str: ...


@dataclass(frozen=True, slots=True)
class Quality:
    """How good one experiment's samples are; every flag has its figure (DESIGN.md, the unified CSV)."""

    expected_samples: int
    samples: int
    missing_ratio: Mapping[str, float]
    is_complete: bool
    is_steady: bool
    flags: tuple[str, ...] = field(default=())
