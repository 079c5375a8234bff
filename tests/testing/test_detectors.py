"""The suite of detectors, on a tiny one: there is none in MOrA yet."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from mora.metrics import MEASURED_COLUMNS
from mora.seams import Detector
from mora.testing import DetectorContract


class RobustDistance:
    """How many median deviations the worst metric of a row is away from its median."""

    name = "robust-distance"

    def fit(self, frame: pd.DataFrame) -> None:
        values = frame[list(MEASURED_COLUMNS)].to_numpy(dtype=np.float64)
        self.middle = np.nanmedian(values, axis=0)
        self.spread = np.maximum(np.nanmedian(np.abs(values - self.middle), axis=0), 1e-9)

    def score(self, frame: pd.DataFrame) -> NDArray[np.float64]:
        values = frame[list(MEASURED_COLUMNS)].to_numpy(dtype=np.float64)
        scores: NDArray[np.float64] = np.nan_to_num(np.abs(values - self.middle) / self.spread).max(axis=1)
        return scores


class TestRobustDistance(DetectorContract):
    @pytest.fixture
    def detector(self) -> Detector:
        return RobustDistance()
