from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from mora.changes.following import follow
from mora.changes.rule import FOLLOW_ALL, ChangeRule
from mora.changes.state import Floats

WANTED = arrays(np.float64, st.tuples(st.integers(1, 3), st.integers(1, 30)), elements=st.floats(0.5, 1e4))
RULES = st.builds(
    ChangeRule,
    deadband_up=st.floats(0, 1),
    deadband_down=st.floats(0, 0.9),
    settle_up_seconds=st.sampled_from([0.0, 3600.0]),
    settle_down_seconds=st.sampled_from([0.0, 7200.0]),
    changes_per_day=st.sampled_from([None, 1, 3]),
)


def hours(count: int) -> Floats:
    return np.linspace(1e9, 1e9 + 3600.0 * (count - 1), count)


@settings(deadline=None, max_examples=40)
@given(wanted=WANTED, rule=RULES, data=st.data())
def test_what_comes_later_changes_no_earlier_number(wanted: Floats, rule: ChangeRule, data: st.DataObject) -> None:
    known = data.draw(st.integers(1, wanted.shape[1]))
    whole, part = follow(rule, wanted, hours(wanted.shape[1])), follow(rule, wanted[:, :known], hours(known))
    assert whole.amounts[:, :known].tolist() == part.amounts.tolist()
    assert whole.is_change[:, :known].tolist() == part.is_change.tolist()


@settings(deadline=None, max_examples=40)
@given(wanted=WANTED, rule=RULES)
def test_a_number_that_is_set_was_wanted_and_changes_only_at_a_change(wanted: Floats, rule: ChangeRule) -> None:
    found = follow(rule, wanted, hours(wanted.shape[1]))
    for own, amounts, is_change in zip(wanted, found.amounts, found.is_change, strict=True):
        assert all(amount in own[: place + 1] for place, amount in enumerate(amounts))
        assert not is_change[0]
        assert (np.flatnonzero(np.diff(amounts)) + 1).tolist() == np.flatnonzero(is_change).tolist()


@settings(deadline=None, max_examples=40)
@given(wanted=WANTED, rule=RULES)
def test_series_are_followed_each_by_itself_and_scaled_numbers_alike(wanted: Floats, rule: ChangeRule) -> None:
    together = follow(rule, wanted, hours(wanted.shape[1]))
    for row in range(len(wanted)):
        alone = follow(rule, wanted[row : row + 1] * 4.0, hours(wanted.shape[1]))
        assert (together.amounts[row : row + 1] * 4.0).tolist() == alone.amounts.tolist()


@settings(deadline=None, max_examples=20)
@given(wanted=WANTED)
def test_without_a_deadband_every_number_is_followed(wanted: Floats) -> None:
    assert follow(FOLLOW_ALL, wanted, hours(wanted.shape[1])).amounts.tolist() == wanted.tolist()


def test_a_series_that_begins_late_is_set_when_its_first_number_comes() -> None:
    found = follow(ChangeRule(), np.array([[np.nan, np.nan, 10.0, 20.0]]), hours(4))
    assert found.amounts[0, 2:].tolist() == [10.0, 20.0]
    assert found.is_change[0].tolist() == [False, False, False, True]
    assert np.isnan(found.amounts[0, :2]).all()
