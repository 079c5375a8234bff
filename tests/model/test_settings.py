"""What a training rests on by default: weights that sum to one, and constants that are shares and factors."""

from __future__ import annotations

from datetime import timedelta

import pytest

from mora.domain import Slo, Target
from mora.model.settings import (
    PRIOR_MULTIPLIER_DRIVEN,
    PRIOR_MULTIPLIER_OBSERVED,
    PRIOR_RATE,
    TrainSettings,
)


def test_by_default_prophet_and_the_lstm_are_blended_forty_to_sixty() -> None:
    settings = TrainSettings()
    assert dict(settings.weights) == {"prophet": 0.4, "lstm": 0.6}
    assert (settings.seed, settings.learn_weights, settings.horizon) == (0, False, timedelta(hours=24))
    assert settings.slo == Slo()


def test_the_default_weights_are_each_settings_own() -> None:
    one, other = TrainSettings(), TrainSettings()
    assert one.weights is not other.weights


@pytest.mark.parametrize("target", Target)
def test_every_target_has_a_prior_and_every_sized_one_a_factor_above_one(target: Target) -> None:
    assert 0.5 < PRIOR_RATE[target] < 1
    for multiplier in (PRIOR_MULTIPLIER_DRIVEN, PRIOR_MULTIPLIER_OBSERVED):
        assert (target in multiplier) == (target is not Target.REPLICAS)
        assert multiplier.get(target, 2.0) > 1
