"""The exact solver, beside every choice tried one by one."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mora.optimize.exact import cheapest
from mora.optimize.problem import Limits, NoChoice, Option, OutOfTime, keeps, undominated
from tests.optimize.problems import cheapest_of_all, problem


def cost_of(options: list[list[Option]], choice: tuple[int, ...]) -> float:
    return sum(options[service][place].cost for service, place in enumerate(choice))


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.booleans(), st.sampled_from([None, 0.7, 0.9, 1.3]))
def test_no_choice_is_cheaper(seed: int, is_grouped: bool, cap: float | None) -> None:
    options, limits = problem(random.Random(seed), 4, sizes=4)
    if is_grouped:
        limits = replace(limits, together=((frozenset({1, 2}),), (frozenset({0, 3}),)))
    tried = cheapest_of_all(options, limits)
    if cap is not None and tried is not None:
        cores = sum(options[place][at].total_millicores for place, at in enumerate(tried[1]))
        limits = replace(limits, millicores=int(cores * cap), pods=7)
        tried = cheapest_of_all(options, limits)
    if tried is None:
        with pytest.raises(NoChoice):
            cheapest(options, limits)
        return
    choice = cheapest(options, limits)
    assert keeps(options, choice, limits)
    assert cost_of(options, choice) == pytest.approx(tried[0], rel=2e-4)


def test_an_excluded_choice_and_all_that_are_as_large_are_left_out() -> None:
    options, limits = problem(random.Random(5), 3, sizes=5)
    first = cheapest(options, limits)
    second = cheapest(options, limits, excluded=[first])
    assert second != first
    assert cost_of(options, second) >= cost_of(options, first)
    chosen = [
        (options[service][a], options[service][b]) for service, (a, b) in enumerate(zip(first, second, strict=True))
    ]
    assert any(after.replicas < before.replicas or after.millicores < before.millicores for before, after in chosen)


def test_a_choice_that_was_not_proven_in_time_is_not_taken_for_the_cheapest() -> None:
    options, limits = problem(random.Random(3), 20, sizes=12)
    with pytest.raises(OutOfTime):
        cheapest(options, limits, seconds=0.0)


def test_a_budget_below_nothing_and_a_service_without_options_have_no_choice() -> None:
    options, limits = problem(random.Random(1), 2)
    with pytest.raises(NoChoice):
        cheapest(options, replace(limits, delay_seconds=(-0.001, 1.0)))
    with pytest.raises(NoChoice):
        cheapest([*options, []], limits)


def test_without_dominated_options_the_cheapest_is_as_cheap() -> None:
    for seed in range(20):
        options, limits = problem(random.Random(seed), 4, sizes=6)
        fewer = [undominated(own, sizes_matter=False) for own in options]
        assert sum(map(len, fewer)) < sum(map(len, options))
        assert cost_of(fewer, cheapest(fewer, limits)) == pytest.approx(
            cost_of(options, cheapest(options, limits)), rel=2e-4
        )


def test_services_that_are_waited_for_at_once_leave_room_for_a_cheaper_choice() -> None:
    options = [
        [Option(1, 100, 0, 1.0, (0.1,), (0.0,)), Option(1, 300, 0, 3.0, (0.02,), (0.0,))],
        [Option(1, 100, 0, 1.0, (0.1,), (0.0,)), Option(1, 300, 0, 3.0, (0.02,), (0.0,))],
    ]
    in_turn, at_once = Limits((0.13,), (1.0,)), Limits((0.13,), (1.0,), ((frozenset({0, 1}),),))
    assert cost_of(options, cheapest(options, in_turn)) == 4.0
    assert cheapest(options, at_once) == (0, 0)
