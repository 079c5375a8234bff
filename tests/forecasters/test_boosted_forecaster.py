"""What the forecasters of boosted trees share."""

from __future__ import annotations

import numpy as np
import pytest

from mora.domain import Target
from mora.forecasters.boosted import BoostedSettings, FittedBoosted, Grown, Growth
from mora.forecasters.boosted_forecaster import BoostedForecaster
from mora.forecasters.lightgbm_trees import LightgbmForecaster
from mora.forecasters.xgboost_trees import XgboostForecaster
from mora.trees import Trees
from tests.forecasters.histories import fitted, grid, past, waves


class Stumps(BoostedForecaster):
    """Trees of one leaf that say nothing: what a library of a plug-in would grow."""

    name = "stumps"
    title = "Stumps"
    asked: tuple[BoostedSettings, ...] = ()

    def grow(self, asked: Growth) -> Grown:
        self.asked = (*self.asked, asked.settings)
        node, zero = np.zeros(1, dtype=np.int32), np.zeros(1)
        return Grown(Trees(node, node, node, zero, node.astype(bool), zero, node), b"nothing")


def test_a_library_of_its_own_is_one_method() -> None:
    settings = BoostedSettings(trees=7, select=False)
    one = Stumps(settings)
    model = fitted(one, past(grid(waves(12), 24)))
    assert {settings.trees for settings in one.asked} == {7}
    assert isinstance(model, FittedBoosted)
    assert Target.CPU in model.targets
    assert one.restore(model.save()).targets.keys() == model.targets.keys()


@pytest.mark.parametrize("kind", [LightgbmForecaster, XgboostForecaster])
def test_the_registered_ones_differ_in_their_library_alone(kind: type[BoostedForecaster]) -> None:
    assert issubclass(kind, BoostedForecaster)
    assert {"fit", "restore", "__init__"}.isdisjoint(vars(kind))
    assert kind().settings == BoostedSettings()
    assert kind.knobs is BoostedForecaster.knobs
    assert kind.title.lower() == kind.name
