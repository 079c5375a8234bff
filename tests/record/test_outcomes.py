from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mora.record.outcomes import Outcome, Recommended, judge

AMOUNTS = st.integers(min_value=1, max_value=10**12)


@given(before=st.none() | AMOUNTS, value=AMOUNTS, goal=AMOUNTS)
def test_a_setting_that_stays_is_open_and_one_that_becomes_the_number_is_applied(
    before: int | None, value: int, goal: int
) -> None:
    recommended = Recommended(before, min(value, goal), max(value, goal))
    assert judge(recommended, before) is Outcome.OPEN
    if value != before and (before is None or not recommended.low <= before <= recommended.high):
        assert judge(recommended, value) is Outcome.APPLIED
        assert judge(recommended, goal) is Outcome.APPLIED


@given(before=AMOUNTS, value=AMOUNTS, now=AMOUNTS)
def test_a_change_away_from_the_number_is_never_counted_as_applied(before: int, value: int, now: int) -> None:
    is_away = (now - before) * (value - before) < 0
    outcome = judge(Recommended(before, value, value), now)
    assert outcome not in (Outcome.APPLIED, Outcome.PARTLY) or not is_away


@given(before=AMOUNTS, now=AMOUNTS)
def test_a_change_of_what_was_right_is_a_change_to_something_else(before: int, now: int) -> None:
    if now != before:
        assert judge(Recommended(before, before, before), now) is Outcome.OTHERWISE


@given(before=AMOUNTS, low=AMOUNTS, high=AMOUNTS, more=AMOUNTS, now=AMOUNTS)
def test_what_was_applied_stays_applied_with_more_recommended(
    before: int, low: int, high: int, more: int, now: int
) -> None:
    narrow = Recommended(before, min(low, high), max(low, high))
    if judge(narrow, now) is Outcome.APPLIED and (more - before) * (now - before) > 0:
        assert judge(narrow.widened(more), now) is Outcome.APPLIED


def test_a_limit_that_is_removed_is_a_change_to_something_else() -> None:
    assert judge(Recommended(500, 300, 300), None) is Outcome.OTHERWISE


def test_half_the_way_is_partly() -> None:
    assert judge(Recommended(1000, 500, 500), 800) is Outcome.PARTLY
    assert judge(Recommended(500, 1000, 1000), 700) is Outcome.PARTLY
    assert judge(Recommended(500, 1000, 1000), 2000) is Outcome.OTHERWISE
