"""A frame's metrics as a matrix."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from mora.detectors.frames import known_columns, matrix_of, metrics_of, seconds_of
from mora.errors import BadInput, NotEnoughData


def test_the_timestamp_and_words_are_no_metrics() -> None:
    frame = pd.DataFrame({"timestamp": [1.0], "pod": ["a"], "b": [1], "a": [2.0]})
    assert metrics_of(frame) == ("b", "a")


def test_the_matrix_has_the_order_that_is_asked_for_and_no_infinity() -> None:
    frame = pd.DataFrame({"a": [1.0, np.inf], "b": [3, 4]})
    np.testing.assert_array_equal(matrix_of(frame, ("b", "a")), [[3.0, 1.0], [4.0, np.nan]])


def test_every_metric_that_lacks_is_named() -> None:
    with pytest.raises(BadInput, match="lack the metrics b, c"):
        matrix_of(pd.DataFrame({"a": [1.0]}), ("a", "b", "c"))


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_moments_are_epoch_seconds_whatever_their_unit(unit: str) -> None:
    moments = pd.Series(pd.to_datetime(["2026-11-01T00:00:00Z", "2026-11-01T00:00:15Z"])).dt.as_unit(unit)  # type: ignore[arg-type]  # a unit
    assert seconds_of(pd.DataFrame({"timestamp": moments})).tolist() == [1793491200.0, 1793491215.0]
    assert seconds_of(pd.DataFrame({"timestamp": [60, 120]})).tolist() == [60.0, 120.0]


@pytest.mark.parametrize("moments", [[120.0, 60.0], [60.0, np.nan], pd.to_datetime(["2026-01-01", "NaT"])])
def test_time_that_does_not_run_forward_is_refused(moments: object) -> None:
    with pytest.raises(BadInput, match="not in the order of time, or a moment is missing"):
        seconds_of(pd.DataFrame({"timestamp": moments}))
    with pytest.raises(BadInput, match="lack the column timestamp"):
        seconds_of(pd.DataFrame({"cpu": [1.0]}))


def test_a_metric_that_is_hardly_known_is_named() -> None:
    frame = pd.DataFrame({"a": np.ones(30), "b": np.r_[np.ones(3), np.full(27, np.nan)]})
    assert known_columns(frame, 20, "x") == (
        ("a",),
        ("b is left out: 3 of its samples are known, and 20 are needed.",),
    )
    with pytest.raises(NotEnoughData, match="No metric has 40 known samples, which the detector x needs"):
        known_columns(frame, 40, "x")
