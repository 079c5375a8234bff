"""A frame's metrics as a matrix."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from mora.detectors.frames import matrix_of, metrics_of
from mora.errors import BadInput


def test_the_timestamp_and_words_are_no_metrics() -> None:
    frame = pd.DataFrame({"timestamp": [1.0], "pod": ["a"], "b": [1], "a": [2.0]})
    assert metrics_of(frame) == ("b", "a")


def test_the_matrix_has_the_order_that_is_asked_for_and_no_infinity() -> None:
    frame = pd.DataFrame({"a": [1.0, np.inf], "b": [3, 4]})
    np.testing.assert_array_equal(matrix_of(frame, ("b", "a")), [[3.0, 1.0], [4.0, np.nan]])


def test_every_metric_that_lacks_is_named() -> None:
    with pytest.raises(BadInput, match="lack the metrics b, c"):
        matrix_of(pd.DataFrame({"a": [1.0]}), ("a", "b", "c"))
