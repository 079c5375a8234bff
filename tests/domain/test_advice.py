"""Recommendations: changes, what stays, what goes, and the target."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime

import pytest

from mora.domain import (
    Advice,
    Allocation,
    Container,
    ContainerAdvice,
    Load,
    Recommendation,
    Resources,
    Workload,
)

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
WORKLOAD = Workload("shop", "frontend")


@pytest.mark.parametrize(
    ("now", "value", "change"),
    [(200, 100, -0.5), (100, 150, 0.5), (None, 100, None), (0, 100, None), (100, None, None)],
)
def test_a_change_is_relative_and_not_known_without_both_sides(
    now: int | None, value: int | None, change: float | None
) -> None:
    assert Advice(now, value).change == (None if change is None else pytest.approx(change))


def test_what_has_no_advice_stays_and_what_is_unset_goes() -> None:
    main = Container("server", Resources(500, 500, 2**20, 2**20), is_main=True)
    recommendation = Recommendation(
        workload=WORKLOAD,
        current=Allocation(3, (main,)),
        load=Load("browsing", 50),
        as_of=NOON,
        containers=(
            ContainerAdvice(
                "server",
                cpu_request=Advice(500, 200),
                cpu_limit=Advice(500, None, is_unset=True),
                memory_request=Advice(2**20, None),
                memory_limit=Advice(2**20, 2**21),
                is_main=True,
            ),
        ),
        replicas=Advice(3, None),
    )
    assert recommendation.main.resources == Resources(200, None, 2**20, 2**21)
    assert recommendation.target == Allocation(3, (dataclasses.replace(main, resources=recommendation.main.resources),))


@pytest.mark.parametrize("marks", [(), (False,), (True, True), (False, True)])
def test_a_recommendation_has_one_main_container_and_it_comes_first(marks: tuple[bool, ...]) -> None:
    nothing = Advice(None, None)
    containers = tuple(
        ContainerAdvice(f"c{number}", nothing, nothing, nothing, nothing, is_main=mark)
        for number, mark in enumerate(marks)
    )
    with pytest.raises(ValueError, match="frontend: the first container is the main one"):
        Recommendation(WORKLOAD, Allocation(), None, NOON, containers, nothing)


def test_the_target_leaves_injected_containers_as_they_are() -> None:
    server = Container("server", is_main=True)
    proxy = Container("istio-proxy", Resources(cpu_request_millicores=100), is_injected=True)
    none = Advice(None, None)
    sized = [
        ContainerAdvice(name, Advice(None, 50), none, none, none, is_main=name == "server")
        for name in ("server", "istio-proxy")
    ]
    recommendation = Recommendation(WORKLOAD, Allocation(2, (server, proxy)), None, NOON, tuple(sized), Advice(2, 3))
    assert recommendation.others == (sized[1],)
    assert recommendation.target.replicas == 3
    assert [one.resources.cpu_request_millicores for one in recommendation.target.containers] == [50, 100]
