"""Metrics as inputs: what lies outside its bounds is clipped, counted and, above a share, refused."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from mora.detectors.scaling import (
    DOCUMENT_BOUNDS,
    FILLED_ROWS,
    MOST_CLIPPED,
    Scaling,
    fill_forward,
    learn_scaling,
    read_bounds,
)
from mora.errors import BadInput

NUMBERS = st.one_of(st.just(np.nan), st.floats(-1e12, 1e12))


def test_the_bounds_are_those_of_the_document() -> None:
    names = ("request_rate", "latency_p95", "memory_usage", "error_rate", "cpu_usage")
    assert [DOCUMENT_BOUNDS[name] for name in names] == [(0, 150), (0, 0.50), (0, 2e9), (0, 3.0), (0, 0.15)]
    assert read_bounds("document") is DOCUMENT_BOUNDS
    assert read_bounds("learnt") == {}


@given(values=arrays.arrays(np.float64, st.tuples(st.integers(1, 30), st.just(2)), elements=NUMBERS))
def test_scaled_samples_are_numbers_within_their_bounds(values: np.ndarray) -> None:
    """Whatever is scaled, by fixed bounds and by learnt ones; gaps are filled."""
    rows = np.column_stack([np.linspace(0, 1, 30), np.linspace(5, 6, 30)])
    scaling, _ = learn_scaling(("a", "b"), rows, {"a": (0.0, 2.0)}, by="this")
    scaled = scaling.scale(values)
    assert ((scaled[:, 0] >= 0) & (scaled[:, 0] <= 1)).all()
    assert ((scaled[:, 1] >= -2) & (scaled[:, 1] <= 3)).all()
    outside = np.isfinite(values) & (np.abs(values) > 1e6)
    assert (scaling.outside(values) >= outside.sum(axis=0)).all()


def test_what_is_clipped_is_counted_with_a_reason() -> None:
    values = np.full((100, 1), 0.1)
    values[:3] = 0.3
    scaling, reasons = learn_scaling(("cpu_usage",), values, DOCUMENT_BOUNDS, by="lstm-autoencoder")
    assert reasons == ("3.0% of cpu_usage lies outside its bounds [0, 0.15] and was clipped.",)
    assert scaling.outside(values).tolist() == [3]
    assert scaling.scale(values).max() == 1.0


def test_bounds_that_do_not_fit_the_service_are_refused_with_the_share() -> None:
    values = np.full((100, 1), 0.1)
    values[: int(100 * MOST_CLIPPED) + 1] = 0.3
    with pytest.raises(BadInput, match=r"6\.0% of cpu_usage lies outside its bounds \[0, 0\.15\]") as raised:
        learn_scaling(("cpu_usage",), values, DOCUMENT_BOUNDS, by="lstm-autoencoder")
    assert "lstm-autoencoder:bounds=learnt" in str(raised.value.hint)
    learn_scaling(("cpu_usage",), values, read_bounds("cpu_usage=0..1"), by="lstm-autoencoder")
    learn_scaling(("cpu_usage",), values, read_bounds("learnt"), by="lstm-autoencoder")


def test_a_metric_without_fixed_bounds_learns_them_with_a_reason() -> None:
    values = np.column_stack([np.full(50, 0.1), np.linspace(10, 20, 50)])
    scaling, reasons = learn_scaling(("cpu_usage", "queue"), values, DOCUMENT_BOUNDS, by="this")
    assert reasons == ("No bounds are fixed for queue: they are the lowest and highest samples of training.",)
    assert (scaling.low[1], scaling.high[1]) == (10.0, 20.0)


def test_a_metric_that_never_moved_is_far_off_once_it_does() -> None:
    scaling, _ = learn_scaling(("restarts", "replicas"), np.tile([0.0, 3.0], (30, 1)), {}, by="this")
    usual, moved = scaling.scale(np.array([[0.0, 3.0], [1.0, 4.0]]))
    assert np.isfinite(usual).all()
    assert (moved - usual >= 2).all()


@pytest.mark.parametrize(
    "text", ["", "cpu", "cpu=1", "cpu=1..", "cpu=2..1", "cpu=0..0", "cpu=nan..1", "=0..1", "nothing"]
)
def test_bounds_that_cannot_be_are_refused(text: str) -> None:
    with pytest.raises(BadInput, match="bounds"):
        read_bounds(text)


@given(
    known=st.lists(st.booleans(), min_size=1, max_size=40),
    most=st.integers(0, 6),
)
def test_a_sample_is_filled_from_the_last_known_one_and_no_further_back(known: list[bool], most: int) -> None:
    values = np.where(known, np.arange(len(known), dtype=np.float64), np.nan)[:, None]
    filled = fill_forward(values, most)[:, 0]
    for row, value in enumerate(filled):
        near = [before for before in range(max(row - most, 0), row + 1) if known[before]]
        assert value == near[-1] if near else np.isnan(value)


def test_what_is_saved_scales_the_same() -> None:
    values = np.random.default_rng(1).normal(5, 1, (50, 2))
    scaling, _ = learn_scaling(("a", "b"), values, {"a": (0.0, 10.0)}, by="this")
    again = Scaling.restored(scaling.saved())
    np.testing.assert_array_equal(again.scale(values), scaling.scale(values))
    assert again.columns == ("a", "b")
    assert FILLED_ROWS == 5
