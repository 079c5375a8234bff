from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mora.changes.deciding import Decided, Verdict, decide, why_not
from mora.changes.rule import ChangeRule
from mora.changes.state import ChangeState
from mora.changes.windows import parse_window

AMOUNTS = st.floats(1.0, 1e6)
SHARES = st.floats(0.0, 0.9)
THURSDAY = 0.0
HOUR, DAY = 3600.0, 86_400.0


def one(rule: ChangeRule, now: float, wanted: float, state: ChangeState | None = None, **about: object) -> Decided:
    at = about.pop("at", THURSDAY)
    return decide(rule, [[now]], [[wanted]], state or ChangeState.fresh(1), at=at, **about)  # type: ignore[arg-type]


def verdict(decided: Decided) -> Verdict:
    return Verdict(int(decided.verdicts[0, 0]))


def text_of(rule: ChangeRule, decided: Decided, now: float, wanted: float, at: float = THURSDAY) -> str:
    return why_not(rule, decided, 0, 0, now=now, wanted=wanted, at=at, write=lambda amount: f"{amount:.0f}m")


@given(now=AMOUNTS, wanted=AMOUNTS, up=SHARES, down=SHARES)
def test_a_number_is_followed_exactly_where_it_leaves_the_deadband(
    now: float, wanted: float, up: float, down: float
) -> None:
    decided = one(ChangeRule(up, down), now, wanted)
    move = wanted / now - 1
    if abs(move - up) < 1e-6 or abs(-move - down) < 1e-6:
        return  # at its edge, rounding decides
    is_out = move > up or -move > down
    inside = Verdict.SMALL if move else Verdict.SAME
    assert verdict(decided) == (Verdict.CHANGE if is_out else inside)
    assert decided.amounts[0, 0] == (wanted if is_out else now)


def test_a_move_of_exactly_the_deadband_is_followed() -> None:
    assert verdict(one(ChangeRule(0.30, 0.30), 100, 130)) is Verdict.CHANGE
    assert verdict(one(ChangeRule(0.30, 0.30), 100, 70)) is Verdict.CHANGE


@given(now=AMOUNTS, wanted=AMOUNTS, confidence=st.floats(0, 1), surer=st.floats(0, 1), step=st.floats(0, 2))
def test_what_is_less_sure_is_raised_further_and_cut_less(
    now: float, wanted: float, confidence: float, surer: float, step: float
) -> None:
    low, high = sorted((confidence, surer))
    rule = ChangeRule(0.1, 0.1, low_confidence_step=step)
    unsure, sure = (one(rule, now, wanted, confidence=[[chance]]) for chance in (low, high))
    assert unsure.amounts[0, 0] >= sure.amounts[0, 0] * (1 - 1e-12)


def test_below_the_usual_number_the_deadband_is_a_share_of_that() -> None:
    rule = ChangeRule(0.2, 0.3, usual_half_life_seconds=DAY)
    state = one(rule, 200, 200).state
    for hour in range(1, 4):
        state = one(rule, 200, 200, state, at=hour * HOUR).state
    idle = one(rule, 20, 40, state, at=4 * HOUR)
    assert verdict(idle) is Verdict.SMALL
    assert text_of(rule, idle, 20, 40, at=4 * HOUR).endswith(
        "is deferred; raises below 20% of the usual 195m are not worth a change"
    )
    assert verdict(one(rule, 20, 65, state, at=4 * HOUR)) is Verdict.CHANGE
    assert verdict(one(replace(rule, usual_share=0.0), 20, 40, state, at=4 * HOUR)) is Verdict.CHANGE


@given(wanted=st.lists(AMOUNTS, min_size=1, max_size=8), gaps=st.lists(st.floats(1, 9e5), min_size=8, max_size=8))
def test_the_usual_number_lies_between_the_lowest_and_the_highest(wanted: list[float], gaps: list[float]) -> None:
    state, at = ChangeState.fresh(1), 0.0
    for number, gap in zip(wanted, gaps, strict=False):
        at += gap
        state = decide(ChangeRule(), [[np.nan]], [[number]], state, at=at).state
        assert min(wanted) * (1 - 1e-9) <= state.usual[0, 0] <= max(wanted) * (1 + 1e-9)


def test_without_a_deadband_every_cut_is_followed_sure_or_not() -> None:
    rule = ChangeRule(0.0, 0.0, low_confidence_step=1.0)
    assert verdict(one(rule, 100, 99, confidence=[[0.2]])) is Verdict.CHANGE
    assert verdict(one(replace(rule, deadband_down=0.001), 100, 99, confidence=[[0.2]])) is Verdict.SMALL


def test_a_raise_that_must_be_waits_for_no_deadband_no_settling_and_no_limit_of_the_day() -> None:
    rule = ChangeRule(0.3, 0.3, settle_up_seconds=HOUR, changes_per_day=1)
    state = ChangeState.fresh(1).changed_at([0], THURSDAY - 60)
    assert verdict(one(rule, 100, 105, state)) is Verdict.SMALL
    assert verdict(one(rule, 100, 105, state, least=[[103.0]])) is Verdict.CHANGE
    assert verdict(one(rule, 100, 105, state, least=[[99.0]])) is Verdict.SMALL


def test_nothing_is_changed_while_a_container_starts() -> None:
    rule = ChangeRule(startup_seconds=300)
    young = one(rule, 100, 900, age_seconds=[299.0], least=[[900.0]])
    assert verdict(young) is Verdict.STARTING
    assert text_of(rule, young, 100, 900) == (
        "stays at 100m: the raise to 900m waits: a container is not changed in its first 5m"
    )
    assert verdict(one(rule, 100, 900, age_seconds=[300.0])) is Verdict.CHANGE


def test_nothing_is_changed_outside_the_maintenance_window() -> None:
    rule = ChangeRule(window=parse_window("Mon 02:00-04:00"))
    closed = one(rule, 100, 900, least=[[900.0]])
    assert verdict(closed) is Verdict.CLOSED
    assert text_of(rule, closed, 100, 900).endswith(
        "waits for the maintenance window (Mon 02:00-04:00 UTC), from 1970-01-05 02:00 UTC on"
    )
    assert verdict(one(rule, 100, 900, at=4 * DAY + 2.5 * HOUR)) is Verdict.CHANGE


def test_a_cut_settles_and_goes_to_the_highest_number_of_that_time() -> None:
    rule = ChangeRule(0.2, 0.2, settle_down_seconds=2 * HOUR)
    state = ChangeState.fresh(1)
    for hour, wanted in enumerate((40.0, 60.0, 50.0)):
        decided = one(rule, 100, wanted, state, at=hour * HOUR)
        state = decided.state
    assert verdict(decided) is Verdict.CHANGE
    assert decided.amounts[0, 0] == 60.0


def test_a_cut_that_is_not_wanted_for_a_moment_begins_to_wait_anew() -> None:
    rule = ChangeRule(0.2, 0.2, settle_down_seconds=2 * HOUR)
    state = ChangeState.fresh(1)
    for hour, wanted in enumerate((40.0, 95.0, 40.0)):
        decided = one(rule, 100, wanted, state, at=hour * HOUR)
        state = decided.state
    assert verdict(decided) is Verdict.SETTLING
    assert text_of(rule, decided, 100, 40, at=2 * HOUR) == (
        "stays at 100m: the cut to 40m waits: it has been wanted for 0s, and is made after 2h"
    )


def test_a_container_is_changed_at_most_so_often_in_any_24_hours() -> None:
    rule = ChangeRule(changes_per_day=2)
    state = ChangeState.fresh(1).changed_at([0], 10 * DAY).changed_at([0], 10 * DAY + HOUR)
    full = one(rule, 100, 500, state, at=11 * DAY - 1)
    assert verdict(full) is Verdict.ENOUGH
    assert text_of(rule, full, 100, 500) == (
        "stays at 100m: the raise to 500m waits: the container had 2 changes in 24h, the most that is allowed"
    )
    assert verdict(one(rule, 100, 500, state, at=11 * DAY)) is Verdict.CHANGE


def test_a_limit_beyond_what_is_remembered_is_still_a_limit() -> None:
    rule, state, changes = ChangeRule(changes_per_day=200), ChangeState.fresh(1), 0
    for number in range(288):
        decided = one(rule, 100, 200, state, at=number * 300.0)
        state = decided.state
        if verdict(decided) is Verdict.CHANGE:
            state, changes = state.changed_at([0], number * 300.0), changes + 1
    assert 0 < changes <= 200
    assert verdict(decided) is Verdict.ENOUGH


def test_why_an_unsure_cut_is_deferred_names_the_share_that_it_must_reach() -> None:
    rule = ChangeRule(0.2, 0.3, low_confidence_step=0.5)
    unsure, sure = (one(rule, 100, 65, confidence=[[chance]]) for chance in (0.8, 1.0))
    assert verdict(sure) is Verdict.CHANGE
    assert text_of(rule, unsure, 100, 65) == (
        "stays at 100m: the cut to 65m (35.0%) is deferred; cuts below 40% are not worth a change at this confidence"
    )
    assert text_of(rule, one(rule, 100, 80), 100, 80).endswith("cuts below 30% are not worth a change")


def test_after_an_undone_cut_further_cuts_wait_twice_as_long_every_time_and_raises_do_not() -> None:
    rule = ChangeRule(backoff_seconds=HOUR)
    state = ChangeState.fresh(1)
    for times in (1, 2, 3):
        at = times * DAY
        state = state.undone_at([0], at, rule, direction=-1)
        assert verdict(one(rule, 100, 20, state, at=at + HOUR * 2 ** (times - 1) - 1)) is Verdict.BACKING_OFF
        assert verdict(one(rule, 100, 20, state, at=at + HOUR * 2 ** (times - 1))) is Verdict.CHANGE
        assert verdict(one(rule, 100, 500, state, at=at)) is Verdict.CHANGE
    held = one(rule, 100, 20, state, at=3 * DAY)
    assert text_of(rule, held, 100, 20, at=3 * DAY) == (
        "stays at 100m: the cut to 20m is blocked until 1970-01-04 04:00 UTC: 3 changes in a row had to be undone"
    )
    again = state.proven([0]).undone_at([0], 9 * DAY, rule, direction=1)
    assert verdict(one(rule, 100, 500, again, at=9 * DAY + HOUR - 1)) is Verdict.BACKING_OFF
    assert verdict(one(rule, 100, 500, again, at=9 * DAY + HOUR)) is Verdict.CHANGE


@pytest.mark.parametrize("back", [HOUR, 400 * DAY])
def test_a_clock_that_is_set_back_neither_changes_twice_nor_blocks_for_longer_than_the_rule(back: float) -> None:
    rule = ChangeRule(changes_per_day=1, settle_down_seconds=HOUR, backoff_seconds=HOUR)
    late = 1000 * DAY
    state = ChangeState.fresh(1).changed_at([0], late)
    assert verdict(one(rule, 100, 500, state, at=late - back)) is Verdict.ENOUGH
    waiting = one(rule, 100, 50, at=late).state
    back_then = one(rule, 100, 50, waiting, at=late - back)
    assert verdict(back_then) is Verdict.SETTLING
    assert verdict(one(rule, 100, 50, back_then.state, at=late - back + HOUR)) is Verdict.CHANGE
    held = ChangeState.fresh(1).undone_at([0], late, rule)
    found = one(rule, 100, 500, held, at=late - back)
    assert verdict(found) is Verdict.BACKING_OFF
    assert "until" in text_of(rule, found, 100, 500, at=late - back)


@given(moments=st.lists(st.floats(0, 30 * DAY), min_size=1, max_size=40), limit=st.integers(1, 5))
def test_no_24_hours_of_any_clock_have_more_changes_than_allowed(moments: list[float], limit: int) -> None:
    rule = ChangeRule(0.0, 0.0, changes_per_day=limit)
    state, made, now = ChangeState.fresh(1), [], 100.0
    for at in sorted(moments):
        decided = one(rule, now, 200.0 if now == 100.0 else 100.0, state, at=at)
        state = decided.state
        if decided.is_change.any():
            state, now = state.changed_at([0], at), float(decided.amounts[0, 0])
            made.append(at)
    assert all(len([one for one in made if begin <= one < begin + DAY]) <= limit for begin in made)


def test_numbers_that_are_missing_and_those_not_set_are_not_confused() -> None:
    decided = decide(ChangeRule(), [[100.0, np.nan]], [[np.nan, 50.0]], ChangeState.fresh(1, 2), at=0.0)
    assert decided.verdicts.tolist() == [[Verdict.UNKNOWN, Verdict.CHANGE]]
    assert decided.amounts.tolist() == [[100.0, 50.0]]


def test_containers_are_decided_each_by_itself() -> None:
    rule = ChangeRule(settle_down_seconds=HOUR, changes_per_day=1)
    state = ChangeState.fresh(2).changed_at([1], 0.0)
    both = decide(rule, [[100.0], [100.0]], [[200.0], [200.0]], state, at=60.0)
    assert both.verdicts[:, 0].tolist() == [Verdict.CHANGE, Verdict.ENOUGH]
    rows = replace(ChangeState.fresh(1), changed=state.changed[1:])
    assert one(rule, 100, 200, rows, at=60.0).verdicts[0, 0] == both.verdicts[1, 0]
