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


def test_a_metric_that_never_moved_is_measured_by_its_level_and_hides_no_other() -> None:
    detector = RobustZ()
    detector.fit(pd.DataFrame({"replicas": np.full(50, 3.0), "restarts": np.zeros(50)}))
    frame = pd.DataFrame({"replicas": [3.0, 3.3, 4.0, 3.0], "restarts": [0.0, 0.0, 0.0, 1.0]})
    assert detector.score(frame).tolist() == pytest.approx([0, 5, 10, 10])
    again = RobustZ()
    again.restore(detector.save())
    assert again.score(frame).tolist() == detector.score(frame).tolist()


def test_a_metric_that_moves_now_and_then_is_measured_by_its_moves() -> None:
    rng = np.random.default_rng(2)
    throttled = np.where(rng.random(2000) < 0.05, rng.uniform(0.1, 0.5, 2000), 0.0)
    detector = RobustZ()
    detector.fit(pd.DataFrame({"throttled": throttled, "latency": rng.normal(30, 1, 2000)}))
    usual, slow = detector.score(pd.DataFrame({"throttled": [0.4, 0.0], "latency": [30.0, 40.0]}))
    assert usual < 4 < 9 < slow
