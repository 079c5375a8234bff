"""The data of the suites: the same each time, whole, and with what each suite counts on."""

from __future__ import annotations

import numpy as np

from mora.features import DRIVEN_COLUMNS, HORIZON_STEPS, TARGET_COLUMNS, TARGETS, WINDOW_STEPS
from mora.metrics import METRIC_COLUMNS
from mora.testing import examples


def test_experiments_are_the_same_each_time_and_long_enough_for_a_window_and_a_horizon() -> None:
    for one, again in zip(examples.experiments(), examples.experiments(), strict=True):
        assert one.name == again.name
        np.testing.assert_array_equal(one.matrix(METRIC_COLUMNS), again.matrix(METRIC_COLUMNS))
        assert len(one) >= WINDOW_STEPS + HORIZON_STEPS
        assert {*METRIC_COLUMNS, *DRIVEN_COLUMNS} == set(one.values)


def test_use_grows_with_the_users_of_a_pod() -> None:
    by_name = {piece.name: piece for piece in examples.experiments()}
    few, many = (by_name[f"frontend_browsing_replicas_1_users_{users}"] for users in (10, 40))
    for column in (TARGET_COLUMNS[target] for target in TARGETS[:2]):
        assert few.values[column].max() < many.values[column].min()


def test_a_history_is_known_throughout_and_has_a_daily_wave() -> None:
    grid = examples.history(days=4)
    assert (len(grid), grid.step_seconds) == (96, 3600.0)
    cpu = grid.means["cpu_cores_value"]
    assert np.isfinite(cpu).all()
    by_hour = cpu.reshape(4, 24).mean(axis=0)
    assert by_hour[6] > 2 * by_hour[18]


def test_a_frame_has_every_metric_in_the_order_of_time() -> None:
    frame = examples.metrics_frame(rows=5)
    assert set(frame.columns) == {*METRIC_COLUMNS, "timestamp"}
    assert frame["timestamp"].is_monotonic_increasing
    assert str(frame["timestamp"].dt.tz) == "UTC"


def test_one_recommendation_has_numbers_and_one_has_none_but_a_reason() -> None:
    sized, unknown = examples.recommendations()
    assert sized.main.cpu_request.value == 250  # half of what is set: the step limit
    assert unknown.main.cpu_request.value is None
    assert unknown.main.cpu_request.reasons[0].text == "12 samples, 60 are needed"
    assert sized.workload != unknown.workload
