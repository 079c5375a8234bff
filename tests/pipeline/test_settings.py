"""The settings of a run reach the rooms below as groups."""

from __future__ import annotations

from datetime import timedelta

import pytest

from mora import pipeline
from mora.config import load_settings
from mora.errors import BadInput
from mora.fusion import DEFAULT_CANDIDATES
from mora.model import TrainSettings
from mora.policies import PolicySettings


def test_settings_reach_training() -> None:
    settings = load_settings({"train_prophet_weight": "0.3", "train_learn_weights": True}, {"MORA_HORIZON": "6h"})
    training = pipeline.train_settings(settings)
    assert training.weights == {"prophet": 0.3, "lstm": 0.7}
    assert (training.learn_weights, training.horizon) == (True, timedelta(hours=6))
    assert pipeline.train_settings(load_settings()) == TrainSettings(candidates=DEFAULT_CANDIDATES)
    named = load_settings({"train_forecasters": "prophet,lstm,mine"}, {"MORA_TRAIN_PROPHET_WEIGHT": "0.5"})
    assert list(pipeline.train_settings(named).weights) == ["prophet", "lstm", "mine"]
    assert pipeline.train_settings(named).weights["mine"] == pytest.approx(1 / 3)
    assert pipeline.train_settings(named).weights["prophet"] == pytest.approx(1 / 3)


def test_a_model_that_is_asked_for_is_trained_alone_and_the_blend_without_candidates() -> None:
    def asked(model: str) -> TrainSettings:
        return pipeline.train_settings(load_settings({"train_model": model}))

    assert (asked("xgboost").weights, asked("xgboost").trained) == ({"xgboost": 1.0}, ("xgboost",))
    assert asked("blend") == TrainSettings()
    assert asked("mixture") == TrainSettings(model="mixture", candidates=DEFAULT_CANDIDATES)
    with pytest.raises(BadInput, match="There is no model 'xgbost' to train") as raised:
        asked("xgbost")
    assert "blend, mixture, " in str(raised.value.hint)
    several = pipeline.train_settings(load_settings({"train_candidates": "xgboost,moving-average"}))
    assert several.candidates == ("xgboost", "moving-average")


def test_settings_reach_the_policy_as_one_group() -> None:
    environ = {"MORA_POLICY_CPU_LIMIT": "keep", "MORA_POLICY_TOUCH_AUTOSCALED": "true", "MORA_REPLICAS_MIN": "2"}
    policy = load_settings({}, environ).policy
    assert policy == PolicySettings(cpu_limit="keep", touch_autoscaled=True, min_replicas=2)
    assert load_settings().policy == PolicySettings()
