"""Samples as bytes and back: every bit of every value, and nothing that was not written by us."""

from __future__ import annotations

import zlib

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mora.state.blocks import Samples, decode, encode, joined

# A machine that stands still for a while says nothing of how a series is drawn.
patient = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
values = st.one_of(
    st.floats(width=64),
    st.floats(width=32),
    st.integers(0, 2**31).map(lambda pages: float(pages * 4096)),
    st.just(-0.0),
)


@st.composite
def series(draw: st.DrawFn) -> Samples:
    rows = sorted(draw(st.sets(st.integers(0, 2**40), min_size=1, max_size=30)))
    numbers = draw(st.lists(values, min_size=len(rows), max_size=len(rows)))
    labels = draw(st.dictionaries(st.text(max_size=5), st.text(max_size=5), max_size=3))
    return Samples(labels, np.array(rows, dtype=np.int64), np.array(numbers, dtype=np.float64))


@patient
@given(st.lists(series(), max_size=4))
def test_every_bit_comes_back(written: list[Samples]) -> None:
    read = decode(encode(written))
    assert [dict(one.labels) for one in read] == [dict(one.labels) for one in written]
    for one, other in zip(read, written, strict=True):
        np.testing.assert_array_equal(one.rows, other.rows)
        known = ~np.isnan(other.values)  # which NaN it is says nothing
        assert one.values[known].tobytes() == other.values[known].tobytes()
        assert np.isnan(one.values[~known]).all()


@patient
@given(series(), series())
def test_the_newer_sample_counts_where_there_are_two(older: Samples, newer: Samples) -> None:
    merged = older.renewed(newer)
    expected = {**dict(zip(older.rows, older.values, strict=True)), **dict(zip(newer.rows, newer.values, strict=True))}
    assert merged.rows.tolist() == sorted(expected)
    np.testing.assert_array_equal(merged.values, [expected[row] for row in sorted(expected)])


def test_blocks_in_the_order_of_time_are_one_series() -> None:
    parts = [Samples({"pod": "a"}, np.array([first, first + 1]), np.array([1.0, 2.0])) for first in (0, 5)]
    (whole,) = joined([part] for part in parts).values()
    assert whole.rows.tolist() == [0, 1, 5, 6]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"no zlib",
        zlib.compress(b"\xff" * 20),
        zlib.compress((8).to_bytes(8, "little") + b"[[1,2,3]]"),
        encode([Samples({}, np.arange(9), np.random.default_rng(1).random(9))])[:-5],
    ],
)
def test_what_we_did_not_write_is_refused(body: bytes) -> None:
    with pytest.raises(ValueError, match=r"block|JSON|Expecting|utf"):
        decode(body)


def test_a_block_that_would_fill_the_memory_is_refused() -> None:
    with pytest.raises(ValueError, match="too large"):
        decode(zlib.compress(bytes(65 * 2**20), 1))
