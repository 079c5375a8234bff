"""Who calls whom, from what a mesh or Tempo counts; the sandbox's own counters: tests/sandbox/test_exporter.py."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest

from mora.errors import BadInput
from mora.sources.prometheus.calls import CallGraph, queries, read_calls
from mora.sources.prometheus.wire import Wire

END = datetime(2026, 11, 1, 12, tzinfo=UTC)
START = END - timedelta(seconds=60)


class FakeWire:
    """Answers queries that contain a word."""

    def __init__(self, **answers: list[dict[str, Any]]) -> None:
        self.answers, self.asked = answers, list[str]()

    def instant(self, query: str, at: datetime) -> list[dict[str, Any]]:
        self.asked.append(query)
        return next((rows for word, rows in self.answers.items() if word in query), [])


def row(value: float, **labels: str) -> dict[str, Any]:
    return {"metric": labels, "value": [0, str(value)]}


def graph(wire: FakeWire) -> CallGraph:
    return read_calls(cast(Wire, wire), "shop", START, END)


def test_istio_tells_the_calls_and_the_sandbox_which_ran_at_once() -> None:
    wire = FakeWire(
        istio_requests_total=[
            row(100, source_workload="web", destination_workload="cart"),
            row(90, source_workload="web", destination_workload="list"),
            row(5, source_workload="web", destination_workload="pay"),
        ],
        parallel_calls=[row(89, source_workload="web", destination_workload="cart", parallel_to="list")],
    )
    found = graph(wire)
    assert found.known_by == "Istio"
    assert found.calls["web", "cart"] == 100
    assert found.together() == (frozenset({"cart", "list"}),)
    assert found.reached("web") == frozenset({"web", "cart", "list", "pay"})
    assert found.reached("pay") == frozenset({"pay"})


@pytest.mark.parametrize(
    ("known_by", "word", "labels"),
    [
        ("Linkerd", "response_total", {"deployment": "web", "dst_deployment": "cart"}),
        ("Tempo", "traces_service_graph", {"client": "web", "server": "cart"}),
    ],
)
def test_others_tell_the_calls_and_all_are_taken_to_be_in_turn(
    known_by: str, word: str, labels: dict[str, str]
) -> None:
    found = graph(FakeWire(**{word: [row(7, **labels)]}))
    assert (found.known_by, dict(found.calls), found.together()) == (known_by, {("web", "cart"): 7.0}, ())


def test_where_nothing_tells_there_is_no_graph() -> None:
    wire = FakeWire()
    assert graph(wire) == CallGraph()
    assert graph(wire).reached("web") is None
    assert all("[60s]" in query for query in wire.asked)


def test_names_that_kubernetes_does_not_allow_are_left_out() -> None:
    wire = FakeWire(
        istio_requests_total=[
            row(1, source_workload="web", destination_workload='"} or vector(1)'),
            row(2, source_workload="web", destination_workload="cart"),
            row(3, source_workload="web"),
        ]
    )
    assert set(graph(wire).calls) == {("web", "cart")}


def test_a_namespace_that_is_no_name_is_asked_nothing() -> None:
    with pytest.raises(BadInput):
        queries('shop"} or up{', 60)


def test_services_with_calls_of_their_own_are_never_in_a_group() -> None:
    calls = {("web", "cart"): 9.0, ("web", "orders"): 9.0, ("orders", "pay"): 9.0}
    at_once = {("web", "cart", "orders"): 9.0, ("web", "orders", "cart"): 9.0}
    assert CallGraph("Istio", calls, at_once).together() == ()
