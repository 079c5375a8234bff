"""Each metric against the forecast that its own past prefers, in units of a conformal interval."""

from __future__ import annotations

from functools import cache

import numpy as np
import pandas as pd
import pytest

from mora.detectors.forecast_residual import ForecastResidual
from mora.domain.learning import Saved
from mora.errors import BadInput, BadModel, NotEnoughData
from mora.features import epoch_seconds
from mora.model import ServiceModel, TrainSettings, train
from mora.model.hours import HourForecast
from mora.seams import Detector
from mora.testing import DetectorContract, examples
from tests import fakes_learning as fakes


def frame(days: float = 5, seed: int = 0, *, daily: float = 0.0, walk: float = 0.0, noise: float = 0.1) -> pd.DataFrame:
    """A sample every 5 minutes: a daily wave (steep: it jumps four times a day), a random walk, noise."""
    rows = int(288 * days)
    rng = np.random.default_rng(seed)
    wave = daily * np.sign(np.sin(2 * np.pi * (np.arange(rows) + 0.5) / 72))
    values = 10 + wave + np.cumsum(rng.normal(0, walk, rows)) + rng.normal(0, noise, rows)
    moments = pd.date_range("2026-01-01", periods=rows, freq="5min", tz="UTC")
    return pd.DataFrame({"timestamp": moments, "cpu": values})


def share_of(data: pd.DataFrame) -> tuple[float, int]:
    """How much of the same time yesterday the forecast has, and the context that it needs."""
    detector = ForecastResidual()
    detector.fit(data)
    return float(detector.save().arrays["share"][0]), detector.context


def test_the_past_of_a_metric_chooses_its_forecast() -> None:
    # Yesterday knows the jumps; a walk is where it was; of a wave with a walk each knows a part.
    assert share_of(frame(daily=3.0)) == (1.0, 289)
    assert share_of(frame(walk=0.5)) == (0.0, 4)
    assert share_of(frame(0.9, daily=3.0)) == (0.0, 4)


def test_about_one_of_a_hundred_samples_like_those_before_is_above_1() -> None:
    detector = ForecastResidual()
    detector.fit(frame(20))
    scores = detector.score(frame(20, seed=1))
    assert 0.003 < np.nanmean(scores > 1) < 0.03


def test_a_jump_that_comes_every_day_is_expected_and_one_that_does_not_is_not() -> None:
    detector, data = ForecastResidual(), frame(daily=3.0)
    detector.fit(data)
    at = np.arange(len(data))
    odd = data.assign(cpu=np.where(at == 1200, 16.0, data["cpu"]))
    assert detector.score(odd)[1200] > 5
    jumps = np.flatnonzero(np.abs(np.diff(data["cpu"])) > 5) + 1
    assert np.nanmedian(detector.score(data)[jumps[jumps > 300]]) < 1


def test_where_yesterday_is_not_known_the_recent_mean_stands_in() -> None:
    detector, data = ForecastResidual(), frame(daily=3.0)
    detector.fit(data)
    at = np.arange(len(data))
    gap = data.assign(cpu=np.where((at >= 900) & (at < 950), np.nan, data["cpu"]))
    scores = detector.score(gap)
    assert np.isfinite(scores[1188:1238]).all()
    assert np.isnan(scores[900:950]).all()


def test_a_clock_that_jumps_leaves_no_yesterday_that_is_none() -> None:
    detector, data = ForecastResidual(), frame(daily=3.0)
    detector.fit(data)
    # Half an hour is lost: the rows of a day before are other rows now.
    moved = data.assign(
        timestamp=data["timestamp"].where(np.arange(len(data)) < 700, data["timestamp"] + pd.Timedelta("30min"))
    )
    assert np.isfinite(detector.score(moved)[1:]).all()


def test_the_first_row_has_nothing_before_it() -> None:
    detector, data = ForecastResidual(), frame(walk=0.5)
    detector.fit(data)
    assert np.isnan(detector.score(data)[0])
    assert np.isfinite(detector.score(data)[1:]).all()


def test_it_needs_samples_and_a_step() -> None:
    with pytest.raises(NotEnoughData, match="40 known samples"):
        ForecastResidual().fit(frame(0.1))
    with pytest.raises(NotEnoughData, match="no step"):
        ForecastResidual().fit(frame().assign(timestamp=pd.Timestamp("2026-01-01", tz="UTC")))
    with pytest.raises(BadInput, match="not fitted"):
        ForecastResidual().score(frame())


@pytest.mark.parametrize(("name", "value"), [("share", 0.7), ("width", 0.0), ("spread", -1.0), ("middle", np.nan)])
def test_what_does_not_fit_together_is_refused(name: str, value: float) -> None:
    detector = ForecastResidual()
    detector.fit(frame())
    saved = detector.save()
    with pytest.raises(BadModel):
        ForecastResidual().restore(Saved(saved.document, {**saved.arrays, name: np.array([value])}))
    with pytest.raises(BadModel):
        ForecastResidual().restore(Saved({**saved.document, "step_seconds": 0}, saved.arrays))


# --- with the forecast of a model -------------------------------------------------------------------------------------


@cache
def model() -> ServiceModel:
    settings = TrainSettings(weights={"yesterday": 0.5, "moving-average": 0.5})
    return train(fakes.observed(days=6), {}, fakes.WORKLOAD, settings=settings)


def with_a_model() -> ForecastResidual:
    detector = ForecastResidual()
    detector.forecast = HourForecast.of(model())
    return detector


class TestWithAModel(DetectorContract):
    @pytest.fixture
    def detector(self) -> Detector:
        return with_a_model()

    @pytest.fixture
    def frame(self) -> pd.DataFrame:
        frame = examples.metrics_frame()
        return frame.assign(timestamp=pd.date_range("2026-09-01", periods=len(frame), freq="5min", tz="UTC"))


def history(days: float = 8) -> pd.DataFrame:
    return fakes.observed(days=days)[["timestamp", "cpu_cores_value", "mem_bytes_value", "net_rx_bytes_value"]]


def test_it_says_whose_forecast_it_takes_how_old_it_is_and_what_has_none() -> None:
    detector = with_a_model()
    detector.fit(history())
    digest = model().digest[:12]
    cpu, memory, left = detector.reasons
    assert cpu.startswith(f"cpu_cores_value is compared with the hour as the model {digest} of frontend forecasts it (")
    assert memory.startswith("mem_bytes_value is compared with the hour as the model")
    assert "%; trained on samples up to 2026-09-07T07:55:00Z)." in cpu
    assert left.startswith("net_rx_bytes_value: compared with the same time yesterday")
    # The last quarter of eight days begins where the model ends; of seven, three quarters of a day lie before that.
    detector.fit(history(7))
    assert detector.reasons[2].startswith("The model knew 43% of the samples that measure its errors")


def test_a_sample_is_as_far_off_as_the_models_forecast_of_its_hour_is() -> None:
    detector, data = with_a_model(), history()[["timestamp", "cpu_cores_value"]]
    detector.fit(data)
    values, seconds = data["cpu_cores_value"].to_numpy(), epoch_seconds(data)
    samples = {"cpu_cores_value": values}
    own, _ = HourForecast.of(model()).settled(seconds, samples, step=300.0, first=float(seconds[1728]))
    middle = own.at(seconds, samples)["cpu_cores_value"]
    saved = detector.save()
    off = np.abs(values - middle) / saved.arrays["spread"][0] / saved.arrays["own_width"][0]
    known = np.isfinite(off)
    assert known[1000:].all()
    np.testing.assert_allclose(detector.score(data)[known], off[known])
    # The conformal interval covers 99 % of the errors that it was measured by.
    assert 0.98 < (off[1728:] <= 1).mean() < 1


def test_forecasts_that_were_saved_and_spoilt_are_refused() -> None:
    detector = with_a_model()
    detector.fit(history())
    saved = detector.save()
    spoilt = [
        Saved({**saved.document, "forecast": {}}, saved.arrays),
        Saved(saved.document, {**saved.arrays, "own_width": np.zeros(3)}),
        Saved(saved.document, {name: one for name, one in saved.arrays.items() if name != "own_width"}),
    ]
    for one in spoilt:
        with pytest.raises(BadModel):
            ForecastResidual().restore(one)


def test_a_detector_of_before_that_had_no_forecasts_is_still_restored() -> None:
    detector, data = ForecastResidual(), frame()
    detector.fit(data)
    assert "forecast" not in detector.save().document
    other = ForecastResidual()
    other.restore(detector.save())
    np.testing.assert_array_equal(other.score(data), detector.score(data))


def test_it_can_train_a_model_on_what_it_is_fitted_on() -> None:
    detector = ForecastResidual(train="yesterday+moving-average")
    detector.fit(history())
    # Of the first three quarters, so that the errors are of samples that it has not seen.
    assert "a model of these samples' beginning" in detector.reasons[0]
    assert "trained on samples up to 2026-09-07T07:55:00Z" in detector.reasons[0]
    assert not any("The model knew" in reason for reason in detector.reasons)
    with pytest.raises(ValueError, match="magic"):
        ForecastResidual(train="magic")
    with pytest.raises(NotEnoughData):
        ForecastResidual(train="yesterday").fit(history(0.15))


def test_what_a_model_has_no_forecast_of_is_compared_with_the_stand_in() -> None:
    detector, alone = with_a_model(), ForecastResidual()
    data = history(0.5)[:42]
    detector.fit(data)
    alone.fit(data)
    assert detector.reasons[0].startswith("The samples are too few hours for a forecast of one. cpu_cores_value, mem_")
    np.testing.assert_array_equal(detector.score(data), alone.score(data))
