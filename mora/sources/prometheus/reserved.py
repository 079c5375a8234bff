"""What each node has for pods, and what pods of other workloads reserve there now: the room that is left."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from mora.domain import Workload
from mora.sources.prometheus.promql import pods
from mora.sources.prometheus.wire import Wire

_AMOUNT = 'resource=~"cpu|memory"'


@dataclass(frozen=True, slots=True)
class NodeRoom:
    """One node: what it has for pods, and what pods of others request there."""

    node: str
    millicores: int
    memory_bytes: int
    taken_millicores: int
    taken_bytes: int


def queries(workloads: Sequence[Workload]) -> tuple[str, str]:
    """Allocatable by node and resource; requests of the pods of others, by the same."""
    requests = f"max by (namespace, pod, container, node, resource) (kube_pod_container_resource_requests{{{_AMOUNT}}})"
    running = 'max by (namespace, pod) (kube_pod_status_phase{phase=~"Pending|Running"} == 1)'
    mine = " or ".join(map(pods, workloads))
    return (
        f"max by (node, resource) (kube_node_status_allocatable{{{_AMOUNT}}})",
        f"sum by (node, resource) (({requests} and on (namespace, pod) {running}) unless on (namespace, pod) ({mine}))",
    )


def read_rooms(wire: Wire, workloads: Sequence[Workload], at: datetime) -> list[NodeRoom]:
    """Every node, by name; empty where kube-state-metrics does not tell what nodes have."""
    allocatable, taken = queries(workloads)
    has: defaultdict[str, dict[str, float]] = defaultdict(dict)
    used: defaultdict[str, dict[str, float]] = defaultdict(dict)
    for rows, found in ((wire.instant(allocatable, at), has), (wire.instant(taken, at), used)):
        for row in rows:
            labels = row["metric"]
            found[str(labels.get("node", ""))][str(labels.get("resource", ""))] = float(row["value"][1])
    return [
        NodeRoom(
            node,
            math.floor(amounts["cpu"] * 1000),
            int(amounts["memory"]),
            math.ceil(used[node].get("cpu", 0.0) * 1000),
            int(used[node].get("memory", 0.0)),
        )
        for node, amounts in sorted(has.items())
        if {"cpu", "memory"} <= amounts.keys()
    ]
