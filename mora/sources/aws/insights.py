"""What Container Insights calls the signals, and how its shares of a node become cores and bytes of a container.

Of containers CloudWatch has shares of their node's CPU and memory, and no amounts; of pods it has both. A pod stays on
its node, so that what its amounts are of its shares is the size of the node, and a container's share of that is its
use. https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/Container-Insights-metrics-enhanced-EKS.html
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from mora.domain import Workload, is_name
from mora.sources.aws.cloudwatch import Metric
from mora.sources.cloud.owners import owner_by_name
from mora.sources.cloud.signals import Of, Series, Signal

Floats = NDArray[np.float64]
SPACE = "ContainerInsights"
_CONTAINER = ("ClusterName", "ContainerName", "FullPodName", "Namespace", "PodName")
_POD = ("ClusterName", "FullPodName", "Namespace", "PodName")
_OWNER = ("ClusterName", "Namespace", "PodName")


@dataclass(frozen=True, slots=True)
class Named:
    """One metric that is read. dimensions: those it is read by, sorted. unit: that its points are usually written in;
    is_checked: whether that is looked up, since a wrong one would change numbers."""

    name: str
    dimensions: tuple[str, ...]
    statistic: str
    unit: str = "Percent"
    is_checked: bool = False


@dataclass(frozen=True, slots=True)
class Shares:
    """Where the use of a container comes from: its share of the node, and of its pod the share and the amount."""

    of_container: Named
    of_pod: Named
    amount_of_pod: Named


# A mean of CPU over the step, as a rate is; of memory the highest, since a peak is what kills.
USE: Mapping[Signal, Shares] = {
    Signal.CPU: Shares(
        Named("container_cpu_utilization", _CONTAINER, "Average"),
        Named("pod_cpu_utilization", _POD, "Average"),
        Named("pod_cpu_usage_total", _POD, "Average", "None", is_checked=True),
    ),
    Signal.MEMORY: Shares(
        Named("container_memory_utilization", _CONTAINER, "Maximum"),
        Named("pod_memory_utilization", _POD, "Average"),
        Named("pod_memory_working_set", _POD, "Average", "Bytes", is_checked=True),
    ),
}
PLAIN: Mapping[Signal, tuple[Named, ...]] = {
    Signal.CPU_REQUEST: (
        Named("container_cpu_request", _CONTAINER, "Maximum", "None", is_checked=True),
        Named("pod_cpu_request", _POD, "Maximum", "None", is_checked=True),
    ),
    Signal.CPU_LIMIT: (
        Named("container_cpu_limit", _CONTAINER, "Maximum", "None", is_checked=True),
        Named("pod_cpu_limit", _POD, "Maximum", "None", is_checked=True),
    ),
    Signal.MEMORY_REQUEST: (
        Named("container_memory_request", _CONTAINER, "Maximum", "Bytes", is_checked=True),
        Named("pod_memory_request", _POD, "Maximum", "Bytes", is_checked=True),
    ),
    Signal.MEMORY_LIMIT: (
        Named("container_memory_limit", _CONTAINER, "Maximum", "Bytes", is_checked=True),
        Named("pod_memory_limit", _POD, "Maximum", "Bytes", is_checked=True),
    ),
    # The agent writes how many there were since its last look, so that they add up.
    Signal.RESTARTS: (Named("pod_number_of_container_restarts", _POD, "Sum", "Count"),),
    Signal.RECEIVED: (Named("pod_network_rx_bytes", _POD, "Average", "Bytes/Second", is_checked=True),),
    Signal.SENT: (Named("pod_network_tx_bytes", _POD, "Average", "Bytes/Second", is_checked=True),),
    Signal.REPLICAS: (
        Named("status_replicas_available", _OWNER, "Maximum", "Count"),
        Named("daemonset_status_number_available", _OWNER, "Maximum", "Count"),
    ),
}
OOM_KILLED = Named("pod_container_status_terminated_reason_oom_killed", _POD, "Maximum", "Count")
OF_DAEMON_SETS = PLAIN[Signal.REPLICAS][1]
SIGNALS = frozenset((*USE, *PLAIN, Signal.OOM_KILLS))
# Amounts of a pod that has one container are those of the container, where an older agent writes them of pods alone.
_AMOUNTS = frozenset((Signal.CPU_REQUEST, Signal.CPU_LIMIT, Signal.MEMORY_REQUEST, Signal.MEMORY_LIMIT))
BETTER: Mapping[Named, tuple[Named, ...]] = {PLAIN[signal][1]: (PLAIN[signal][0],) for signal in sorted(_AMOUNTS)}
"""Metric -> those that make it needless."""

# What Kubernetes draws the random ends of names from; a Deployment's pods have a hash and an end, a Job's an end alone.
_DRAWN = "[bcdfghjklmnpqrstvwxz2456789]"
_DEPLOYED, _RUN, _ALONE = (
    re.compile(form) for form in (rf"-{_DRAWN}{{1,10}}-{_DRAWN}{{5}}", rf"-\d{{8}}-{_DRAWN}{{5}}", rf"-{_DRAWN}{{5}}")
)


def names_of(signals: Collection[Signal]) -> list[Named]:
    """The metrics that some signals are made of."""
    found: dict[Named, None] = {}
    for signal in signals:
        if signal in USE:
            shares = USE[signal]
            found |= dict.fromkeys((shares.of_container, shares.of_pod, shares.amount_of_pod))
        found |= dict.fromkeys(PLAIN.get(signal, ()))
        if signal is Signal.OOM_KILLS:
            limit, use = PLAIN[Signal.MEMORY_LIMIT], USE[Signal.MEMORY].of_container
            found |= dict.fromkeys((OOM_KILLED, *PLAIN[Signal.RESTARTS], *limit, use))
    return list(found)


def owner_of(namespace: str, pod_name: str, full: str, daemon_sets: Collection[tuple[str, str]]) -> Workload | None:
    """Whose a pod is. pod_name: what CloudWatch calls so, mostly the owner's name. full: the pod's own.

    daemon_sets: (namespace, name) of those that are known; without any, what looks like one is one.

    >>> [owner_of("shop", *names, ()).kind for names in (("web", "web-5d9f-x2klp"), ("redis-0", "redis-0"))]
    ['Deployment', 'StatefulSet']
    """
    end = full.removeprefix(pod_name)
    if not end or end == full or not (is_name(namespace) and is_name(pod_name)):
        return owner_by_name(namespace, full)
    if _RUN.fullmatch(end):
        return Workload(namespace, pod_name, "CronJob")
    if _DEPLOYED.fullmatch(end):
        return Workload(namespace, pod_name, "Deployment")
    if _ALONE.fullmatch(end):
        is_job = bool(daemon_sets) and (namespace, pod_name) not in daemon_sets
        return Workload(namespace, pod_name, "Job" if is_job else "DaemonSet")
    return Workload(namespace, pod_name, "Deployment")


Key = tuple[str, str, str, str]
"""Namespace, PodName, FullPodName, ContainerName; empty where a metric has no such dimension."""


def key_of(metric: Metric) -> Key:
    """Whose a metric is."""
    return metric.of("Namespace"), metric.of("PodName"), metric.of("FullPodName"), metric.of("ContainerName")


@dataclass(slots=True)
class Gathered:
    """The points that were answered: metric and unit -> whose -> pages of (seconds, values)."""

    pages: dict[tuple[Named, str], dict[Key, list[tuple[Floats, Floats]]]] = field(default_factory=dict)

    def add(self, named: Named, unit: str | None, key: Key, seconds: Floats, values: Floats) -> None:
        """Keep a page."""
        self.pages.setdefault((named, unit or named.unit), {}).setdefault(key, []).append((seconds, values))

    def units(self, named: Named) -> list[str]:
        """The units that a metric was answered in."""
        return [unit for one, unit in self.pages if one == named]

    def of(self, named: Named, unit: str, key: Key) -> tuple[Floats, Floats]:
        """All points of one series, in the order of time; of points of one moment the last."""
        parts = self.pages.get((named, unit), {}).get(key, [])
        if not parts:
            return np.empty(0), np.empty(0)
        seconds, values = (np.concatenate([part[i] for part in parts]) for i in (0, 1))
        # np.unique takes the first of equal moments: turned round, that is the last that was answered.
        moments, first = np.unique(seconds[::-1], return_index=True)
        return moments, values[::-1][first]

    def whose(self, named: Named) -> list[Key]:
        """Whose series a metric has, in any unit."""
        return sorted({key for (one, _), keys in self.pages.items() if one == named for key in keys})


def use_series(
    gathered: Gathered, signal: Signal, daemon_sets: Collection[tuple[str, str]], nodes: Mapping[Signal, float]
) -> Iterator[Series]:
    """The use of every container. nodes: the size of a node, where all are alike, for pods without amounts."""
    shares = USE[signal]
    for key in gathered.whose(shares.of_container):
        namespace, pod_name, full, container = key
        of = Of(owner_of(namespace, pod_name, full, daemon_sets), full, container)
        seconds, share = gathered.of(shares.of_container, shares.of_container.unit, key)
        pod = (namespace, pod_name, full, "")
        units = gathered.units(shares.amount_of_pod)
        sizes = {unit: found for unit in units if (found := _size(gathered, shares, unit, pod)) is not None}
        if not sizes and signal in nodes:
            usual = shares.amount_of_pod.unit
            yield Series(signal, of, shown_unit(signal, usual), seconds, share / 100 * nodes[signal])
        for unit, (size, moments) in sizes.items():
            here = np.full(len(seconds), True) if len(sizes) == 1 else _nearest(seconds, moments, sizes)
            yield Series(signal, of, shown_unit(signal, unit), seconds[here], share[here] / 100 * size)


def _size(gathered: Gathered, shares: Shares, unit: str, pod: Key) -> tuple[float, Floats] | None:
    """The size of a pod's node in a unit, and the moments it is known by; None where the pod does not tell it."""
    moments, amounts = gathered.of(shares.amount_of_pod, unit, pod)
    at, parts = gathered.of(shares.of_pod, shares.of_pod.unit, pod)
    both, here, there = np.intersect1d(moments, at, assume_unique=True, return_indices=True)
    is_some = parts[there] > 0
    if not is_some.any():
        return None
    return float(np.median(amounts[here][is_some] / parts[there][is_some] * 100)), both


def _nearest(seconds: Floats, moments: Floats, sizes: Mapping[str, tuple[float, Floats]]) -> NDArray[np.bool_]:
    """Which moments lie nearest to those of one unit, where a metric was written in several."""

    def distance(known: Floats) -> Floats:
        right = np.clip(np.searchsorted(known, seconds), 0, len(known) - 1)
        left = np.maximum(right - 1, 0)
        return np.minimum(np.abs(known[right] - seconds), np.abs(known[left] - seconds))

    own = distance(moments)
    others = [distance(known) for _, known in sizes.values() if known is not moments]
    is_own: NDArray[np.bool_] = own < np.min(others, axis=0)
    return is_own


def plain_series(
    gathered: Gathered,
    signal: Signal,
    owners: Mapping[tuple[str, str], Workload],
    daemon_sets: Collection[tuple[str, str]],
) -> Iterator[Series]:
    """The series of a signal that is one metric, or one of several.

    owners: (namespace, name) of the workloads whose containers were seen, for metrics of a workload in all.
    """
    containers, told = containers_of(gathered), set(gathered.whose(PLAIN[signal][0]))
    for named in PLAIN[signal]:
        for key in gathered.whose(named):
            namespace, pod_name, full, container = key
            owner = owners.get((namespace, pod_name))
            if full:
                owner = owner_of(namespace, pod_name, full, daemon_sets)
            if full and not container and signal in _AMOUNTS:
                names = containers.get(key, [])
                if len(names) != 1 or (*key[:3], names[0]) in told:
                    continue
                container = names[0]
            if owner is None:
                continue
            for unit in gathered.units(named):
                seconds, values = gathered.of(named, unit, key)
                yield Series(signal, Of(owner, full, container), shown_unit(signal, unit), seconds, values)


def oom_series(gathered: Gathered, daemon_sets: Collection[tuple[str, str]]) -> Iterator[Series]:
    """The OOM kills of containers: the restarts of a pod about the moments at which its last end was an OOM kill.

    CloudWatch tells them of pods: of several containers, the one is meant that came nearest to its memory limit.
    """
    restarts, containers = PLAIN[Signal.RESTARTS][0], containers_of(gathered)
    for key in gathered.whose(OOM_KILLED):
        namespace, pod_name, full, _ = key
        container = _killed(gathered, key, containers.get(key, []))
        owner = owner_of(namespace, pod_name, full, daemon_sets)
        at, is_killed = gathered.of(OOM_KILLED, OOM_KILLED.unit, key)
        moments, counts = gathered.of(restarts, restarts.unit, key)
        if container is None or owner is None or not len(at) or not len(moments):
            continue
        step = float(np.min(np.diff(at), initial=np.inf))
        # The state may be seen a step before the restart is counted, or after.
        near = np.array([np.any(is_killed[np.abs(at - moment) <= 1.5 * step] > 0) for moment in moments], dtype=bool)
        yield Series(Signal.OOM_KILLS, Of(owner, full, container), "Count", moments, np.where(near, counts, 0.0))


def containers_of(gathered: Gathered) -> dict[Key, list[str]]:
    """The containers of each pod that used memory or CPU, sorted."""
    found: dict[Key, set[str]] = {}
    for signal in USE:
        for namespace, pod_name, full, container in gathered.whose(USE[signal].of_container):
            found.setdefault((namespace, pod_name, full, ""), set()).add(container)
    return {pod: sorted(names) for pod, names in found.items()}


def _killed(gathered: Gathered, pod: Key, containers: Sequence[str]) -> str | None:
    """Which container of a pod was OOM-killed; None where nothing tells it."""
    if len(containers) == 1:
        return containers[0]
    limit, use = PLAIN[Signal.MEMORY_LIMIT][0], USE[Signal.MEMORY].of_container
    nearest: dict[str, float] = {}
    for container in containers:
        key = (*pod[:3], container)
        limits = [
            values for unit in gathered.units(limit) for values in [gathered.of(limit, unit, key)[1]] if len(values)
        ]
        _, shares = gathered.of(use, use.unit, key)
        if limits and len(shares):
            nearest[container] = float(np.max(shares)) / float(np.max(limits[-1]))
    return max(nearest, key=lambda name: nearest[name], default=None)


def shown_unit(signal: Signal, unit: str) -> str:
    """The unit as it is meant: the agent writes millicores, for which CloudWatch has no name, as None or Count."""
    is_cpu = signal in (Signal.CPU, Signal.CPU_REQUEST, Signal.CPU_LIMIT)
    return "millicores" if is_cpu and unit in ("None", "Count") else unit
