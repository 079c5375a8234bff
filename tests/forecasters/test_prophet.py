"""Prophet's numbers, read without Prophet."""

from __future__ import annotations

import subprocess
import sys
from datetime import timedelta

import numpy as np
import pandas as pd
import pytest

from mora.domain import Load, Target
from mora.errors import BadInput
from mora.features import TARGET_COLUMNS, segments
from mora.forecasters import prophet as room
from mora.forecasters.prophet import Curve, ProphetForecaster, fit_library, fit_line
from tests import fakes_learning as fakes


def library_says(library: object, seconds: np.ndarray, inputs: dict[str, np.ndarray]) -> np.ndarray:
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
    expected = library_says(library, ahead, {})
    np.testing.assert_allclose(curve.mean(ahead), expected, rtol=1e-9, atol=1e-9)
    assert {season.name for season in curve.seasons} == {"daily", "weekly"}


def test_the_curve_is_what_prophet_itself_predicts_on_driven_data() -> None:
    pieces = segments(fakes.driven()[0])
    made = ProphetForecaster([Target.CPU])
    made.fit_segments(pieces, driven=True, seed=0)
    inputs = made._regressors_of(pieces)
    seconds = np.concatenate([piece.seconds for piece in pieces])
    values = np.concatenate([piece.values["cpu_cores_value"] for piece in pieces])
    with room._quiet():
        library, _ = fit_library(seconds, values, inputs, {}, is_flat=True, seed=0)
    expected = library_says(library, seconds, inputs)
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


def test_nothing_is_sampled_so_the_same_fit_says_the_same() -> None:
    frame = fakes.driven(repeats=1)[0]
    one, other = ProphetForecaster(), ProphetForecaster()
    for made in (one, other):
        made.fit([frame], driven=True, seed=3)
    assert one.to_dict() == other.to_dict()
    first, second = one.forecast(frame, 30), other.forecast(frame, 30)
    for target in Target:
        np.testing.assert_array_equal(first[target].upper, second[target].upper)


def test_saved_parameters_give_the_same_numbers_to_the_last_bit() -> None:
    import json

    frame = fakes.observed(days=4)
    made = ProphetForecaster()
    made.fit([frame], driven=False, seed=0)
    again = ProphetForecaster.from_dict(json.loads(json.dumps(made.to_dict())))
    for target in Target:
        np.testing.assert_array_equal(made.forecast(frame, 30)[target].mean, again.forecast(frame, 30)[target].mean)
    assert again.reasons == made.reasons


def test_on_driven_data_the_load_moves_the_forecast_and_time_does_not() -> None:
    frame = fakes.driven()[0]
    made = ProphetForecaster()
    made.fit([frame], driven=True, seed=0)
    light, heavy = (made.at(Target.CPU, Load("checkout", users), 2) for users in (10, 20))
    assert heavy > light * 1.2
    truth = frame.query("scenario == 'checkout' and replica_count == 2 and load_users == 20")["cpu_cores_value"].mean()
    assert heavy == pytest.approx(truth, rel=0.15)
    curve = made.curves[Target.CPU]
    inputs = made._inputs("checkout", 20.0, 2.0)
    flat = curve.mean(curve.start_seconds + np.array([0.0, 1e6]), inputs)
    assert flat[0] == flat[1]
    assert [reason.code for reason in made.reasons] == ["prophet-driven"]


def test_every_scenario_has_slopes_of_its_own() -> None:
    frame = fakes.driven()[0]
    made = ProphetForecaster([Target.CPU])
    made.fit([frame], driven=True, seed=0)
    assert made.at(Target.CPU, Load("checkout", 40), 2) > made.at(Target.CPU, Load("browsing", 40), 2) * 1.2
    with pytest.raises(BadInput, match=r"browsing, checkout"):
        made.at(Target.CPU, Load("unheard", 40), 2)


def test_a_season_that_is_not_covered_twice_is_off_and_said() -> None:
    made = ProphetForecaster()
    made.fit([fakes.observed(days=3)], driven=False, seed=0)
    assert {season.name for season in made.curves[Target.CPU].seasons} == {"daily"}
    assert "weekly season is off: it wants 14 days of history, there are 3.0" in made.reasons[0].text


def test_a_linear_trend_stands_in_where_prophet_fails_and_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> object:
        raise RuntimeError("Optimization terminated abnormally.")

    # The failure is Stan's; nothing that a caller can pass brings it about on purpose.
    monkeypatch.setattr(room, "fit_library", broken)
    frame = fakes.driven()[0]
    made = ProphetForecaster()
    made.fit([frame], driven=True, seed=0)
    failures = [reason for reason in made.reasons if reason.code == "prophet-failed"]
    assert len(failures) == len(Target)
    assert "Optimization terminated abnormally" in failures[0].text
    assert "a linear trend stands in" in failures[0].text
    truth = frame.query("scenario == 'browsing' and replica_count == 1 and load_users == 20")["cpu_cores_value"].mean()
    assert made.at(Target.CPU, Load("browsing", 20), 1) == pytest.approx(truth, rel=0.2)


def test_a_line_through_a_line_is_that_line() -> None:
    seconds = 1.79e9 + np.arange(100.0)
    curve = fit_line(seconds, 3.0 + 0.5 * np.arange(100.0), {}, is_flat=False)
    assert curve.mean(np.array([seconds[0] + 200.0]))[0] == pytest.approx(103.0)


def test_a_constant_series_is_forecast_as_itself() -> None:
    frame = fakes.driven(repeats=1)[0].assign(pod_restarts_value=0.0)
    frame["mem_bytes_value"] = 5e7
    made = ProphetForecaster([Target.MEMORY])
    made.fit([frame], driven=True, seed=0)
    assert made.at(Target.MEMORY, Load("browsing", 20), 2) == pytest.approx(5e7, rel=1e-6)


def test_forecasts_are_never_negative_and_bounds_surround_the_mean() -> None:
    frame = fakes.driven()[0]
    made = ProphetForecaster()
    made.fit([frame], driven=True, seed=0)
    for forecast in made.forecast(frame, 30).values():
        assert (forecast.lower >= 0).all()
        assert (forecast.lower <= forecast.mean + 1e-12).all()
        assert (forecast.mean <= forecast.upper + 1e-12).all()
        assert forecast.mean.shape == (30,)
        assert forecast.step == timedelta(seconds=1)


def test_reading_a_curve_does_not_import_prophet() -> None:
    code = (
        "import sys, numpy as np; from mora.forecasters.prophet import Curve;"
        "Curve(0.0, 1.0, 1.0, 0.0, 1.0, (), (), 0.1, is_flat=True).mean(np.zeros(3));"
        "assert not {'prophet', 'cmdstanpy', 'pandas'} & set(sys.modules), sorted(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_fitting_prints_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    made = ProphetForecaster([Target.CPU])
    made.fit([fakes.driven(repeats=1)[0]], driven=True, seed=0)
    assert capfd.readouterr() == ("", "")


def test_the_noise_of_a_curve_is_in_the_targets_unit() -> None:
    curve = Curve(0.0, 1.0, 200.0, 0.0, 1.0, (), (), 0.05, is_flat=True)
    assert curve.deviation(np.zeros(2)).tolist() == [10.0, 10.0]
    assert TARGET_COLUMNS[Target.CPU] == "cpu_cores_value"
