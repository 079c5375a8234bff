"""Windows that are checked, cut, halved and coarsened: always on the same grid, never with a sample lost."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mora.domain import Window
from mora.errors import BadInput
from mora.sources.prometheus.grid import check_grid, coarse, cut, halves, index_of, row_of, rows_ahead, shortened

END = datetime(2026, 11, 1, tzinfo=UTC)
WINDOW = Window(END - timedelta(hours=1), END, timedelta(minutes=5))


def on(start: datetime, samples: int, step: timedelta) -> Window:
    return Window(start, start + (samples - 1) * step, step)


def test_halves_are_on_the_same_grid() -> None:
    first, second = halves(WINDOW)
    assert first.sample_count + second.sample_count == WINDOW.sample_count
    assert second.start - first.end == WINDOW.step


@given(count=st.integers(1, 5000), longest=st.integers(1, 700))
def test_pieces_cover_every_sample_once_and_none_is_longer_than_allowed(count: int, longest: int) -> None:
    window = Window(END, END + (count - 1) * timedelta(seconds=15), timedelta(seconds=15))
    cuts = cut(window, longest)
    assert (cuts[0].start, cuts[-1].end) == (window.start, window.end)
    assert sum(piece.sample_count for piece in cuts) == count
    assert max(piece.sample_count for piece in cuts) <= longest
    assert all(after.start - before.end == window.step for before, after in pairwise(cuts))


@given(
    minutes=st.integers(0, 5000), samples=st.integers(1, 600), step=st.sampled_from([1, 5, 7]), slow=st.integers(1, 90)
)
def test_a_coarse_grid_lies_on_multiples_of_its_step_and_covers_the_window(
    minutes: int, samples: int, step: int, slow: int
) -> None:
    window = on(END + timedelta(minutes=minutes), samples, timedelta(minutes=step))
    grid = coarse(window, timedelta(minutes=slow))
    assert grid.step == max(timedelta(minutes=slow), window.step)
    assert all(moment.timestamp() % grid.step.total_seconds() == 0 for moment in (grid.start, grid.end))
    assert grid.start - grid.step < window.start <= grid.start
    assert grid.end - grid.step < window.end <= grid.end


@given(minutes=st.integers(0, 5000), samples=st.integers(1, 600), slow=st.integers(1, 90))
def test_a_coarse_grid_is_asked_for_up_to_the_end_of_the_window_and_no_row_is_left_out(
    minutes: int, samples: int, slow: int
) -> None:
    window = on(END + timedelta(minutes=minutes), samples, timedelta(minutes=1))
    grid = coarse(window, timedelta(minutes=slow))
    parts = shortened(grid, window)
    rows = [rows_ahead(part, grid) + row for part in parts for row in range(part.sample_count)]
    assert rows == list(range(grid.sample_count))
    assert parts[-1].end == min(grid.end, window.end)


def test_rows_are_counted_from_the_start_and_the_index_is_in_utc() -> None:
    assert [row_of(moment, WINDOW) for moment in index_of(WINDOW)] == list(range(13))
    assert index_of(WINDOW).equals(pd.date_range(WINDOW.start, WINDOW.end, freq="5min", name="timestamp", unit="us"))


@pytest.mark.parametrize(
    "window",
    [
        Window(END, END, timedelta(microseconds=1500)),
        Window(END - timedelta(microseconds=1500), END, timedelta(seconds=1)),
    ],
)
def test_a_grid_finer_than_a_millisecond_is_refused(window: Window) -> None:
    with pytest.raises(BadInput, match="whole milliseconds"):
        check_grid(window)
