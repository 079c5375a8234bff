"""Whether a change may begin, and what counts as harm: only what is worse than before."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mora.domain import Container, Resources
from mora.domain.pods import ResizeState, RunningContainer, RunningPod
from mora.inplace.book import PodChange
from mora.inplace.guards import GuardSettings, harm_to, is_given, why_not_begin, why_not_given
from tests.inplace.rig import START, WEB

GUARDS = GuardSettings()
ONE = RunningContainer(Container("server", Resources(200)), actual=Resources(200))
OLD = START - timedelta(days=1)
POD = RunningPod(WEB, "web-0", "u", "1", (ONE,), revision="a", ready_since=OLD, started_at=OLD)
CHANGE = PodChange("u", {"server": Resources(400)}, {"server": Resources(200)}, START, restarts={"server": 2})


def test_a_settled_workload_may_be_changed() -> None:
    assert why_not_begin([POD, POD], 2, START, GUARDS) is None


@pytest.mark.parametrize(
    ("pods", "replicas", "words"),
    [
        ([POD, replace(POD, revision="b")], 2, "a rollout is under way"),
        ([POD], 2, "1 of its 2 pods run"),
        ([replace(POD, is_ready=False)], 1, "is not ready"),
        ([replace(POD, started_at=START - timedelta(minutes=1))], 1, "starts up"),
        ([replace(POD, resize=ResizeState.DEFERRED)], 1, "a resize that is deferred already"),
        ([replace(POD, has_own_resources=True)], 1, "spec.resources"),
        ([replace(POD, started_at=START + timedelta(minutes=1))], 1, "starts up"),  # by a clock that was set back
        ([replace(POD, containers=(replace(ONE, actual=None),))], 1, "does not say what it gives"),
    ],
)
def test_an_unsettled_one_is_skipped_with_the_reason(pods: list[RunningPod], replicas: int, words: str) -> None:
    assert words in str(why_not_begin(pods, replicas, START, GUARDS))


def harm(pod: RunningPod, shares: dict[str, float] | None = None, **about: Any) -> str | None:
    at = START + timedelta(minutes=2)
    return harm_to(pod, replace(CHANGE, **about), throttled=shares or {}, now=at, settings=GUARDS)


def test_only_what_is_worse_than_before_is_harm() -> None:
    restarted = replace(ONE, restarts=2)
    assert harm(replace(POD, containers=(restarted,))) is None
    assert "restarted" in str(harm(replace(POD, containers=(replace(ONE, restarts=3),))))
    killed = replace(ONE, restarts=2, oom_killed_at=OLD)
    assert harm(replace(POD, containers=(killed,)), killed={"server": OLD}) is None
    assert "OOM-killed" in str(harm(replace(POD, containers=(killed,)), killed={}))


@given(st.floats(0, 1), st.floats(0, 1))
def test_throttling_is_harm_where_it_is_much_and_more_than_twice_as_much_as_before(before: float, now: float) -> None:
    found = harm(POD, {"server": now}, restarts={}, throttled={"server": before})
    assert (found is not None) == (now >= 0.25 and now > 2 * before)


def test_a_pod_is_not_ready_for_a_while_before_it_is_harm() -> None:
    since = START + timedelta(minutes=1, seconds=45)
    assert harm(replace(POD, is_ready=False, ready_since=since)) is None
    assert harm(replace(POD, is_ready=False, ready_since=START)) is not None


def test_a_clock_that_was_set_back_or_differs_does_not_delay_the_undoing() -> None:
    ill = replace(POD, is_ready=False, ready_since=START + timedelta(minutes=1))
    two_hours_ago = START - timedelta(hours=2)
    assert harm_to(ill, CHANGE, throttled={}, now=two_hours_ago, settings=GUARDS) is not None
    assert why_not_given(POD, CHANGE, two_hours_ago, GUARDS) is not None
    by_a_fast_clock = replace(ill, ready_since=START + timedelta(minutes=20))
    assert harm(by_a_fast_clock) is not None


def test_a_resize_is_given_when_spec_and_status_say_so() -> None:
    wanted = {"server": Resources(200)}
    assert is_given(POD, wanted)
    assert not is_given(replace(POD, resize=ResizeState.IN_PROGRESS), wanted)
    assert not is_given(replace(POD, containers=(replace(ONE, actual=Resources(400)),)), wanted)
    assert not is_given(POD, {"server": Resources(100)})


def test_a_node_may_take_its_time_but_not_say_never() -> None:
    soon, late = START + timedelta(minutes=1), START + timedelta(minutes=6)
    waiting = replace(POD, resize=ResizeState.DEFERRED, resize_message="no room")
    assert why_not_given(waiting, CHANGE, soon, GUARDS) is None
    assert "no room" in str(why_not_given(waiting, CHANGE, late, GUARDS))
    assert "never" in str(why_not_given(replace(POD, resize=ResizeState.INFEASIBLE), CHANGE, soon, GUARDS))
