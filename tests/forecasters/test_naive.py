"""The yardstick."""

from __future__ import annotations

import pytest

from mora.domain import Target
from mora.forecasters.naive import NaiveForecaster
from tests import fakes_learning as fakes


def test_the_next_steps_are_the_mean_of_the_last_window() -> None:
    frame = fakes.driven(repeats=1, scenarios=("browsing",), replicas=(1,), users=(10,))[0]
    forecast = NaiveForecaster().forecast(frame, 30)[Target.CPU]
    assert forecast.mean[0] == forecast.mean[29] == pytest.approx(frame["cpu_cores_value"].tail(30).mean())
    assert (forecast.lower <= forecast.mean).all()
    assert (forecast.mean <= forecast.upper).all()


@pytest.mark.parametrize("scale", [0.001, 1000.0])
def test_scaling_the_history_scales_the_forecast(scale: float) -> None:
    frame = fakes.driven(repeats=1, scenarios=("browsing",), replicas=(1,), users=(10,))[0]
    scaled = frame.assign(cpu_cores_value=frame["cpu_cores_value"] * scale)
    one, other = (NaiveForecaster().forecast(f, 5)[Target.CPU] for f in (frame, scaled))
    assert other.mean[0] == pytest.approx(one.mean[0] * scale)
    assert other.upper[0] == pytest.approx(one.upper[0] * scale)
