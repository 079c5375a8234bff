"""Every registered detector keeps the contract."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from mora import registry
from mora.seams import Detector
from mora.testing import DetectorContract, examples

# A fit of theirs takes seconds: they get fewer metrics or rows, and fit fewer trees or a small network.
FEW_METRICS = ("xgboost-residual", "helios")
QUICK: dict[str, dict[str, Any]] = {
    "xgboost-residual": {"trees": 15},
    "helios": {"trees": 15},
    "autoencoder": {"epochs": 1},
    "lstm-autoencoder": {"window": 8, "units": (8,), "epochs": 1},
}


@pytest.fixture(params=registry.names("detectors"))
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


class TestDetectors(DetectorContract):
    @pytest.fixture
    def detector(self, name: str) -> Detector:
        made: Detector = registry.load("detectors", name)(**QUICK.get(name, {}))
        assert made.name == name
        return made

    @pytest.fixture
    def frame(self, name: str) -> pd.DataFrame:
        if name == "lstm-autoencoder":
            # Within its fixed bounds: CPU at most 0.15 cores.
            return examples.metrics_frame(140).assign(cpu_cores_value=lambda frame: frame["cpu_cores_value"] / 5)
        if name not in FEW_METRICS:
            return examples.metrics_frame()
        few = ["timestamp", "cpu_cores_value", "mem_bytes_value", "net_rx_bytes_value", "net_tx_bytes_value"]
        return examples.metrics_frame(200)[few]


def test_every_detector_is_in_the_documentation(name: str) -> None:
    page = (Path(__file__).parents[2] / "docs" / "health.md").read_text(encoding="utf-8")
    table = page.split("## The detectors", 1)[1].split("\n## ", 1)[0]
    assert f"`{name}`" in table
