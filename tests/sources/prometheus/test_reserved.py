"""The room on nodes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

from mora.domain import Workload
from mora.sources.prometheus.observe import PrometheusSource
from mora.sources.prometheus.reserved import NodeRoom, read_rooms
from mora.sources.prometheus.wire import Wire
from tests.sources.rig import Series, backfill, serve

NOW = datetime(2026, 11, 1, tzinfo=UTC)
START, END = NOW.timestamp() - 300, NOW.timestamp()


def row(node: str, resource: str, value: float) -> dict[str, Any]:
    return {"metric": {"node": node, "resource": resource}, "value": [0, str(value)]}


class FakeWire:
    def __init__(self, allocatable: list[dict[str, Any]], taken: list[dict[str, Any]]) -> None:
        self._allocatable, self._taken = allocatable, taken

    def instant(self, query: str, at: datetime) -> list[dict[str, Any]]:
        return self._allocatable if "allocatable" in query else self._taken


def test_each_node_has_what_it_has_and_what_others_take() -> None:
    wire = FakeWire(
        [
            row("n1", "cpu", 3.92),
            row("n1", "memory", 8e9),
            row("n2", "cpu", 2),
            row("n2", "memory", 4e9),
            row("n3", "cpu", 1),
        ],
        [row("n1", "cpu", 0.2501), row("n1", "memory", 5e8)],
    )
    assert read_rooms(cast(Wire, wire), [Workload("shop", "web")], NOW) == [
        NodeRoom("n1", 3920, 8_000_000_000, 251, 500_000_000),
        NodeRoom("n2", 2000, 4_000_000_000, 0, 0),
    ]


def test_without_kube_state_metrics_no_node_is_known() -> None:
    assert read_rooms(cast(Wire, FakeWire([], [])), [Workload("shop", "web")], NOW) == []


def steady(value: float) -> Callable[[float], float]:
    return lambda at: value


def of_deployment(name: str, pod: str, cores: float) -> Iterator[Series]:
    """A pod of a Deployment on a node, as kube-state-metrics has it."""
    of, replica_set = {"namespace": "shop", "pod": pod}, pod.rpartition("-")[0]
    for metric, labels, value in (
        ("kube_replicaset_owner", {"replicaset": replica_set, "owner_kind": "Deployment", "owner_name": name}, 1.0),
        ("kube_pod_owner", {"pod": pod, "owner_kind": "ReplicaSet", "owner_name": replica_set}, 1.0),
        ("kube_pod_status_phase", of | {"phase": "Running"}, 1.0),
        ("kube_pod_container_resource_requests", of | {"container": "c", "node": "n1", "resource": "cpu"}, cores),
    ):
        yield Series(metric, labels | {"namespace": "shop"}, steady(value), START, END, 15.0)


def test_only_the_services_own_pods_are_not_counted_as_others(tmp_path: Path) -> None:
    pods = [
        *of_deployment("web", "web-7d9c5b6f4-x2lq4", 1.0),
        *of_deployment("cart.v2", "cart.v2-7d9c5b6f4-x2lq4", 1.0),
        *of_deployment("web-admin", "web-admin-7d9c5b6f4-x2lq4", 0.5),  # its name begins with that of another
    ]
    has = [
        Series("kube_node_status_allocatable", {"node": "n1", "resource": "cpu"}, steady(4.0), START, END, 15.0),
        Series("kube_node_status_allocatable", {"node": "n1", "resource": "memory"}, steady(8e9), START, END, 15.0),
    ]
    with serve(backfill([*pods, *has], tmp_path)) as url, PrometheusSource(url).wire() as wire:
        ours = [Workload("shop", "web"), Workload("shop", "cart.v2")]
        assert read_rooms(wire, ours, NOW) == [NodeRoom("n1", 4000, 8_000_000_000, 500, 0)]
