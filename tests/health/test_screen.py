"""The quick look at the end of a history."""

from __future__ import annotations

import numpy as np
import pytest

from mora.health.histories import condition_of
from mora.health.screen import may_be_abnormal
from tests.health.test_histories import DAY, a_window, metrics


@pytest.mark.parametrize("change", [3.0, 0.2])
def test_use_far_outside_of_what_it_was_is_looked_at(change: float) -> None:
    for name in metrics():
        odd = metrics()
        odd[name][-3:] *= change
        assert may_be_abnormal(odd, a_window(10))


def test_a_peak_at_an_hour_that_never_had_one_is_looked_at() -> None:
    odd = metrics()
    quietest, busiest = 9 * DAY + 3 * DAY // 4, 9 * DAY + DAY // 4
    cut = {name: values[: quietest + 6] for name, values in odd.items()}
    assert not may_be_abnormal(cut, a_window((quietest + 6) / DAY))
    cut["cpu_cores_value"][-12:] = odd["cpu_cores_value"][busiest : busiest + 12]
    assert may_be_abnormal(cut, a_window((quietest + 6) / DAY))


def test_most_steady_histories_are_passed_over() -> None:
    looked_at = [may_be_abnormal(metrics(seed=seed), a_window(10)) for seed in range(0, 80, 2)]
    assert sum(looked_at) <= 12  # of 40


def test_what_is_not_known_is_not_looked_at() -> None:
    nothing = {"cpu_cores_value": np.full(10 * DAY, np.nan)}
    assert not may_be_abnormal(nothing, a_window(10))


def test_what_a_detector_calls_abnormal_is_looked_at() -> None:
    for seed in range(0, 20, 2):
        sick = metrics(seed=seed)
        sick["cpu_cores_value"][-4:] *= 5
        assert condition_of(sick, a_window(10)).state == "abnormal"
        assert may_be_abnormal(sick, a_window(10))
