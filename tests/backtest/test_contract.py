"""The contract of every registered rule of the backtest, above all that the future changes nothing."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mora.backtest.policy import (
    RESOURCES,
    Decisions,
    Floats,
    NamedRule,
    Resource,
    Series,
    decide,
    load_policy,
    policy_names,
)
from tests.backtest.making import START, bumpy

DAY = 86400
SERIES = (
    bumpy("a", seed=1),
    bumpy("b", seed=2, days=16, has_memory=False),
    bumpy("c", seed=3, days=18),
)


@pytest.fixture(params=policy_names())
def policy(request: pytest.FixtureRequest) -> NamedRule:
    return load_policy(request.param)


def ask(policy: NamedRule, series: tuple[Series, ...], resource: Resource, decisions: Decisions) -> list[Floats]:
    return policy.reservations(series, resource, decisions)


def changed_after(one: Series, seconds: int) -> Series:
    """The same series with another future: everything taken from that moment on is seven times as much."""
    cut = -(-seconds // one.step_seconds)

    def change(use: Floats | None) -> Floats | None:
        if use is None:
            return None
        later = use.copy()
        later[cut:] = np.where(np.isnan(later[cut:]), 0.5, later[cut:] * 7)
        return later

    return replace(one, cpu=change(one.cpu), mem=change(one.mem))


@pytest.mark.parametrize("resource", RESOURCES)
def test_the_future_of_no_series_changes_a_decision(policy: NamedRule, resource: Resource) -> None:
    decisions = decide(SERIES, horizon_seconds=DAY, warmup_seconds=10 * DAY)
    moment = 14 * DAY
    before = ask(policy, SERIES, resource, decisions)
    after = ask(policy, tuple(changed_after(one, moment) for one in SERIES), resource, decisions)
    for at, old, new in zip(decisions.at, before, after, strict=True):
        known = at * 3600 <= moment
        assert known.any()
        np.testing.assert_array_equal(old[known], new[known])


@pytest.mark.parametrize("resource", RESOURCES)
def test_a_series_cut_off_at_a_decision_gets_the_same_numbers_up_to_it(policy: NamedRule, resource: Resource) -> None:
    decisions = decide(SERIES, horizon_seconds=DAY, warmup_seconds=10 * DAY)
    before = ask(policy, SERIES, resource, decisions)
    moment = 13 * DAY
    cut = tuple(one.before(moment // one.step_seconds) for one in SERIES)
    kept = tuple(at[at * 3600 <= moment] for at in decisions.at)
    until = tuple(u[: len(at)] for u, at in zip(decisions.until, kept, strict=True))
    after = ask(policy, cut, resource, replace(decisions, at=kept, until=until))
    for old, new in zip(before, after, strict=True):
        np.testing.assert_array_equal(old[: len(new)], new)


@pytest.mark.parametrize("resource", RESOURCES)
def test_there_is_a_number_wherever_something_was_seen_and_none_elsewhere(
    policy: NamedRule, resource: Resource
) -> None:
    decisions = decide(SERIES, horizon_seconds=DAY, warmup_seconds=10 * DAY)
    for one, at, found in zip(SERIES, decisions.at, ask(policy, SERIES, resource, decisions), strict=True):
        use = one.use(resource)
        assert found.shape == at.shape
        assert found.dtype == np.float64
        if use is None:
            assert np.isnan(found).all()
        else:
            assert np.all(found >= 0)
            assert np.isfinite(found).all()


def test_a_series_that_begins_with_a_gap_has_no_number_at_first(policy: NamedRule) -> None:
    values = np.full(20 * 24, 0.5)
    values[: 12 * 24] = np.nan
    late = Series("late", 3600, START, values, None)
    decisions = decide([late], horizon_seconds=DAY, warmup_seconds=10 * DAY)
    (found,) = ask(policy, (late,), "cpu", decisions)
    assert np.isnan(found[:3]).all()
    assert np.isfinite(found[3:]).all()


def test_no_series_and_no_decisions_are_no_trouble(policy: NamedRule) -> None:
    short = (bumpy("short", days=5),)
    decisions = decide(short, horizon_seconds=DAY, warmup_seconds=10 * DAY)
    assert [len(found) for found in ask(policy, short, "cpu", decisions)] == [0]
    assert ask(policy, (), "cpu", decide((), horizon_seconds=DAY, warmup_seconds=DAY)) == []
