"""The twelve metrics, the context columns and the extra columns of the unified CSV, as one table.

The names, units and meanings are the data contract: what collect writes, train reads and the documentation prints.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Metric:
    """One column: its name in the CSV, its unit, what it is, and whether it is measured or computed from others."""

    name: str
    unit: str
    meaning: str
    is_derived: bool = False


METRICS: tuple[Metric, ...] = (
    Metric("cpu_cores_value", "cores", "CPU of the main container in its hottest pod, rate over the window"),
    Metric("mem_bytes_value", "bytes", "working set and swap of the main container, largest over the pods"),
    Metric("net_rx_bytes_value", "bytes/s", "received by the service, all pods"),
    Metric("net_tx_bytes_value", "bytes/s", "sent by the service, all pods"),
    Metric("pod_restarts_value", "restarts/h", "container restarts in the last hour, all pods"),
    Metric("replica_count_value", "replicas", "available replicas"),
    Metric("node_cpu_util_value", "ratio", "CPU use of the fullest node that runs the service"),
    Metric("node_mem_util_value", "ratio", "memory use of the fullest node that runs the service"),
    Metric("network_activity_rate_value", "ratio", "traffic per replica on a log scale, 1 Gbit/s is 1", True),
    Metric("processing_intensity_value", "ratio", "1 is pure computing, 0 pure traffic; 1 core weighs 10 MB/s", True),
    Metric("service_stability_value", "ratio", "1 without restarts; one restart a replica and hour is 0.368", True),
    Metric("resource_pressure_value", "ratio", "the scarcest of node CPU, node memory, CPU limit, memory limit", True),
)

CONTEXT_COLUMNS: tuple[str, ...] = (
    "experiment_id",
    "service",
    "scenario",
    "replica_count",
    "load_users",
    "timestamp",
)
METRIC_COLUMNS: tuple[str, ...] = tuple(metric.name for metric in METRICS)
MEASURED_COLUMNS: tuple[str, ...] = tuple(metric.name for metric in METRICS if not metric.is_derived)
CORE_COLUMNS: tuple[str, ...] = CONTEXT_COLUMNS + METRIC_COLUMNS
# Columns whose ratio to their own past means something, whatever their scale.
SCALE_FREE_COLUMNS = ("cpu_cores_value", "mem_bytes_value", "net_rx_bytes_value", "net_tx_bytes_value")

EXTRA_METRICS: tuple[Metric, ...] = (
    Metric("cpu_cores_total", "cores", "CPU of all pods and containers of the service"),
    Metric("mem_bytes_total", "bytes", "working set and swap of all pods and containers of the service"),
    Metric("throttled_ratio", "ratio", "throttled share of the CFS periods of the main container, worst pod"),
    Metric("oom_kills", "kills/h", "OOM kills of the main container in the last hour, all pods"),
    Metric("cpu_request_cores", "cores", "CPU request of the main container"),
    Metric("cpu_limit_cores", "cores", "CPU limit of the main container"),
    Metric("mem_request_bytes", "bytes", "memory request of the main container"),
    Metric("mem_limit_bytes", "bytes", "memory limit of the main container"),
    Metric("requests_per_second", "1/s", "requests that Locust completed; only the service it talks to"),
    Metric("latency_p50_seconds", "s", "median response time seen by Locust"),
    Metric("latency_p95_seconds", "s", "95th percentile of the response time seen by Locust"),
    Metric("latency_p99_seconds", "s", "99th percentile of the response time seen by Locust"),
    Metric("error_ratio", "ratio", "share of Locust's requests that failed"),
)
EXTRA_COLUMNS: tuple[str, ...] = tuple(metric.name for metric in EXTRA_METRICS)
ALL_COLUMNS: tuple[str, ...] = CORE_COLUMNS + EXTRA_COLUMNS

OBSERVED_SCENARIO = "observed"

MOST_CORES, MOST_BYTES = 2048.0, 64.0 * 2**40
"""What the largest machines that clouds rent out have fewer of: no container can use more."""

# What no value of a unit exceeds; a share may be off by the moments at which its two parts were read.
_MOST_OF_UNIT = {
    "cores": MOST_CORES,
    "bytes": MOST_BYTES,
    "bytes/s": 1e15,
    "ratio": 100.0,
    "restarts/h": 1e6,
    "kills/h": 1e6,
    "replicas": 1e6,
    "1/s": 1e9,
    "s": 86400.0,
}
# Sums over pods may be as large as a cluster (some 5,000 nodes), and a request or limit as Kubernetes can write it.
_MOST_OF_COLUMN = {
    "replica_count": 1e6,
    "load_users": 1e8,
    "cpu_cores_total": 1e7,
    "mem_bytes_total": 1e18,
    "cpu_request_cores": 1e6,
    "cpu_limit_cores": 1e6,
    "mem_request_bytes": float(2**63),
    "mem_limit_bytes": float(2**63),
}
MOST: Mapping[str, float] = {m.name: _MOST_OF_UNIT[m.unit] for m in METRICS + EXTRA_METRICS} | _MOST_OF_COLUMN
"""Column -> what no value of it can exceed."""

# 1 Gbit/s in bytes/s: the traffic of a replica that counts as full.
_FULL_TRAFFIC_BYTES_PER_SECOND = 125e6
# One core weighs as much as 10 MB/s of traffic.
_BYTES_PER_SECOND_PER_CORE = 10e6


def network_activity_rate(rx_bytes: float, tx_bytes: float, replicas: float) -> float:
    """Traffic per replica on a log scale, 0..1.

    >>> round(network_activity_rate(1.25e8, 0, 1), 6), network_activity_rate(0, 0, 3)
    (1.0, 0.0)
    """
    scaled = math.log1p((rx_bytes + tx_bytes) / max(replicas, 1)) / math.log1p(_FULL_TRAFFIC_BYTES_PER_SECOND)
    return min(max(scaled, 0.0), 1.0)


def processing_intensity(cpu_cores_total: float, rx_bytes: float, tx_bytes: float) -> float:
    """Computing against traffic, 0..1; 0 where there is neither.

    >>> processing_intensity(1.0, 5e6, 5e6), processing_intensity(0.0, 0.0, 0.0)
    (0.5, 0.0)
    """
    traffic = (rx_bytes + tx_bytes) / _BYTES_PER_SECOND_PER_CORE
    return cpu_cores_total / (cpu_cores_total + traffic) if cpu_cores_total + traffic > 0 else 0.0


def service_stability(restarts_per_hour: float, replicas: float) -> float:
    """exp(-restarts per replica and hour).

    >>> service_stability(0, 2), round(service_stability(2, 2), 3)
    (1.0, 0.368)
    """
    return math.exp(-restarts_per_hour / max(replicas, 1))


def resource_pressure(ratios: Mapping[str, float]) -> float:
    """The largest of the ratios that are known, clamped to 0..1; NaN where none is.

    ratios: name -> use over what there is (node CPU, node memory, cpu/limit, mem/limit); NaN means not known.

    >>> resource_pressure({"node_cpu": 0.3, "cpu_limit": 1.2, "mem_limit": math.nan})
    1.0
    """
    known = [ratio for ratio in ratios.values() if not math.isnan(ratio)]
    return min(max(0.0, *known), 1.0) if known else math.nan
