"""Containers beside the main one as rows."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mora import dataset
from mora.sources.containers import COLUMNS, containers_frame

INDEX = pd.date_range("2026-11-01", periods=3, freq="5min", tz="UTC")


def measured(name: str, column: str) -> NDArray[np.float64]:
    if name == "silent":
        return np.full(3, np.nan)
    used = np.array([0.1, np.nan, 0.3])
    return used if column == "cpu_cores_value" else np.full(3, np.nan)


def test_rows_are_by_time_then_name_and_one_on_which_nothing_is_known_is_left_out() -> None:
    frame = containers_frame(["proxy", "agent", "silent"], measured, INDEX)
    assert list(frame.columns) == ["timestamp", "container", *COLUMNS.values()]
    assert list(frame["container"]) == ["agent", "proxy", "agent", "proxy"]
    assert list(frame["cpu_cores"]) == [0.1, 0.1, 0.3, 0.3]
    assert list(frame["timestamp"].unique()) == [INDEX[0], INDEX[2]]


def test_without_containers_the_frame_has_its_columns_and_they_are_those_of_the_dataset() -> None:
    frame = containers_frame([], measured, INDEX)
    assert frame.empty
    assert set(COLUMNS.values()) <= set(dataset.CONTAINER_COLUMNS)
    assert list(frame.columns) == ["timestamp", "container", *COLUMNS.values()]
