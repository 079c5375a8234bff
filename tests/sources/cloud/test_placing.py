"""Points on the grid: gaps, order, doubles, units."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mora.sources.cloud.placing import placed, shown_unit
from mora.sources.cloud.signals import Of, Series, Signal
from tests.sources.cloud.made_up import START, page, window

POD = Of(pod="web-0")
NAN = float("nan")


def rows(*pages: Series, count: int = 6) -> list[float]:
    found = placed(pages, window(count))
    (values,) = found.of(pages[0].signal).values()
    found_rows: list[float] = values.tolist()
    return found_rows


def test_a_gap_stays_a_gap() -> None:
    assert rows(page(Signal.CPU, [1.0, 2.0], POD), page(Signal.CPU, [5.0], POD, first_row=4)) == pytest.approx(
        [1, 2, NAN, NAN, 5, NAN], nan_ok=True
    )


@given(st.permutations(range(8)), st.integers(1, 7))
def test_neither_the_order_of_points_nor_the_cut_into_pages_changes_anything(order: list[int], cut: int) -> None:
    each = np.arange(8, dtype=np.float64)
    seconds, values = START.timestamp() + 300.0 * each, 0.1 * each
    mixed = [Series(Signal.CPU, POD, "{cpu}", seconds[part], values[part]) for part in (order[:cut], order[cut:])]
    whole = rows(Series(Signal.CPU, POD, "{cpu}", seconds, values), count=8)
    assert rows(*mixed, count=8) == whole == pytest.approx(values)


@given(st.lists(st.tuples(st.floats(-600, 3900), st.floats(0, 100)), min_size=1, max_size=40))
def test_each_row_of_memory_is_the_largest_point_after_the_row_before_and_not_after_it(
    points: list[tuple[float, float]],
) -> None:
    points = list({round(at): (round(at), value) for at, value in points}.values())
    series = Series(
        Signal.MEMORY,
        POD,
        "By",
        np.array([START.timestamp() + at for at, _ in points]),
        np.array([value for _, value in points]),
    )
    found = rows(series, count=12)
    for row, value in enumerate(found):
        inside = [v for at, v in points if 300 * (row - 1) < at <= 300 * row]
        assert value == pytest.approx(max(inside, default=NAN), nan_ok=True)


def test_of_two_points_of_one_moment_the_one_that_was_answered_last_counts() -> None:
    assert rows(page(Signal.MEMORY, [9.0, 2.0], POD), page(Signal.MEMORY, [3.0], POD), count=2) == [3.0, 2.0]


def test_points_within_a_row_are_averaged_and_restarts_are_added() -> None:
    seconds = START.timestamp() + np.array([60.0, 120, 300])
    assert rows(Series(Signal.CPU, POD, "{cpu}", seconds, np.array([1.0, 2, 6])), count=2)[1] == 3.0
    assert rows(Series(Signal.RESTARTS, POD, "1", seconds, np.array([1.0, 0, 2])), count=2)[1] == 3.0


def test_a_request_holds_over_a_short_gap_and_not_over_a_long_one() -> None:
    found = rows(page(Signal.CPU_REQUEST, [0.5], POD), page(Signal.CPU_REQUEST, [1.0], POD, first_row=2), count=8)
    assert found == pytest.approx([0.5, 0.5, 1, 1, 1, 1, NAN, NAN], nan_ok=True)


def test_a_change_of_unit_is_read_and_told() -> None:
    before, after = page(Signal.MEMORY, [2.0**20], POD), page(Signal.MEMORY, [2.0], POD, unit="MiBy", first_row=1)
    found = placed([before, after], window(2))
    assert found.of(Signal.MEMORY)[POD].tolist() == [2.0**20, 2.0**21]
    assert found.remarks == (
        "The unit of memory changed within the window ('By', 'MiBy'; web-0): each point is read in its own.",
    )


def test_points_in_a_unit_of_something_else_are_left_out_and_told() -> None:
    found = placed([page(Signal.MEMORY, [1.0, 2.0], POD, unit="Percent")], window(2))
    assert found.rows == {}
    assert found.remarks == ("2 points of memory are in the unit 'Percent', which is none of memory: left out.",)


def test_negative_and_infinite_points_are_left_out_and_told() -> None:
    found = placed([page(Signal.CPU, [-1.0, float("inf"), 2.0, NAN], POD)], window(4))
    assert found.of(Signal.CPU)[POD].tolist() == pytest.approx([NAN, NAN, 2, NAN], nan_ok=True)
    assert found.remarks == ("2 points of cpu are negative or infinite: left out.",)


def test_what_a_server_wrote_as_a_unit_is_shown_short_and_without_control_characters() -> None:
    assert shown_unit("\x1b[31m" + "x" * 500) == repr("[31m" + "x" * 15)
