"""The nouns keep their own rules: names, windows, experiments, allocations."""

from __future__ import annotations

import dataclasses
import re
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mora.domain import (
    Advice,
    Allocation,
    Container,
    ContainerAdvice,
    Experiment,
    Load,
    Recommendation,
    Resources,
    Window,
    Workload,
    check_name,
)
from mora.errors import BadInput

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
WORKLOAD = Workload("shop", "frontend")
LABEL = r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?"


@given(st.from_regex(rf"{LABEL}(\.{LABEL}){{0,2}}", fullmatch=True).filter(lambda name: len(name) <= 253))
def test_every_kubernetes_name_is_taken_as_it_is(name: str) -> None:
    assert check_name(name) == name


@given(st.text(max_size=80))
def test_no_other_text_enters_a_query_a_path_or_a_manifest(text: str) -> None:
    if re.fullmatch(rf"{LABEL}(\.{LABEL})*", text, re.ASCII):
        return
    with pytest.raises(BadInput, match="is not a valid"):
        check_name(text)


@pytest.mark.parametrize(
    "name", ["", "..", "a/b", "../etc", "a b", 'a"b', "Frontend", "-a", "a-", "a" * 64, "a\n", "ａ"]
)
def test_the_usual_attempts_are_refused(name: str) -> None:
    with pytest.raises(BadInput):
        Workload("shop", name)
    with pytest.raises(BadInput):
        Workload(name, "frontend")


def test_a_kind_that_is_not_sized_is_refused_with_those_that_are() -> None:
    with pytest.raises(BadInput, match="Deployment, StatefulSet, DaemonSet"):
        Workload("shop", "frontend", "ReplicaSet")


@pytest.mark.parametrize(
    ("repeat", "experiment_id"),
    [(1, "frontend_browsing_replicas_2_users_50"), (3, "frontend_browsing_replicas_2_users_50_run_3")],
)
def test_an_experiment_is_called_after_its_cell(repeat: int, experiment_id: str) -> None:
    assert Experiment("frontend", "browsing", 2, 50, repeat).id == experiment_id


def test_a_window_counts_both_its_ends() -> None:
    assert Window(NOON, NOON, timedelta(seconds=1)).sample_count == 1
    assert Window(NOON, NOON + timedelta(minutes=1), timedelta(seconds=15)).sample_count == 5


@pytest.mark.parametrize(
    ("start", "end", "step"),
    [
        (NOON, NOON - timedelta(seconds=1), timedelta(seconds=1)),
        (NOON, NOON, timedelta(0)),
        (NOON.replace(tzinfo=None), NOON, timedelta(seconds=1)),
    ],
)
def test_a_window_that_cannot_be_is_refused(start: datetime, end: datetime, step: timedelta) -> None:
    with pytest.raises(BadInput):
        Window(start, end, step)


def test_the_marked_container_is_the_main_one_else_the_first() -> None:
    first, second = Container("proxy"), Container("server", is_main=True)
    assert Allocation(containers=(first, second)).main is second
    assert Allocation(containers=(first,)).main is first
    assert Allocation().main is None


def test_resizing_touches_the_main_container_alone() -> None:
    sidecar = Container("proxy", Resources(cpu_request_millicores=5))
    before = Allocation(2, (sidecar, Container("server", is_main=True)))
    after = before.with_main(Resources(cpu_request_millicores=100))
    assert after.replicas == 2
    assert after.containers[0] is sidecar
    assert after.containers[1].resources.cpu_request_millicores == 100


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
