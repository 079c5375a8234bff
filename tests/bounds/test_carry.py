from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mora.bounds.carry import Carry, forward_filled
from mora.bounds.ticks import Floats

_ROWS = 12


def pieces(cuts: list[int]) -> list[slice]:
    edges = sorted({0, _ROWS, *cuts})
    return [slice(begin, end) for begin, end in pairwise(edges)]


def ticks() -> Floats:
    rng = np.random.default_rng(7)
    return np.where(rng.random((_ROWS, 3)) < 0.3, np.nan, rng.random((_ROWS, 3)))


def test_gaps_are_filled_from_before() -> None:
    rows = np.array([[np.nan], [1.0], [np.nan], [3.0], [np.nan]])
    assert np.array_equal(forward_filled(rows), [[np.nan], [1.0], [1.0], [3.0], [3.0]], equal_nan=True)


@given(st.lists(st.integers(0, _ROWS)), st.integers(0, 15))
def test_what_is_carried_makes_pieces_of_ticks_the_whole(cuts: list[int], keep: int) -> None:
    carry, whole = Carry(), ticks()
    padded = np.concatenate([np.full((keep, 3), np.nan), whole])
    known = np.nan_to_num(whole)
    sums = np.concatenate([np.zeros((1, 3)), np.cumsum(known, axis=0)])
    fading = Carry().faded("", known, 0.9)
    for part in pieces(cuts):
        found = carry.ticks_before("ticks", whole[part], keep, unknown=np.nan)
        np.testing.assert_array_equal(found, padded[part.start : part.stop + keep])
        np.testing.assert_array_equal(carry.running("sums", known[part]), sums[part.start : part.stop + 1])
        np.testing.assert_array_equal(carry.faded("faded", known[part], 0.9), fading[part.start : part.stop + 1])
        np.testing.assert_array_equal(carry.forward_filled("filled", whole[part]), forward_filled(whole)[part])


@given(st.lists(st.integers(1, _ROWS - 1)), st.integers(0, 15))
def test_levels_share_a_row_with_the_chunk_before(cuts: list[int], keep: int) -> None:
    carry, whole = Carry(), ticks()
    padded = np.concatenate([np.full((keep, 3), np.nan), whole])
    for part in pieces(cuts):
        # Row 0 of a chunk is the last one of the chunk before.
        rows = whole[max(part.start - 1, 0) : part.stop]
        found = carry.levels_before("levels", rows, keep)
        np.testing.assert_array_equal(found, padded[max(part.start - 1, 0) : part.stop + keep])


def test_histograms_of_a_name_are_the_same_ones() -> None:
    carry = Carry()
    first = carry.histograms_of("one", [1.0], 2)
    assert carry.histograms_of("one", [1.0], 2) is first
    assert carry.histograms_of("other", [1.0], 2) is not first


def test_a_row_that_was_left_is_the_first_of_the_next_chunk() -> None:
    carry = Carry()
    assert carry.first("row", np.zeros(2), unknown=7.0).tolist() == [7.0, 7.0]
    carry.leave("row", np.array([1.0, 2.0]))
    assert carry.first("row", np.zeros(2)) == pytest.approx([1.0, 2.0])
