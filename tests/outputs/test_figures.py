"""A number and its change as a cell of a table."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mora.domain import Advice
from mora.outputs.figures import amount, change, has_goal, plain, target
from mora.quantities import MIB, parse_cpu, parse_memory


@pytest.mark.parametrize(
    ("advice", "of_target", "of_change"),
    [
        (Advice(1000, 500, None), "500m", "-50%"),
        (Advice(1000, 1000, None), "1", "0%"),
        (Advice(1000, None, None), "unchanged", "-"),
        (Advice(None, 250, None), "250m", "-"),
        (Advice(1000, None, None, is_unset=True), "not set", "remove"),
        (Advice(None, None, None, is_unset=True), "not set", "-"),
    ],
)
def test_a_number_s_target_and_its_change(advice: Advice, of_target: str, of_change: str) -> None:
    assert target("cpu request", advice) == of_target
    assert change(advice) == of_change
    assert not has_goal(advice)


@given(st.integers(1, 10**9))
def test_an_exact_amount_reads_back_as_itself(value: int) -> None:
    assert parse_cpu(amount("cpu request", value)) == value
    assert parse_memory(amount("memory request", value * MIB)) == value * MIB
    assert plain("cpu request", value) == str(value)
    assert int(plain("memory request", value * MIB)) == value
