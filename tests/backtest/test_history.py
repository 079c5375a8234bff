"""An observed history on the grid that the backtest replays."""

from __future__ import annotations

import numpy as np
import pandas as pd

from mora.backtest.history import history_of
from mora.domain import Target
from tests import fakes_learning as fakes


def test_a_history_lies_on_the_grid_that_the_backtest_replays() -> None:
    frame = fakes.observed(days=3)
    found = history_of(frame.sample(frac=1.0, random_state=0), "frontend")
    np.testing.assert_array_equal(found.columns["cpu_cores_value"], found.series.cpu)
    np.testing.assert_array_equal(found.columns["net_rx_bytes_value"], frame["net_rx_bytes_value"])
    assert found.targets == (Target.CPU, Target.MEMORY)


def test_two_histories_that_overlap_are_one() -> None:
    frame = fakes.observed(days=3)
    twice = pd.concat([frame.head(600), frame.tail(600).assign(experiment_id="later")], ignore_index=True)
    np.testing.assert_array_equal(history_of(twice, "frontend").columns["cpu_cores_value"], frame["cpu_cores_value"])
