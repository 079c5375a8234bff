"""What nodes can give one pod: their allocatable, less what the pods of DaemonSets request there."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from mora.domain import Resources, Window, Workload, is_name
from mora.sources.prometheus import fleet_promql
from mora.sources.prometheus.believable import Hosts, hosts_of
from mora.sources.prometheus.fleet_promql import Scope
from mora.sources.prometheus.ownership import Pod
from mora.sources.prometheus.promql import duration
from mora.sources.prometheus.wire import Wire

# How often nodes are looked at: often enough for those of an autoscaler that come and go.
_NODES_EVERY = timedelta(minutes=30)
# Nodes of an autoscaler come and go; what ran within a week can come again.
_LOOKED_BACK, _EVERY = timedelta(days=7), timedelta(hours=2)
_AMOUNT = 'resource=~"cpu|memory"'

Row = Mapping[str, Any]


def allocatable(scope: Scope) -> str:
    """Cores and bytes that each node of the last week has for pods, by node and resource."""
    everywhere = Scope(cluster=scope.cluster)
    known = f"max by (node, resource) ({everywhere.select('kube_node_status_allocatable', _AMOUNT)})"
    return f"max_over_time(({known})[{duration(_LOOKED_BACK)}:{duration(_EVERY)}])"


def taken_by_daemon_sets(scope: Scope) -> str:
    """Cores and bytes that the pods of DaemonSets request on each node, by node and resource."""
    everywhere = Scope(cluster=scope.cluster)
    requests = everywhere.select("kube_pod_container_resource_requests", _AMOUNT, 'node!=""')
    owned = everywhere.select("kube_pod_owner", 'owner_kind="DaemonSet"')
    each = f"max by (namespace, pod, container, node, resource) ({requests})"
    return f"sum by (node, resource) ({each} and on (namespace, pod) {owned})"


def homes(scope: Scope) -> str:
    """The node of each pod of a DaemonSet."""
    owned = scope.select("kube_pod_owner", 'owner_kind="DaemonSet"')
    return f"max by (namespace, pod, node) ({scope.select('kube_pod_info')}) and on (namespace, pod) {owned}"


@dataclass(frozen=True, slots=True)
class Room:
    """What one node can give a pod, in cores and bytes; None where not known. taken: by DaemonSets, of both."""

    cpu_cores: float | None = None
    mem_bytes: float | None = None
    taken_cores: float = 0.0
    taken_bytes: float = 0.0

    @property
    def resources(self) -> Resources:
        """What is left, as requests."""
        cpu = None if self.cpu_cores is None else max(self.cpu_cores - self.taken_cores, 0.0)
        memory = None if self.mem_bytes is None else max(self.mem_bytes - self.taken_bytes, 0.0)
        return Resources(
            cpu_request_millicores=None if cpu is None else math.floor(round(cpu * 1000, 6)),
            memory_request_bytes=None if memory is None else int(memory),
        )


@dataclass(frozen=True, slots=True)
class Rooms:
    """What the nodes of a cluster can give. homes: the nodes that a DaemonSet runs on."""

    by_node: Mapping[str, Room] = field(default_factory=dict)
    homes: Mapping[Workload, frozenset[str]] = field(default_factory=dict)

    def of(self, workload: Workload, requested: Resources) -> tuple[Resources, ...]:
        """What a pod of the workload can be given, by kind of node.

        A DaemonSet must fit on the smallest of its nodes; requested: what its pods ask for now, which is not taken from
        them. Any other pod may go to whichever node has room, so nodes that have less of both are left out.
        """
        if workload.kind != "DaemonSet":
            return _largest(room.resources for room in self.by_node.values())
        own = [self.by_node[node] for node in sorted(self.homes.get(workload, ())) if node in self.by_node]
        if not own:
            return ()
        free = [_without(room, requested).resources for room in own]
        return (
            Resources(
                cpu_request_millicores=min(
                    (one.cpu_request_millicores for one in free if one.cpu_request_millicores is not None), default=None
                ),
                memory_request_bytes=min(
                    (one.memory_request_bytes for one in free if one.memory_request_bytes is not None), default=None
                ),
            ),
        )


def read(wire: Wire, scope: Scope, at: datetime, daemon_sets: Mapping[Pod, Workload]) -> Rooms:
    """What nodes can give at a moment; nothing where kube-state-metrics does not tell their allocatable.

    daemon_sets: the pods of the DaemonSets that are looked at.
    """
    rooms = _rooms(wire.instant(allocatable(scope), at))
    if not rooms:
        return Rooms()
    taken = _amounts(wire.instant(taken_by_daemon_sets(scope), at))
    # A node that is gone had the same DaemonSets as the others, as far as is known.
    usual = {resource: min(of.get(resource, 0.0) for of in taken.values()) for resource in _NAMES} if taken else {}
    rooms = {
        node: replace(
            room,
            taken_cores=taken.get(node, usual).get("cpu", 0.0),
            taken_bytes=taken.get(node, usual).get("memory", 0.0),
        )
        for node, room in rooms.items()
    }
    found: defaultdict[Workload, set[str]] = defaultdict(set)
    for row in wire.instant(homes(scope), at) if daemon_sets else ():
        labels = row["metric"]
        workload = daemon_sets.get((labels.get("namespace", ""), labels.get("pod", "")))
        if workload is not None:
            found[workload].add(labels.get("node", ""))
    return Rooms(rooms, {workload: frozenset(nodes) for workload, nodes in found.items()})


def hosts(wire: Wire, scope: Scope, window: Window) -> Hosts:
    """The nodes of the window: no use can be above the one that it was on.

    Those that came and went between two looks are asked for by name; the index says that they were there.
    """
    span = max(window.end - window.start, _NODES_EVERY)
    rows = wire.instant(fleet_promql.nodes(scope, span, _NODES_EVERY), window.end)
    seen = {row["metric"].get("node", "") for row in rows}
    names = wire.label_values("node", fleet_promql.capacities(scope), window.start, window.end)
    missed = [name for name in names if name not in seen and is_name(name)]
    if missed:
        rows = [*rows, *wire.instant(fleet_promql.brief_nodes(scope, missed, span), window.end)]
    return hosts_of(rows)


_NAMES = ("cpu", "memory")


def _amounts(rows: Iterable[Row]) -> dict[str, dict[str, float]]:
    found: defaultdict[str, dict[str, float]] = defaultdict(dict)
    for row in rows:
        value, resource = float(row["value"][1]), row["metric"].get("resource", "")
        if 0 <= value < float("inf") and resource in _NAMES:
            found[row["metric"].get("node", "")][resource] = value
    return dict(found)


def _rooms(rows: Iterable[Row]) -> dict[str, Room]:
    return {node: Room(of.get("cpu"), of.get("memory")) for node, of in _amounts(rows).items()}


def _without(room: Room, requested: Resources) -> Room:
    """The same node as if a DaemonSet's pod were not there."""
    return replace(
        room,
        taken_cores=max(room.taken_cores - (requested.cpu_request_millicores or 0) / 1000, 0.0),
        taken_bytes=max(room.taken_bytes - (requested.memory_request_bytes or 0), 0.0),
    )


def _largest(rooms: Iterable[Resources]) -> tuple[Resources, ...]:
    """Those of which no other has as much CPU and as much memory."""
    known: Collection[Resources] = dict.fromkeys(rooms)
    return tuple(one for one in known if not any(other != one and _covers(other, one) for other in known))


def _covers(one: Resources, other: Resources) -> bool:
    pairs = (
        (one.cpu_request_millicores, other.cpu_request_millicores),
        (one.memory_request_bytes, other.memory_request_bytes),
    )
    return all((mine or 0) >= (yours or 0) for mine, yours in pairs)
