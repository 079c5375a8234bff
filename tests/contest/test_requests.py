"""What requests from forecasts cost, by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from mora.contest import evaluate
from mora.contest.requests import agreed, agreement, cost, requests_around
from tests.contest.making import Constant, wave
from tests.contest.test_scores import contest

HOUR = 3600.0


def test_a_request_around_a_forecast_by_hand() -> None:
    # Every window needs twice what is forecast of it, but for the last, which needs three times as much.
    truth = np.array([2.0] * 10 + [3.0])
    one = contest(truth, naive=np.ones(11))
    around = requests_around(one.windows, one.answers["naive"].mean)
    assert np.isnan(around[:9]).all()
    assert around[9:].tolist() == [2.0, 2.0]
    # Two samples a window: 2 reserved 2 used, then 2 reserved of 3 used, 1 unmet at 20.
    assert cost(one, "naive").around == pytest.approx((2 * 2 + 2 * 2 + 2 * 1 * 20) / (2 * 2 + 2 * 3))
    assert cost(one, "naive").windows == 2


def test_the_bound_is_raised_to_the_forecast() -> None:
    found = evaluate(wave(10.0), {"high": Constant(50.0)}, [HOUR])[0]
    naive, high = cost(found, "naive"), cost(found, "high")
    assert high.own == naive.own
    assert high.raised > 10 * naive.raised
    assert naive.own == pytest.approx(naive.raised, rel=0.05)
    # A conformal factor takes back what a constant factor did to a forecast, above 1.
    assert cost(evaluate(wave(10.0), {"half": Constant(0.5)}, [HOUR])[0], "half").around == pytest.approx(
        naive.around, rel=1e-9
    )


def test_without_windows_there_is_no_cost() -> None:
    one = contest([1.0, 2.0], naive=[1.0, 1.0])
    assert math.isnan(cost(one, "naive").around)
    assert math.isnan(agreed([one], [{"naive": math.nan}], ["naive"]).share)


def test_pairs_agree_where_the_smaller_error_is_the_smaller_cost() -> None:
    assert agreement([1.0, 2.0], [1.0, 2.0]) == (1, 1)
    assert agreement([1.0, 2.0], [2.0, 1.0]) == (0, 1)
    assert agreement([1.0, 1.0], [1.0, 2.0]) == (0, 0)
    one = contest([1.0, 2.0], naive=[2.0, 1.0], good=[1.0, 2.0])
    assert agreed([one], [{"naive": 3.0, "good": 2.0}], ["naive", "good"]).share == 1.0
