"""One service trained, asked, and handed on."""

from __future__ import annotations

import pickle
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mora.domain import Question
from mora.errors import BadInput, NotEnoughData
from mora.model import ServiceModel, train
from mora.model.service import _with_known_load
from tests import fakes_learning as fakes
from tests.model.conftest import QUICK, Data


@pytest.mark.slow
def test_training_again_gives_the_same_model_to_the_last_bit(model: ServiceModel, data: Data) -> None:
    again = train(*data, fakes.WORKLOAD, settings=QUICK)
    assert again.digest == model.digest
    assert again.files == model.files
    assert again.demand(data[0]) == model.demand(data[0])


@pytest.mark.slow
def test_observed_and_driven_rows_are_never_mixed_in_one_fit(data: Data, model: ServiceModel) -> None:
    both = pd.concat([data[0], fakes.observed(days=0.1)], ignore_index=True)
    mixed = train(both, data[1], fakes.WORKLOAD, settings=QUICK)
    assert mixed.is_driven
    assert mixed.reasons[0].code == "observed-left-out"
    assert mixed.demand(data[0]).cpu == model.demand(data[0]).cpu


def test_experiments_of_unknown_load_are_left_out_with_a_reason(data: Data) -> None:
    frame = data[0].copy()
    name = "frontend_browsing_replicas_1_users_10"
    frame.loc[frame["experiment_id"] == name, "load_users"] = np.nan
    known, reasons = _with_known_load(frame)
    assert name not in set(known["experiment_id"])
    assert known["experiment_id"].nunique() == frame["experiment_id"].nunique() - 1
    assert reasons[0].text.endswith(f"are left out: {name}")
    with pytest.raises(NotEnoughData, match="Fill load_users and replica_count"):
        train(frame.assign(load_users=np.nan), data[1], fakes.WORKLOAD, settings=QUICK)


def test_no_rows_at_all_are_refused(data: Data) -> None:
    with pytest.raises(NotEnoughData, match="no rows of 'frontend'"):
        train(data[0].head(0), {}, fakes.WORKLOAD)


@pytest.mark.slow
def test_driven_data_is_not_asked_for_a_horizon(model: ServiceModel, data: Data) -> None:
    with pytest.raises(BadInput, match="--horizon does not apply") as caught:
        model.demand(data[0], Question(horizon=timedelta(hours=1)))
    assert "--users 50" in str(caught.value.hint)


@pytest.mark.slow
def test_a_history_is_answered_for_the_next_horizon(history_and_model: tuple[pd.DataFrame, ServiceModel]) -> None:
    history, model = history_and_model
    demand = model.demand(history)
    assert not model.is_driven
    assert demand.load is None
    assert demand.replicas is None
    assert [reason.code for reason in demand.reasons] == ["no-load-response"]
    assert demand.cpu is not None
    assert demand.memory is not None
    assert demand.cpu.point_forecast == pytest.approx(history["cpu_cores_value"].tail(288).mean(), rel=0.1)
    assert sorted(model.horizons) == [3600, 86_400]
    assert demand.cpu.bound >= np.quantile(history["cpu_cores_value"].tail(288), 0.9) * 0.9
    assert demand.memory.peak == pytest.approx(history["mem_bytes_value"].tail(7 * 288).max(), rel=1e-5)
    assert model.card["inputs"]["lstm-3600s"][0] == "cpu_cores_value"
    assert "load_users" not in model.card["inputs"]["lstm-3600s"]
    with pytest.raises(BadInput, match="no other load"):
        model.demand(history, Question(users=100))


@pytest.mark.slow
def test_load_experiments_that_came_later_do_not_answer_for_a_history(
    history_and_model: tuple[pd.DataFrame, ServiceModel], data: Data
) -> None:
    history, model = history_and_model
    later = data[0].assign(timestamp=data[0]["timestamp"] + pd.Timedelta(days=30))
    assert model.demand(pd.concat([history, later], ignore_index=True)) == model.demand(history)
    assert model.demand(history, Question(horizon=timedelta(hours=1))) != model.demand(history)
    with pytest.raises(NotEnoughData, match="there is none of it"):
        model.demand(later)


@pytest.mark.slow
def test_later_samples_change_nothing_that_was_learned_before(
    history_and_model: tuple[pd.DataFrame, ServiceModel],
) -> None:
    history, model = history_and_model
    later = pd.concat([history, fakes.observed(days=9).iloc[len(history) :]], ignore_index=True)
    recent = later.iloc[: len(history)]
    assert model.demand(recent) == model.demand(history)


def test_a_short_history_is_refused_with_how_long_it_must_be() -> None:
    with pytest.raises(NotEnoughData, match=r"3 windows of 1h are needed, there are 2\.0") as caught:
        train(fakes.observed(days=2 / 24), {}, fakes.WORKLOAD)
    assert "mora collect --history" in str(caught.value)


@pytest.mark.slow
def test_two_days_teach_an_hour_ahead_and_not_a_day_with_a_reason() -> None:
    history = fakes.observed(days=2)
    short = train(history, {}, fakes.WORKLOAD, settings=QUICK)
    assert list(short.horizons) == [3600]
    assert "no forecast of 24h is learned" in next(r.text for r in short.reasons if r.code == "horizon-not-learned")
    # A day can be asked for all the same: the bound rests on what is there, and on other services.
    assert short.demand(history).cpu is not None


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
