"""The number for the coming horizon, from a history: it is what the backtest scores under the name `mora`."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pandas as pd
import pytest

from mora import registry
from mora.backtest.policy import decide
from mora.backtest.traces import read_service
from mora.domain import Demand, Question, Target
from mora.errors import BadInput, NotEnoughData
from mora.forecasters.curve import Curve
from mora.forecasters.prophet import FittedProphet
from mora.fusion import NAIVE
from mora.model.calibration import Calibration
from mora.model.observed import HorizonModel
from mora.model.observed_demand import ObservedAnswer, bound_of
from mora.quantities import MIB
from tests import fakes_learning as fakes

HOUR, DAY = timedelta(hours=1), timedelta(hours=24)


def answer(*, naive_share: float = 1.0, reach: float | None = None) -> ObservedAnswer:
    """A model of days: its point forecast is the last one's mean, but for a Prophet whose level is 9 cores."""
    # A steep trend: moving the curve to the level of the last day leaves a step of 9 cores to the next one.
    prophet = FittedProphet({Target.CPU: Curve(0.0, DAY.total_seconds(), 1.0, 9.0, 0.0, (), (), 0.1)})
    shares = {NAIVE: naive_share, "prophet": 1.0 - naive_share}
    calibrations = {
        t: Calibration(t, shares, 9.0, 5, True, 5, 5, 0.9, reach=reach) for t in (Target.CPU, Target.MEMORY)
    }
    costs = {"mora": 1.5, "fused": 1.75, "windows": 12.0}
    learned = HorizonModel(DAY.total_seconds(), {}, calibrations, {}, {}, costs)
    card = {"settings": {"horizon_seconds": DAY.total_seconds()}, "last_sample": "2100-01-01T00:00:00+00:00"}
    return ObservedAnswer(fakes.WORKLOAD, card, {"prophet": prophet}, {round(DAY.total_seconds()): learned})


def ask(history: pd.DataFrame, horizon: timedelta | None = None, **model: Any) -> Demand:
    return answer(**model).demand(history, Question(horizon=horizon))


@pytest.mark.parametrize("horizon", [HOUR, DAY])
def test_what_is_recommended_is_what_the_backtest_scores_under_the_name_mora(horizon: timedelta) -> None:
    history = fakes.observed(days=9)
    whole = read_service(history, "frontend")
    decisions = decide([whole], horizon_seconds=round(horizon.total_seconds()), warmup_seconds=8 * 86_400)
    rule = registry.load("replay_policies", "mora")
    for resource, target in (("cpu", Target.CPU), ("mem", Target.MEMORY)):
        scored = rule([whole], resource, decisions)[0]
        for number in {0, len(scored) - 1}:
            before = read_service(history.iloc[: decisions.at[0][number]], "frontend")
            # The replay rounds up to whole millicores and bytes, as the policy does later.
            step = 0.001 if resource == "cpu" else 1.0
            assert scored[number] - step <= bound_of(before, target, horizon).amount <= scored[number] * (1 + 1e-9)


def test_an_hour_is_bounded_by_itself_and_a_model_trained_for_a_day_can_be_asked_for_it() -> None:
    history = fakes.observed(days=9)
    day, hour = ask(history), ask(history, HOUR)
    assert day == ask(history, DAY)
    assert day.cpu is not None
    assert hour.cpu is not None
    # The history ends at 8 in the morning, before the day's peak.
    assert hour.cpu.bound < day.cpu.bound
    assert hour.cpu.point_forecast == pytest.approx(history["cpu_cores_value"].tail(12).mean(), rel=1e-5)
    assert (
        "for the next 1h (at most a tenth of the samples above), learned from 216 such windows"
        in hour.cpu.reasons[1].text
    )


def test_the_number_takes_no_buffer_and_has_the_confidence_of_its_like() -> None:
    demand = ask(fakes.observed(days=9))
    for sized in (demand.cpu, demand.memory):
        assert sized is not None
        assert not sized.takes_buffer
        assert 0.8 < sized.confidence < 1.0
        assert sized.windows == 9


def test_the_bound_is_never_below_the_mean_that_is_forecast_with_a_reason() -> None:
    history = fakes.observed(days=9)
    cpu = ask(history, naive_share=0.0).cpu
    assert cpu is not None
    assert cpu.point_forecast == pytest.approx(9 + history["cpu_cores_value"].tail(288).mean(), rel=1e-5)
    assert cpu.bound == cpu.point_forecast
    assert [reason.code for reason in cpu.reasons] == [
        "point-forecast",
        "bound-costs",
        "bound",
        "raised-to-point-forecast",
    ]


def test_a_forecast_that_lies_farther_from_the_last_horizon_than_use_ever_moved_is_kept_near_with_a_reason() -> None:
    history = fakes.observed(days=9)
    last = ask(history).cpu
    far = ask(history, naive_share=0.5).cpu
    near = ask(history, naive_share=0.5, reach=0.125).cpu
    assert last is not None
    assert far is not None
    assert near is not None
    assert far.point_forecast > last.point_forecast + 1
    assert near.point_forecast == pytest.approx(last.point_forecast + 0.5 * 0.125, rel=1e-5)
    text = next(reason.text for reason in near.reasons if reason.code == "kept-near")
    assert text.startswith("cpu: Prophet kept within 125m of the mean of the last 24h")
    assert "kept-near" not in {reason.code for reason in (*far.reasons, *last.reasons)}


def test_what_both_bounds_cost_on_validation_windows_is_a_reason_of_cpu() -> None:
    demand = ask(fakes.observed(days=9))
    assert demand.cpu is not None
    assert demand.memory is not None
    text = next(reason.text for reason in demand.cpu.reasons if reason.code == "bound-costs")
    assert text.startswith("over 12 validation windows such bounds cost 1.50 times the use")
    assert text.endswith("around the forecast 1.75")
    assert "bound-costs" not in [reason.code for reason in demand.memory.reasons]


def test_of_a_horizon_that_was_not_learned_the_last_one_is_the_forecast_with_a_reason() -> None:
    cpu = ask(fakes.observed(days=9), timedelta(hours=6)).cpu
    assert cpu is not None
    assert cpu.reasons[0].text.startswith("the model has no forecast of 6h")


def test_a_history_shorter_than_the_horizon_is_refused() -> None:
    with pytest.raises(NotEnoughData, match=r"The history is 19.2h long, shorter than one horizon of 24h") as caught:
        ask(fakes.observed(days=0.8))
    assert "--horizon 1h" in str(caught.value.hint)


def test_scaling_the_history_scales_the_bound() -> None:
    history = fakes.observed(days=5)
    plain, twice = ask(history), ask(history.assign(cpu_cores_value=2 * history["cpu_cores_value"]))
    assert plain.cpu is not None
    assert twice.cpu is not None
    assert twice.cpu.bound == pytest.approx(2 * plain.cpu.bound, rel=1e-5)


def test_what_is_missing_is_not_taken_for_idle() -> None:
    history = fakes.observed(days=9)
    holes = history[(history.index < 500) | (history.index >= 520)].reset_index(drop=True)
    plain, cut = ask(history).cpu, ask(holes).cpu
    assert plain is not None
    assert cut is not None
    assert cut.bound == pytest.approx(plain.bound, rel=0.02)


def test_a_horizon_shorter_than_the_step_is_refused() -> None:
    with pytest.raises(BadInput, match=r"A horizon of 1m is shorter than the 5m between samples"):
        ask(fakes.observed(days=5), timedelta(minutes=1))


# --- OOM kills --------------------------------------------------------------------------------------------------------


def killed(*days_ago: float, days: float = 20.0, raised_days_ago: float | None = None) -> pd.DataFrame:
    """A history with OOM kills at 300 MiB, each in the twelve rows of the hour after it, as a Prometheus tells them."""
    history = fakes.observed(days=days)
    age = history["timestamp"].max() - history["timestamp"]
    history["oom_kills"] = 0.0
    for ago in days_ago:
        since = timedelta(days=ago) - age
        history.loc[(since >= timedelta(0)) & (since < HOUR), "oom_kills"] += 1.0
    raised = timedelta(days=-1.0 if raised_days_ago is None else raised_days_ago)
    history["mem_limit_bytes"] = [512.0 * MIB if old < raised else 300.0 * MIB for old in age]
    return history


@pytest.mark.parametrize(("days_ago", "kills"), [((1.3, 2.3, 9.2), 3), ((13.5,), 1), ((15.0, 17.0), 0), ((), 0)])
def test_oom_kills_of_two_weeks_count_as_in_a_fleet(days_ago: tuple[float, ...], kills: int) -> None:
    demand = ask(killed(*days_ago))
    assert demand.oom_kills == kills
    assert demand.memory is not None
    assert (demand.oom_peak_bytes, demand.memory.is_limit_bound) == (300 * MIB if kills else None, bool(kills))


def test_the_limit_of_the_kill_counts_and_not_the_one_that_was_raised_since() -> None:
    demand = ask(killed(9.2, raised_days_ago=5.0))
    assert (demand.oom_kills, demand.oom_peak_bytes) == (1, 300 * MIB)
