"""A service trained on load experiments that look like the sandbox's."""

from __future__ import annotations

import math

import numpy as np
import pytest

from mora.domain import Question, Target
from mora.errors import NotEnoughData
from mora.model import ServiceModel, train
from mora.model.settings import PRIOR_MULTIPLIER_DRIVEN, PRIOR_RATE
from tests import fakes_learning as fakes
from tests.model.conftest import QUICK


@pytest.mark.slow
def test_every_target_is_reported_beside_the_naive_forecast(model: ServiceModel) -> None:
    tables = model.report["next_steps"]
    assert set(tables) == {"cpu", "memory", "replicas"}
    for table in tables.values():
        assert set(table["errors"]) == {"prophet", "lstm", "blend", "naive"}
        assert (table["experiments"], table["windows"]) == (8, 24)  # three full horizons in each of 62 samples
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
def test_few_cells_use_the_endings_and_other_services_with_a_reason() -> None:
    frame, cards = fakes.driven(replicas=(1, 2), users=(20,), repeats=1, samples=60)
    small = train(frame, cards, fakes.WORKLOAD, settings=QUICK)
    assert "4 cells were driven, 9 are needed" in small.reasons[-1].text
    demand = small.demand(frame)
    assert demand.cpu is not None
    assert demand.memory is not None
    assert (demand.cpu.windows, demand.cpu.confidence) == (0, PRIOR_RATE[Target.CPU])
    assert demand.cpu.bound >= demand.cpu.point_forecast * PRIOR_MULTIPLIER_DRIVEN[Target.CPU] * (1 - 1e-5)
    assert any(reason.code == "few-windows" for reason in demand.cpu.reasons)


@pytest.mark.slow
def test_cells_that_ended_early_are_not_counted_among_those_that_can_be_left_out() -> None:
    frame, cards = fakes.driven(replicas=(1, 2, 3), users=(10, 20), repeats=1, samples=60)
    names = sorted(cards)
    short = frame["experiment_id"].isin(names[4:]) & (frame.groupby("experiment_id").cumcount() >= 20)
    small = train(frame[~short].reset_index(drop=True), cards, fakes.WORKLOAD, settings=QUICK)
    assert "4 cells were driven, 9 are needed to leave some out (with 40 samples or more)" in small.reasons[-1].text


def test_too_few_experiments_are_refused_with_how_many_are_needed() -> None:
    frame, cards = fakes.driven(replicas=(1,), users=(20,), repeats=1)
    with pytest.raises(NotEnoughData, match=r"3 with 40 samples in one piece are needed .*, 2 of 2") as caught:
        train(frame, cards, fakes.WORKLOAD)
    assert caught.value.hint is not None
    assert "mora collect" in caught.value.hint


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
    assert demand.memory.is_limit_bound
    assert demand.memory.bound >= 80e6
    assert (demand.oom_kills, demand.oom_peak_bytes) == (2, 80e6)
    calm = model.demand(frame, Question(users=10, scenario="browsing", replicas=1))
    assert calm.oom_kills == 0
