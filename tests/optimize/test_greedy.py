"""The search for many services, beside the exact solver."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mora.optimize.exact import cheapest
from mora.optimize.greedy import cheap
from mora.optimize.problem import NoChoice, keeps
from tests.optimize.problems import problem
from tests.optimize.test_exact import cost_of


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.integers(2, 25), st.booleans())
def test_what_it_finds_keeps_every_limit_and_is_close_to_the_cheapest(seed: int, count: int, is_grouped: bool) -> None:
    options, limits = problem(random.Random(seed), count)
    if is_grouped:
        limits = replace(limits, together=((frozenset({0, 1}),), (frozenset({0, 1}),)))
    choice = cheap(options, limits)
    assert keeps(options, choice, limits)
    exact = cost_of(options, cheapest(options, limits))
    # The last step of a small problem is a large part of it.
    assert exact * (1 - 2e-4) <= cost_of(options, choice) <= exact * (1.03 + 0.3 / count)


def test_a_cap_and_a_budget_below_nothing_have_no_choice() -> None:
    options, limits = problem(random.Random(3), 30)
    least = sum(min(option.total_millicores for option in own) for own in options)
    with pytest.raises(NoChoice):
        cheap(options, replace(limits, millicores=least - 1))
    with pytest.raises(NoChoice):
        cheap(options, replace(limits, delay_seconds=(-1.0, 1.0)))
