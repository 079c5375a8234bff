"""What a model learns between two trainings: from horizons that have ended, without doing harm."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mora.backtest.history import history_of
from mora.domain import Question, Reason, Target
from mora.model.calibration import blend
from mora.model.online import LEAST_WINDOWS, MOST_WINDOWS, Ended, as_of_now, ended_since, reweigh
from tests import fakes_learning as fakes
from tests.model import explaining


def horizons(count: int, *, seed: int = 0, scale: float = 1.0) -> list[Ended]:
    """One forecaster that is right but for noise, one that is a third too high, one that says anything."""
    rng = np.random.default_rng(seed)
    found = []
    for truth in rng.uniform(1.0, 2.0, count):
        parts = {"good": truth * rng.uniform(0.95, 1.05), "high": truth * 1.33, "any": rng.uniform(0.0, 4.0)}
        found.append(Ended({name: value * scale for name, value in parts.items()}, truth * scale))
    return found


def test_weight_moves_to_what_errs_less() -> None:
    found = reweigh({"high": 0.7, "any": 0.3}, horizons(60))
    assert found.is_on
    assert found.after < found.before
    assert found.shares["good"] > 0.8
    assert sum(found.shares.values()) == pytest.approx(1.0)


def test_where_the_shares_of_the_training_are_best_they_stay() -> None:
    shares = {"good": 1.0}
    found = reweigh(shares, horizons(60))
    assert not found.is_on
    assert found.shares == shares
    assert found.after >= found.before


def test_on_few_horizons_nothing_moves() -> None:
    shares = {"high": 1.0}
    assert reweigh(shares, horizons(LEAST_WINDOWS - 1)).shares == shares
    assert reweigh(shares, horizons(LEAST_WINDOWS)).shares != shares
    assert reweigh(shares, []).shares == shares


@given(
    st.integers(0, 1000),
    st.integers(1, 80),
    st.dictionaries(st.sampled_from(["good", "high", "any"]), st.floats(0.01, 1), min_size=1),
)
@settings(deadline=None, max_examples=40)
def test_over_the_horizons_that_have_ended_it_never_errs_more_than_no_update(
    seed: int, count: int, weights: dict[str, float]
) -> None:
    total = sum(weights.values())
    shares = {name: weight / total for name, weight in weights.items()}
    found = reweigh(shares, horizons(count, seed=seed))
    if found.is_on:
        assert found.after < found.before
    else:
        assert found.shares == shares


@given(st.floats(1e-3, 1e9))
@settings(deadline=None, max_examples=20)
def test_a_service_of_another_size_is_weighed_alike(scale: float) -> None:
    one, other = (reweigh({"high": 1.0}, horizons(40, scale=factor)) for factor in (1.0, scale))
    assert other.shares == pytest.approx(one.shares)
    assert other.before == pytest.approx(scale * one.before)


@given(st.integers(LEAST_WINDOWS, 60))
@settings(deadline=None, max_examples=20)
def test_what_came_of_a_horizon_changes_no_weight_that_it_was_forecast_with(count: int) -> None:
    ended = horizons(count)
    changed = [*ended[:-1], Ended(ended[-1].parts, 50.0)]
    before = [reweigh({"high": 1.0}, some) for some in (ended, changed)]
    truth = [some[-1].truth for some in (ended, changed)]
    # The error of the last horizon alone is another one: of the same forecast against what came.
    last = [found.after * count - reweigh({"high": 1.0}, ended[:-1]).after * (count - 1) for found in before]
    mixed = truth[0] - last[0], truth[0] + last[0]
    assert min(abs(abs(value - truth[1]) - last[1]) for value in mixed) < 1e-9


def test_a_service_that_rests_is_no_fault() -> None:
    still = [Ended({"good": 0.0, "high": 0.1}, 0.0)] * 40
    found = reweigh({"good": 1.0}, still)
    assert found.shares == {"good": 1.0}
    moved = reweigh({"high": 1.0}, still)
    assert np.isfinite(list(moved.shares.values())).all()


def test_a_forecast_that_is_no_number_turns_nothing_on() -> None:
    ended = [Ended({"good": one.truth, "high": float("nan")}, one.truth) for one in horizons(40)]
    assert reweigh({"high": 1.0}, ended).shares == {"high": 1.0}


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    return fakes.observed(days=6)


@pytest.fixture(scope="module")
def model(frame: pd.DataFrame) -> Any:
    # Trained on the first four days.
    return explaining.model(frame.iloc[: 4 * 288])


def test_horizons_after_the_training_alone_are_learnt_from_and_each_once(frame: pd.DataFrame, model: Any) -> None:
    grid = history_of(frame, "frontend").grid(3600.0)
    trained = pd.Timestamp(model.card["last_sample"]).timestamp()
    ended = ended_since(model.horizons[3600], model.forecasters, grid, [Target.CPU], trained)[Target.CPU]
    assert len(ended) == 48
    assert set(ended[0].parts) >= {"prophet", "lstm", "naive", "last", "slots", "yesterday"}
    truth = grid.means["cpu_cores_value"][len(grid) - 12 :].mean()
    assert ended[-1].truth == pytest.approx(truth)
    all_of_it = ended_since(model.horizons[3600], model.forecasters, grid, [Target.CPU], 0.0)[Target.CPU]
    assert len(all_of_it) == min(MOST_WINDOWS, len(grid) // 12 - 1)


def test_a_horizon_that_begins_with_the_trainings_last_sample_is_not_learnt_from(
    frame: pd.DataFrame, model: Any
) -> None:
    # Without the newest sample, horizons counted back from now begin one sample earlier: the first with that sample.
    grid = history_of(frame.iloc[:-1], "frontend").grid(3600.0)
    trained = pd.Timestamp(model.card["last_sample"]).timestamp()
    ended = ended_since(model.horizons[3600], model.forecasters, grid, [Target.CPU], trained)[Target.CPU]
    assert len(ended) == 47


class Failing:
    """A forecaster that some rows of the past are too much for."""

    reasons = ()

    def __init__(self, now: int, said: float | None) -> None:
        self.now, self.said = now, said

    def levels(self, places: Sequence[Any]) -> list[dict[Target, tuple[float, float]]]:
        if any(place.row < self.now for place in places) and self.said is None:
            raise ArithmeticError("it does not converge")
        return [
            {Target.CPU: (0.2, 0.3) if place.row >= self.now or self.said is None else (self.said, self.said)}
            for place in places
        ]


@pytest.mark.parametrize("said", [None, float("nan"), float("inf")])
def test_what_fails_on_a_horizon_of_the_past_costs_no_answer(
    frame: pd.DataFrame, model: Any, said: float | None
) -> None:
    grid = history_of(frame, "frontend").grid(3600.0)
    odd = dataclasses.replace(model, forecasters={**model.forecasters, "mine": Failing(len(grid), said)})
    usual, _ = as_of_now(model.horizons[3600], model.forecasters, grid, model.card)[Target.CPU]
    calibration, reasons = as_of_now(odd.horizons[3600], odd.forecasters, grid, odd.card)[Target.CPU]
    assert calibration.shares == usual.shares
    assert [reason.code for reason in reasons] == ["weighed-anew"]


def test_a_demand_is_of_the_shares_of_now_with_the_reason(frame: pd.DataFrame, model: Any) -> None:
    grid = history_of(frame, "frontend").grid(3600.0)
    calibration, reasons = as_of_now(model.horizons[3600], model.forecasters, grid, model.card)[Target.CPU]
    assert [reason.code for reason in reasons] == ["weighed-anew"]
    assert reasons[0].text.startswith(
        "cpu: weighed anew by 48 horizons of 1h since the training, with which forecasts "
    )
    assert calibration.shares != explaining.BLEND
    demand = model.demand(frame, Question(horizon=pd.Timedelta(hours=1).to_pytimedelta()))
    parts = model.horizons[3600].parts(grid, Target.CPU, model.forecasters, len(grid))
    assert demand.cpu.point_forecast == pytest.approx(blend(calibration.shares, parts), rel=1e-5)
    assert "weighed-anew" in [reason.code for reason in demand.cpu.reasons]


class Counting:
    """A forecaster that counts how often it is asked."""

    reasons = ()

    def __init__(self) -> None:
        self.asked = 0

    def levels(self, places: Sequence[Any]) -> list[dict[Target, tuple[float, float]]]:
        self.asked += 1
        return [{Target.CPU: (0.2, 0.3), Target.MEMORY: (1e8, 2e8)} for _ in places]


def test_every_forecaster_is_asked_once_for_all_targets(frame: pd.DataFrame, model: Any) -> None:
    counting = Counting()
    learned = dataclasses.replace(model.horizons[3600], forecasters={"mine": counting})
    counted = dataclasses.replace(model, horizons={3600: learned})
    demand = counted.demand(frame, Question(horizon=pd.Timedelta(hours=1).to_pytimedelta()))
    codes = [reason.code for target in (demand.cpu, demand.memory) for reason in target.reasons]
    assert codes.count("weighed-anew") + codes.count("weights-as-trained") == 2
    # Once of the horizons that have ended; then of the one that comes, for each target.
    assert counting.asked == 3


def test_two_days_are_too_few_for_days_and_that_is_a_reason(frame: pd.DataFrame, model: Any) -> None:
    grid = history_of(frame, "frontend").grid(86_400.0)
    calibration, reasons = as_of_now(model.horizons[86_400], model.forecasters, grid, model.card)[Target.CPU]
    assert calibration.shares == explaining.BLEND
    assert [reason.text for reason in reasons] == [
        "cpu: the weights stay as trained; of 24 horizons of 24h that it takes to weigh them anew, 2 ended since the "
        "training"
    ]


def test_just_trained_or_asked_for_by_name_a_model_stays_as_it_is(frame: pd.DataFrame, model: Any) -> None:
    grid = history_of(frame, "frontend").grid(3600.0)
    fresh = explaining.model(frame)
    assert as_of_now(fresh.horizons[3600], fresh.forecasters, grid, fresh.card)[Target.CPU][1] == ()
    learned = model.horizons[3600]
    forced = dataclasses.replace(learned.calibrations[Target.CPU], reasons=(Reason("model-forced", "asked for"),))
    asked = dataclasses.replace(learned, calibrations={Target.CPU: forced})
    assert as_of_now(asked, model.forecasters, grid, model.card)[Target.CPU] == (forced, ())


def test_the_forecast_that_is_explained_is_that_of_now(frame: pd.DataFrame, model: Any) -> None:
    from mora.model.contributions import explain_forecasts

    demand = model.demand(frame, Question(horizon=pd.Timedelta(hours=1).to_pytimedelta()))
    cpu = explain_forecasts(model, frame, horizon_seconds=3600.0)[0]
    assert cpu.forecast == pytest.approx(demand.cpu.point_forecast, rel=1e-5)
