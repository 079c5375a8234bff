"""Segments and grids of a history: cut, read side by side, and known only up to a row."""

from __future__ import annotations

import numpy as np
import pytest

from mora.domain.learning import DAY_SECONDS, HorizonGrid, Segment

HOURS = 24


def segment() -> Segment:
    return Segment(
        "frontend_browsing_replicas_1_users_10",
        "browsing",
        seconds=np.arange(5.0),
        values={"cpu": np.arange(5.0), "memory": np.arange(5.0) * 10},
        filled=1,
    )


def grid(*, unknown: slice = slice(0, 0)) -> HorizonGrid:
    """Two days by the hour, on the grid of a day."""
    means = np.arange(2.0 * HOURS)
    means[unknown] = np.nan
    return HorizonGrid(DAY_SECONDS, HOURS, 1000.0, {"cpu": means}, {"cpu": np.nan_to_num(means)})


def test_a_segment_is_cut_in_all_its_columns_at_once() -> None:
    piece = segment().cut(1, 3)
    assert len(piece) == 2
    assert piece.seconds.tolist() == [1.0, 2.0]
    assert {name: values.tolist() for name, values in piece.values.items()} == {"cpu": [1, 2], "memory": [10, 20]}
    assert (piece.name, piece.scenario, piece.filled) == (segment().name, "browsing", 1)


def test_columns_stand_side_by_side_in_the_order_asked_for() -> None:
    assert segment().matrix(["memory", "cpu"]).tolist()[2] == [20.0, 2.0]


def test_a_grid_knows_when_its_steps_begin_the_coming_ones_too() -> None:
    assert (len(grid()), grid().step_seconds, grid().steps_of_day) == (48, 3600.0, 24)
    assert grid().seconds(47, 49).tolist() == [1000.0 + 47 * 3600, 1000.0 + 48 * 3600]


@pytest.mark.parametrize(("unknown", "known"), [(0, True), (12, True), (13, False), (24, False)])
def test_steps_are_known_where_half_of_them_have_a_sample(unknown: int, known: bool) -> None:
    assert grid(unknown=slice(0, unknown)).knows("cpu", 0, HOURS) is known


def test_no_step_at_all_is_not_known() -> None:
    assert not grid().knows("cpu", 48, 72)


def test_before_a_row_nothing_of_that_row_is_left() -> None:
    earlier = grid(unknown=slice(3, 4)).before(5)
    assert len(earlier) == 5
    assert earlier.means["cpu"][-1] == earlier.filled["cpu"][-1] == 4.0
    assert np.isnan(earlier.means["cpu"][3])
    assert (earlier.start_seconds, earlier.step_seconds) == (1000.0, 3600.0)
