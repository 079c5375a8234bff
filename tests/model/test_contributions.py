"""What the inputs of a blend add to its forecast adds up to it, whatever it is made of."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mora.backtest.history import history_of
from mora.domain import Target
from mora.domain.learning import AtRow, Contributions
from mora.errors import BadInput, MoraError, NotEnoughData
from mora.features import TARGET_COLUMNS
from mora.model.contributions import BACKGROUND, MOMENTS, NEAR, explain_forecasts
from mora.model.contributions_page import describe
from mora.model.driven_demand import readable
from mora.quantities import format_moment
from mora.shapley import last_horizon
from tests import fakes_learning as fakes
from tests.model import explaining


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    return fakes.observed(days=6)


def test_base_and_inputs_are_the_forecast_that_is_recommended(frame: pd.DataFrame) -> None:
    model = explaining.model(frame)
    for seconds in (3600.0, 86_400.0):
        found = explain_forecasts(model, frame, horizon_seconds=seconds)
        assert [one.target for one in found] == [Target.CPU, Target.MEMORY]
        grid = history_of(frame, "frontend").grid(seconds)
        learned = model.horizons[round(seconds)]
        for one in found:
            parts = learned.parts(grid, one.target, model.forecasters, len(grid))
            truth = learned.calibrations[one.target].point_forecast(parts)
            assert one.contributions.base + one.contributions.amounts[-1].sum() == pytest.approx(truth, rel=1e-6)
            assert {member.name: member.share for member in one.members} == pytest.approx(explaining.BLEND)
            assert {member.name: member.forecast for member in one.members} == pytest.approx(
                {name: parts[name] for name in explaining.BLEND}
            )
            # And every moment before, by the forecasters themselves.
            rows = np.rint((one.seconds - grid.start_seconds) / grid.step_seconds).astype(int)
            assert BACKGROUND < len(rows) <= MOMENTS + 1
            for row, forecast in zip(rows[::9].tolist(), one.contributions.forecasts[::9], strict=True):
                then = learned.parts(grid, one.target, model.forecasters, row)
                assert forecast == pytest.approx(learned.calibrations[one.target].point_forecast(then), rel=1e-6)


def test_the_base_is_the_average_of_eight_forecasts_as_the_text_says(frame: pd.DataFrame) -> None:
    for shares in (explaining.BLEND, {"slots": 1.0}):
        cpu = explain_forecasts(explaining.model(frame, shares), frame, horizon_seconds=3600.0)[0]
        rows = len(cpu.contributions.forecasts)
        assert cpu.background == BACKGROUND < rows
        usual = cpu.contributions.forecasts[np.linspace(0, rows - 1, BACKGROUND).round().astype(int)]
        assert cpu.contributions.base == pytest.approx(usual.mean(), rel=1e-6)
        assert describe(cpu)[0].endswith(
            f"The average of 8 forecasts since {format_moment(cpu.seconds[0])} is "
            f"{readable(Target.CPU, float(usual.mean()))}."
        )


def test_what_keeps_forecasters_near_is_an_input_of_its_own(frame: pd.DataFrame) -> None:
    free = explaining.model(frame)
    calibrations = {t: dataclasses.replace(one, reach=1e-3) for t, one in free.horizons[3600].calibrations.items()}
    learned = dataclasses.replace(free.horizons[3600], calibrations=calibrations)
    model = dataclasses.replace(free, horizons={**free.horizons, 3600: learned})
    grid = history_of(frame, "frontend").grid(3600.0)
    (cpu, _) = explain_forecasts(model, frame, horizon_seconds=3600.0)
    parts = learned.parts(grid, Target.CPU, model.forecasters, len(grid))
    assert NEAR in cpu.contributions.names
    assert list(cpu.importance) == sorted(cpu.importance, reverse=True)
    assert cpu.forecast == pytest.approx(calibrations[Target.CPU].point_forecast(parts), rel=1e-6)
    assert abs(cpu.forecast - parts["naive"]) <= 1e-3 * (1 + 1e-6)
    usual = np.linspace(0, len(cpu.contributions.forecasts) - 1, BACKGROUND).round().astype(int)
    assert cpu.contributions.base == pytest.approx(cpu.contributions.forecasts[usual].mean(), rel=1e-6)
    assert {member.name: member.forecast for member in cpu.members} == pytest.approx(
        {n: parts[n] for n in explaining.BLEND}
    )


def test_what_several_forecasters_start_from_is_one_input_and_the_strongest_stands_first(frame: pd.DataFrame) -> None:
    (cpu, _) = explain_forecasts(explaining.model(frame), frame, horizon_seconds=3600.0)
    assert cpu.contributions.names[0] == last_horizon(3600.0)
    assert list(cpu.importance) == sorted(cpu.importance, reverse=True)
    assert {"time of day", "trend", "CPU a day earlier", "usual at this time of day"} <= set(cpu.contributions.names)
    assert len(set(cpu.contributions.names)) == len(cpu.contributions.names)
    assert not cpu.contributions.is_exact
    exact = {member.name: member.is_exact for member in cpu.members}
    assert exact == {"prophet": True, "lstm": False, "slots": True}


def test_the_same_model_and_rows_give_the_same_values(frame: pd.DataFrame) -> None:
    first, second = (explain_forecasts(explaining.model(frame), frame)[0] for _ in range(2))
    np.testing.assert_array_equal(first.contributions.amounts, second.contributions.amounts)


@given(
    st.dictionaries(
        st.sampled_from(["prophet", "slots", "naive", "last", "yesterday"]), st.floats(0.05, 1.0), min_size=1
    )
)
@settings(max_examples=5, deadline=None)
def test_any_blend_adds_up(frame_of_two_days: pd.DataFrame, weights: dict[str, float]) -> None:
    total = sum(weights.values())
    shares = {name: weight / total for name, weight in weights.items()}
    model = explaining.model(frame_of_two_days, shares)
    grid = history_of(frame_of_two_days, "frontend").grid(3600.0)
    for one in explain_forecasts(model, frame_of_two_days, horizon_seconds=3600.0):
        parts = model.horizons[3600].parts(grid, one.target, model.forecasters, len(grid))
        truth = model.horizons[3600].calibrations[one.target].point_forecast(parts)
        assert one.forecast == pytest.approx(truth, rel=1e-6)
        assert one.contributions.is_exact


@pytest.fixture(scope="module")
def frame_of_two_days() -> pd.DataFrame:
    return fakes.observed(days=2.5)


def test_a_blend_that_has_no_forecast_is_the_naive_one(frame_of_two_days: pd.DataFrame) -> None:
    (cpu, _) = explain_forecasts(explaining.model(frame_of_two_days, {"mine": 1.0}), frame_of_two_days)
    assert [(member.name, member.share) for member in cpu.members] == [("naive", 1.0)]
    assert cpu.contributions.names == (last_horizon(86_400.0),)


class Opaque:
    """A forecaster that says nothing of its inputs."""

    reasons = ()

    def levels(self, places: Sequence[Any]) -> list[Mapping[Target, tuple[float, float]]]:
        return [
            {Target.CPU: (float(place.grid.filled[TARGET_COLUMNS[Target.CPU]][place.row - 1]) * 2, 9.0)}
            for place in places
            if isinstance(place, AtRow)
        ]


class Wrong(Opaque):
    """One whose contributions are off by a hundredth."""

    def contributions(self, grid: Any, rows: Sequence[int], background: Sequence[int], *, seed: int) -> Any:
        own = np.array([[level[Target.CPU][0]] for level in self.levels([AtRow(grid, row) for row in rows])])
        return {Target.CPU: Contributions(("last",), 0.0, own * 1.01, own)}


def with_own(frame: pd.DataFrame, forecaster: Any) -> Any:
    model = explaining.model(frame, {"mine": 0.5, "slots": 0.5})
    return dataclasses.replace(model, forecasters={**model.forecasters, "mine": forecaster})


def test_a_forecaster_that_cannot_explain_itself_counts_as_one_input(frame: pd.DataFrame) -> None:
    model = with_own(frame, Opaque())
    cpu = explain_forecasts(model, frame)[0]
    assert "forecast of mine" in cpu.contributions.names
    assert [member.is_opaque for member in cpu.members if member.name == "mine"] == [True]


def test_contributions_that_do_not_add_up_are_refused(frame: pd.DataFrame) -> None:
    with pytest.raises(MoraError, match="What mine says of its inputs does not add up to its forecast"):
        explain_forecasts(with_own(frame, Wrong()), frame)


def test_gaps_and_a_service_at_rest_are_explained_too(frame: pd.DataFrame) -> None:
    still = frame.assign(cpu_cores_value=0.0)
    still.loc[200:400, "mem_bytes_value"] = np.nan
    for one in explain_forecasts(explaining.model(frame), still):
        assert np.isfinite(one.contributions.amounts).all()
        assert one.contributions.forecasts == pytest.approx(
            one.contributions.base + one.contributions.amounts.sum(axis=1)
        )


def test_a_model_of_load_experiments_or_of_another_horizon_is_refused(frame: pd.DataFrame) -> None:
    model = explaining.model(frame)
    with pytest.raises(BadInput, match="trained on load experiments"):
        explain_forecasts(dataclasses.replace(model, card={**model.card, "driven": True}), frame)
    with pytest.raises(BadInput, match="no forecast of 6h") as raised:
        explain_forecasts(model, frame, horizon_seconds=6 * 3600.0)
    assert raised.value.hint == "It forecasts 1h, 24h: --horizon 24h."
    with pytest.raises(NotEnoughData, match="shorter than one horizon of 24h"):
        explain_forecasts(model, frame.iloc[-12:])
    with pytest.raises(NotEnoughData, match="no observed data"):
        explain_forecasts(model, frame.assign(scenario="browsing"))
