"""What can be set: every key of mora.toml once, and the frozen groups that are handed on whole.

A key's variable and its name as a keyword are derived from it: `slo.p95` is MORA_SLO_P95 and slo_p95.

One file, longer than most: whoever looks for a setting finds all of them here, keys and groups side by side.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Any
from urllib.parse import quote

from mora import registry, values
from mora.domain import Slo
from mora.errors import BadInput, MoraError
from mora.policies import PolicySettings
from mora.quantities import parse_cpu, parse_memory
from mora.savings import Prices
from mora.scaleout import BACKENDS, check_address

TARGETS = ("sandbox", "kubernetes")
_LIMITS = values.one_of("unset", "request", "keep", "ratio")
_CPU, _MEMORY = values.quantity(parse_cpu), values.quantity(parse_memory)


def _nothing() -> Mapping[str, Any]:
    return MappingProxyType({})


# --- the groups ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class PrometheusSettings:
    """How a Prometheus is reached; without a URL none is configured."""

    url: str | None = None
    timeout: timedelta = timedelta(seconds=30)
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    token_file: Path | None = None
    headers: Mapping[str, str] = field(default_factory=_nothing)
    client_certificate: Path | None = None
    client_key: Path | None = None
    ca_file: Path | None = None
    cluster: str | None = None
    auth: str | None = None
    region: str | None = None


@dataclass(frozen=True, slots=True)
class GcpOptions:
    """Google Cloud Monitoring. project: None for that of the Application Default Credentials; endpoint: Google's own.

    cluster: a GKE cluster, where the project has several; NAME, or LOCATION/NAME. database: a Cloud SQL instance, for
    the layout helios.
    """

    project: str | None = None
    cluster: str | None = None
    database: str | None = None
    endpoint: str | None = None


@dataclass(frozen=True, slots=True)
class AwsOptions:
    """Amazon CloudWatch. region: None for that of the environment or profile; endpoint: Amazon's own.

    cluster: an EKS cluster, where the region has several. database: an instance of RDS, for the layout helios.
    """

    region: str | None = None
    cluster: str | None = None
    database: str | None = None
    endpoint: str | None = None


@dataclass(frozen=True, slots=True)
class AzureOptions:
    """Azure Monitor. cluster, database: resource ids of an AKS cluster, and of a database for the layout helios.

    endpoint: None for Azure's own APIs.
    """

    cluster: str | None = None
    database: str | None = None
    endpoint: str | None = None


@dataclass(frozen=True, slots=True)
class KubernetesAccess:
    """Which cluster is asked. cluster: its name, empty for the one that the kubeconfig's current context leads to.

    kubeconfig: None for $KUBECONFIG or ~/.kube/config. context: None for the current one.
    """

    cluster: str = ""
    kubeconfig: Path | None = None
    context: str | None = None


@dataclass(frozen=True, slots=True)
class ClusterOptions:
    """One cluster of [clusters.NAME]. prometheus: what differs from [prometheus], by the names of its fields."""

    kubeconfig: Path | None = None
    context: str | None = None
    prometheus: Mapping[str, Any] = field(default_factory=_nothing, repr=False)


@dataclass(frozen=True, slots=True)
class HealthOptions:
    """What judges the health of services: registered names. start_up: None for 20 samples, nine minutes at most."""

    detector: str = "context-distance"
    threshold: str = "tracking"
    start_up: timedelta | None = None


@dataclass(frozen=True, slots=True)
class TrainOptions:
    """How services are trained, and where."""

    seed: int = 0
    forecasters: tuple[str, ...] = ("prophet", "lstm")
    prophet_weight: float = 0.4
    learn_weights: bool = False
    candidates: tuple[str, ...] = ("xgboost",)
    model: str | None = None
    jobs: int = field(default_factory=lambda: len(os.sched_getaffinity(0)))
    backend: str = "loky"
    scheduler: str | None = None
    track: bool = False


@dataclass(frozen=True, slots=True)
class FleetOptions:
    """Which containers are sized, and what namespaces and workloads override."""

    include_sidecars: bool = False
    allow_jvm_cut: bool = False
    cut_while_abnormal: bool = False
    namespaces: Mapping[str, Any] = field(default_factory=_nothing)
    workloads: Mapping[str, Any] = field(default_factory=_nothing)


@dataclass(frozen=True, slots=True)
class PriceOptions:
    """What a reserved core and a reserved GiB of memory cost an hour; None where not set."""

    cpu: float | None = None
    memory: float | None = None
    currency: str = "USD"

    @property
    def prices(self) -> Prices | None:
        """Both prices, OpenCost's default for the one that is not set; None where neither is."""
        if self.cpu is None and self.memory is None:
            return None
        usual = Prices()
        return Prices(
            usual.cpu_per_core_hour if self.cpu is None else self.cpu,
            usual.memory_per_gib_hour if self.memory is None else self.memory,
            self.currency,
        )


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that can be set; `Settings()` is what an empty folder gets.

    origins: name of a setting -> where its value came from, for those that are not the default. notes: what a user
    should know of the settings that were read, such as an old name.
    """

    data_dir: Path = Path("data")
    models_dir: Path = Path("models")
    health_dir: Path = Path("health")
    state_dir: Path | None = None
    namespace: str = "default"
    target: str = "sandbox"
    plan: str = "quick"
    output: str = "table"
    horizon: timedelta = timedelta(hours=24)
    history: timedelta = timedelta(days=14)
    prometheus: PrometheusSettings = field(default_factory=PrometheusSettings)
    gcp: GcpOptions = field(default_factory=GcpOptions)
    aws: AwsOptions = field(default_factory=AwsOptions)
    azure: AzureOptions = field(default_factory=AzureOptions)
    slo: Slo = field(default_factory=Slo)
    policy: PolicySettings = field(default_factory=PolicySettings)
    train: TrainOptions = field(default_factory=TrainOptions)
    health: HealthOptions = field(default_factory=HealthOptions)
    fleet: FleetOptions = field(default_factory=FleetOptions)
    prices: PriceOptions = field(default_factory=PriceOptions)
    helm_paths: Mapping[str, str] = field(default_factory=_nothing)
    clusters: Mapping[str, ClusterOptions] = field(default_factory=_nothing)
    kubernetes: KubernetesAccess = field(default_factory=KubernetesAccess)
    digest_webhook: str | None = field(default=None, repr=False)
    origins: Mapping[str, str] = field(default_factory=_nothing)
    notes: tuple[str, ...] = ()

    def origin(self, name: str) -> str:
        """Where a setting's value came from: "--data", "MORA_DATA_DIR", "mora.toml line 3", "default".

        >>> Settings().origin("slo_p95")
        'default'
        """
        if name not in BY_NAME:
            raise KeyError(name)
        return self.origins.get(name, "default")

    def of_cluster(self, name: str) -> Settings:
        """The settings for one cluster: [clusters.NAME], or the kubeconfig's context of that name."""
        chosen = self.clusters.get(name, ClusterOptions())
        # Without a place of its own in mora.toml, a name is that of a context.
        context = chosen.context or (None if chosen.kubeconfig else name)
        return replace(
            self,
            kubernetes=KubernetesAccess(name, chosen.kubeconfig, context),
            prometheus=replace(self.prometheus, **chosen.prometheus),
            state_dir=None if self.state_dir is None else self.state_dir / "clusters" / quote(name, safe=""),
        )

    def is_flag(self, name: str) -> bool:
        """Whether a setting was given on the command line."""
        return self.origin(name).startswith("-")


# --- the keys --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Setting:
    """One key of mora.toml. parse: what its value may be. to: its place in Settings, if it is not the key itself.

    flag: its name on the command line. secret: read from the environment alone. old: a former key, still read.
    """

    key: str
    about: str
    parse: Callable[[object], object]
    to: str = ""
    flag: str = ""
    secret: bool = False
    old: str = ""

    @property
    def name(self) -> str:
        """Its name as a keyword: "slo.p95" -> "slo_p95"."""
        return self.key.replace(".", "_")

    @property
    def variable(self) -> str:
        """Its environment variable: "slo.p95" -> "MORA_SLO_P95"."""
        return variable_of(self.key)

    @property
    def field(self) -> str:
        """Its place in Settings: "slo.p95" -> "slo.p95_seconds"."""
        return self.to or self.key


def variable_of(key: str) -> str:
    """The environment variable of a key: "slo.p95" -> "MORA_SLO_P95"."""
    return "MORA_" + key.upper().replace(".", "_")


def _output(value: object) -> str:
    return values.one_of(*registry.names("outputs"))(value)


def _policy(value: object) -> str:
    return values.one_of(*registry.names("policies"))(value)


def _detector(value: object) -> str:
    return _with_options("detectors", value)


def _threshold(value: object) -> str:
    return _with_options("thresholds", value)


def _with_options(seam: str, value: object) -> str:
    """NAME, or NAME:OPTION=VALUE;OPTION=VALUE, as it is written."""
    text = values.string(value)
    values.one_of(*registry.names(seam))(text.partition(":")[0])
    registry.named(seam, text)
    return text


def _scheduler(value: object) -> str:
    return check_address(values.string(value))


def _overrides(section: str) -> Callable[[object], object]:
    def parse(value: object) -> object:
        from mora.fleet.overrides import parse_table

        return parse_table(value, section)

    return parse


def _clusters(value: object) -> object:
    """[clusters.NAME]: context, kubeconfig, and a table `prometheus` with the keys of [prometheus]."""
    if not isinstance(value, Mapping):
        raise BadInput("It must be a table for each cluster, like [clusters.prod].")
    return MappingProxyType({name: _cluster(name, table) for name, table in value.items()})


def _cluster(name: str, table: object) -> ClusterOptions:
    values.context(name)
    if not isinstance(table, Mapping):
        raise BadInput(f"{name}: it must be a table, like [clusters.{name}].")
    parsers = {"context": values.context, "kubeconfig": values.path}
    found: dict[str, Any] = {}
    for key, value in table.items():
        if key == "prometheus":
            found[key] = _prometheus_of(name, value)
        elif key in parsers:
            found[key] = _parsed_in(f"{name}.{key}", parsers[key], value)
        else:
            raise BadInput(f"{name}.{key} is an unknown setting.", hint="Known: context, kubeconfig, prometheus.")
    return ClusterOptions(**found)


def _prometheus_of(name: str, table: object) -> Mapping[str, Any]:
    if not isinstance(table, Mapping):
        raise BadInput(f"{name}.prometheus must be a table, like [clusters.{name}.prometheus].")
    known = {key.partition(".")[2]: one for key, one in BY_KEY.items() if key.startswith("prometheus.")}
    found: dict[str, Any] = {}
    for key, value in table.items():
        if key not in known:
            raise BadInput(
                f"{name}.prometheus.{key} is an unknown setting.", hint=f"Known: {', '.join(sorted(known))}."
            )
        if known[key].secret:
            raise BadInput(
                f"{name}.prometheus.{key} does not belong in a file.",
                hint=f"Set {password_variable(name)} in the environment.",
            )
        found[key] = _parsed_in(f"{name}.prometheus.{key}", known[key].parse, value)
    return MappingProxyType(found)


def _parsed_in(place: str, parse: Callable[[object], object], value: object) -> Any:
    try:
        return parse(value)
    except MoraError as error:
        raise BadInput(f"{place}: {error.message}", hint=error.hint) from error


def password_variable(cluster: str) -> str:
    """The environment variable with the password for the Prometheus of a cluster.

    >>> password_variable("eu-west.prod")
    'MORA_CLUSTERS_EU_WEST_PROD_PROMETHEUS_PASSWORD'
    """
    return f"MORA_CLUSTERS_{re.sub(r'[^A-Z0-9]', '_', cluster.upper())}_PROMETHEUS_PASSWORD"


# fmt: off
SETTINGS: tuple[Setting, ...] = (
    Setting("data_dir", "Folder of the unified CSVs; relative to the working directory or to mora.toml.",
            values.path, flag="--data"),
    Setting("models_dir", "Folder of the models.", values.path, flag="--models"),
    Setting("health_dir", "Folder of the detectors of services.", values.path, flag="--health"),
    Setting("state_dir", "Folder that keeps samples between runs, so that only new ones are read from Prometheus.",
            values.path, flag="--state"),
    Setting("namespace", "Kubernetes namespace of the services; the sandbox plays `default`.",
            values.name, flag="--namespace"),
    Setting("target", "Where experiments run. The sandbox by default: it needs nothing and harms nothing.",
            values.one_of(*TARGETS), flag="--target"),
    Setting("plan", "Name of a plan in experiments/plans, or a path to one. The shortest by default.",
            values.string, flag="--plan"),
    Setting("output", "How a recommendation is printed.", _output, flag="--output"),
    Setting("horizon", "How far ahead a recommendation from history must be right; it is renewed at that interval.",
            values.span, flag="--horizon", old="hold"),
    Setting("history", "How far back Prometheus is read: two weeks have every day of the week twice.",
            values.span, flag="--history"),
    Setting("jobs", "Processes that train in parallel, about 1 GB each; as many as this process may use cores.",
            values.whole(1), "train.jobs", "--jobs"),
    Setting("seed", "Seed of training: the same seed and data give the same numbers. A plan has a seed of its own.",
            values.whole(0), "train.seed", "--seed"),
    Setting("train.forecasters", "Which forecasters are trained, by their registered names; NAME=0.3 sets a weight.",
            values.strings, flag="--forecasters"),
    Setting("train.prophet_weight", "Share of Prophet in the blend before validation errors count. LSTM: the rest.",
            values.ratio, flag="--prophet-weight"),
    Setting("train.learn_weights", "Whether the weights with the smallest validation error are taken, in tenths.",
            values.switch, flag="--learn-weights"),
    Setting("train.candidates", "Forecasters beside the blend, which take its place where they are clearly better.",
            values.strings, flag="--candidates"),
    Setting("train.model", "Which model forecasts a history, whatever others are worth: a forecaster, blend, mixture.",
            values.string, flag="--model"),
    Setting("train.backend", "Where many services are trained: loky, on this machine, or dask, on a cluster.",
            values.one_of(*BACKENDS), flag="--backend"),
    Setting("train.scheduler", "Address of the Dask scheduler: tcp://host:8786, or tls://.",
            _scheduler, flag="--scheduler"),
    Setting("train.track", "Whether trainings are also logged in MLflow: ./mlruns, or where MLFLOW_TRACKING_URI leads.",
            values.switch, flag="--track"),
    Setting("health.detector", "What finds unusual samples, by its registered name (mora list) and options.",
            _detector, flag="--detector"),
    Setting("health.threshold", "What decides which of its scores are too high, by its registered name and options.",
            _threshold, flag="--threshold"),
    Setting("health.start_up", "How long after a cold start there is no verdict; by default 20 samples, 9m at most.",
            values.span, flag="--start-up"),
    Setting("prometheus.url", "Address of a Prometheus, or of what answers its API.", values.url, flag="--prometheus"),
    Setting("prometheus.timeout", "How long one query may take; Prometheus gives up after two minutes.", values.span),
    Setting("prometheus.username", "Basic auth; goes with MORA_PROMETHEUS_PASSWORD.", values.string),
    Setting("prometheus.password", "Basic auth; environment only: files get committed, command lines are seen.",
            values.string, secret=True),
    Setting("prometheus.token_file", "File with a bearer token; read again for each request, since tokens rotate.",
            values.path),
    Setting("prometheus.headers", "Extra headers, such as X-Scope-OrgID for a tenant of Mimir.", values.headers),
    Setting("prometheus.client_certificate", "A client certificate, as a PEM file; its key may be in the same file.",
            values.path),
    Setting("prometheus.client_key", "The key of the client certificate, as a PEM file.", values.path),
    Setting("prometheus.ca_file", "Certificates that the server's is checked against; by default those of the system.",
            values.path),
    Setting("prometheus.auth", "Credentials of a managed Prometheus: gcp (Google), sigv4 (Amazon), entra (Azure).",
            values.one_of("gcp", "sigv4", "entra")),
    Setting("prometheus.region", "Region of an Amazon Managed Prometheus, where its address does not say it.",
            values.string),
    Setting("prometheus.cluster", "Value of the label `cluster`, where one Prometheus (Thanos, Mimir) has several.",
            values.string, flag="--cluster"),
    Setting("gcp.project", "Google Cloud project that is read; by default that of the credentials.", values.string),
    Setting("gcp.cluster", "GKE cluster, where the project has several: NAME, or LOCATION/NAME.", values.string),
    Setting("gcp.database", "Cloud SQL instance whose columns stand beside a service's with --layout helios.",
            values.string),
    Setting("gcp.endpoint", "Address of the Monitoring API, where it is not Google's public one.", values.string),
    Setting("aws.region", "AWS region that is read; by default that of the environment or profile.", values.string),
    Setting("aws.cluster", "EKS cluster, where the region has several.", values.string),
    Setting("aws.database", "RDS instance whose columns stand beside a service's with --layout helios.", values.string),
    Setting("aws.endpoint", "Address of AWS's APIs, where it is not Amazon's public one.", values.string),
    Setting("azure.cluster", "Resource id of the AKS cluster that is read.", values.string),
    Setting("azure.database", "Resource id of a database server, for --layout helios.", values.string),
    Setting("azure.endpoint", "Address of Azure's APIs, where it is not Azure's public one.", values.string),
    Setting("slo.p95", "95th percentile of the response time that callers can rely on.",
            values.response_time, "slo.p95_seconds", "--slo-p95"),
    Setting("slo.errors", "Share of requests that may fail, 0..1.", values.ratio, "slo.error_ratio", "--slo-errors"),
    Setting("replicas.target_utilisation", "Share of a pod's capacity that is used at the load; the rest takes bursts.",
            values.positive_ratio, "policy.target_utilisation", "--target-utilisation"),
    Setting("replicas.min", "Minimum of replicas; 2 keeps a service up while a node is drained.",
            values.whole(1), "policy.min_replicas", "--min-replicas"),
    Setting("replicas.max", "Maximum of replicas; by default what the measured load response covers.",
            values.whole(1), "policy.max_replicas", "--max-replicas"),
    Setting("policy.name", "Which policy sizes, by its registered name; other packages may add some (mora list).",
            _policy),
    Setting("policy.cpu_buffer", "Factor on the CPU forecast at a driven load; history has its own margin.",
            values.factor),
    Setting("policy.memory_buffer", "The same for memory; smaller, since the bound and the peak already raise it.",
            values.factor),
    Setting("policy.cpu_floor", "Smallest CPU request; KRR's minimum, too.", _CPU, "policy.cpu_floor_millicores"),
    Setting("policy.memory_floor", "Smallest memory request.", _MEMORY, "policy.memory_floor_bytes"),
    Setting("policy.cpu_cap", "Largest CPU request; none by default.", _CPU, "policy.cpu_cap_millicores"),
    Setting("policy.memory_cap", "Largest memory request; below the observed use there is a reason, no number.",
            _MEMORY, "policy.memory_cap_bytes"),
    Setting("policy.max_cpu_cut", "Largest share that one step takes off a CPU request.", values.positive_ratio),
    Setting("policy.max_memory_cut", "Largest share that one step takes off a memory request; too little memory kills.",
            values.positive_ratio),
    Setting("policy.min_change", "Cuts below this share, and raises of CPU below half of it, are deferred.",
            values.ratio),
    Setting("policy.cpu_limit", "The CPU limit: unset, request (equal), keep (at least the request), ratio (as now).",
            _LIMITS),
    Setting("policy.memory_limit", "The memory limit, as cpu_limit; memory cannot be overcommitted, hence request.",
            _LIMITS),
    Setting("policy.touch_autoscaled", "Whether to change a request that an HPA scales on; its target changes with it.",
            values.switch, flag="--retarget-hpa"),
    Setting("policy.allow_any_step", "Whether one step may cut more than max_cpu_cut and max_memory_cut.",
            values.switch, flag="--allow-any-step"),
    Setting("policy.include_sidecars", "Whether injected and native sidecars are sized; a mesh sizes most itself.",
            values.switch, "fleet.include_sidecars", "--include-sidecars"),
    Setting("policy.allow_jvm_cut", "Whether memory of Java virtual machines may be cut; a heap takes all it is given.",
            values.switch, "fleet.allow_jvm_cut", "--allow-jvm-cut"),
    Setting("policy.cut_while_abnormal", "Whether cuts are made while a service is abnormal; by default they wait.",
            values.switch, "fleet.cut_while_abnormal", "--cut-while-abnormal"),
    Setting("prices.cpu", "Cost per core-hour; OpenCost's default where only the other price is set.",
            values.price, flag="--cpu-price"),
    Setting("prices.memory", "Cost per GiB-hour of memory; OpenCost's default where only the other price is set.",
            values.price, flag="--memory-price"),
    Setting("prices.currency", "The currency of the prices; a word that is printed.", values.string),
    Setting("digest.webhook", "Where mora digest --webhook env posts to; environment only, the address is a secret.",
            values.string, "digest_webhook", secret=True),
    Setting("helm_paths", "Where a chart's values hold the resources of a container.", values.helm_paths),
    Setting("namespaces", "Overrides for a namespace: [namespaces.shop], with the keys of the mora.dev/ annotations.",
            _overrides("namespaces"), "fleet.namespaces"),
    Setting("workloads", "Overrides for a workload: [workloads.\"shop/frontend\"]; these win over its annotations.",
            _overrides("workloads"), "fleet.workloads"),
    Setting("clusters", "Clusters to choose from: [clusters.prod], with context, kubeconfig and a table prometheus.",
            _clusters),
)
# fmt: on

BY_NAME: Mapping[str, Setting] = MappingProxyType({one.name: one for one in SETTINGS})
BY_KEY: Mapping[str, Setting] = MappingProxyType({one.key: one for one in SETTINGS})
OLD_KEYS: Mapping[str, Setting] = MappingProxyType({one.old: one for one in SETTINGS if one.old})
