"""Windows of the last rows."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from mora.detectors.frames import fitted_columns
from mora.detectors.windows import CLIP, by_metric, restored, rows_of_window, shares_of, windows_of
from mora.domain.learning import Saved
from mora.errors import BadInput, BadModel


def test_a_window_ends_at_its_row_and_has_no_future() -> None:
    values = np.array([[1.0, 10.0], [2.0, np.nan], [99.0, 30.0]])
    found = windows_of(values, np.zeros(2), np.array([1.0, 10.0]), 2)
    np.testing.assert_array_equal(found, [[1, 1, 1, 1], [2, 0, 1, 1], [CLIP, 3, 2, 0]])


def test_a_window_of_many_metrics_is_short() -> None:
    sizes = [metrics * rows_of_window(metrics) for metrics in range(1, 33)]
    assert max(sizes) == 64
    assert rows_of_window(1000) == 2


def test_parts_are_added_up_for_each_metric_and_shared_out() -> None:
    np.testing.assert_array_equal(by_metric(np.array([[1.0, 2.0, 3.0, 4.0]]), 2), [[4.0, 6.0]])
    frame = pd.DataFrame(index=[7, 8, 9])
    shares = shares_of(np.array([[1.0, 3.0], [0.0, 0.0], [np.nan, 2.0]]), frame, ("a", "b"))
    assert shares.to_numpy().tolist() == [[0.25, 0.75], [0.0, 0.0], [0.0, 1.0]]
    assert list(shares.index) == [7, 8, 9]


def test_a_detector_without_columns_is_not_fitted() -> None:
    assert fitted_columns(("a",)) == ("a",)
    with pytest.raises(BadInput, match="not fitted"):
        fitted_columns(())


@pytest.mark.parametrize(
    "saved",
    [
        Saved({"columns": ["a"]}),
        Saved({"columns": "a"}, {"x": np.array(["one"])}),
        Saved({"columns": []}, {"x": np.ones(1)}),
        Saved({"columns": ["a", 7]}, {"x": np.ones(1)}),
        Saved({"columns": ["a"]}, {"x": np.array([np.inf])}),
    ],
)
def test_parts_that_lack_or_are_no_numbers_are_refused(saved: Saved) -> None:
    with pytest.raises(BadModel):
        restored(saved, ("x",), "some")
