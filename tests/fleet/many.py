"""A fleet of any size, as a cluster scraped every 30 s shows it: daily rhythms, noise, bursts, rollouts, hot pods.

What each pod really used between two scrapes is drawn first; the counters and gauges follow from it, and so does the
truth that a reader is measured against.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tests.fleet.tsdb import Group, write_block

Floats = NDArray[np.float64]

SCRAPE_SECONDS = 30
DAY_SECONDS = 86_400
MIB = 2**20
# Prometheus compacts two weeks into blocks of about this length.
_BLOCK_SECONDS = 2 * DAY_SECONDS
WORKLOADS_IN_A_NAMESPACE = 50
_JOB = {"job": "kube-state-metrics", "instance": "10.0.0.9:8080"}


@dataclass(frozen=True)
class Truth:
    """What one workload's container used: the p95 of its hottest pod (the one with the highest), the largest memory."""

    namespace: str
    name: str
    pods: tuple[str, ...]
    cpu_p95_cores: float
    cpu_p95_of_the_hottest_cores: float
    mem_peak_bytes: float


@dataclass(frozen=True)
class _Pod:
    namespace: str
    workload: str
    generation: int
    number: int
    first: int
    cores: Floats
    memory: Floats
    is_limited: bool

    @property
    def replica_set(self) -> str:
        return f"{self.workload}-{self.generation:08x}"

    @property
    def name(self) -> str:
        return f"{self.replica_set}-{self.number:05x}"


def write_fleet(
    workloads: int, start: float, days: float, tsdb: Path, *, ahead_seconds: float = 0, seed: int = 1
) -> list[Truth]:
    """Writes the blocks of so many Deployments; returns what they used in these days.

    ahead_seconds: the blocks go on for so long, so that `now` has samples while it moves on.
    """
    told = round(days * DAY_SECONDS / SCRAPE_SECONDS) + 1
    count = told + round(ahead_seconds / SCRAPE_SECONDS)
    rng = np.random.default_rng(seed)
    truths: list[Truth] = []
    pods: list[_Pod] = []
    for number in range(workloads):
        namespace = f"team-{number // WORKLOADS_IN_A_NAMESPACE:03}"
        own = _draw(rng, namespace, f"service-{number:04}", start, count)
        pods += own
        truths.append(_truth(own, told))
    counters = [np.cumsum(pod.cores) * SCRAPE_SECONDS for pod in pods]
    per_block = _BLOCK_SECONDS // SCRAPE_SECONDS
    for block, first in enumerate(range(0, count, per_block)):
        last = min(first + per_block, count)
        write_block(_groups(pods, counters, start, first, last), tsdb, block)
    return truths


def _draw(rng: np.random.Generator, namespace: str, name: str, start: float, count: int) -> list[_Pod]:
    """One workload: one to three replicas, rolled out anew one to three times."""
    replicas, generations = int(rng.integers(1, 4)), int(rng.integers(1, 4))
    level, memory = float(np.exp(rng.normal(-2.3, 0.9))), float(np.exp(rng.normal(np.log(300 * MIB), 0.7)))
    swing, phase, noise = rng.uniform(0, 0.6), rng.uniform(0, 2 * np.pi), rng.uniform(0.1, 0.5)
    is_limited = bool(rng.random() < 0.5)
    cuts = sorted({0, *rng.integers(0, count, generations - 1).tolist()})
    pods = []
    for generation, (since, until) in enumerate(zip(cuts, [*cuts[1:], count], strict=True)):
        day = 1 + swing * np.sin(2 * np.pi * (start + SCRAPE_SECONDS * np.arange(since, until)) / DAY_SECONDS + phase)
        for number in range(replicas):
            share = 1 + 0.15 * number
            size = until - since
            wander = np.repeat(rng.normal(0, 0.2, size // 20 + 1), 20)[:size]  # ten minutes of one mood
            burst = np.where(rng.random(size) < 0.01, rng.uniform(1, 4, size), 0)
            cores = level * share * day * np.exp(wander + noise * rng.standard_normal(size)) + level * burst
            sawtooth = 1 + 0.2 * ((np.arange(size) % 700) / 700)
            used = memory * share * sawtooth * (1 + 0.02 * rng.standard_normal(size))
            pods.append(_Pod(namespace, name, generation, number, since, cores, np.round(used), is_limited))
    return pods


def _truth(pods: list[_Pod], count: int) -> Truth:
    """Of the first `count` scrapes."""
    hottest = np.full(count, np.nan)
    pods = [pod for pod in pods if pod.first < count]
    for pod in pods:
        here = slice(pod.first, min(count, pod.first + len(pod.cores)))
        hottest[here] = np.fmax(hottest[here], pod.cores[: count - pod.first])
    return Truth(
        pods[0].namespace,
        pods[0].workload,
        tuple(pod.name for pod in pods),
        max(float(np.quantile(pod.cores[: count - pod.first], 0.95)) for pod in pods),
        float(np.nanquantile(hottest, 0.95)),
        max(float(pod.memory[: count - pod.first].max()) for pod in pods),
    )


def _groups(pods: list[_Pod], counters: list[Floats], start: float, first: int, last: int) -> Iterator[Group]:
    """Every series between two scrapes; cAdvisor's and kube-state-metrics' are scraped at moments of their own."""
    together: defaultdict[tuple[int, int], list[tuple[_Pod, Floats]]] = defaultdict(list)
    for pod, counter in zip(pods, counters, strict=True):
        since, until = max(first, pod.first), min(last, pod.first + len(pod.cores))
        if since < until:
            together[since, until].append((pod, counter))
    for (since, until), alike in together.items():
        moment = start + since * SCRAPE_SECONDS
        rows = [row for pod, counter in alike for row in _measured(pod, counter, since, until)]
        yield Group([labels for labels, _ in rows], moment, SCRAPE_SECONDS, np.stack([values for _, values in rows]))
        fixed = [row for pod, _ in alike for row in _state(pod, start)]
        values = np.array([value for _, value in fixed])
        yield Group([labels for labels, _ in fixed], moment + 11, SCRAPE_SECONDS, values, samples=until - since)
    names = sorted({(pod.namespace, pod.workload) for pod in pods})
    deployments = [
        {"__name__": "kube_deployment_spec_replicas", "namespace": namespace, "deployment": name, **_JOB}
        for namespace, name in names
    ]
    yield Group(
        deployments, start + first * SCRAPE_SECONDS + 11, SCRAPE_SECONDS, np.ones(len(names)), samples=last - first
    )


def _measured(pod: _Pod, counter: Floats, since: int, until: int) -> Iterator[tuple[dict[str, str], Floats]]:
    """What cAdvisor says of a pod's container."""
    here = slice(since - pod.first, until - pod.first)
    labels = {
        "namespace": pod.namespace,
        "pod": pod.name,
        "container": "server",
        "job": "kubelet",
        "metrics_path": "/metrics/cadvisor",
        "id": f"/kubepods/burstable/{pod.name}/server",
        "image": "registry.local/shop/server:1",
        "name": f"k8s_{pod.name}",
        "node": "node-1",
    }
    yield {"__name__": "container_cpu_usage_seconds_total", **labels}, counter[here]
    yield {"__name__": "container_memory_working_set_bytes", **labels}, pod.memory[here]
    if pod.is_limited:
        periods: Floats = 10.0 * SCRAPE_SECONDS * np.arange(here.start, here.stop, dtype=np.float64)
        yield {"__name__": "container_cpu_cfs_periods_total", **labels}, periods
        yield {"__name__": "container_cpu_cfs_throttled_periods_total", **labels}, (periods / 50).round()


def _state(pod: _Pod, start: float) -> Iterator[tuple[dict[str, str], float]]:
    """What kube-state-metrics says of a pod and of its ReplicaSet."""
    of_pod = {"namespace": pod.namespace, "pod": pod.name, **_JOB}
    of_container = {**of_pod, "container": "server"}
    born = start + pod.first * SCRAPE_SECONDS
    owner = {"owner_kind": "ReplicaSet", "owner_name": pod.replica_set, "owner_is_controller": "true"}
    yield {"__name__": "kube_pod_owner", **of_pod, **owner}, 1
    yield {"__name__": "kube_pod_info", **of_pod, "node": "node-1"}, 1
    yield {"__name__": "kube_pod_created", **of_pod}, born
    yield {"__name__": "kube_pod_start_time", **of_pod}, born
    yield {"__name__": "kube_pod_status_phase", **of_pod, "phase": "Running"}, 1
    yield {"__name__": "kube_pod_container_info", **of_container, "image": "registry.local/shop/server:1"}, 1
    yield {"__name__": "kube_pod_container_status_restarts_total", **of_container}, 0
    for resource, unit, amount in (("cpu", "core", 0.5), ("memory", "byte", 1024.0 * MIB)):
        sized = {**of_container, "resource": resource, "unit": unit}
        yield {"__name__": "kube_pod_container_resource_requests", **sized}, amount
        if resource == "memory" or pod.is_limited:
            yield {"__name__": "kube_pod_container_resource_limits", **sized}, 2 * amount
    if pod.number == 0:
        of_set = {"namespace": pod.namespace, "replicaset": pod.replica_set, **_JOB}
        above = {"owner_kind": "Deployment", "owner_name": pod.workload, "owner_is_controller": "true"}
        yield {"__name__": "kube_replicaset_owner", **of_set, **above}, 1
