"""Every registered forecaster keeps the contract that authors of plug-ins are given."""

from __future__ import annotations

import pytest

from mora import registry
from mora.forecasters.keras_fit import LstmSettings
from mora.seams import Forecaster
from mora.testing import ForecasterContract

# What a forecaster is made with here, so that a fit takes seconds.
OPTIONS: dict[str, object] = {"lstm": LstmSettings(max_epochs=2), "stacked": "naive+yesterday+xgboost"}
# Its fits need TensorFlow.
SLOW = ("lstm",)
NAMES = [pytest.param(name, marks=pytest.mark.slow) if name in SLOW else name for name in registry.names("forecasters")]


@pytest.mark.parametrize("name", NAMES)
class TestForecasters(ForecasterContract):
    @pytest.fixture
    def forecaster(self, name: str) -> Forecaster:
        make = registry.load("forecasters", name)
        made: Forecaster = make(OPTIONS[name]) if name in OPTIONS else make()
        return made

    def test_it_goes_by_its_registered_name(self, forecaster: Forecaster, name: str) -> None:
        assert forecaster.name == name
