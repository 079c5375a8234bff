"""The threshold that tracks."""

from __future__ import annotations

import numpy as np
import pytest

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


def test_it_climbs_above_what_stays_and_sinks_back_never_below_its_start() -> None:
    threshold = fitted()
    start = threshold.level
    levels = threshold.follow(np.full(2000, 2 * start))
    assert levels[0] == start
    assert levels[-1] == 2 * start
    threshold.follow(np.zeros(1_000_000))
    assert threshold.level == start


def test_unknown_scores_do_not_move_it() -> None:
    threshold = fitted()
    threshold.follow(np.full(70, 2 * threshold.level))
    before = threshold.level
    threshold.follow(np.full(threshold.hold, np.nan))
    after = threshold.level
    assert after > before  # what waited
    np.testing.assert_array_equal(threshold.follow(np.full(1000, np.nan)), after)


def test_in_the_long_run_few_scores_lie_above_it_whatever_they_are() -> None:
    rng = np.random.default_rng(3)
    threshold = fitted(hold=12)
    drifting = rng.exponential(1, 50_000) * np.linspace(1, 5, 50_000)
    assert (drifting > threshold.follow(drifting)).mean() < 0.01


@pytest.mark.parametrize("waiting", [np.zeros(61), np.full(3, np.inf), np.zeros((2, 2))])
def test_what_waits_must_fit(waiting: np.ndarray) -> None:
    saved = fitted().save()
    with pytest.raises(BadModel):
        Tracking().restore(Saved(saved.document, {"waiting": waiting}))
