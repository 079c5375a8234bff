"""A service learnt, kept, asked: on synthetic runs that look like the sandbox's."""

from __future__ import annotations

import json
import math
import pickle
import shutil
import subprocess
import sys
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mora.domain import Question, Reason, Slo, Target, TargetDemand
from mora.errors import BadInput, BadModel, MoraError, NotEnoughData
from mora.forecasters.keras_fit import LstmSettings
from mora.model import ServiceModel, TrainSettings, train
from mora.model import driven as driven_room
from mora.model.calibration import Calibration, ValidationWindow, calibrate
from mora.model.driven_demand import largest
from mora.model.folder import CARD
from mora.model.service import _with_known_load
from mora.model.settings import PRIOR_MULTIPLIER_DRIVEN, PRIOR_RATE
from mora.response import LoadResponse
from tests import fakes_learning as fakes

QUICK = TrainSettings(lstm=LstmSettings(max_epochs=4))
Data = tuple[pd.DataFrame, dict[str, dict[str, object]]]


@pytest.fixture(scope="module")
def data() -> Data:
    return fakes.driven()


@pytest.fixture(scope="module")
def model(data: Data) -> ServiceModel:
    return train(*data, fakes.WORKLOAD, settings=QUICK)


@pytest.fixture(scope="module")
def watched() -> tuple[pd.DataFrame, ServiceModel]:
    history = fakes.observed(days=8)
    return history, train(history, {}, fakes.WORKLOAD, settings=QUICK)


@pytest.fixture
def folder(model: ServiceModel, tmp_path: Path) -> Path:
    model.save(tmp_path / "frontend")
    return tmp_path / "frontend"


# --- what is held out ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def response(data: Data) -> LoadResponse:
    return LoadResponse.fit(*data)


@given(st.integers(0, 1000))
def test_repeats_of_a_cell_are_never_on_both_sides_of_a_split(response: LoadResponse, seed: int) -> None:
    split = driven_room.split_cells(response.runs, seed=seed)
    parts = (split.fit, split.choose, split.score)
    assert sorted(name for part in parts for name in part) == sorted(run.experiment_id for run in response.runs)
    cells = [{driven_room.cell_of(run) for run in response.runs if run.experiment_id in part} for part in parts]
    assert sum(len(part) for part in cells) == len(set().union(*cells))
    for part in cells:
        assert {cell[0] for cell in part} == {"browsing", "checkout"}
    assert [len(part) for part in parts] == [16, 12, 8]


def test_with_few_cells_one_stops_the_network_and_none_scores() -> None:
    few = LoadResponse.fit(*fakes.driven(replicas=(1, 2), users=(20,), repeats=1))
    split = driven_room.split_cells(few.runs, seed=0)
    assert (len(split.fit), len(split.choose), len(split.score)) == (3, 1, 0)


# --- calibration -----------------------------------------------------------------------------------------------------


def horizon(index: int, role: str, *, point_forecast: float = 1.0, needed: float = 1.1) -> ValidationWindow:
    parts = {"prophet": point_forecast, "lstm": point_forecast, "naive": point_forecast}
    return ValidationWindow(f"{index}", "choose" if role == "choose" else "score", parts, point_forecast, needed)


def calibration_of(windows: list[ValidationWindow]) -> Calibration:
    return calibrate(Target.CPU, windows, prior_multiplier=1.3, settings=TrainSettings())


def test_holds_that_chose_do_not_count_for_confidence() -> None:
    choosing = [horizon(index, "choose") for index in range(20)]
    assert calibration_of(choosing).confidence == pytest.approx(PRIOR_RATE[Target.CPU])
    scored = calibration_of([*choosing, *(horizon(index, "score") for index in range(8))])
    assert (scored.kept, scored.windows) == (8, 8)
    assert scored.confidence == pytest.approx((8 + 8 * PRIOR_RATE[Target.CPU]) / 16)


def test_a_promise_that_was_broken_lowers_confidence() -> None:
    choosing = [horizon(index, "choose") for index in range(20)]
    broken = calibration_of([*choosing, *(horizon(index, "score", needed=5.0) for index in range(8))])
    assert broken.kept == 0
    assert broken.confidence < 0.5


def test_scoring_holds_move_neither_weights_nor_bound() -> None:
    choosing = [horizon(index, "choose") for index in range(20)]
    one = calibration_of(choosing)
    other = calibration_of([*choosing, *(horizon(index, "score", needed=9.0) for index in range(20))])
    assert (one.shares, one.multiplier) == (other.shares, other.multiplier)


@given(st.lists(st.tuples(st.floats(0.1, 10), st.floats(0.1, 10)), min_size=1, max_size=25))
def test_calibration_is_free_of_units(rows: list[tuple[float, float]]) -> None:
    def windows(scale: float) -> list[ValidationWindow]:
        found = []
        for index, (point_forecast, needed) in enumerate(rows):
            role = "choose" if index % 3 else "score"
            found.append(horizon(index, role, point_forecast=point_forecast * scale, needed=needed * scale))
        return found

    one, other = calibration_of(windows(1.0)), calibration_of(windows(2.0**20))
    assert one.shares == other.shares
    assert one.multiplier == pytest.approx(other.multiplier, rel=1e-9)
    assert (one.kept, one.confidence) == (other.kept, other.confidence)


def test_over_time_a_hold_bounds_later_ones_only_after_it_was_scored() -> None:
    def at(age: float, role: str, needed: float) -> ValidationWindow:
        return replace(horizon(int(age), role, needed=needed), age=age)

    def calibrated(*windows: ValidationWindow) -> Calibration:
        settings = TrainSettings()
        return calibrate(Target.CPU, windows, prior_multiplier=1.3, settings=settings, half_life_windows=7.0)

    past = [at(30.0 - index, "choose", 1.1) for index in range(20)]
    first, second = at(5.0, "score", 3.0), at(3.0, "score", 3.0)
    both = calibrated(*past, first, second)
    # The first surprise breaks its promise; what it taught lifts the bound for what follows.
    assert (both.kept, both.windows) == (1, 2)
    assert both.multiplier >= 3.0
    assert calibrated(*past, first).kept == 0
    overlapping = at(4.5, "score", 3.0)
    assert calibrated(*past, first, overlapping).kept == 0


def test_few_holds_take_the_figure_of_other_services_and_say_so() -> None:
    few = calibration_of([horizon(index, "choose") for index in range(4)])
    assert few.multiplier == 1.3
    assert few.is_prior
    assert "4 held-out stretches of cpu are too few" in few.reasons[-1].text


# --- a trained service -----------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_every_target_is_reported_beside_the_naive_forecast(model: ServiceModel) -> None:
    tables = model.report["next_steps"]
    assert set(tables) == {"cpu", "memory", "replicas"}
    for table in tables.values():
        assert set(table["errors"]) == {"prophet", "lstm", "blend", "naive"}
        assert (table["experiments"], table["stretches"]) == (8, 24)  # three full horizons in each of 62 samples
        assert sum(table["shares"].values()) == pytest.approx(1.0)
        for error in table["errors"].values():
            assert math.isfinite(error["mean"])
            assert math.isfinite(error["p95"])
    assert tables["replicas"]["errors"]["naive"]["mean"] == 0.0


@pytest.mark.slow
def test_the_blend_is_not_clearly_worse_than_the_naive_forecast(model: ServiceModel) -> None:
    for target in ("cpu", "memory"):
        errors = model.report["next_steps"][target]["errors"]
        assert errors["blend"]["mean"] <= errors["naive"]["mean"] * 1.5


@pytest.mark.slow
def test_without_a_load_the_highest_that_kept_the_slo_is_meant_and_said(model: ServiceModel, data: Data) -> None:
    demand = model.demand(data[0])
    assert demand.load is not None
    assert demand.load.users == 40
    assert demand.reasons[0].code == "highest-load-within-slo"
    assert demand.cpu is not None
    assert demand.memory is not None
    assert demand.replicas is not None
    truth = data[0].query(
        f"scenario == '{demand.load.scenario}' and load_users == 40"
        f" and replica_count == {demand.replicas.point_forecast}"
    )
    assert demand.cpu.point_forecast == pytest.approx(truth["cpu_cores_value"].mean(), rel=0.15)
    assert demand.memory.point_forecast == pytest.approx(truth["mem_bytes_value"].mean(), rel=0.15)
    for sized in (demand.cpu, demand.memory):
        assert sized.bound >= sized.point_forecast
        assert 0 <= sized.confidence <= 1
    assert demand.memory.bound >= truth["mem_bytes_value"].max() * 0.98
    assert (demand.startup_cpu_cores, demand.oom_kills) == (0.12, 0)


@pytest.mark.slow
def test_every_number_tells_its_arithmetic(model: ServiceModel, data: Data) -> None:
    cpu = model.demand(data[0]).cpu
    assert cpu is not None
    codes = [reason.code for reason in cpu.reasons]
    assert codes[:2] == ["centre", "bound"]
    assert "mean use = " in cpu.reasons[0].text
    assert "held-out stretches" in cpu.reasons[1].text


@pytest.mark.slow
def test_more_users_never_need_fewer_replicas_and_the_pod_is_sized_at_that_count(
    model: ServiceModel, data: Data
) -> None:
    answers = [model.demand(data[0], Question(users=users, scenario="checkout")) for users in (10, 20, 40, 60)]
    counts = [answer.replicas.point_forecast for answer in answers if answer.replicas is not None]
    assert counts == sorted(counts)
    packed = model.demand(data[0], Question(users=20, scenario="checkout", replicas=1))
    spread = model.demand(data[0], Question(users=20, scenario="checkout", replicas=3))
    assert packed.cpu is not None
    assert spread.cpu is not None
    assert packed.cpu.point_forecast > spread.cpu.point_forecast * 1.5


@pytest.mark.slow
def test_a_load_far_beyond_what_was_driven_gets_a_reason_and_no_number(model: ServiceModel, data: Data) -> None:
    demand = model.demand(data[0], Question(users=61, scenario="browsing"))
    assert (demand.cpu, demand.memory, demand.replicas) == (None, None, None)
    assert demand.reasons[-1].code == "beyond-driven-load"
    assert "61 users of browsing are more than 1.5x the highest load driven (40 users)" in demand.reasons[-1].text
    within = model.demand(data[0], Question(users=60, scenario="browsing"))
    assert within.cpu is not None


@pytest.mark.slow
def test_a_cell_that_was_never_driven_has_the_bound_of_undriven_cells(model: ServiceModel, data: Data) -> None:
    driven = model.demand(data[0], Question(users=20, scenario="browsing", replicas=2)).cpu
    between = model.demand(data[0], Question(users=25, scenario="browsing", replicas=2)).cpu
    assert driven is not None
    assert between is not None
    multiplier = model.calibrations["undriven"]["cpu"].multiplier
    assert between.bound >= between.point_forecast * multiplier * (1 - 1e-5)


@pytest.mark.slow
def test_use_that_was_throttled_is_said_to_be_at_least(model: ServiceModel, data: Data) -> None:
    cpu = model.demand(data[0], Question(users=40, scenario="checkout", replicas=1)).cpu
    assert cpu is not None
    assert cpu.pinned
    assert cpu.bound >= fakes.CPU_LIMIT_CORES
    assert any(reason.code == "limit-bound" for reason in cpu.reasons)


@pytest.mark.slow
def test_where_no_load_kept_the_slo_it_is_said(model: ServiceModel, data: Data) -> None:
    demand = model.demand(data[0], Question(slo=Slo(p95_seconds=0.001)))
    assert demand.replicas is None
    assert demand.reasons[0].code == "no-load-kept-slo"
    assert demand.cpu is not None
    assert any(reason.code == "sized-at-fewest-replicas" for reason in demand.reasons)


@pytest.mark.slow
def test_where_no_count_can_be_promised_the_pod_is_sized_for_the_replicas_that_stay(
    model: ServiceModel, data: Data
) -> None:
    impossible = Slo(p95_seconds=0.001)
    unknown = model.demand(data[0], Question(users=20, scenario="checkout", slo=impossible))
    state = model.demand(data[0], Question(users=20, scenario="checkout", slo=impossible), current_replicas=3)
    assert state.replicas is None
    assert state.cpu is not None
    assert unknown.cpu is not None
    assert unknown.cpu.bound > 1.5 * state.cpu.bound
    assert any(reason.code == "sized-at-standing-replicas" for reason in state.reasons)
    capped = model.demand(data[0], Question(users=40, scenario="checkout", max_replicas=1), current_replicas=1)
    assert capped.replicas is None
    assert capped.cpu is not None
    assert capped.cpu.pinned


@pytest.mark.slow
def test_replicas_are_as_sure_as_what_was_tested(model: ServiceModel, data: Data) -> None:
    seen = {question: targets["replicas"].confidence for question, targets in model.calibrations.items()}
    driven = model.demand(data[0], Question(users=20, scenario="checkout")).replicas
    between = model.demand(data[0], Question(users=25, scenario="checkout")).replicas
    assert driven is not None
    assert between is not None
    assert (driven.confidence, between.confidence) == (seen["driven"], seen["undriven"])
    assert "confidence-in-other-slo" not in [reason.code for reason in driven.reasons]
    stricter = model.demand(data[0], Question(users=20, scenario="checkout", slo=Slo(p95_seconds=0.25))).replicas
    assert stricter is not None
    assert stricter.reasons[-1].code == "confidence-in-other-slo"
    assert "p95 300ms" in stricter.reasons[-1].text
    tighter = model.demand(data[0], Question(users=20, scenario="checkout", target_utilisation=0.9)).replicas
    assert tighter is not None
    assert "target utilisation of 70%, not of 90%" in tighter.reasons[-1].text


@pytest.mark.slow
def test_replicas_that_were_asked_for_are_no_promise(model: ServiceModel, data: Data) -> None:
    assert model.demand(data[0], Question(users=40, scenario="checkout", replicas=1)).replicas is None


def test_the_words_of_a_larger_scenario_come_with_its_number() -> None:
    def needs(point_forecast: float, bound: float, scenario: str, *, pinned: bool = False) -> TargetDemand:
        reasons = [Reason("centre", f"{scenario}: {point_forecast}"), Reason("bound", f"{scenario}: {bound}")]
        reasons += [Reason("limit-bound", f"{scenario} was held")] if pinned else []
        return TargetDemand(point_forecast, bound, bound, 0.9, 5, pinned, tuple(reasons))

    answers: list[tuple[TargetDemand | None, tuple[Reason, ...]]] = [
        (needs(0.1, 0.3, "checkout"), ()),
        (needs(0.2, 0.25, "browsing", pinned=True), ()),
    ]
    most, ruling, why = largest(answers)
    assert (ruling, why) == (0, ())
    assert most is not None
    assert (most.point_forecast, most.bound, most.pinned) == (0.2, 0.3, True)
    said = [reason.text for reason in most.reasons]
    assert said == ["checkout: 0.1", "checkout: 0.3", "browsing: 0.2", "browsing was held"]


@pytest.mark.slow
def test_unknown_scenarios_and_impossible_loads_are_refused(model: ServiceModel, data: Data) -> None:
    with pytest.raises(BadInput, match="Driven: browsing, checkout"):
        model.demand(data[0], Question(scenario="payments"))
    with pytest.raises(BadInput, match="at least 1 user"):
        model.demand(data[0], Question(users=0))
    with pytest.raises(BadInput, match="1 replica or more"):
        model.demand(data[0], Question(replicas=0))


@pytest.mark.slow
def test_rows_in_another_order_change_nothing(model: ServiceModel, data: Data) -> None:
    assert model.demand(data[0].sample(frac=1.0, random_state=3)) == model.demand(data[0])


@pytest.mark.slow
def test_without_the_windows_prophet_answers_alone_and_it_is_said(model: ServiceModel, data: Data) -> None:
    demand = model.demand(data[0].head(0))
    assert demand.cpu is not None
    assert any(reason.code == "window-missing" for reason in demand.reasons)


@pytest.mark.slow
def test_training_again_gives_the_same_model_to_the_last_bit(model: ServiceModel, data: Data) -> None:
    again = train(*data, fakes.WORKLOAD, settings=QUICK)
    assert again.digest == model.digest
    assert again.files == model.files
    assert again.demand(data[0]) == model.demand(data[0])


@pytest.mark.slow
def test_scaling_the_history_scales_the_demand(model: ServiceModel, data: Data) -> None:
    frame, cards = fakes.driven(scale=4.0)
    scaled = train(frame, cards, fakes.WORKLOAD, settings=QUICK)
    one, other = model.demand(data[0]), scaled.demand(frame)
    for target in ("cpu", "memory"):
        small, large = getattr(one, target), getattr(other, target)
        assert large.point_forecast == pytest.approx(4 * small.point_forecast, rel=0.05)
        assert large.bound == pytest.approx(4 * small.bound, rel=0.1)
        assert large.peak == pytest.approx(4 * small.peak, rel=1e-4)
    assert one.replicas == other.replicas


@pytest.mark.slow
def test_few_cells_fall_back_to_what_can_be_known_and_say_so() -> None:
    frame, cards = fakes.driven(replicas=(1, 2), users=(20,), repeats=1, samples=60)
    small = train(frame, cards, fakes.WORKLOAD, settings=QUICK)
    assert "4 cells were driven, 9 are needed" in small.reasons[-1].text
    demand = small.demand(frame)
    assert demand.cpu is not None
    assert demand.memory is not None
    assert (demand.cpu.windows, demand.cpu.confidence) == (0, PRIOR_RATE[Target.CPU])
    assert demand.cpu.bound >= demand.cpu.point_forecast * PRIOR_MULTIPLIER_DRIVEN[Target.CPU] * (1 - 1e-5)
    assert any(reason.code == "few-holds" for reason in demand.cpu.reasons)


@pytest.mark.slow
def test_a_service_without_load_tests_is_sized_without_a_promise_on_replicas(data: Data) -> None:
    cards = {name: {**card, "load_test": None} for name, card in data[1].items()}
    frame = data[0].assign(latency_p95_seconds=np.nan, error_ratio=np.nan)
    mute = train(frame, cards, fakes.WORKLOAD, settings=QUICK)
    demand = mute.demand(frame)
    assert demand.replicas is None
    assert demand.cpu is not None
    assert demand.reasons[0].code == "no-load-test"


@pytest.mark.slow
def test_a_run_torn_by_oom_kills_still_counts() -> None:
    frame, cards = fakes.driven(scenarios=("browsing",), replicas=(1, 2), users=(10, 20), repeats=1)
    name = "frontend_browsing_replicas_1_users_20"
    torn = frame["experiment_id"] == name
    cut = torn & (frame.groupby("experiment_id").cumcount() % 12 >= 6)
    frame.loc[cut, ["cpu_cores_value", "mem_bytes_value"]] = np.nan
    frame.loc[torn, "oom_kills"] = 2.0
    frame.loc[torn, "mem_limit_bytes"] = 80e6
    model = train(frame, cards, fakes.WORKLOAD, settings=QUICK)
    assert name not in model.card["windowed"]
    demand = model.demand(frame, Question(users=20, scenario="browsing", replicas=1))
    assert demand.memory is not None
    assert demand.memory.pinned
    assert demand.memory.bound >= 80e6
    assert (demand.oom_kills, demand.oom_peak_bytes) == (2, 80e6)
    calm = model.demand(frame, Question(users=10, scenario="browsing", replicas=1))
    assert calm.oom_kills == 0


@pytest.mark.slow
def test_observed_and_driven_rows_are_never_mixed_in_one_fit(data: Data, model: ServiceModel) -> None:
    both = pd.concat([data[0], fakes.observed(days=0.1)], ignore_index=True)
    mixed = train(both, data[1], fakes.WORKLOAD, settings=QUICK)
    assert mixed.is_driven
    assert mixed.reasons[0].code == "observed-left-out"
    assert mixed.demand(data[0]).cpu == model.demand(data[0]).cpu


def test_too_few_experiments_say_how_many_are_needed_and_how_to_get_them() -> None:
    frame, cards = fakes.driven(replicas=(1,), users=(20,), repeats=1)
    with pytest.raises(NotEnoughData, match=r"3 with 40 samples in one piece are needed .*, 2 of 2") as caught:
        train(frame, cards, fakes.WORKLOAD)
    assert caught.value.hint is not None
    assert "mora collect" in caught.value.hint


def test_experiments_that_do_not_say_their_load_are_left_out_and_told(data: Data) -> None:
    frame = data[0].copy()
    name = "frontend_browsing_replicas_1_users_10"
    frame.loc[frame["experiment_id"] == name, "load_users"] = np.nan
    known, reasons = _with_known_load(frame)
    assert name not in set(known["experiment_id"])
    assert known["experiment_id"].nunique() == frame["experiment_id"].nunique() - 1
    assert reasons[0].text.endswith(f"are left out: {name}")
    with pytest.raises(NotEnoughData, match="Fill load_users and replica_count"):
        train(frame.assign(load_users=np.nan), data[1], fakes.WORKLOAD, settings=QUICK)


def test_no_rows_at_all_are_refused_in_words(data: Data) -> None:
    with pytest.raises(NotEnoughData, match="no rows of 'frontend'"):
        train(data[0].head(0), {}, fakes.WORKLOAD)


@pytest.mark.slow
def test_driven_data_is_not_asked_for_a_time(model: ServiceModel, data: Data) -> None:
    with pytest.raises(BadInput, match="--horizon does not apply to it") as caught:
        model.demand(data[0], Question(horizon=timedelta(hours=1)))
    assert "--users 50" in str(caught.value.hint)


# --- observed --------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_history_is_answered_for_the_next_hold(watched: tuple[pd.DataFrame, ServiceModel]) -> None:
    history, model = watched
    demand = model.demand(history)
    assert not model.is_driven
    assert demand.load is None
    assert demand.replicas is None
    assert [reason.code for reason in demand.reasons] == ["no-load-response"]
    assert demand.cpu is not None
    assert demand.memory is not None
    assert demand.cpu.point_forecast == pytest.approx(history["cpu_cores_value"].tail(288).mean(), rel=0.1)
    assert sorted(model.windows) == [3600, 86_400]
    assert demand.cpu.bound >= np.quantile(history["cpu_cores_value"].tail(288), 0.9) * 0.9
    assert demand.memory.peak == pytest.approx(history["mem_bytes_value"].tail(7 * 288).max(), rel=1e-5)
    assert model.card["lstm_columns"][0] == "cpu_cores_value"
    assert "load_users" not in model.card["lstm_columns"]
    with pytest.raises(BadInput, match="no other load"):
        model.demand(history, Question(users=100))


@pytest.mark.slow
def test_load_experiments_that_came_later_do_not_answer_for_a_history(
    watched: tuple[pd.DataFrame, ServiceModel], data: Data
) -> None:
    history, model = watched
    later = data[0].assign(timestamp=data[0]["timestamp"] + pd.Timedelta(days=30))
    assert model.demand(pd.concat([history, later], ignore_index=True)) == model.demand(history)
    assert model.demand(history, Question(horizon=timedelta(hours=1))) != model.demand(history)
    with pytest.raises(NotEnoughData, match="none of that is at hand"):
        model.demand(later)


@pytest.mark.slow
def test_what_comes_later_changes_nothing_that_was_learnt_before(watched: tuple[pd.DataFrame, ServiceModel]) -> None:
    history, model = watched
    later = pd.concat([history, fakes.observed(days=9).iloc[len(history) :]], ignore_index=True)
    recent = later.iloc[: len(history)]
    assert model.demand(recent) == model.demand(history)


def test_a_short_history_says_how_long_it_must_be() -> None:
    with pytest.raises(NotEnoughData, match=r"3 holds of 1h are needed, there are 2\.0") as caught:
        train(fakes.observed(days=2 / 24), {}, fakes.WORKLOAD)
    assert "mora collect --history" in str(caught.value)


@pytest.mark.slow
def test_two_days_teach_of_hours_and_say_that_they_teach_nothing_of_days() -> None:
    history = fakes.observed(days=2)
    short = train(history, {}, fakes.WORKLOAD, settings=QUICK)
    assert list(short.windows) == [3600]
    assert "of 24h ahead nothing is learnt" in next(r.text for r in short.reasons if r.code == "hold-not-learnt")
    # A day can be asked for all the same: the bound leans on what is there, and on what other services' kept.
    assert short.demand(history).cpu is not None


# --- the folder ------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_saved_model_gives_the_same_numbers_to_the_last_bit(model: ServiceModel, folder: Path, data: Data) -> None:
    again = ServiceModel.load(folder)
    assert again.digest == model.digest
    assert again.card == model.card
    for question in ({}, {"users": 30, "scenario": "checkout"}, {"users": 15}, {"replicas": 2}):
        assert again.demand(data[0], Question(**question)) == model.demand(data[0], Question(**question))


@pytest.mark.slow
def test_a_folder_is_plain_and_small(folder: Path) -> None:
    assert sorted(path.name for path in folder.iterdir()) == ["card.json", "lstm.npz", "prophet.json", "response.json"]
    assert sum(path.stat().st_size for path in folder.iterdir()) < 1.5e6
    for path in folder.glob("*.json"):
        json.loads(path.read_text())
    with np.load(folder / "lstm.npz", allow_pickle=False) as arrays:
        assert "weight_first_kernel" in arrays.files


@pytest.mark.slow
def test_saving_again_replaces_the_folder_and_leaves_nothing_beside_it(model: ServiceModel, folder: Path) -> None:
    (folder / "prophet.json").write_text("{}")
    model.save(folder)
    assert ServiceModel.load(folder).digest == model.digest
    assert [path.name for path in folder.parent.iterdir()] == ["frontend"]


@pytest.mark.slow
def test_a_folder_that_is_no_model_is_not_replaced(model: ServiceModel, tmp_path: Path) -> None:
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "precious.txt").write_text("mine")
    with pytest.raises(BadInput, match="not a model"):
        model.save(tmp_path / "notes")
    assert (tmp_path / "notes" / "precious.txt").read_text() == "mine"


@pytest.mark.slow
@pytest.mark.parametrize("name", ["card.json", "prophet.json", "response.json", "lstm.npz"])
def test_a_half_written_file_is_told(folder: Path, name: str) -> None:
    whole = (folder / name).read_bytes()
    (folder / name).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(BadModel) as caught:
        ServiceModel.load(folder)
    assert name in str(caught.value)
    assert "mora train frontend" in str(caught.value)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["card.json", "prophet.json", "response.json", "lstm.npz"])
def test_a_missing_file_is_told(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(BadModel, match=name):
        ServiceModel.load(folder)


@pytest.mark.slow
def test_an_edited_file_is_told(folder: Path) -> None:
    text = (folder / "response.json").read_text()
    edited = text.replace('"oom_kills": 0', '"oom_kills": 1', 1)
    assert edited != text
    (folder / "response.json").write_text(edited)
    with pytest.raises(BadModel, match=r"response\.json was edited"):
        ServiceModel.load(folder)


@pytest.mark.slow
def test_an_edited_card_is_told(folder: Path) -> None:
    card = json.loads((folder / CARD).read_text())
    card["report"]["calibrations"]["driven"]["cpu"]["kept"] = 8000
    (folder / CARD).write_text(json.dumps(card))
    with pytest.raises(BadModel, match=r"card\.json was edited"):
        ServiceModel.load(folder)


@pytest.mark.slow
def test_a_newer_model_is_told_and_what_to_do(folder: Path) -> None:
    card = json.loads((folder / CARD).read_text())
    (folder / CARD).write_text(json.dumps({**card, "schema_version": 2}))
    with pytest.raises(BadModel, match=r"newer MOrA \(schema 2, this one reads up to 1\)"):
        ServiceModel.load(folder)


@pytest.mark.slow
def test_a_card_that_names_a_file_outside_its_folder_is_refused(folder: Path) -> None:
    from mora.model import folder as store

    card = json.loads((folder / CARD).read_text())
    card.pop("digest")
    card["files"]["../secret.json"] = {"sha256": "0", "bytes": 1}
    (folder / CARD).write_text(json.dumps({**card, "digest": store._digest(card)}))
    with pytest.raises(BadModel, match="outside of itself"):
        ServiceModel.load(folder)


def test_no_folder_and_an_empty_one_are_no_models(tmp_path: Path) -> None:
    for path in (tmp_path / "nothing", tmp_path):
        with pytest.raises(BadModel, match="no model, or was not finished"):
            ServiceModel.load(path)


@pytest.mark.slow
def test_a_write_that_fails_leaves_the_old_model_whole(folder: Path, model: ServiceModel) -> None:
    class Unwritable(dict[str, bytes]):
        """Files of which the second cannot be had, as on a full disk."""

        def items(self):  # type: ignore[no-untyped-def]  # only what write() asks for
            yield "card.json", b"{}"
            raise OSError(28, "No space left on device")

    from mora.model import folder as store

    with pytest.raises(MoraError, match=r"cannot be written to .*frontend: No space left on device"):
        store.write(folder, Unwritable())
    assert ServiceModel.load(folder).digest == model.digest
    assert [path.name for path in folder.parent.iterdir()] == ["frontend"]


def test_a_model_that_finds_no_room_is_said_and_leaves_nothing_behind(tiny_disk: Path) -> None:
    from mora.model import folder as store

    with pytest.raises(MoraError, match=r"cannot be written to .*No space left on device"):
        store.write(tiny_disk / "models" / "frontend", {"card.json": b"{}", "lstm.npz": bytes(64 << 20)})
    assert list((tiny_disk / "models").iterdir()) == []


def test_models_of_a_namespace_are_not_lost_to_a_service_of_its_name(tmp_path: Path) -> None:
    from mora.model import folder as store

    store.write(tmp_path / "shop", {"card.json": b"{}"})
    store.write(tmp_path / "shop" / "cart", {"card.json": b"{}"})
    with pytest.raises(BadInput, match=r"models of a namespace \(cart\)"):
        store.write(tmp_path / "shop", {"card.json": b"{}"})
    assert (tmp_path / "shop" / "cart" / "card.json").is_file()


@pytest.mark.slow
def test_loading_and_answering_import_no_heavy_library(folder: Path, data: Data, tmp_path: Path) -> None:
    data[0].to_pickle(tmp_path / "frame.pickle")
    code = f"""
import sys, pandas as pd
from mora.model import ServiceModel
frame = pd.read_pickle({str(tmp_path / "frame.pickle")!r})
assert ServiceModel.load({str(folder)!r}).demand(frame).cpu is not None
heavy = {{"tensorflow", "keras", "prophet", "cmdstanpy", "sklearn", "scipy", "locust", "kubernetes"}} & set(sys.modules)
assert not heavy, heavy
"""
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.slow
def test_a_model_travels_between_processes(model: ServiceModel, data: Data) -> None:
    again = pickle.loads(pickle.dumps(model))  # noqa: S301  # joblib hands results over this way, in memory
    assert again.demand(data[0]) == model.demand(data[0])


@pytest.mark.slow
def test_a_loaded_model_can_be_saved_again(folder: Path, tmp_path: Path) -> None:
    ServiceModel.load(folder).save(tmp_path / "copy")
    for path in folder.iterdir():
        assert (tmp_path / "copy" / path.name).read_bytes() == path.read_bytes()


@pytest.mark.slow
def test_a_folder_can_be_moved(folder: Path, tmp_path: Path, model: ServiceModel) -> None:
    shutil.move(folder, tmp_path / "elsewhere")
    assert ServiceModel.load(tmp_path / "elsewhere").digest == model.digest
