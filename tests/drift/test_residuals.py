"""When a model's errors have grown, and when they have not."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime

import numpy as np

from mora.backtest.history import history_of
from mora.domain import Target
from mora.drift.inputs import corrected
from mora.drift.residuals import MIN_BEFORE, Errors, change_of, compare_errors, deviates, errors_of
from mora.model import ServiceModel
from tests.drift import making


def made(before: np.ndarray, after: np.ndarray, *, scale: float = 1.0) -> Errors:
    off = np.concatenate([before, after])
    seconds = np.arange(len(off), dtype=np.float64) * 3600
    return Errors(Target.CPU, 3600.0, seconds, 10.0 + off, np.full(len(off), 10.0), scale, len(before))


def test_errors_as_before_are_no_change() -> None:
    rng = np.random.default_rng(0)
    assert [change_of(made(*np.split(rng.normal(size=600), [300]))) for _ in range(10)] == [None] * 10


def test_errors_that_grow_are_a_change_and_begin_where_they_do() -> None:
    rng = np.random.default_rng(0)
    after = np.concatenate([rng.normal(size=100), 4 * rng.normal(size=48)])
    change = change_of(made(rng.normal(size=300), after))
    assert change is not None
    assert change.test in ("ADWIN", "Page-Hinkley")
    apart = abs(change.since - datetime.fromtimestamp(3600 * 400, UTC)).total_seconds() / 3600
    assert apart <= 6
    assert 2 < change.times < 6


def test_what_was_off_for_a_while_and_is_as_it_was_is_no_change() -> None:
    rng = np.random.default_rng(0)
    after = np.concatenate([5 * rng.normal(size=30), rng.normal(size=100)])
    assert change_of(made(rng.normal(size=300), after)) is None


def test_the_last_day_is_compared_with_the_days_before_the_training() -> None:
    rng = np.random.default_rng(0)
    usual, calm = rng.normal(size=24 * 20), rng.normal(size=48)
    same = compare_errors(made(usual, calm))
    grown = compare_errors(made(usual, np.concatenate([calm[:24], 4 * calm[24:]])))
    assert same is not None
    assert grown is not None
    assert (grown.feature, grown.statistic) == ("cpu", "errors")
    together = [*([same] * 28), grown]
    assert [one.has_drifted for one in corrected(together)] == [False] * 28 + [True]
    # What grew for a day and is as it was is not the last day any more.
    over = compare_errors(made(usual, np.concatenate([4 * calm[24:], calm])))
    assert over is not None
    assert not corrected([over])[0].has_drifted


def test_days_of_errors_that_differ_by_themselves_hide_a_day_like_them() -> None:
    rng = np.random.default_rng(0)
    factor = np.repeat(np.where(np.arange(22) % 5 == 0, 4.0, 1.0), 24)
    errors = factor * rng.normal(size=22 * 24)
    one = compare_errors(made(errors[: 24 * 20], errors[24 * 20 :]))
    assert one is not None
    assert not corrected([one])[0].has_drifted


def test_fewer_than_a_week_of_errors_or_less_than_a_day_after_is_not_compared() -> None:
    assert compare_errors(made(np.ones(24 * 6), np.ones(24))) is None
    assert compare_errors(made(np.ones(24 * 10), np.ones(12))) is None


def test_one_huge_error_is_no_change() -> None:
    rng = np.random.default_rng(0)
    after = rng.normal(size=60)
    after[30] = 1e9
    assert change_of(made(rng.normal(size=300), after)) is None


def test_too_few_errors_say_nothing() -> None:
    few = np.ones(MIN_BEFORE - 1)
    assert change_of(made(few, 50 * np.ones(40))) is None
    assert change_of(made(np.ones(100), 50 * np.ones(2))) is None


def test_errors_of_weeks_that_a_model_knows_count_as_those_of_its_validation() -> None:
    usual, later = deviates(made(np.full(100, 0.1), np.ones(50), scale=1.0))
    assert usual.mean() == later.mean() == 0


def test_a_constant_series_has_no_errors_and_no_change() -> None:
    assert change_of(made(np.zeros(100), np.zeros(50), scale=0.0)) is None


def test_a_models_errors_are_of_its_shortest_horizon_one_after_the_other(model: ServiceModel) -> None:
    history = history_of(making.history(), "frontend")
    trained = datetime.fromisoformat(model.card["last_sample"]).timestamp()
    errors = errors_of(model, history, Target.CPU, trained)
    assert errors is not None
    assert errors.horizon_seconds == 3600
    assert set(np.diff(errors.seconds)) == {3600.0}
    assert len(errors.seconds) - errors.before == 48
    assert errors.scale == model.card["report"]["horizons"]["3600"]["errors"]["cpu"]["errors"]["blend"]["mean"]


def test_of_an_old_model_the_newest_errors_are_looked_at(model: ServiceModel) -> None:
    history = history_of(making.history(days=60), "frontend")
    trained = datetime.fromisoformat(model.card["last_sample"]).timestamp()
    errors = errors_of(model, history, Target.CPU, trained)
    assert errors is not None
    assert errors.before == 21 * 24
    assert len(errors.seconds) - errors.before == 28 * 24
    assert errors.seconds[-1] == history.series.start + 60 * 86_400 - 3600


def test_what_was_chosen_is_measured_by_its_own_validation_errors(model: ServiceModel) -> None:
    learned = model.horizons[3600]
    own = {**learned.errors["cpu"]["errors"], "chosen": {"mean": 0.0125, "p95": 0.02}}
    odd = dataclasses.replace(learned, errors={**learned.errors, "cpu": {**learned.errors["cpu"], "errors": own}})
    chosen = dataclasses.replace(model, horizons={**model.horizons, 3600: odd})
    trained = datetime.fromisoformat(model.card["last_sample"]).timestamp()
    errors = errors_of(chosen, history_of(making.history(), "frontend"), Target.CPU, trained)
    assert errors is not None
    assert errors.scale == 0.0125


def test_errors_are_of_what_the_model_says_however_far_it_may_reach(model: ServiceModel) -> None:
    history = history_of(making.history(), "frontend")
    trained = datetime.fromisoformat(model.card["last_sample"]).timestamp()
    learned = model.horizons[3600]
    calibrations = {target: dataclasses.replace(one, reach=0.0) for target, one in learned.calibrations.items()}
    near = dataclasses.replace(
        model, horizons={**model.horizons, 3600: dataclasses.replace(learned, calibrations=calibrations)}
    )
    own, other = errors_of(model, history, Target.CPU, trained), errors_of(near, history, Target.CPU, trained)
    assert own is not None
    assert other is not None
    np.testing.assert_array_equal(own.forecast, other.forecast)
