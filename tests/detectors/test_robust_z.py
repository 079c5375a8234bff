"""Robust z."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from mora.detectors.robust_z import RobustZ


def test_a_score_is_a_distance_in_standard_deviations_and_says_which_metric() -> None:
    rng = np.random.default_rng(1)
    detector = RobustZ()
    detector.fit(pd.DataFrame({"cpu": rng.normal(1, 0.1, 5000), "memory": rng.normal(5, 1, 5000)}))
    frame = pd.DataFrame({"cpu": [2.0, 1.0], "memory": [5.0, np.nan]})
    assert detector.score(frame)[0] == pytest.approx(10, rel=0.1)
    assert detector.contributions(frame).to_numpy()[0, 0] > 0.9


def test_a_metric_that_never_moved_is_measured_by_its_level() -> None:
    detector = RobustZ()
    detector.fit(pd.DataFrame({"replicas": np.full(50, 3.0)}))
    assert detector.score(pd.DataFrame({"replicas": [3.0, 4.0]})).tolist() == pytest.approx([0, 1 / 0.003])
