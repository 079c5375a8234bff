"""The same time yesterday."""

from __future__ import annotations

import numpy as np
import pytest

from mora.domain import Target
from mora.domain.learning import AtRow
from mora.forecasters.yesterday import YesterdayForecaster
from tests.forecasters.histories import CPU, fitted, grid, past, waves


def test_an_hour_ahead_is_the_same_hour_of_the_day_before() -> None:
    columns = waves(4)
    one = grid(columns, 1)
    (found,) = fitted(YesterdayForecaster(), past(one)).levels([AtRow(one, len(one))])
    hour = columns[CPU][-288:-276]
    assert found[Target.CPU] == pytest.approx((hour.mean(), np.quantile(hour, 0.95)))


def test_a_day_ahead_is_the_last_day() -> None:
    one = grid(waves(4))
    (found,) = fitted(YesterdayForecaster(), past(one)).levels([AtRow(one, 60)])
    assert found[Target.CPU][0] == pytest.approx(one.means[CPU][36:60].mean())


def test_of_less_than_a_day_the_last_horizon_stands_for_it_with_a_reason() -> None:
    one = grid(waves(0.5), 1)
    learnt = fitted(YesterdayForecaster(), past(one))
    assert [reason.code for reason in learnt.reasons] == ["no-yesterday"]
    (found,) = learnt.levels([AtRow(one, 100)])
    assert found[Target.CPU][0] == pytest.approx(one.means[CPU][88:100].mean())
    assert fitted(YesterdayForecaster(), past(grid(waves(2), 1))).reasons == ()
