"""The simulated autoscaler does what the HPA's documentation says."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mora.replicas import PLAIN, Scaler, Setting, simulate
from mora.replicas.simulate import metric_of

MINUTE = timedelta(minutes=1)
SETTING = Setting(MINUTE)
demands = st.lists(st.floats(0, 50), min_size=2, max_size=60).map(np.array)


def pods(demand: list[float], scaler: Scaler = PLAIN, setting: Setting = SETTING) -> list[float]:
    return list(simulate(np.array(demand), [scaler], setting)[0].pods)


def test_the_metric_over_the_target_is_rounded_up() -> None:
    # The example of the documentation: use at twice the target doubles the pods.
    assert pods([0.7, 0.7, 1.4, 1.4])[-1] == 2
    assert pods([2.1] * 3)[-1] == 3
    assert pods([2.2] * 30, Scaler(1.0))[-1] == 3


def test_within_the_tolerance_nothing_changes() -> None:
    assert pods([7.0, 7.0, 7.6, 7.6]) == [10, 10, 10, 10], "8.6 % above the target"
    assert pods([7.0, 7.0, 7.8, 7.8])[-1] == 12, "11 % above it"


def test_a_rise_is_followed_at_once_and_a_fall_after_the_stabilisation() -> None:
    found = pods([0.7, 7.0, 0.7, 0.7, 0.7, 0.7, 0.7, 0.7, 0.7])
    assert found[2] == 10, "one sync sees the sample before"
    assert found[3:8] == [10] * 5
    assert found[8] == 1


def test_a_new_pod_serves_after_its_start_up_and_is_paid_for_before() -> None:
    demand = np.array([0.7, 7.0, 7.0, 7.0, 7.0, 7.0])
    run = simulate(demand, [PLAIN], Setting(MINUTE, start_up=timedelta(minutes=2)))[0]
    assert list(run.pods) == [1, 1, 10, 10, 10, 10]
    assert list(run.serving) == [1, 1, 1, 1, 10, 10]
    assert run.over(demand) == 3
    assert run.pod_hours(MINUTE) == pytest.approx(42 / 60)


def test_what_is_not_known_changes_nothing() -> None:
    assert pods([7.0, 7.0, np.nan, np.nan, np.nan, np.nan, np.nan, np.nan, np.nan]) == [10] * 9
    assert simulate(np.array([np.nan] * 3), [PLAIN], SETTING)[0].over(np.array([np.nan] * 3)) == 0


def test_a_schedule_is_a_floor_and_the_maximum_a_ceiling() -> None:
    setting = Setting(MINUTE, most=5)
    runs = simulate(np.array([0.7] * 4), [PLAIN, PLAIN], setting, [None, np.array([1.0, 4.0, 9.0, 9.0])])
    assert [list(run.pods) for run in runs] == [[1, 1, 1, 1], [1, 4, 5, 5]]


def test_the_metric_is_that_of_promql() -> None:
    demand = np.array([1.0, 3.0, np.nan, 5.0])
    found = metric_of(demand, Scaler(over=timedelta(minutes=2), spreads=2.0), MINUTE)
    # stddev_over_time is of the population; what was not scraped counts for nothing.
    np.testing.assert_allclose(found, [1.0, 2.0 + 2 * 1.0, 3.0, 5.0])


@given(demands, demands)
def test_what_comes_later_changes_nothing_before(first: np.ndarray, later: np.ndarray) -> None:
    scalers = [PLAIN, Scaler(0.9, timedelta(minutes=5), 2.0, timedelta(0))]
    alone = simulate(first, scalers, SETTING)
    together = simulate(np.concatenate([first, later]), scalers, SETTING)
    for one, other in zip(alone, together, strict=True):
        np.testing.assert_array_equal(one.pods, other.pods[: len(first)])


@given(demands, st.integers(1, 4))
def test_no_fewer_pods_by_a_schedule_and_never_more_serving_than_paid_for(demand: np.ndarray, floor: int) -> None:
    plain, raised = simulate(demand, [PLAIN, PLAIN], SETTING, [None, np.full(len(demand), float(floor))])
    assert (raised.pods >= floor).all()
    assert (raised.pods >= plain.pods).all()
    for run in (plain, raised):
        assert (run.serving <= run.pods).all()
        assert (run.pods == np.round(run.pods)).all()


def test_scalers_together_run_as_each_alone() -> None:
    rng = np.random.default_rng(1)
    demand = rng.gamma(4.0, 1.0, 200)
    scalers = [Scaler(0.7), Scaler(0.9, stabilisation=timedelta(minutes=10)), Scaler(1.0, timedelta(minutes=10), 2.0)]
    for one, together in zip(scalers, simulate(demand, scalers, SETTING), strict=True):
        np.testing.assert_array_equal(simulate(demand, [one], SETTING)[0].pods, together.pods)
