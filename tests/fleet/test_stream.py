"""Histories in any order become recommendations, namespace by namespace, whatever is missing."""

from __future__ import annotations

from collections.abc import Iterator

from mora.domain import (
    WorkloadHistory,
)
from mora.fleet.batch import AT_ONCE
from mora.fleet.settings import FleetSettings
from mora.fleet.stream import stream
from tests.fleet.making import WINDOW, codes, histories, workloads


def test_every_workload_gets_a_recommendation_and_namespaces_come_whole() -> None:
    states = workloads("a/x", "b/x", "a/y", "b/y", "c/x")
    shuffled = list(histories(states))[::-1]
    given = [advice.workload for advice in stream(states, shuffled, WINDOW, FleetSettings())]
    assert set(given) == {one.workload for one in states}
    namespaces = [workload.namespace for workload in given]
    assert namespaces == sorted(namespaces, key=namespaces.index)


def test_a_workload_without_a_history_gets_a_reason() -> None:
    states = workloads("a/x", "a/gone")
    given = {a.workload.name: a for a in stream(states, histories(states[:1]), WINDOW, FleetSettings())}
    assert codes(given["gone"].main.cpu_request) == ["no-history"]
    assert given["x"].main.cpu_request.value is not None


def test_an_unknown_or_repeated_history_changes_nothing() -> None:
    states = workloads("a/x")
    twice = [*histories(states), *histories(states), *histories(workloads("b/other"))]
    assert [a.workload.name for a in stream(states, twice, WINDOW, FleetSettings())] == ["x"]


def test_only_a_batch_is_in_memory_at_a_time() -> None:
    states = workloads(*(f"n{number}/w" for number in range(3 * AT_ONCE)))
    asked = 0

    def counted() -> Iterator[WorkloadHistory]:
        nonlocal asked
        for one in histories(states):
            asked += 1
            yield one

    first = next(stream(states, counted(), WINDOW, FleetSettings()))
    assert (first.workload.namespace, asked) == ("n0", AT_ONCE)
