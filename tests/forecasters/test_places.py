"""Windows of experiments as rows of a grid, and what may be learnt of them."""

from __future__ import annotations

import numpy as np

from mora.domain import Load, Target
from mora.domain.learning import AfterWindow, AtLoad, AtRow, Experiments, Past, Segment
from mora.features import TARGETS
from mora.forecasters.places import grid_of, lessons_of, row_of, targets_at
from mora.testing import examples
from tests.forecasters.histories import CPU


def test_what_follows_a_window_is_the_row_after_the_last_of_its_grid() -> None:
    piece = examples.experiments()[0]
    at = row_of(AfterWindow(piece))
    assert at is not None
    assert at.row == len(at.grid) == len(piece)
    assert (at.grid.steps, at.grid.horizon_seconds, at.grid.start_seconds) == (30, 30.0, piece.seconds[0])
    np.testing.assert_array_equal(at.grid.means[CPU], piece.values[CPU])


def test_a_load_is_no_row_and_neither_is_a_place_with_nothing_before_it() -> None:
    grid = examples.history()
    assert row_of(AtLoad(Load("browsing", 5), 1)) is None
    assert row_of(AtRow(grid, 0)) is None
    assert row_of(AfterWindow(examples.experiments()[0].cut(0, 0))) is None
    assert row_of(AtRow(grid, 5)) == AtRow(grid, 5)


def test_columns_of_which_nothing_is_known_are_left_out_and_gaps_are_filled_from_the_past() -> None:
    values = {CPU: np.array([1.0, np.nan, 3.0]), "net_rx_bytes_value": np.full(3, np.nan), "other": np.ones(3)}
    grid = grid_of(Segment("one", None, np.arange(3.0), values))
    assert list(grid.means) == [CPU]
    assert grid.filled[CPU].tolist() == [1.0, 1.0, 3.0]
    assert targets_at(grid) == [Target.CPU]


def test_experiments_that_are_limit_bound_teach_nothing_of_that_target() -> None:
    pieces = examples.experiments()
    bound = {Target.CPU: frozenset({pieces[0].name})}
    data = Experiments(pieces[:3], pieces[3:4], TARGETS, bound)
    assert [lesson.fit_until for lesson in lessons_of(data, Target.CPU)] == [62, 62, 0]
    assert [lesson.check_until for lesson in lessons_of(data, Target.MEMORY)] == [62, 62, 62, 62]


def test_a_history_without_a_target_has_no_lesson_of_it() -> None:
    grid = examples.history()
    data = Past(grid, TARGETS, 100, 120)
    assert [(one.fit_until, one.check_until) for one in lessons_of(data, Target.CPU)] == [(100, 120)]
    assert lessons_of(data, Target.REPLICAS) == []
