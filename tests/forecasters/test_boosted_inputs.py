"""What the inputs of boosted trees add to a forecast: exactly what the package shap says, and the forecast in all."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from mora import shapley
from mora.domain import Target
from mora.domain.learning import HorizonGrid
from mora.features import TARGET_COLUMNS
from mora.forecasters import boosted, boosted_parts, tabular
from mora.forecasters.boosted_inputs import feature_in_words
from mora.forecasters.xgboost_trees import XgboostForecaster
from tests.forecasters.histories import CPU, MEMORY, fitted, grid, past, waves

ROWS, BACKGROUND = [2800, 3000, 3300], [2600, 2750, 2900, 3100]


@pytest.fixture(scope="module")
def history() -> HorizonGrid:
    return grid(waves(12), 1)


@pytest.fixture(scope="module")
def learnt(history: HorizonGrid) -> boosted.FittedBoosted:
    found = fitted(XgboostForecaster(), past(history, until=9 * 288))
    assert isinstance(found, boosted.FittedBoosted)
    return found


def test_inputs_add_up_to_the_forecast_and_nothing_is_left_to_the_level(
    learnt: boosted.FittedBoosted, history: HorizonGrid
) -> None:
    found = learnt.contributions(history, ROWS, BACKGROUND, seed=0)
    assert set(found) == {Target.CPU, Target.MEMORY}
    for target, one in found.items():
        column, own = TARGET_COLUMNS[target], learnt.targets[target]
        means = np.array([mean for mean, _ in own.at(history, np.array(ROWS), column)])
        np.testing.assert_allclose(one.forecasts, means, rtol=1e-9)
        assert one.is_exact
        # From amounts back to logarithms: they are all of the change but for the same base at every row.
        idle = own.idle[column]
        levels = tabular.levels(history, np.array(ROWS), column)
        ratio = np.log((means + idle) / (one.base + idle)) / (means - one.base)
        rest = np.log((means + idle) / (levels + idle)) - (one.amounts[:, 1:] * ratio[:, None]).sum(axis=1)
        np.testing.assert_allclose(rest, rest[0], atol=1e-6)


def test_the_trees_values_are_those_of_the_package_shap(learnt: boosted.FittedBoosted, history: HorizonGrid) -> None:
    import xgboost

    with warnings.catch_warnings():
        # Third parties' own, at their import.
        warnings.simplefilter("ignore")
        import shap
    own = learnt.targets[Target.CPU]
    rows, others = (own.inputs(history, np.array(some), CPU)[0] for some in (ROWS, BACKGROUND))
    booster = xgboost.Booster(model_file=bytearray(own.grown[boosted_parts.MEAN].raw))
    explainer = shap.TreeExplainer(booster, data=others, feature_perturbation="interventional")
    base, values = shapley.of_trees(own.grown[boosted_parts.MEAN].trees, rows, others)
    np.testing.assert_allclose(values, explainer.shap_values(rows), atol=1e-6)
    assert base == pytest.approx(explainer.expected_value, abs=1e-6)


def test_every_feature_has_words_of_its_own_but_those_of_the_clock(history: HorizonGrid) -> None:
    columns = (CPU, MEMORY)
    names = tabular.names(columns, CPU)
    words = [feature_in_words(name, columns, history) for name in names]
    assert len(set(words)) >= len(set(names)) - 10
    assert "cpu_cores_value" not in " ".join(word for word, name in zip(words, names, strict=True) if word != name)
    assert feature_in_words(f"{CPU}_lag_1", columns, history) == "CPU 1 step before"
    assert feature_in_words(f"{CPU}_same_time_7d_ago", columns, history) == "CPU a week earlier"
    assert feature_in_words("hour_sin", columns, history) == "time of day"
    assert feature_in_words("own_idea", columns, history) == "own_idea"
