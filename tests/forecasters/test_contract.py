"""What every registered forecaster keeps, whatever it is made of."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from mora import registry
from mora.domain import Target
from mora.seams import Forecaster
from tests import fakes_learning as fakes

pytestmark = pytest.mark.slow  # the LSTM is really fitted


@pytest.fixture(scope="module", params=registry.names("forecasters"))
def fitted(request: pytest.FixtureRequest) -> tuple[Forecaster, pd.DataFrame]:
    frame = fakes.driven(repeats=1, users=(10, 20))[0]
    made: Any = registry.load("forecasters", request.param)()
    made.fit([frame], driven=True, seed=0)
    return made, frame


def test_it_goes_by_its_registered_name(fitted: tuple[Forecaster, pd.DataFrame]) -> None:
    assert fitted[0].name in registry.names("forecasters")


def test_every_target_gets_finite_steps_within_their_bounds(fitted: tuple[Forecaster, pd.DataFrame]) -> None:
    made, frame = fitted
    forecasts = made.forecast(frame, 30)
    assert set(forecasts) == set(Target)
    for target, forecast in forecasts.items():
        assert forecast.target is target
        for steps in (forecast.mean, forecast.lower, forecast.upper):
            assert steps.shape == (30,)
            assert np.isfinite(steps).all()
        assert (forecast.lower >= 0).all()
        assert (forecast.lower <= forecast.mean + 1e-9).all()
        assert (forecast.mean <= forecast.upper + 1e-9).all()


def test_a_wider_level_never_gives_a_narrower_band(fitted: tuple[Forecaster, pd.DataFrame]) -> None:
    made, frame = fitted
    for target, narrow in made.forecast(frame, 30, level=0.5).items():
        wide = made.forecast(frame, 30, level=0.95)[target]
        assert (wide.upper >= narrow.upper).all()


def test_asking_twice_gives_the_same(fitted: tuple[Forecaster, pd.DataFrame]) -> None:
    made, frame = fitted
    for target, forecast in made.forecast(frame, 30).items():
        np.testing.assert_array_equal(forecast.upper, made.forecast(frame, 30)[target].upper)


def test_what_it_is_given_is_not_changed(fitted: tuple[Forecaster, pd.DataFrame]) -> None:
    made, frame = fitted
    before = frame.copy(deep=True)
    made.forecast(frame, 30)
    pd.testing.assert_frame_equal(frame, before)
