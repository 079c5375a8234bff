"""The order of the table: what lacks resources first, then what frees most."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mora.domain import Recommendation, Workload
from mora.errors import BadInput
from mora.outputs import OutputSettings, table
from mora.outputs.order import ORDERS, ordered
from tests.outputs import examples


def names(recommendations: list[Recommendation]) -> list[str]:
    return [one.workload.name for one in recommendations]


def test_what_was_killed_comes_first_then_what_grows_then_what_frees_most() -> None:
    assert names(ordered(examples.fleet())) == [
        "frontend",  # two OOM kills
        "web",  # a container of it needs more memory
        "canary",
        "search",
        *("cartservice", "paymentservice", "migration", "nightly"),
        "adservice",  # no number
    ]


def test_the_largest_saving_is_that_of_all_replicas_and_of_all_steps() -> None:
    search, cart = examples.retargeted(), examples.cart()
    assert names(ordered([cart, search], "saving")) == ["search", "cartservice"]
    alone = replace(search, current=replace(search.current, replicas=0), replicas=replace(search.replicas, now=0))
    assert names(ordered([alone, cart], "saving")) == ["cartservice", "search"]


def test_the_lowest_confidence_comes_first_and_unknown_is_the_lowest() -> None:
    fleet = [examples.frontend(), examples.payment(), examples.unknown(), examples.meshed()]
    assert names(ordered(fleet, "confidence")) == ["frontend", "paymentservice", "web", "adservice"]


def test_the_largest_change_comes_first() -> None:
    assert names(ordered(examples.everything(), "change"))[0] == "frontend"  # +256 %


def test_every_order_keeps_every_workload_and_does_not_depend_on_theirs() -> None:
    fleet = examples.fleet()
    for order in ORDERS:
        assert sorted(names(ordered(fleet, order))) == sorted(names(fleet))
        assert names(ordered(fleet[::-1], order)) == names(ordered(fleet, order))


def test_an_unknown_order_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(BadInput, match="There is no order 'size'") as refused:
        ordered([], "size")
    assert refused.value.hint == "--sort is one of need, saving, change, confidence, name."


def test_the_table_is_in_that_order() -> None:
    fleet = [replace(r, workload=Workload("shop", r.workload.name, r.workload.kind)) for r in examples.everything()]
    for sort in ("need", "name"):
        text = table.render(fleet, OutputSettings(sort=sort))
        found = [line.split()[0] for line in text.splitlines() if " cpu request " in line and line[0] != " "]
        assert found == names(ordered(fleet, sort))
