"""Every registered detector keeps the contract."""

from __future__ import annotations

import pandas as pd
import pytest

from mora import registry
from mora.seams import Detector
from mora.testing import DetectorContract, examples

# A fit of theirs takes seconds on twelve metrics: they get four, and fewer trees.
SLOW_TO_FIT = ("xgboost-residual", "helios")


@pytest.fixture(params=registry.names("detectors"))
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


class TestDetectors(DetectorContract):
    @pytest.fixture
    def detector(self, name: str) -> Detector:
        made: Detector = registry.load("detectors", name)(**({"trees": 15} if name in SLOW_TO_FIT else {}))
        assert made.name == name
        return made

    @pytest.fixture
    def frame(self, name: str) -> pd.DataFrame:
        if name not in SLOW_TO_FIT:
            return examples.metrics_frame()
        few = ["timestamp", "cpu_cores_value", "mem_bytes_value", "net_rx_bytes_value", "net_tx_bytes_value"]
        return examples.metrics_frame(200)[few]
