"""What was known goes stale by itself, and a reader sees one whole state."""

from __future__ import annotations

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from mora.health.board import STALE_AFTER_STEPS, Board, Status
from mora.health.events import State
from mora.health.monitor import Reading
from tests.health.watching import START, STEP


def status(state: State = State.HEALTHY, service: str = "frontend", namespace: str = "shop") -> Status:
    return Status(
        namespace, service, "robust-z", "quantile", STEP, reading=Reading(START, state, 1.0, 2.0), since=START
    )


@given(st.integers(-(10**6), 10**6), st.sampled_from(list(State)))
def test_a_verdict_holds_for_three_steps_and_no_longer(seconds: int, state: State) -> None:
    later = START + timedelta(seconds=seconds)
    shown = status(state).as_of(later)
    is_current = abs(seconds) <= STALE_AFTER_STEPS * STEP.total_seconds()
    assert shown.state == (state if is_current else State.UNKNOWN)
    if not is_current:
        assert shown.reading is not None
        assert (shown.reading.score, shown.reading.contributions) == (None, {})
        assert shown.problem


def test_a_service_without_a_sample_is_unknown() -> None:
    one = Status("shop", "cart", "robust-z", "quantile", STEP)
    assert one.as_of(START).state == State.UNKNOWN


def test_services_are_found_by_namespace_and_state_as_they_are_known_then() -> None:
    board = Board()
    board.put([status(), status(State.ABNORMAL, "cart"), status(service="web", namespace="other")], START)
    shown = board.shown()
    assert [one.service for one in shown.find(now=START)] == ["web", "cart", "frontend"]
    assert [one.service for one in shown.find(state="abnormal", now=START)] == ["cart"]
    assert [one.service for one in shown.find(namespace="shop", now=START)] == ["cart", "frontend"]
    assert len(shown.find(state="unknown", now=START + timedelta(hours=1))) == 3


def test_a_problem_lasts_from_its_first_look_to_the_first_without() -> None:
    board = Board()
    versions = [board.put([], START, "away").version, board.put([], START + STEP, "away").version]
    assert board.shown().problem_since == START
    board.put([], START + 2 * STEP)
    assert (board.shown().problem, board.shown().problem_since) == (None, None)
    assert versions == sorted(set(versions))
