"""The metrics of the sandbox, with the names and labels that they have on a cluster.

They are those of cAdvisor, kube-state-metrics, node-exporter and Istio under kube-prometheus-stack, so that the same
PromQL works on both. Like cAdvisor, it also exports the pod's own group (container=""), and the network per pod without
a container.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate

import psutil
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import generate_latest
from prometheus_client.registry import Collector, CollectorRegistry

from mora.domain import Resources
from mora.sandbox.cgroups import Usage
from mora.sandbox.shop.calls import BUCKET_MILLISECONDS, CallCounts, ParallelCounts
from mora.sandbox.shop.journal import VOLUME_BYTES
from mora.sandbox.spec import CONTAINER, NAMESPACE


@dataclass(frozen=True, slots=True)
class PodView:
    """A pod at the time of a scrape."""

    name: str
    uid: str
    container_id: str
    replica_set: str
    image: str
    resources: Resources
    container: Usage
    pod: Usage
    received_bytes: int
    sent_bytes: int
    is_ready: bool
    is_running: bool
    restarts: int
    last_terminated_reason: str | None
    created_at: float
    calls: Sequence[CallCounts] = ()
    parallel_calls: Sequence[ParallelCounts] = ()
    volume_bytes: int = 0


@dataclass(frozen=True, slots=True)
class DeploymentView:
    """A deployment at the time of a scrape."""

    name: str
    replicas: int
    available: int
    generation: int
    replica_sets: Sequence[str]
    pods: Sequence[PodView]


def render_cadvisor(deployments: Iterable[DeploymentView]) -> bytes:
    """The page of cAdvisor: use of containers and pods."""
    return _render(_cadvisor([pod for deployment in deployments for pod in deployment.pods]))


def render_kube_state(deployments: Sequence[DeploymentView], node: str) -> bytes:
    """The page of kube-state-metrics: deployments, ReplicaSets, pods, resources, restarts and owners."""
    return _render([*_deployment_metrics(deployments), *_pod_metrics(deployments, node), *_node_allocatable(node)])


def render_node(node: str) -> bytes:
    """The page of node-exporter: CPU time and memory of this machine."""
    return _render(_node_metrics(node))


def render_mesh(deployments: Iterable[DeploymentView]) -> bytes:
    """The page of a service mesh: requests between services, with Istio's names, and which calls overlap."""
    return _render(_mesh([pod for deployment in deployments for pod in deployment.pods]))


class _Once(Collector):
    def __init__(self, metrics: Iterable[Metric]) -> None:
        self._metrics = metrics

    def collect(self) -> Iterable[Metric]:
        return self._metrics


def _render(metrics: Iterable[Metric]) -> bytes:
    registry = CollectorRegistry(auto_describe=False)
    collected = list(metrics)
    registry.register(_Once(collected))
    return generate_latest(registry)


_CGROUP_LABELS = ("namespace", "pod", "container", "image", "name", "id")
_POD_LABELS = ("namespace", "pod")
_CONTAINER_LABELS = ("namespace", "pod", "container", "uid")


def _counter(name: str, text: str, labels: Sequence[str]) -> CounterMetricFamily:
    return CounterMetricFamily(name, text, labels=labels)


def _gauge(name: str, text: str, labels: Sequence[str]) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, text, labels=labels)


def _cadvisor(pods: Sequence[PodView]) -> Iterator[Metric]:
    cpu = _counter("container_cpu_usage_seconds", "Cumulative cpu time consumed in seconds.", (*_CGROUP_LABELS, "cpu"))
    periods = _counter("container_cpu_cfs_periods", "Number of elapsed enforcement period intervals.", _CGROUP_LABELS)
    throttled = _counter("container_cpu_cfs_throttled_periods", "Number of throttled period intervals.", _CGROUP_LABELS)
    working_set = _gauge("container_memory_working_set_bytes", "Current working set in bytes.", _CGROUP_LABELS)
    rss = _gauge("container_memory_rss", "Size of RSS in bytes.", _CGROUP_LABELS)
    ooms = _counter("container_oom_events", "Count of out of memory events observed.", _CGROUP_LABELS)
    received = _counter(
        "container_network_receive_bytes", "Cumulative count of bytes received.", (*_POD_LABELS, "interface")
    )
    sent = _counter(
        "container_network_transmit_bytes", "Cumulative count of bytes transmitted.", (*_POD_LABELS, "interface")
    )
    # As cAdvisor counts what a container writes outside its image: here, in its volume of a fixed size.
    used = _gauge("container_fs_usage_bytes", "Number of bytes used on this filesystem.", (*_CGROUP_LABELS, "device"))
    size = _gauge("container_fs_limit_bytes", "Number of bytes that can be used.", (*_CGROUP_LABELS, "device"))
    for pod in pods:
        group = f"/kubepods/burstable/pod{pod.uid}"
        container = [NAMESPACE, pod.name, CONTAINER, pod.image, pod.container_id, f"{group}/{pod.container_id}"]
        for labels, usage in ((container, pod.container), ([NAMESPACE, pod.name, "", "", "", group], pod.pod)):
            cpu.add_metric([*labels, "total"], usage.cpu_seconds)
            working_set.add_metric(labels, usage.working_set_bytes)
            rss.add_metric(labels, usage.rss_bytes)
            ooms.add_metric(labels, usage.oom_kills)
            # As in cAdvisor: without a quota there are no periods.
            if pod.resources.cpu_limit_millicores is not None:
                periods.add_metric(labels, usage.periods)
                throttled.add_metric(labels, usage.throttled_periods)
        used.add_metric([*container, "volume"], pod.volume_bytes)
        size.add_metric([*container, "volume"], VOLUME_BYTES)
        received.add_metric([NAMESPACE, pod.name, "eth0"], pod.received_bytes)
        sent.add_metric([NAMESPACE, pod.name, "eth0"], pod.sent_bytes)
    yield from (cpu, periods, throttled, working_set, rss, ooms, used, size, received, sent)


def _mesh(pods: Sequence[PodView]) -> Iterator[Metric]:
    labels = (
        *("namespace", "pod", "reporter", "source_workload", "source_workload_namespace"),
        *("destination_workload", "destination_workload_namespace", "response_code"),
    )
    requests = _counter("istio_requests", "Requests, as their caller saw them (reporter=source).", labels)
    durations = HistogramMetricFamily(
        "istio_request_duration_milliseconds", "How long requests took, as their caller saw it.", labels=labels
    )
    # Of the sandbox alone: a mesh does not tell whether a service waits for two others at once or in turn.
    parallel = _counter(
        "mora_sandbox_parallel_calls",
        "Calls to a workload while the same request had a call to another (parallel_to) under way.",
        ("namespace", "pod", "source_workload", "destination_workload", "parallel_to"),
    )
    edges = [*map(str, BUCKET_MILLISECONDS), "+Inf"]
    for pod in pods:
        for calls in pod.calls:
            # Only the entry service counts what comes from outside; every other request is counted by its caller.
            source = (
                ("destination", "unknown", "unknown") if calls.source is None else ("source", calls.source, NAMESPACE)
            )
            code = "503" if calls.is_failure else "200"
            key = [NAMESPACE, pod.name, *source, calls.destination, NAMESPACE, code]
            up_to = list(accumulate(calls.buckets))
            requests.add_metric(key, up_to[-1])
            durations.add_metric(key, list(zip(edges, map(float, up_to), strict=True)), calls.sum_milliseconds)
        for both in pod.parallel_calls:
            parallel.add_metric([NAMESPACE, pod.name, both.source, both.destination, both.other], both.count)
    yield from (requests, durations, parallel)


def _deployment_metrics(deployments: Sequence[DeploymentView]) -> Iterator[Metric]:
    labels = ("namespace", "deployment")
    spec = _gauge("kube_deployment_spec_replicas", "Number of desired pods for a deployment.", labels)
    available = _gauge(
        "kube_deployment_status_replicas_available", "The number of available replicas per deployment.", labels
    )
    generation = _gauge("kube_deployment_metadata_generation", "Sequence number of the desired state.", labels)
    observed = _gauge(
        "kube_deployment_status_observed_generation", "The generation observed by the deployment controller.", labels
    )
    owners = _gauge(
        "kube_replicaset_owner",
        "Information about the ReplicaSet's owner.",
        ("namespace", "replicaset", "owner_kind", "owner_name", "owner_is_controller"),
    )
    for deployment in deployments:
        key = [NAMESPACE, deployment.name]
        spec.add_metric(key, deployment.replicas)
        available.add_metric(key, deployment.available)
        generation.add_metric(key, deployment.generation)
        observed.add_metric(key, deployment.generation)
        for replica_set in deployment.replica_sets:
            owners.add_metric([NAMESPACE, replica_set, "Deployment", deployment.name, "true"], 1)
    yield from (spec, available, generation, observed, owners)


def _pod_metrics(deployments: Sequence[DeploymentView], node: str) -> Iterator[Metric]:
    pods = [pod for deployment in deployments for pod in deployment.pods]
    owner = _gauge(
        "kube_pod_owner",
        "Information about the Pod's owner.",
        ("namespace", "pod", "uid", "owner_kind", "owner_name", "owner_is_controller"),
    )
    info = _gauge(
        "kube_pod_info",
        "Information about pod.",
        ("namespace", "pod", "uid", "node", "host_ip", "pod_ip", "host_network", "created_by_kind", "created_by_name"),
    )
    container_info = _gauge(
        "kube_pod_container_info",
        "Information about a container in a pod.",
        (*_CONTAINER_LABELS, "image", "image_spec", "container_id"),
    )
    phase = _gauge("kube_pod_status_phase", "The pods current phase.", ("namespace", "pod", "uid", "phase"))
    start = _gauge("kube_pod_start_time", "Start time in unix timestamp for a pod.", ("namespace", "pod", "uid"))
    ready = _gauge("kube_pod_container_status_ready", "Whether the readiness check succeeded.", _CONTAINER_LABELS)
    restarts = _counter("kube_pod_container_status_restarts", "The number of container restarts.", _CONTAINER_LABELS)
    reason = _gauge(
        "kube_pod_container_status_last_terminated_reason",
        "The last reason the container was in terminated state.",
        (*_CONTAINER_LABELS, "reason"),
    )
    for pod in pods:
        key, container = [NAMESPACE, pod.name, pod.uid], [NAMESPACE, pod.name, CONTAINER, pod.uid]
        owner.add_metric([*key, "ReplicaSet", pod.replica_set, "true"], 1)
        info.add_metric([*key, node, "127.0.0.1", "127.0.0.1", "false", "ReplicaSet", pod.replica_set], 1)
        container_info.add_metric([*container, pod.image, pod.image, f"sandbox://{pod.container_id}"], 1)
        # A pod in back-off is running; before the first start of its container it is pending.
        is_running = pod.is_running or pod.restarts > 0
        for name in ("Pending", "Running", "Succeeded", "Failed", "Unknown"):
            phase.add_metric([*key, name], name == ("Running" if is_running else "Pending"))
        start.add_metric(key, pod.created_at)
        ready.add_metric(container, pod.is_ready)
        restarts.add_metric(container, pod.restarts)
        if pod.last_terminated_reason is not None:
            reason.add_metric([*container, pod.last_terminated_reason], 1)
    yield from (owner, info, container_info, phase, start, ready, restarts, reason, *_resource_metrics(pods, node))


def _resource_metrics(pods: Sequence[PodView], node: str) -> Iterator[Metric]:
    labels = (*_CONTAINER_LABELS, "node", "resource", "unit")
    requests = _gauge("kube_pod_container_resource_requests", "The number of requested resources.", labels)
    limits = _gauge("kube_pod_container_resource_limits", "The number of requested limit resource.", labels)
    for pod in pods:
        key, resources = [NAMESPACE, pod.name, CONTAINER, pod.uid, node], pod.resources
        for family, millicores, amount_bytes in (
            (requests, resources.cpu_request_millicores, resources.memory_request_bytes),
            (limits, resources.cpu_limit_millicores, resources.memory_limit_bytes),
        ):
            if millicores is not None:
                family.add_metric([*key, "cpu", "core"], millicores / 1000)
            if amount_bytes is not None:
                family.add_metric([*key, "memory", "byte"], amount_bytes)
    yield from (requests, limits)


def _node_allocatable(node: str) -> Iterator[Metric]:
    allocatable = _gauge("kube_node_status_allocatable", "The allocatable of a node.", ("node", "resource", "unit"))
    allocatable.add_metric([node, "cpu", "core"], psutil.cpu_count() or 1)
    allocatable.add_metric([node, "memory", "byte"], psutil.virtual_memory().total)
    yield allocatable


def _node_metrics(node: str) -> Iterator[Metric]:
    cpu = _counter("node_cpu_seconds", "Seconds the CPUs spent in each mode.", ("cpu", "mode"))
    for index, times in enumerate(psutil.cpu_times(percpu=True)):
        for mode in ("user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal"):
            cpu.add_metric([str(index), mode], getattr(times, mode))
    memory = psutil.virtual_memory()
    available = _gauge("node_memory_MemAvailable_bytes", "Memory information field MemAvailable_bytes.", ())
    available.add_metric([], memory.available)
    total = _gauge("node_memory_MemTotal_bytes", "Memory information field MemTotal_bytes.", ())
    total.add_metric([], memory.total)
    uname = _gauge("node_uname_info", "Labeled system information as provided by the uname system call.", ("nodename",))
    uname.add_metric([node], 1)
    yield from (cpu, available, total, uname)
