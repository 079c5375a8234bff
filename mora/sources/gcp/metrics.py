"""What Google Cloud Monitoring calls each signal, how its points are aligned, and the filters that ask for them.

Metrics: https://cloud.google.com/monitoring/api/metrics_kubernetes and .../metrics_gcp_c (Cloud SQL)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from types import MappingProxyType

from mora.errors import BadInput
from mora.sources.cloud.signals import Scope, Signal

FINEST = timedelta(minutes=1)
"""GKE writes a point a minute."""

_OWNER_NAME = "metadata.system_labels.top_level_controller_name"
_OWNER_KIND = "metadata.system_labels.top_level_controller_type"
_NODE = "metadata.system_labels.node_name"
# Memory that the kernel gives back at once is "evictable"; the rest is the working set, which requests must cover.
_WORKING_SET = 'metric.labels.memory_type = "non-evictable"'
_LONGEST_OPTION = 200


@dataclass(frozen=True, slots=True)
class Asked:
    """One kind of time series. aligner, reducer: names of Aggregation's enums. unit: of a value after the aligner.

    raw_unit: what the metric's descriptor says; an aligned answer may repeat it. more: a further filter.
    """

    metric: str
    resource: str
    aligner: str
    reducer: str
    unit: str
    raw_unit: str = ""
    more: str = ""

    @property
    def group_by(self) -> tuple[str, ...]:
        """The labels that tell series apart; all others are reduced away."""
        labels = {
            "k8s_container": ("location", "cluster_name", "namespace_name", "pod_name", "container_name"),
            "k8s_pod": ("location", "cluster_name", "namespace_name", "pod_name"),
            "k8s_node": ("location", "cluster_name", "node_name"),
            "cloudsql_database": ("database_id",),
        }[self.resource]
        owners = (_OWNER_NAME, _OWNER_KIND, _NODE) if self.resource in ("k8s_container", "k8s_pod") else ()
        return (*(f"resource.labels.{label}" for label in labels), *owners)


def _container(metric: str, aligner: str, reducer: str, unit: str, **options: str) -> Asked:
    return Asked(f"kubernetes.io/container/{metric}", "k8s_container", aligner, reducer, unit, **options)


def _database(metric: str, aligner: str, reducer: str, unit: str) -> Asked:
    return Asked(f"cloudsql.googleapis.com/database/{metric}", "cloudsql_database", aligner, reducer, unit)


METRICS: Mapping[Signal, Asked] = MappingProxyType(
    {
        Signal.CPU: _container("cpu/core_usage_time", "ALIGN_RATE", "REDUCE_SUM", "s{CPU}/s", raw_unit="s{CPU}"),
        Signal.MEMORY: _container("memory/used_bytes", "ALIGN_MAX", "REDUCE_MAX", "By", more=_WORKING_SET),
        Signal.CPU_REQUEST: _container("cpu/request_cores", "ALIGN_MAX", "REDUCE_MAX", "{cpu}"),
        Signal.CPU_LIMIT: _container("cpu/limit_cores", "ALIGN_MAX", "REDUCE_MAX", "{cpu}"),
        Signal.MEMORY_REQUEST: _container("memory/request_bytes", "ALIGN_MAX", "REDUCE_MAX", "By"),
        Signal.MEMORY_LIMIT: _container("memory/limit_bytes", "ALIGN_MAX", "REDUCE_MAX", "By"),
        Signal.CPU_SHARE: _container("cpu/limit_utilization", "ALIGN_MEAN", "REDUCE_MAX", "1"),
        Signal.MEMORY_SHARE: _container("memory/limit_utilization", "ALIGN_MAX", "REDUCE_MAX", "1", more=_WORKING_SET),
        Signal.RESTARTS: _container("restart_count", "ALIGN_DELTA", "REDUCE_SUM", "1"),
        Signal.RECEIVED: Asked(
            "kubernetes.io/pod/network/received_bytes_count", "k8s_pod", "ALIGN_RATE", "REDUCE_SUM", "By/s", "By"
        ),
        Signal.SENT: Asked(
            "kubernetes.io/pod/network/sent_bytes_count", "k8s_pod", "ALIGN_RATE", "REDUCE_SUM", "By/s", "By"
        ),
        Signal.NODE_CPU: Asked(
            "kubernetes.io/node/cpu/allocatable_utilization", "k8s_node", "ALIGN_MEAN", "REDUCE_MAX", "1"
        ),
        Signal.NODE_MEMORY: Asked(
            "kubernetes.io/node/memory/allocatable_utilization",
            "k8s_node",
            "ALIGN_MAX",
            "REDUCE_MAX",
            "1",
            more=_WORKING_SET,
        ),
        Signal.DB_CPU: _database("cpu/utilization", "ALIGN_MEAN", "REDUCE_MAX", "10^2.%"),
        Signal.DB_MEMORY: _database("memory/utilization", "ALIGN_MAX", "REDUCE_MAX", "10^2.%"),
        # One series for each database of the instance.
        Signal.DB_CONNECTIONS: _database("postgresql/num_backends", "ALIGN_MAX", "REDUCE_SUM", "1"),
    }
)


def filter_of(signal: Signal, scope: Scope, *, project: str, cluster: str | None) -> str:
    """The filter of ListTimeSeries for a signal.

    A workload is asked for by the begin of its pods' names, which every controller gives them: not all clusters fill in
    the labels that name the owner. What other workloads begin alike is sorted out by those who read the answer.
    cluster: its name, or LOCATION/NAME.

    >>> filter_of(Signal.RECEIVED, Scope("shop", "web"), project="p", cluster=None)[-89:]
    'resource.labels.namespace_name = "shop" AND resource.labels.pod_name = starts_with("web")'
    """
    asked = METRICS[signal]
    parts = [f'metric.type = "{asked.metric}"', f'resource.type = "{asked.resource}"']
    if asked.more:
        parts.append(asked.more)
    if asked.resource == "cloudsql_database":
        if scope.database is not None:
            parts.append(f"resource.labels.database_id = {_quoted(_database_id(scope.database, project))}")
        return " AND ".join(parts)
    if cluster is not None:
        # A name is one cluster's in a location alone: europe-west1/prod and us-east1/prod are two.
        location, _, name = cluster.rpartition("/")
        if location:
            parts.append(f"resource.labels.location = {_quoted(location)}")
        parts.append(f"resource.labels.cluster_name = {_quoted(name)}")
    if asked.resource != "k8s_node":
        if scope.namespace is not None:
            parts.append(f"resource.labels.namespace_name = {_quoted(scope.namespace)}")
        if scope.workload is not None:
            parts.append(f"resource.labels.pod_name = starts_with({_quoted(scope.workload)})")
    return " AND ".join(parts)


def _database_id(database: str, project: str) -> str:
    """Cloud SQL's own name of an instance, PROJECT:INSTANCE; an instance alone is one of the project."""
    return database if ":" in database else f"{project}:{database}"


def _quoted(text: str) -> str:
    """A string of a filter; a name that would end it early is refused, not escaped: no real one has such characters."""
    if not text or len(text) > _LONGEST_OPTION or not text.isprintable() or '"' in text or "\\" in text:
        raise BadInput(
            f"{text[:80]!r} is not a name that Google Cloud gives.", hint="Look it up: gcloud projects list, and so on."
        )
    return f'"{text}"'
