"""XGBoost's own forecast and the one that is read with numpy are one."""

from __future__ import annotations

import numpy as np

from mora.domain import Target
from mora.forecasters.boosted import FittedBoosted
from mora.forecasters.boosted_parts import MEAN
from mora.forecasters.xgboost_trees import XgboostForecaster
from tests.forecasters.histories import CPU, fitted, grid, past, waves


def test_the_trees_as_arrays_forecast_what_the_library_does() -> None:
    import xgboost

    one = grid(waves(12), 24)
    found = fitted(XgboostForecaster(), past(one))
    assert isinstance(found, FittedBoosted)
    cpu = found.targets[Target.CPU]
    given, _ = cpu.inputs(one, np.arange(24, len(one)), CPU)
    for grown in cpu.grown.values():
        booster = xgboost.Booster(model_file=bytearray(grown.raw))
        np.testing.assert_allclose(
            grown.trees.sums(given), booster.predict(xgboost.DMatrix(given)), rtol=1e-4, atol=1e-6
        )
    assert len(cpu.names(CPU)) == given.shape[1]
    assert MEAN in cpu.grown
