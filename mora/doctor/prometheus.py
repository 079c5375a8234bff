"""Which Prometheus answers, and which of the metrics that MOrA reads it has."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from mora.doctor.finding import Check, State

if TYPE_CHECKING:
    from mora.settings import Settings

_ANSWER = timedelta(seconds=10)  # a Prometheus that takes longer has a problem of its own
_KNOWN_LATELY = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Signal:
    """A metric that MOrA reads, who exposes it, and what is lost without it (None: every recommendation needs it)."""

    name: str
    exporter: str
    lost: str | None = None


SIGNALS: tuple[Signal, ...] = (
    Signal("container_cpu_usage_seconds_total", "cAdvisor (kubelet)"),
    Signal("container_memory_working_set_bytes", "cAdvisor (kubelet)"),
    Signal("kube_pod_owner", "kube-state-metrics"),
    Signal(
        "kube_replicaset_owner", "kube-state-metrics", "pods are known by their ReplicaSets, not by their Deployments"
    ),
    Signal("kube_deployment_status_replicas_available", "kube-state-metrics", "replicas of Deployments are not known"),
    Signal("container_network_receive_bytes_total", "cAdvisor (kubelet)", "network columns stay empty"),
    Signal("container_network_transmit_bytes_total", "cAdvisor (kubelet)", "network columns stay empty"),
    Signal("container_cpu_cfs_throttled_periods_total", "cAdvisor (kubelet)", "throttling is not known"),
    Signal("container_cpu_cfs_periods_total", "cAdvisor (kubelet)", "throttling is not known"),
    Signal("kube_pod_container_status_restarts_total", "kube-state-metrics", "restarts are not known"),
    Signal(
        "kube_pod_container_status_last_terminated_reason",
        "kube-state-metrics",
        "OOM kills are not known (it appears with the first restart of any container)",
    ),
    Signal("kube_pod_container_resource_requests", "kube-state-metrics", "current requests are not known"),
    Signal("kube_pod_container_resource_limits", "kube-state-metrics", "current limits are not known"),
    Signal("kube_pod_info", "kube-state-metrics", "the nodes of a service are not known"),
    Signal("node_cpu_seconds_total", "node-exporter", "node columns stay empty"),
    Signal("node_memory_MemAvailable_bytes", "node-exporter", "node columns stay empty"),
    Signal("node_memory_MemTotal_bytes", "node-exporter", "node columns stay empty"),
    Signal("node_uname_info", "node-exporter", "node figures cannot be joined to the nodes of a service"),
)


def check_metrics(settings: Settings) -> Iterator[Check]:
    """The checks of the Prometheus that the settings name; OK where they name none."""
    if settings.prometheus.url is None:
        yield Check("prometheus url", State.OK, "none is set; the sandbox has its own")
        return
    yield from metrics_at(settings.prometheus.url, settings)


def metrics_at(url: str, settings: Settings) -> list[Check]:
    """Which Prometheus answers at a URL, and which of the metrics that MOrA reads it has had in the last hour."""
    from mora import pipeline
    from mora.sources.prometheus.observe import PrometheusSource

    timeout = min(_ANSWER, settings.prometheus.timeout)
    source = PrometheusSource(url, access=pipeline.access_of(settings, url), timeout=timeout, retries=0)
    now = datetime.now(UTC)
    matcher = "|".join(signal.name for signal in SIGNALS)
    with source.wire() as wire:
        checks = [Check("prometheus url", State.OK, f"{wire.url} answers, version {wire.version()}")]
        exposed = wire.label_values("__name__", f'{{__name__=~"{matcher}"}}', now - _KNOWN_LATELY, now)
    absent = [signal for signal in SIGNALS if signal.name not in exposed]
    checks += [
        Check(
            "metrics",
            State.MISSING if signal.lost is None else State.WARNING,
            f"{signal.name} had no samples in the last hour: {signal.lost or 'without it there is no recommendation'}",
            f"It comes from {signal.exporter}. Is that scraped? Does a relabelling rule drop the metric?",
        )
        for signal in absent
    ]
    there = len(SIGNALS) - len(absent)
    state = State.OK if there else State.MISSING
    return [*checks, Check("metrics", state, f"{there} of the {len(SIGNALS)} metrics that MOrA reads have samples")]
