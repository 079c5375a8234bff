"""Series, decisions and rules as the replay sees them."""

from __future__ import annotations

import numpy as np
import pytest

from mora.backtest.policy import Decisions, Floats, Indices, LoneRule, NamedRule, Resource, Series, decide, load_policy
from mora.errors import BadInput
from tests.backtest.making import bumpy

DAY = 86_400


def test_a_series_before_a_sample_has_only_the_samples_before_it() -> None:
    one = bumpy(days=2)
    before = one.before(10)
    assert (before.sample_count, before.id, before.start) == (10, one.id, one.start)
    assert before.mem is not None
    assert one.mem is not None
    np.testing.assert_array_equal(before.mem, one.mem[:10])


def test_a_resource_that_was_never_recorded_is_none() -> None:
    one = bumpy(has_memory=False)
    assert one.use("mem") is None
    assert one.before(3).mem is None
    assert Series("empty", 60, 0, None, None).sample_count == 0


def test_windows_follow_each_other_after_the_warm_up_and_fit_into_the_series() -> None:
    one = bumpy(days=5)
    made = decide([one], horizon_seconds=DAY, warmup_seconds=2 * DAY)
    assert made.at[0].tolist() == [48, 72, 96]
    assert made.until[0].tolist() == [72, 96, 120]
    assert decide([one], horizon_seconds=DAY, warmup_seconds=5 * DAY).at[0].tolist() == []


def test_a_window_begins_at_the_first_sample_after_its_time() -> None:
    one = Series("a", 7 * 60, 0, np.zeros(100), None)
    made = decide([one], horizon_seconds=3600, warmup_seconds=3600)
    assert made.at[0].tolist()[:3] == [9, 18, 26]


def test_a_lone_rule_is_asked_about_each_series_with_its_own_decisions() -> None:
    def count(one: Series, resource: Resource, at: Indices, decisions: Decisions) -> Floats:
        return np.asarray(at + one.sample_count, dtype=np.float64)

    several = [bumpy("a", days=3), bumpy("b", days=4)]
    decisions = decide(several, horizon_seconds=DAY, warmup_seconds=2 * DAY)
    rule = NamedRule("count", LoneRule(count))
    assert rule.is_lone
    assert [list(answer) for answer in rule.reservations(several, "cpu", decisions)] == [[120.0], [144.0, 168.0]]


def test_an_unknown_rule_is_refused() -> None:
    with pytest.raises(BadInput, match="nonesuch"):
        load_policy("nonesuch")


def test_numbers_can_be_renewed_before_their_horizon_has_passed() -> None:
    one = Series("s", 3600, 0, np.zeros(100), None)
    made = decide([one], horizon_seconds=DAY, warmup_seconds=2 * DAY, renew_seconds=6 * 3600)
    assert made.horizon_seconds == DAY
    assert made.at[0].tolist() == list(range(48, 96, 6))
    assert made.until[0].tolist() == list(range(54, 102, 6))
