"""The room on nodes."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, cast

import pytest

from mora.errors import BadInput
from mora.sources.prometheus.reserved import NodeRoom, queries, read_rooms
from mora.sources.prometheus.wire import Wire

NOW = datetime(2026, 11, 1, tzinfo=UTC)


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
    assert read_rooms(cast(Wire, wire), "shop", ["web"], NOW) == [
        NodeRoom("n1", 3920, 8_000_000_000, 251, 500_000_000),
        NodeRoom("n2", 2000, 4_000_000_000, 0, 0),
    ]


def test_without_kube_state_metrics_no_node_is_known() -> None:
    assert read_rooms(cast(Wire, FakeWire([], [])), "shop", ["web"], NOW) == []


def test_the_services_own_pods_are_not_counted_as_others() -> None:
    _, taken = queries("shop", ["web", "cart.v2"])
    assert r'unless on (namespace, pod) max by (namespace, pod) (kube_pod_info{namespace="shop"' in taken
    assert r'pod=~"(web|cart\\.v2)-.+"' in taken
    with pytest.raises(BadInput):
        queries("shop", ['web"}'])
