"""A shop on GKE and its database, as GKE and Cloud SQL write them: a point a minute."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from mora.domain import Window, Workload
from tests.sources.gcp.monitoring import Stored

START = datetime(2026, 11, 1, 10, tzinfo=UTC)
HOURS = 2
END = START + timedelta(hours=HOURS)
STEP = timedelta(minutes=5)
WINDOW = Window(START + STEP, END, STEP)
FRONTEND, REDIS = Workload("shop", "frontend"), Workload("shop", "redis", "StatefulSet")
PODS = ("frontend-6d9f8c7b54-x2klp", "frontend-6d9f8c7b54-zz9vb")
CORES = {PODS[0]: 0.2, PODS[1]: 0.35, "redis-0": 0.05}
BYTES = {PODS[0]: 100e6, PODS[1]: 120e6, "redis-0": 300e6}
DATABASE = "shop-db"
_WORKING = {"metric.labels.memory_type": "non-evictable"}


def shop(
    project: str = "shop-prod", *, cluster: str = "eu", with_owners: bool = True, start: datetime = START
) -> list[Stored]:
    """Two hours of it from a moment on."""
    written = _Written(start.timestamp())
    found: list[Stored] = []
    for pod in (*PODS, "redis-0"):
        found += written.pod(pod, cluster, with_owners=with_owners)
    for node, share in (("node-a", 0.6), ("node-b", 0.95)):
        labels = {"resource.labels.cluster_name": cluster, "resource.labels.node_name": node}
        of = "kubernetes.io/node"
        found.append(written.steady(f"{of}/cpu/allocatable_utilization", "k8s_node", labels, share))
        found.append(written.steady(f"{of}/memory/allocatable_utilization", "k8s_node", {**labels, **_WORKING}, 0.5))
    base = {"resource.labels.database_id": f"{project}:{DATABASE}"}
    of = "cloudsql.googleapis.com/database"
    found.append(written.steady(f"{of}/cpu/utilization", "cloudsql_database", base, 0.25, "10^2.%"))
    found.append(written.steady(f"{of}/memory/utilization", "cloudsql_database", base, 0.5, "10^2.%"))
    for database, count in (("orders", 7), ("users", 3)):
        labels = {**base, "metric.labels.database": database}
        found.append(written.steady(f"{of}/postgresql/num_backends", "cloudsql_database", labels, count, is_whole=True))
    return found


@dataclass(frozen=True)
class _Written:
    start: float

    def pod(self, pod: str, cluster: str, *, with_owners: bool) -> list[Stored]:
        name, kind = ("redis", "StatefulSet") if pod == "redis-0" else ("frontend", "Deployment")
        labels = {
            "resource.labels.cluster_name": cluster,
            "resource.labels.namespace_name": "shop",
            "resource.labels.pod_name": pod,
        }
        if with_owners:
            labels |= {
                "metadata.system_labels.top_level_controller_name": name,
                "metadata.system_labels.top_level_controller_type": kind,
                "metadata.system_labels.node_name": "node-a",
            }
        return [*self.container(pod, {**labels, "resource.labels.container_name": "server"}), *self.network(labels)]

    def container(self, pod: str, labels: Mapping[str, str]) -> list[Stored]:
        cores, size = CORES[pod], BYTES[pod]

        def of(metric: str, value: float, unit: str = "1", *, more: Mapping[str, str] | None = None) -> Stored:
            here = {**labels, **(more or {})}
            is_whole = unit == "By"
            return self.steady(
                f"kubernetes.io/container/{metric}", "k8s_container", here, value, unit, is_whole=is_whole
            )

        def grown(metric: str, value: Callable[[float], float], unit: str) -> Stored:
            points = [(at, value(at - self.start)) for at in self.minutes()]
            return Stored(f"kubernetes.io/container/{metric}", "k8s_container", labels, points, unit)

        return [
            grown("cpu/core_usage_time", lambda seconds: cores * seconds, "s{CPU}"),
            grown("restart_count", lambda seconds: float(seconds > 1800), "1"),  # one, after half an hour
            of("memory/used_bytes", size, "By", more=_WORKING),
            of("memory/used_bytes", 900e6, "By", more={"metric.labels.memory_type": "evictable"}),
            of("cpu/request_cores", 0.5, "{cpu}"),
            of("cpu/limit_cores", 1.0, "{cpu}"),
            of("cpu/limit_utilization", cores),
            of("memory/request_bytes", 2.0**28, "By"),
            of("memory/limit_bytes", 2.0**29, "By"),
            of("memory/limit_utilization", size / 2.0**29, more=_WORKING),
        ]

    def network(self, labels: Mapping[str, str]) -> list[Stored]:
        return [
            Stored(
                f"kubernetes.io/pod/network/{metric}",
                "k8s_pod",
                labels,
                [(at, rate * (at - self.start)) for at in self.minutes()],
                "By",
                is_whole=True,
            )
            for metric, rate in (("received_bytes_count", 1000.0), ("sent_bytes_count", 4000.0))
        ]

    def steady(
        self,
        metric: str,
        resource: str,
        labels: Mapping[str, str],
        value: float,
        unit: str = "1",
        *,
        is_whole: bool = False,
    ) -> Stored:
        return Stored(metric, resource, labels, [(at, value) for at in self.minutes()], unit, is_whole)

    def minutes(self) -> list[float]:
        return [self.start + 60.0 * minute for minute in range(60 * HOURS + 1)]


def without(stored: Sequence[Stored], start: float, end: float) -> list[Stored]:
    """The same series with a gap: no points in a time range, in minutes after START."""
    first, last = START.timestamp() + 60 * start, START.timestamp() + 60 * end
    return [
        Stored(s.metric, s.resource, s.labels, [p for p in s.points if not first < p[0] <= last], s.unit, s.is_whole)
        for s in stored
    ]
