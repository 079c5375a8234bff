"""The yardstick."""

from __future__ import annotations

import pandas as pd
import pytest

from mora.domain import Load, Target
from mora.domain.learning import AfterWindow, AtLoad, AtRow, Experiments, Level
from mora.features import TARGETS, segments
from mora.forecasters.horizon import lay
from mora.forecasters.naive import FittedNaive, NaiveForecaster
from mora.seams import Silent
from tests import fakes_learning as fakes


def frame() -> pd.DataFrame:
    return fakes.driven(repeats=1, scenarios=("browsing",), replicas=(1,), users=(10,))[0]


def after(rows: pd.DataFrame) -> Level:
    pieces = segments(rows)
    fitted = NaiveForecaster().fit(Experiments(pieces, (), TARGETS), seed=0, reporter=Silent())
    return fitted.levels([AfterWindow(pieces[-1])])[0][Target.CPU]


def test_the_next_steps_are_the_mean_of_the_last_window() -> None:
    mean, high = after(frame())
    assert mean == pytest.approx(frame()["cpu_cores_value"].tail(30).mean())
    assert high == pytest.approx(frame()["cpu_cores_value"].tail(30).quantile(0.95))


@pytest.mark.parametrize("scale", [0.001, 1000.0])
def test_scaling_the_history_scales_the_forecast(scale: float) -> None:
    scaled = frame().assign(cpu_cores_value=frame()["cpu_cores_value"] * scale)
    for one, other in zip(after(frame()), after(scaled), strict=True):
        assert other == pytest.approx(one * scale)


def test_the_next_horizon_is_the_mean_of_the_last_one() -> None:
    use = fakes.observed(days=3)["cpu_cores_value"].to_numpy()
    grid = lay({"cpu_cores_value": use}, sample_seconds=300, start_seconds=0, horizon_seconds=86_400)
    (levels,) = FittedNaive().levels([AtRow(grid, len(grid))])
    assert set(levels) == {Target.CPU}
    assert levels[Target.CPU][0] == pytest.approx(use[-288:].mean())


def test_of_a_load_and_of_a_history_without_a_past_it_has_no_forecast() -> None:
    grid = lay({"cpu_cores_value": frame()["cpu_cores_value"].to_numpy()}, sample_seconds=300, start_seconds=0,
               horizon_seconds=3600)  # fmt: skip
    assert FittedNaive().levels([AtLoad(Load("browsing", 10), 1), AtRow(grid, 0)]) == [{}, {}]
