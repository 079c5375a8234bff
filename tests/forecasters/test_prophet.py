"""Prophet's numbers, read without Prophet."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from mora.domain import Load, Target
from mora.domain.learning import AfterWindow, AtLoad, AtRow, Experiments, Past, Place, Saved
from mora.errors import BadInput
from mora.features import TARGETS, segments
from mora.forecasters import prophet as room
from mora.forecasters.curve import curve_path
from mora.forecasters.horizon import lay
from mora.forecasters.prophet import FittedProphet, ProphetForecaster, fit_library, regressors_of, regressors_over
from mora.seams import Silent
from tests import fakes_learning as fakes


def fit(frame: pd.DataFrame, *, targets: tuple[Target, ...] = TARGETS, seed: int = 0) -> FittedProphet:
    return ProphetForecaster().fit(Experiments(segments(frame), (), targets), seed=seed, reporter=Silent())


def fit_past(frame: pd.DataFrame) -> FittedProphet:
    columns = {name: frame[name].to_numpy() for name in ("cpu_cores_value", "mem_bytes_value")}
    start = frame["timestamp"].iloc[0].timestamp()
    grid = lay(columns, sample_seconds=300, start_seconds=start, horizon_seconds=86_400)
    data = Past(grid, (Target.CPU, Target.MEMORY), len(grid), len(grid))
    return ProphetForecaster().fit(data, seed=0, reporter=Silent())


def library_predicts(library: object, seconds: np.ndarray, inputs: dict[str, np.ndarray]) -> np.ndarray:
    frame = pd.DataFrame({"ds": pd.to_datetime((seconds * 1e6).astype("int64"), unit="us"), **inputs})
    with room._quiet():
        said = library.predict(frame)  # type: ignore[attr-defined]  # prophet has no types
    # predict() sorts by time; regressors of equal times keep their order.
    order = np.argsort(seconds, kind="stable")
    unsorted = np.empty(len(seconds))
    unsorted[order] = said["yhat"].to_numpy()
    return unsorted


def test_the_curve_is_what_prophet_itself_predicts_on_observed_data() -> None:
    rng = np.random.default_rng(0)
    seconds = 1.79e9 + 3600.0 * np.arange(24 * 15, dtype=np.float64)
    values = 5 + np.sin(seconds / 86400 * 2 * np.pi) + 0.01 * np.arange(len(seconds)) + rng.normal(0, 0.1, len(seconds))
    with room._quiet():
        library, _ = fit_library(seconds, values, {}, {"daily": 1.0, "weekly": 7.0}, is_flat=False, seed=0)
    curve = room._curve_of(library, (), is_flat=False)
    ahead = np.concatenate([seconds, seconds[-1] + 3600.0 * np.arange(1, 200)])
    expected = library_predicts(library, ahead, {})
    np.testing.assert_allclose(curve.mean(ahead), expected, rtol=1e-9, atol=1e-9)
    assert {season.name for season in curve.seasons} == {"daily", "weekly"}


def test_the_curve_is_what_prophet_itself_predicts_on_driven_data() -> None:
    pieces = segments(fakes.driven()[0])
    made = fit(fakes.driven()[0], targets=(Target.CPU,))
    inputs = regressors_over(made.scenarios, pieces)
    seconds = np.concatenate([piece.seconds for piece in pieces])
    values = np.concatenate([piece.values["cpu_cores_value"] for piece in pieces])
    with room._quiet():
        library, _ = fit_library(seconds, values, inputs, {}, is_flat=True, seed=0)
    expected = library_predicts(library, seconds, inputs)
    np.testing.assert_allclose(made.curves[Target.CPU].mean(seconds, inputs), expected, rtol=1e-6)


def test_the_interval_is_as_wide_as_the_one_that_prophet_samples() -> None:
    from prophet import Prophet

    rng = np.random.default_rng(0)
    seconds = 1.79e9 + 3600.0 * np.arange(400)
    drift = np.cumsum(np.where(np.arange(400) % 60 == 0, rng.normal(0, 0.02, 400), 0)).cumsum()
    values = 50 + drift + rng.normal(0, 0.2, 400)
    frame = pd.DataFrame({"ds": pd.to_datetime((seconds * 1e6).astype("int64"), unit="us"), "y": values})
    with room._quiet():
        library = Prophet(
            changepoint_prior_scale=0.05,
            daily_seasonality=False,
            weekly_seasonality=False,
            yearly_seasonality=False,
            interval_width=0.9,
            uncertainty_samples=4000,
        )
        library.fit(frame, seed=0)
        np.random.seed(0)  # prophet samples with numpy's global generator
        ahead = seconds[-1] + 3600.0 * np.arange(1, 61)
        said = library.predict(pd.DataFrame({"ds": pd.to_datetime((ahead * 1e6).astype("int64"), unit="us")}))
    curve = room._curve_of(library, (), is_flat=False)
    ours = 2 * 1.6449 * curve.deviation(ahead)
    sampled = (said["yhat_upper"] - said["yhat_lower"]).to_numpy()
    np.testing.assert_allclose(ours, sampled, rtol=0.12)


def test_nothing_is_sampled_so_the_same_fit_gives_the_same() -> None:
    frame = fakes.driven(repeats=1)[0]
    one, other = fit(frame, seed=3), fit(frame, seed=3)
    assert one.save() == other.save()
    place = AfterWindow(segments(frame)[-1])
    assert one.levels([place]) == other.levels([place])
    assert set(one.levels([place])[0]) == set(Target)


def test_saved_parameters_give_the_same_numbers_to_the_last_bit() -> None:
    import json

    frame = fakes.observed(days=4)
    made = fit_past(frame)
    again = ProphetForecaster().restore(Saved(json.loads(json.dumps(made.save().document))))
    place = AfterWindow(segments(frame)[-1])
    assert again.levels([place]) == made.levels([place])
    assert again.reasons == made.reasons


def test_on_driven_data_the_load_moves_the_forecast_and_time_does_not() -> None:
    frame = fakes.driven()[0]
    made = fit(frame)
    light, heavy = (made.use_at(Target.CPU, Load("checkout", users), 2) for users in (10, 20))
    assert heavy > light * 1.2
    truth = frame.query("scenario == 'checkout' and replica_count == 2 and load_users == 20")["cpu_cores_value"].mean()
    assert heavy == pytest.approx(truth, rel=0.15)
    curve = made.curves[Target.CPU]
    inputs = regressors_of(made.scenarios, "checkout", 20.0, 2.0)
    flat = curve.mean(curve.start_seconds + np.array([0.0, 1e6]), inputs)
    assert flat[0] == flat[1]
    assert [reason.code for reason in made.reasons] == ["prophet-driven"]


def test_every_scenario_has_slopes_of_its_own() -> None:
    frame = fakes.driven()[0]
    made = fit(frame, targets=(Target.CPU,))
    assert made.use_at(Target.CPU, Load("checkout", 40), 2) > made.use_at(Target.CPU, Load("browsing", 40), 2) * 1.2
    with pytest.raises(BadInput, match=r"browsing, checkout"):
        made.use_at(Target.CPU, Load("unheard", 40), 2)


def test_a_season_that_is_not_covered_twice_is_off_with_a_reason() -> None:
    made = fit_past(fakes.observed(days=3))
    assert {season.name for season in made.curves[Target.CPU].seasons} == {"daily"}
    assert "weekly season is off: it needs 14 days of history, there are 3.0" in made.reasons[0].text


def test_a_linear_trend_is_used_where_prophet_fails_with_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> object:
        raise RuntimeError("Optimization terminated abnormally.")

    # The failure is Stan's; nothing that a caller can pass brings it about on purpose.
    monkeypatch.setattr(room, "fit_library", broken)
    frame = fakes.driven()[0]
    made = fit(frame)
    failures = [reason for reason in made.reasons if reason.code == "prophet-failed"]
    assert len(failures) == len(Target)
    assert "Optimization terminated abnormally" in failures[0].text
    assert "a linear trend is used instead" in failures[0].text
    truth = frame.query("scenario == 'browsing' and replica_count == 1 and load_users == 20")["cpu_cores_value"].mean()
    assert made.use_at(Target.CPU, Load("browsing", 20), 1) == pytest.approx(truth, rel=0.2)


def test_a_constant_series_is_forecast_as_itself() -> None:
    frame = fakes.driven(repeats=1)[0].assign(pod_restarts_value=0.0)
    frame["mem_bytes_value"] = 5e7
    made = fit(frame, targets=(Target.MEMORY,))
    assert made.use_at(Target.MEMORY, Load("browsing", 20), 2) == pytest.approx(5e7, rel=1e-6)


def test_forecasts_are_never_negative_and_the_high_level_is_not_below_the_mean() -> None:
    frame = fakes.driven()[0]
    made = fit(frame)
    loads: list[Place] = [
        AtLoad(Load("browsing", 20), 2),
        AtLoad(Load("checkout", 1), 9),
    ]
    for levels in made.levels([AfterWindow(segments(frame)[0]), *loads]):
        assert set(levels) == set(Target)
        assert all(0 <= mean <= high for mean, high in levels.values())


def test_of_a_scenario_that_was_not_driven_it_has_no_forecast() -> None:
    assert fit(fakes.driven(repeats=1)[0]).levels([AtLoad(Load("unheard", 20), 2)]) == [{}]


def test_prophet_knows_the_hour_of_the_day() -> None:
    made = fit_past(fakes.observed(days=15))
    use = fakes.observed(days=15)["cpu_cores_value"].to_numpy()
    start = fakes.observed(days=1)["timestamp"].iloc[0].timestamp()
    hour = lay({"cpu_cores_value": use}, sample_seconds=300, start_seconds=start, horizon_seconds=3600)
    ahead = curve_path(made.curves[Target.CPU], hour, "cpu_cores_value", len(hour)).mean()
    (levels,) = made.levels([AtRow(hour, len(hour))])
    assert levels[Target.CPU][0] == ahead
    # The fakes' wave in the half hour after midnight, when the history ends.
    assert ahead == pytest.approx(0.2 * (1 + 0.4 * np.sin(2 * np.pi * (0.5 - 8) / 24)), rel=0.1)
    assert [season.name for season in made.curves[Target.CPU].seasons] == ["weekly", "daily"]


def test_fitting_prints_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    fit(fakes.driven(repeats=1)[0], targets=(Target.CPU,))
    assert capfd.readouterr() == ("", "")
