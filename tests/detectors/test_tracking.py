"""The threshold that tracks."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mora.detectors.tracking import Tracking
from mora.domain.learning import Saved
from mora.errors import BadModel


def fitted(**options: float) -> Tracking:
    threshold = Tracking(**options)  # type: ignore[arg-type]  # hold is whole
    threshold.fit(np.random.default_rng(1).exponential(1, 5000))
    return threshold


def test_the_first_hour_of_an_incident_is_never_learnt_as_normal() -> None:
    """Whatever its scores are: those of its first 60 samples meet the threshold that stood before it."""
    for height in (1.01, 2.0, 100.0):
        threshold = fitted(hold=60)
        before = threshold.level
        levels = threshold.follow(np.full(60, height * before))
        np.testing.assert_array_equal(levels, before)


def test_what_lasts_for_a_day_is_the_new_normal_after_a_history_in_which_nothing_moved_too() -> None:
    threshold = Tracking(hold=60)
    threshold.fit(np.zeros(100))
    levels = threshold.follow(np.full(2 * 24 * 60, 40.0))
    assert (levels[:60] == 0).all()
    assert (levels[: 24 * 60] < 40).all()
    assert levels[-1] == pytest.approx(40, rel=0.01)


def test_what_lasts_for_a_day_is_the_new_normal_and_what_is_shorter_is_not() -> None:
    threshold = fitted(hold=60)
    start = threshold.level
    levels = threshold.follow(np.full(3000, 2 * start))
    assert (levels[: 24 * 60] < 2 * start).all()
    assert levels[0] == start
    assert levels[-1] == pytest.approx(2 * start, rel=0.02)
    threshold.follow(np.zeros(3_000_000))
    assert threshold.level == start


def test_an_incident_that_comes_back_is_seen_again_however_often() -> None:
    """Three hours of it each day: it never becomes usual, and what it does to the threshold is bounded."""
    threshold = fitted(hold=60)
    start = threshold.level
    day = np.zeros(1440)
    day[600:780] = 4 * start
    for _ in range(10):
        assert (day > threshold.follow(day))[600:780].all()
    assert threshold.level <= 0.9 * 4 * start


@given(step=st.floats(0.5, 86400))
def test_an_hour_is_counted_in_steps(step: float) -> None:
    threshold = Tracking()
    threshold.pace(step)
    assert threshold.hold == max(1, round(3600 / step))
    own = Tracking(hold=7)
    own.pace(step)
    assert own.hold == 7


@given(seed=st.integers(0, 999), cut=st.integers(0, 4000))
@settings(max_examples=20, deadline=None)
def test_an_event_goes_on_where_it_was_saved(seed: int, cut: int) -> None:
    rng = np.random.default_rng(seed)
    scores = rng.exponential(2, 4000) + 12 * (np.sin(np.arange(4000) / rng.uniform(5, 900)) > 0.3)
    whole, first, second = fitted(hold=12), fitted(hold=12), Tracking()
    expected = whole.follow(scores)
    before = first.follow(scores[:cut])
    second.restore(first.save())
    np.testing.assert_array_equal(np.concatenate([before, second.follow(scores[cut:])]), expected)


def test_unknown_scores_do_not_move_it() -> None:
    threshold = fitted()
    threshold.follow(np.full(61, 2 * threshold.level))
    before = threshold.level
    threshold.follow(np.full(threshold.hold, np.nan))
    after = threshold.level
    assert after > before  # what waited
    np.testing.assert_array_equal(threshold.follow(np.full(1000, np.nan)), after)


def test_in_the_long_run_few_scores_lie_above_it_whatever_they_are() -> None:
    rng = np.random.default_rng(3)
    threshold = fitted(hold=12)
    drifting = rng.exponential(1, 50_000) * np.linspace(1, 4, 50_000)
    assert (drifting > threshold.follow(drifting)).mean() < 0.01


@pytest.mark.parametrize("waiting", [np.zeros(61), np.full(3, np.inf), np.zeros((2, 2))])
def test_what_waits_must_fit(waiting: np.ndarray) -> None:
    saved = fitted().save()
    with pytest.raises(BadModel):
        Tracking().restore(Saved(saved.document, {"waiting": waiting}))
