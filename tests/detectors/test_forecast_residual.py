"""Each metric against the forecast that its own past prefers, in units of a conformal interval."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from mora.detectors.forecast_residual import ForecastResidual
from mora.domain.learning import Saved
from mora.errors import BadInput, BadModel, NotEnoughData


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
