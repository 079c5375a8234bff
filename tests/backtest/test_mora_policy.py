"""MOrA's own rules in the replay: the same bounds as `mora recommend`, with minimums and rounding."""

from __future__ import annotations

import numpy as np
import pytest

from mora.backtest.mora_policy import mora, mora_point
from mora.backtest.policy import Series, decide
from mora.bounds.cpu import cpu_bounds
from mora.policies import PolicySettings
from tests.backtest.making import bumpy, steady

DAY = 86_400


def test_the_cpu_reservation_is_the_calibrated_bound_rounded_up() -> None:
    one = bumpy(days=15)
    decisions = decide([one], horizon_seconds=DAY, warmup_seconds=7 * DAY)
    (reserved,) = mora([one], "cpu", decisions)
    assert one.cpu is not None
    found = cpu_bounds(one.cpu, step_seconds=one.step_seconds, decisions=decisions.at[0], horizon_seconds=DAY)
    assert (reserved >= found.requests - 1e-12).all()
    assert (reserved < found.requests + 0.001).all()
    np.testing.assert_allclose(reserved * 1000, np.round(reserved * 1000), atol=1e-6)


def test_minimums_apply_only_where_units_are_cores_and_bytes() -> None:
    tiny = steady(0.0001, memory=1e5)
    with_minimums = decide([tiny], horizon_seconds=DAY, warmup_seconds=7 * DAY)
    without = decide([tiny], horizon_seconds=DAY, warmup_seconds=7 * DAY, with_minimums=False)
    least = PolicySettings()
    assert mora([tiny], "cpu", with_minimums)[0].min() == least.cpu_floor_millicores / 1000
    assert mora([tiny], "mem", with_minimums)[0].min() == least.memory_floor_bytes
    assert mora([tiny], "cpu", without)[0].max() < 0.001


def test_the_point_rule_adds_its_factor_to_steady_use() -> None:
    decisions = decide([steady(0.5)], horizon_seconds=DAY, warmup_seconds=7 * DAY)
    assert mora_point([steady(0.5)], "cpu", decisions)[0] == pytest.approx(0.6)


@pytest.mark.parametrize("rule", [mora, mora_point])
def test_a_resource_that_was_never_recorded_gets_no_number(rule: object) -> None:
    one = Series("a", 3600, 0, np.ones(300), None)
    decisions = decide([one], horizon_seconds=DAY, warmup_seconds=7 * DAY)
    assert callable(rule)
    assert np.isnan(rule([one], "mem", decisions)[0]).all()
