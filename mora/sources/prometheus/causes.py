"""Why a Prometheus has no samples of a workload, or only some: by what it has instead."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING

import numpy as np

from mora.domain import Window, Workload
from mora.errors import BadInput, MoraError, SourceUnavailable
from mora.quantities import format_moment
from mora.sources.prometheus import promql
from mora.sources.prometheus.wire import Wire

if TYPE_CHECKING:
    import pandas as pd

_KSM = "kube-state-metrics is not scraped, or it is configured to omit this metric"
_CADVISOR = "cAdvisor (the kubelet's /metrics/cadvisor) is not scraped, or this metric is dropped by relabelling"
_NODE = "node-exporter is not scraped, or its node_uname_info names the nodes differently than Kubernetes does"
# column -> the metric behind it, and why it may have no samples though the workload exists.
_PROBABLE_CAUSES: Mapping[str, tuple[str, str]] = {
    "cpu_cores_value": ("container_cpu_usage_seconds_total", _CADVISOR),
    "cpu_cores_total": ("container_cpu_usage_seconds_total", _CADVISOR),
    "mem_bytes_value": ("container_memory_working_set_bytes", _CADVISOR),
    "mem_bytes_total": ("container_memory_working_set_bytes", _CADVISOR),
    "net_rx_bytes_value": (
        "container_network_receive_bytes_total",
        f"every pod is on the host's network, or {_CADVISOR}",
    ),
    "net_tx_bytes_value": (
        "container_network_transmit_bytes_total",
        f"every pod is on the host's network, or {_CADVISOR}",
    ),
    "pod_restarts_value": ("kube_pod_container_status_restarts_total", _KSM),
    "replica_count_value": ("kube_deployment_status_replicas_available (or its like)", _KSM),
    "node_cpu_util_value": ("node_cpu_seconds_total", _NODE),
    "node_mem_util_value": ("node_memory_MemAvailable_bytes", _NODE),
    "throttled_ratio": ("container_cpu_cfs_throttled_periods_total", _CADVISOR),
    "oom_kills": ("kube_pod_container_status_last_terminated_reason", _KSM),
}
_ALLOCATED_COLUMNS = ("cpu_request_cores", "cpu_limit_cores", "mem_request_bytes", "mem_limit_bytes")


def known_workloads(wire: Wire, namespace: str, start: datetime, end: datetime) -> list[str]:
    """Names of the workloads of a namespace that have samples between start and end, sorted."""
    selectors = promql.workload_selectors(namespace)
    return sorted(
        {name for label, selector in selectors.items() for name in wire.label_values(label, selector, start, end)}
    )


def why_nothing(wire: Wire, workload: Workload, window: Window) -> MoraError:
    """The error for a workload of which there is no sample at all, by what there is instead."""
    known = known_workloads(wire, workload.namespace, window.start, window.end)
    what = f"{workload.kind} {workload.name!r} in namespace {workload.namespace!r}"
    between = f"between {format_moment(window.start)} and {format_moment(window.end)}"
    if workload.name in known:
        return SourceUnavailable(
            f"{wire.url} knows a {workload.name!r} in namespace {workload.namespace!r}, but has no samples of a "
            f"{workload.kind} by that name {between}.",
            hint="Is it of another kind (Deployment, StatefulSet, DaemonSet)?",
        )
    if known:
        close = difflib.get_close_matches(workload.name, known, n=1)
        return BadInput(
            f"There is no {what} {between}." + (f" Did you mean {close[0]!r}?" if close else ""),
            hint=f"{wire.url} knows these: {', '.join(known)}.",
        )
    selectors = list(promql.workload_selectors(None).values())
    namespaces = wire.label_values("namespace", selectors, window.start, window.end)
    if namespaces:
        return BadInput(
            f"{wire.url} knows no workload in namespace {workload.namespace!r} {between}.",
            hint=f"It knows these namespaces: {', '.join(namespaces)}.",
        )
    return SourceUnavailable(
        f"{wire.url} has no workloads at all {between}.",
        hint="It must scrape kube-state-metrics and cAdvisor. Or does its data not reach back that far?",
    )


def why_gaps(frame: pd.DataFrame, window: Window) -> list[str]:
    """Warnings for columns without a sample, and for a history that is shorter than the window."""
    silent = set(frame.columns[frame.isna().all()])
    warnings = [
        f"{column} is empty: {metric} has no samples for this workload. Probably {cause}."
        for column, (metric, cause) in _PROBABLE_CAUSES.items()
        if column in silent
    ]
    unset = [column for column in _ALLOCATED_COLUMNS if column in silent]
    if unset:
        warnings.append(f"{', '.join(unset)}: empty, so not set on the main container, or {_KSM}.")
    seen = np.flatnonzero(frame["replica_count_value"].notna().to_numpy())
    slack = max(2, len(frame) // 50)
    if len(seen) and seen[0] > slack:
        first, asked = format_moment(frame.index[seen[0]]), format_moment(window.start)
        warnings.append(
            f"The workload is known from {first} on, not from {asked}: it is younger, or Prometheus keeps less."
        )
    if len(seen) and seen[-1] < len(frame) - 1 - slack:
        last, asked = format_moment(frame.index[seen[-1]]), format_moment(window.end)
        warnings.append(f"The workload is last seen at {last}, before {asked}.")
    return warnings
