"""Models that several tests of this room ask: trained once."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from mora.forecasters.keras_fit import LstmSettings
from mora.model import ServiceModel, TrainSettings, train
from tests import fakes_learning as fakes

QUICK = TrainSettings(options={"lstm": LstmSettings(max_epochs=4)})
Data = tuple[pd.DataFrame, dict[str, dict[str, object]]]


@pytest.fixture(scope="session")
def data() -> Data:
    return fakes.driven()


@pytest.fixture(scope="session")
def model(data: Data) -> ServiceModel:
    return train(*data, fakes.WORKLOAD, settings=QUICK)


@pytest.fixture(scope="session")
def history_and_model() -> tuple[pd.DataFrame, ServiceModel]:
    history = fakes.observed(days=8)
    return history, train(history, {}, fakes.WORKLOAD, settings=QUICK)


@pytest.fixture
def folder(model: ServiceModel, tmp_path: Path) -> Path:
    model.save(tmp_path / "frontend")
    return tmp_path / "frontend"
