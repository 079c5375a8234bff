"""Answers: SLOs, caps, nodes, priorities, what is not possible."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mora.domain import Slo
from mora.errors import BadInput
from mora.optimize import solve as solving
from mora.optimize.attribution import Curve, ServiceCurves
from mora.optimize.packing import fits
from mora.optimize.problem import Limits, NoChoice, Node, OutOfTime, keeps
from mora.optimize.solve import Learned, LoadClass, Solution, Terms, check_baseline, choose, solve
from tests.optimize.problems import problem

SLO = Slo(0.3, 0.01)
SCENARIOS = ("checkout", "browsing", "search")


def service(rng: random.Random, name: str, *, scenarios: tuple[str, ...] = SCENARIOS) -> ServiceCurves:
    """A service with the curves of a queue."""
    places = (0.1, 0.5, 0.7, 0.85)
    own = {scenario: rng.choice([0.0, 0.5, 1.0]) * rng.uniform(0.002, 0.01) for scenario in scenarios}
    delay = {
        scenario: Curve(places, tuple(0.0 if rho == 0.1 else own[scenario] * rho / (1 - rho) for rho in places))
        for scenario in scenarios
    }
    return ServiceCurves(
        name,
        1,
        1.0,
        {scenario: rng.uniform(0.0005, 0.006) for scenario in scenarios},
        0.001,
        rng.randrange(20, 200) * 2**20,
        0.85,
        delay,
        delay,
        {scenario: Curve(places, (0.0,) * 4) for scenario in scenarios},
    )


def learned(seed: int, services: int = 2) -> Learned:
    rng = random.Random(seed)
    return Learned(
        dict.fromkeys(SCENARIOS, 40),
        dict.fromkeys(SCENARIOS, 0.03),
        dict.fromkeys(SCENARIOS, 0.0),
        tuple(service(rng, f"svc-{number}") for number in range(services)),
    )


def classes(*users: int) -> tuple[LoadClass, ...]:
    return tuple(LoadClass(name, count, SLO) for name, count in zip(SCENARIOS, users, strict=False))


def test_an_answer_keeps_every_slo_with_its_margin() -> None:
    answer = solve(learned(1), classes(40, 60, 20), Terms(margin=0.1))
    assert answer.is_whole
    assert answer.is_exact
    assert all(p95 <= 0.27 + 1e-9 for p95 in answer.p95_seconds)
    assert all(one.utilisation <= 0.85 + 1e-9 for one in answer.chosen)


USERS = st.tuples(st.integers(1, 80), st.integers(1, 80), st.integers(1, 80))


@settings(max_examples=6, deadline=None)
@given(st.integers(0, 10**6), USERS, st.integers(50, 900))
def test_the_cap_is_never_exceeded(seed: int, users: tuple[int, int, int], cap: int) -> None:
    terms = Terms(millicores=cap, memory_bytes=600 * 2**20, pods=6)
    try:
        answer = solve(learned(seed), classes(*users), terms)
    except NoChoice:
        return
    assert answer.millicores <= cap
    assert answer.memory_bytes <= 600 * 2**20
    assert sum(one.option.replicas for one in answer.chosen) <= 6


@settings(max_examples=5, deadline=None)
@given(st.integers(0, 10**6), USERS, st.integers(80, 700))
def test_a_lower_priority_is_never_served_before_a_higher(seed: int, users: tuple[int, int, int], cap: int) -> None:
    """The share of a class is the same without those below it, so they never take from it."""
    terms, known = Terms(millicores=cap), learned(seed)

    def shares(count: int) -> tuple[float, ...]:
        try:
            return solve(known, classes(*users[:count]), terms).shares
        except NoChoice:
            return (0.0,) * count

    everyone = shares(3)
    assert everyone[:1] == shares(1)
    if everyone[0] > 0:
        assert everyone[:2] == shares(2)


def test_the_share_that_is_served_is_the_largest() -> None:
    known, terms = learned(5), Terms(millicores=300)
    answer = solve(known, classes(80), terms)
    served = round(80 * answer.shares[0])
    assert 0 < served < 80
    assert solve(known, classes(served), terms).is_whole
    assert not solve(known, classes(served + 1), terms).is_whole


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 10**6), st.floats(0.1, 0.6), st.floats(1.05, 2.0))
def test_a_slower_slo_never_costs_more(seed: int, p95: float, factor: float) -> None:
    asked = tuple(replace(one, slo=Slo(p95, 0.01)) for one in classes(30, 50))
    slower = tuple(replace(one, slo=Slo(p95 * factor, 0.01)) for one in asked)
    known = learned(seed)
    try:
        before = solve(known, asked, Terms())
    except NoChoice:
        return
    if before.is_whole:
        assert solve(known, slower, Terms()).cost <= before.cost * (1 + 2e-4)


def test_pods_fit_on_the_nodes_even_where_fewer_larger_ones_would_be_cheaper() -> None:
    known, asked = learned(3), classes(60, 80, 40)
    free = solve(known, asked, Terms())
    largest = max(one.option.millicores for one in free.chosen)
    nodes = tuple(Node(largest - 20, 2**31) for _ in range(6))
    answer = solve(known, asked, Terms(nodes=nodes))
    assert answer.is_whole
    assert fits([one.option for one in answer.chosen], nodes)
    assert max(one.option.millicores for one in answer.chosen) < largest
    assert answer.cost >= free.cost * (1 - 2e-4)


def test_more_than_twenty_services_are_searched_and_keep_the_same_limits() -> None:
    rng = random.Random(2)
    known = replace(learned(2), services=tuple(service(rng, f"svc-{number}") for number in range(30)))
    answer = solve(
        known, tuple(replace(one, slo=Slo(2.0, 0.01)) for one in classes(20, 30)), Terms(nodes=(Node(40_000, 2**36),))
    )
    assert not answer.is_exact
    assert answer.is_whole
    assert all(p95 <= 1.8 + 1e-9 for p95 in answer.p95_seconds)


def test_minimum_replicas_are_kept() -> None:
    answer = solve(learned(1), classes(10), Terms(min_replicas=3))
    assert {one.option.replicas for one in answer.chosen} == {3}


def test_a_service_without_cpu_use_gets_the_smallest_pod() -> None:
    idle = replace(service(random.Random(1), "idle"), cores_per_user={}, idle_cores=0.0)
    known = replace(learned(1), services=(*learned(1).services, idle))
    answer = solve(known, classes(10), Terms())
    assert {one.service: one.option.millicores for one in answer.chosen}["idle"] == 25


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"baseline_p95": {"checkout": 0.31}}, "checkout has a p95 of 310 ms with ample resources"),
        ({"baseline_errors": {"checkout": 0.2}}, "20.0% of the requests of checkout fail with ample"),
    ],
)
def test_an_slo_that_no_resources_can_keep_is_named_with_the_figure(
    change: Mapping[str, Mapping[str, float]], words: str
) -> None:
    known = learned(1)
    known = replace(
        known,
        baseline_p95={**known.baseline_p95, **change.get("baseline_p95", {})},
        baseline_errors={**known.baseline_errors, **change.get("baseline_errors", {})},
    )
    with pytest.raises(BadInput, match=words):
        check_baseline(known, classes(10))


def test_services_that_are_waited_for_at_once_cost_less() -> None:
    known = learned(5)
    asked = tuple(replace(one, slo=Slo(0.09, 0.01)) for one in classes(40))
    together = replace(known, together={"checkout": (frozenset({"svc-0", "svc-1"}),)})

    def cost(of: Learned) -> float:
        answer: Solution = solve(of, asked, Terms())
        return answer.cost

    assert cost(together) < cost(known)


def test_where_the_exact_solver_runs_out_of_time_a_search_answers_and_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def out_of_time(options: object, limits: Limits, *, excluded: object = ()) -> tuple[int, ...]:
        raise OutOfTime

    options, limits = problem(random.Random(5), 6)
    assert choose(options, limits)[1]
    monkeypatch.setattr(solving, "cheapest", out_of_time)
    choice, is_exact = choose(options, limits)
    assert not is_exact
    assert keeps(options, choice, limits)
