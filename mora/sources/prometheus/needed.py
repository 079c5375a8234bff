"""Which metrics a Prometheus lacks altogether, what is unknown without each, and what to enable."""

from __future__ import annotations

from collections.abc import Mapping

from mora.domain import Target, Window
from mora.errors import SourceUnavailable
from mora.sources.prometheus.fleet_promql import Scope
from mora.sources.prometheus.parts import exposed
from mora.sources.prometheus.wire import Wire

_CADVISOR = "Scrape the kubelet's /metrics/cadvisor, and keep this metric"
_KSM_2 = "kube-state-metrics (version 2 or later) is not scraped"
# metric -> what is unknown without it, and what to enable.
_NEEDED: Mapping[str, str] = {
    "kube_pod_owner": "the owners of pods are unknown. Scrape kube-state-metrics",
    "container_cpu_usage_seconds_total": f"CPU use is unknown. {_CADVISOR}",
    "container_memory_working_set_bytes": f"memory use is unknown. {_CADVISOR}",
    "kube_pod_container_resource_requests": f"no request is set, or {_KSM_2}",
    "kube_pod_container_resource_limits": f"no limit is set, or {_KSM_2}",
    "kube_pod_container_status_restarts_total": "restarts and OOM kills are unknown. Scrape kube-state-metrics",
    "kube_pod_start_time": "start-up cannot be separated from steady use. Scrape kube-state-metrics",
}
_USE = {
    Target.CPU: "container_cpu_usage_seconds_total",
    Target.MEMORY: "container_memory_working_set_bytes",
}


def absent_metrics(wire: Wire, scope: Scope, window: Window) -> dict[str, str]:
    """The metrics without a sample, each with a sentence on what to enable.

    Raises SourceUnavailable for the labels of an old Kubernetes.
    """
    known = exposed(wire, scope.broad(), _NEEDED, 'pod!=""', window)
    if _USE[Target.CPU] not in known:
        old = 'container_cpu_usage_seconds_total{pod_name!=""}'
        if wire.label_values("pod_name", old, window.start, window.end):
            raise SourceUnavailable(
                f"{wire.url} has the labels pod_name and container_name, as before Kubernetes 1.16.",
                hint="Relabel them to pod and container (metric_relabel_configs), or upgrade the kubelets.",
            )
    return {name: f"{name} has no samples: {what}." for name, what in _NEEDED.items() if name not in known}


def use_that_is_absent(absent: Mapping[str, str]) -> dict[Target, str]:
    """Why the use of a resource is unknown for every workload: what Prometheus lacks, and what to enable."""
    return {target: absent[metric] for target, metric in _USE.items() if metric in absent}
