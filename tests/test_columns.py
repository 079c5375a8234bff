"""Cells of a column stand one below the other, whatever their length."""

from __future__ import annotations

import pytest

from mora.columns import columns

ROWS = [("service", "CPU", "BASIS"), ("cart", "1060m", "model"), ("a", "5m", "-")]


def test_names_are_aligned_to_the_left_and_figures_to_the_right() -> None:
    assert columns(ROWS, gap=1) == ["service   CPU BASIS", "cart    1060m model", "a          5m     -"]


def test_other_columns_may_be_aligned_to_the_left_and_no_line_ends_in_a_space() -> None:
    lines = columns(ROWS, is_right=(False, True, False, True))
    assert lines == ["service    CPU  BASIS", "cart     1060m  model", "a           5m  -"]


def test_no_rows_are_no_lines() -> None:
    assert columns([]) == []


def test_rows_of_unequal_length_are_refused() -> None:
    with pytest.raises(ValueError, match="shorter"):
        columns([("a", "b"), ("c",)])
