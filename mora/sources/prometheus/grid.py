"""The grid of a window: checked, cut into pieces that a server answers, and turned into rows of a frame."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from mora.domain import Window
from mora.errors import BadInput

if TYPE_CHECKING:
    import pandas as pd

# Prometheus refuses more than 11,000 points of one series in one answer; no flag changes that.
LONGEST_PIECE_POINTS = 10_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def check_grid(window: Window) -> None:
    """Raise BadInput where Prometheus cannot answer on the exact grid of the window."""
    if window.step % timedelta(milliseconds=1):
        raise BadInput(
            f"The step of {window.step.total_seconds()} s is too fine: Prometheus takes whole milliseconds.",
            hint="Give a step of whole milliseconds.",
        )
    if window.start.microsecond % 1000:
        raise BadInput(
            f"The window starts at {window.start.isoformat()}, which is too fine: Prometheus takes whole milliseconds."
        )


def pieces(count: int, longest: int = LONGEST_PIECE_POINTS) -> list[tuple[int, int]]:
    """`count` rows cut into pieces of about equal length: (first, last), both included.

    >>> pieces(25, longest=10)
    [(0, 7), (8, 15), (16, 24)]
    """
    parts = math.ceil(count / longest)
    edges = [count * part // parts for part in range(parts + 1)]
    return [(first, after - 1) for first, after in pairwise(edges)]


def cut(window: Window, longest: int = LONGEST_PIECE_POINTS) -> list[Window]:
    """A window as shorter ones of at most `longest` samples, all on its grid.

    >>> start = datetime(2026, 1, 1, tzinfo=UTC)
    >>> window = Window(start, start + timedelta(seconds=24), timedelta(seconds=1))
    >>> [piece.sample_count for piece in cut(window, longest=10)]
    [8, 8, 9]
    """
    start, step = window.start, window.step
    return [
        Window(start + first * step, start + last * step, step) for first, last in pieces(window.sample_count, longest)
    ]


def halves(window: Window) -> tuple[Window, Window]:
    """A window cut in two, each on the same grid."""
    middle = window.start + (window.sample_count // 2) * window.step
    return Window(window.start, middle - window.step, window.step), Window(middle, window.end, window.step)


def coarse(window: Window, step: timedelta) -> Window:
    """A grid of longer steps whose spans, each of which ends at its own moment, cover the window.

    Its moments are multiples of the step: query frontends (Thanos, Mimir, Cortex) move others onto them. So the last
    one may lie after the window; `shortened` says what to ask for.

    >>> start = datetime(2026, 1, 1, 0, 20, tzinfo=UTC)
    >>> window = Window(start, start + timedelta(minutes=125), timedelta(minutes=5))
    >>> slow = coarse(window, timedelta(hours=1))
    >>> slow.start.hour, slow.end.hour, slow.sample_count
    (1, 3, 3)
    """
    step = max(step, window.step)
    return Window(_multiple_from(window.start, step), _multiple_from(window.end, step), step)


def shortened(grid: Window, window: Window) -> list[Window]:
    """What is asked of a coarse grid: its moments within the window, and in place of a later one the window's end.

    A moment to come would answer from samples after the window, and Mimir answers none that is far ahead.
    """
    if grid.end <= window.end:
        return [grid]
    earlier = [Window(grid.start, grid.end - grid.step, grid.step)] if grid.start < grid.end else []
    return [*earlier, Window(window.end, window.end, window.step)]


def rows_ahead(piece: Window, grid: Window) -> int:
    """The row of a grid that the first moment of one of its pieces belongs to: the span that it lies in."""
    return -((grid.start - piece.start) // grid.step)


def _multiple_from(at: datetime, step: timedelta) -> datetime:
    """The first multiple of a step, counted from 1970, that is not before a moment."""
    return at + (_EPOCH - at) % step


def row_of(at: datetime, window: Window) -> int:
    """The row of a window that a moment falls on, or is nearest to."""
    return round((at - window.start) / window.step)


def index_of(window: Window) -> pd.DatetimeIndex:
    """The moments of a window as the index of a frame, in UTC."""
    import pandas as pd

    start = np.datetime64(window.start.astimezone(UTC).replace(tzinfo=None), "us")
    step = np.timedelta64(window.step // timedelta(microseconds=1), "us")
    return pd.DatetimeIndex(start + np.arange(window.sample_count) * step, tz="UTC", name="timestamp")
