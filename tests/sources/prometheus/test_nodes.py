"""What nodes can give a pod, from a real Prometheus: allocatable less DaemonSets, on nodes of several sizes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from mora.domain import Resources, Workload
from mora.sources.prometheus.fleet_promql import Scope
from mora.sources.prometheus.nodes import Rooms, read
from mora.sources.prometheus.observe import PrometheusSource
from tests.fleet import rig
from tests.fleet.tsdb import Group

END = 1_790_000_040 // 60 * 60
AT = datetime.fromtimestamp(END, UTC)
GIB = 2**30
WEB, AGENT = Workload("shop", "web"), Workload("kube-system", "agent", "DaemonSet")
# Name, cores, GiB, and whether it is still there.
NODES = (("small", 1.93, 3, True), ("large", 3.92, 13, True), ("fat", 1.93, 60, True), ("spot", 15.9, 28, False))


@dataclass(frozen=True)
class Nodes(rig.Fleet):
    """Nodes with a pod of a DaemonSet on each; every series twice, as where two kube-state-metrics are scraped."""

    def groups(self) -> Iterator[Group]:
        """Their series of three hours."""
        for replica in ("a", "b"):
            for name, cores, memory, is_there in NODES:
                yield self._group(replica, name, cores, memory, samples=180 if is_there else 120)

    def _group(self, replica: str, name: str, cores: float, memory: float, *, samples: int) -> Group:
        pod = {"namespace": "kube-system", "pod": f"agent-{name}", "instance": replica}
        amounts = (("cpu", cores, 0.25), ("memory", memory * GIB, 0.5 * GIB))
        series = [({"__name__": "kube_pod_owner", **pod, "owner_kind": "DaemonSet", "owner_name": "agent"}, 1.0)]
        series.append(({"__name__": "kube_pod_info", **pod, "node": name}, 1.0))
        for resource, has, takes in amounts:
            of = {"node": name, "resource": resource}
            series.append(({"__name__": "kube_node_status_allocatable", **of, "instance": replica}, has))
            series.append(({"__name__": "kube_pod_container_resource_requests", **pod, **of, "container": "a"}, takes))
        # A pod of another owner takes nothing from the node.
        other = {**pod, "pod": f"web-{name}", "node": name, "resource": "cpu", "container": "web"}
        series.append(({"__name__": "kube_pod_container_resource_requests", **other}, 1.0))
        values = np.array([value for _, value in series])
        return Group([labels for labels, _ in series], END - 180 * 60, 60, values, samples=samples)


def test_rooms_are_the_allocatable_of_each_kind_of_node_less_its_daemon_sets(tmp_path: Path) -> None:
    with rig.serving(tmp_path, Nodes((), END)) as url, PrometheusSource(url, retries=0).wire() as wire:
        pods = {("kube-system", f"agent-{name}"): AGENT for name, *_ in NODES}
        rooms = read(wire, Scope(("shop",)), AT, {})
        homes = read(wire, Scope(("kube-system",)), AT, pods)
    # Nodes with less of both are left out; one that is gone counts, with the DaemonSets of the others.
    assert sorted(rooms.of(WEB, Resources()), key=str) == [
        Resources(cpu_request_millicores=15_650, memory_request_bytes=int(27.5 * GIB)),
        Resources(cpu_request_millicores=1680, memory_request_bytes=int(59.5 * GIB)),
    ]
    # A DaemonSet runs on every node: the smallest counts, and what it asks for now is its own.
    own = Resources(cpu_request_millicores=250, memory_request_bytes=GIB // 2)
    assert homes.of(AGENT, own) == (Resources(cpu_request_millicores=1930, memory_request_bytes=3 * GIB),)
    assert rooms.of(AGENT, own) == ()


def test_without_kube_state_metrics_nothing_is_known_of_nodes() -> None:
    assert Rooms().of(WEB, Resources()) == ()
