"""The change rule in the replay: the same numbers as series by series, memory never below what it was seen to need."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mora.backtest.policy import Floats, Series, decide
from mora.backtest.renewing import Renewal, followed
from mora.changes.following import follow
from mora.changes.rule import FOLLOW_ALL, ChangeRule
from mora.changes.windows import parse_window
from tests.backtest.making import bumpy

DAY, HOUR = 86_400, 3_600
SERIES = (bumpy("a", seed=1), bumpy("b", seed=2, days=14), bumpy("c", seed=3, days=9.6))
DECISIONS = decide(SERIES, horizon_seconds=DAY, warmup_seconds=8 * DAY, renew_seconds=HOUR)
RULES = st.builds(
    ChangeRule,
    st.floats(0, 1),
    st.floats(0, 0.9),
    settle_down_seconds=st.sampled_from([0.0, 3.0 * HOUR]),
    changes_per_day=st.sampled_from([None, 2]),
    window=st.sampled_from([None, parse_window("Mon-Fri 02:00-06:00")]),
)


def wanted_numbers(seed: int) -> list[Floats]:
    rng = np.random.default_rng(seed)
    return [rng.lognormal(0.0, 0.4, len(at)) for at in DECISIONS.at]


@settings(deadline=None, max_examples=12)
@given(rule=RULES, seed=st.integers(0, 99))
def test_series_of_different_length_are_followed_as_each_alone(rule: ChangeRule, seed: int) -> None:
    wanted = wanted_numbers(seed)
    amounts, changes = followed(SERIES, "cpu", DECISIONS, wanted, rule)
    for one, at, own, found, count in zip(SERIES, DECISIONS.at, wanted, amounts, changes, strict=True):
        alone = follow(rule, own[None], np.asarray(one.start + at * float(one.step_seconds)))
        assert found.tolist() == alone.amounts[0].tolist()
        assert count == alone.is_change.sum()


def test_following_every_number_counts_what_differs_from_the_one_before() -> None:
    numbers = [np.array([1.0, 1.0, 2.0, 2.0]), np.empty(0), np.array([np.nan, 3.0])]
    amounts, changes = followed(SERIES, "cpu", DECISIONS, numbers, FOLLOW_ALL)
    assert changes == [1, 0, 0]
    assert amounts[0] is numbers[0]


def test_memory_below_the_highest_use_of_a_week_is_raised_within_the_deadband() -> None:
    use = np.full(12 * 24, 100.0)
    use[250:] = 105.0
    one = Series("s", HOUR, 0, use, use)
    decisions = decide([one], horizon_seconds=HOUR, warmup_seconds=10 * DAY)
    wanted = [np.where(decisions.at[0] > 250, 110.0, 101.0)]
    rule = ChangeRule(0.30, 0.30)
    memory, _ = followed([one], "mem", decisions, wanted, rule)
    assert memory[0].tolist() == wanted[0].tolist()
    cpu, _ = followed([one], "cpu", decisions, wanted, rule)
    assert set(cpu[0]) == {101.0}


@pytest.mark.parametrize(
    ("renewal", "is_plain"),
    [
        (Renewal(), True),
        (Renewal(900), False),
        (Renewal(rule=ChangeRule()), False),
        (Renewal(change_price_seconds=1.0), False),
    ],
)
def test_a_plain_renewal_follows_every_number_once_a_horizon(renewal: Renewal, is_plain: bool) -> None:
    assert renewal.is_plain is is_plain
