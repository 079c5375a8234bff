"""LightGBM's own forecast and the one that is read with numpy are one."""

from __future__ import annotations

import numpy as np
import pytest

from mora.domain import Target
from mora.forecasters.boosted import FittedBoosted
from mora.forecasters.lightgbm_trees import LightgbmForecaster
from mora.trees import of_lightgbm
from tests.forecasters.histories import CPU, fitted, grid, past, waves


def test_the_trees_as_arrays_forecast_what_the_library_does() -> None:
    import lightgbm

    one = grid(waves(12), 24)
    found = fitted(LightgbmForecaster(), past(one))
    assert isinstance(found, FittedBoosted)
    cpu = found.targets[Target.CPU]
    given, _ = cpu.inputs(one, np.arange(24, len(one)), CPU)
    for grown in cpu.grown.values():
        booster = lightgbm.Booster(model_str=grown.raw.decode())
        np.testing.assert_allclose(grown.trees.sums(given), booster.predict(given), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("is_missing_in_training", [True, False])
def test_what_is_missing_goes_the_way_that_the_library_sends_it(is_missing_in_training: bool) -> None:
    import lightgbm

    rng = np.random.default_rng(2)
    table = rng.normal(0.5, 1, (400, 3)).astype(np.float32).astype(np.float64)
    if is_missing_in_training:
        table[::5, 0] = np.nan
    wanted = np.where(np.isnan(table[:, 0]), 2.0, table[:, 0]) + table[:, 1] ** 2
    booster = lightgbm.train({"verbosity": -1, "num_threads": 1}, lightgbm.Dataset(table, wanted), 8)
    asked = np.vstack([table, [[np.nan, 0.1, np.nan], [0.2, np.nan, 1.0]]])
    np.testing.assert_allclose(of_lightgbm(booster.model_to_string()).sums(asked), booster.predict(asked), rtol=1e-9)


def test_a_tree_of_one_leaf_is_a_constant() -> None:
    import lightgbm

    table = np.ones((50, 2))
    booster = lightgbm.train({"verbosity": -1, "num_threads": 1}, lightgbm.Dataset(table, np.full(50, 3.0)), 2)
    assert of_lightgbm(booster.model_to_string()).sums(table[:2]).tolist() == pytest.approx([3.0, 3.0])
