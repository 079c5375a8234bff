"""Folds over time: a gap before what is scored, no row scored twice, and an error that says what is missing."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mora.errors import BadInput, NotEnoughData
from mora.folds import Fold, each_origin, folds_of

CUTS: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {
        "rows": st.integers(1, 400),
        "horizon": st.integers(1, 24),
        "count": st.integers(1, 6),
        "least": st.integers(1, 120),
        "gap": st.none() | st.integers(0, 30),
        "window": st.none() | st.integers(1, 150),
    }
)


@given(CUTS)
def test_folds_train_before_a_gap_and_score_every_row_of_the_end_once(cut: dict[str, Any]) -> None:
    rows, horizon, gap, window = cut["rows"], cut["horizon"], cut["gap"], cut["window"]
    try:
        folds = folds_of(**cut)
    except NotEnoughData:
        # One horizon a fold is the least there is.
        gap = horizon if gap is None else gap
        assert rows < max(cut["least"], window or 0) + gap + cut["count"] * horizon
        return
    assert len(folds) == cut["count"]
    assert folds[-1].score_stop == rows
    for before, after in itertools.pairwise(folds):
        assert before.score_stop == after.score_start
    for fold in folds:
        assert 0 <= fold.train_start < fold.train_stop <= fold.score_start < fold.score_stop <= rows
        assert fold.score_start - fold.train_stop == (horizon if gap is None else gap)
        assert fold.train_stop - fold.train_start >= cut["least"] or window is not None
        assert window is None or fold.train_stop - fold.train_start == window
        assert window is not None or fold.train_start == 0
        origins = fold.origins(horizon)
        assert origins
        assert all(fold.score_start <= row and row + horizon <= fold.score_stop for row in origins)


@given(CUTS, st.integers(1, 10))
def test_a_longer_past_changes_no_fold_but_where_it_lies(cut: dict[str, Any], more: int) -> None:
    fixed = {**cut, "scored": cut["horizon"], "window": cut["window"] or 20}
    try:
        folds = folds_of(**fixed)
    except NotEnoughData:
        return
    shifted = folds_of(**{**fixed, "rows": cut["rows"] + more})
    assert shifted == tuple(
        Fold(fold.train_start + more, fold.train_stop + more, fold.score_start + more, fold.score_stop + more)
        for fold in folds
    )


@given(st.integers(1, 200), st.integers(1, 20), st.integers(1, 30))
def test_thinned_origins_are_some_of_all_with_both_ends(rows: int, horizon: int, most: int) -> None:
    fold = Fold(0, 1, 1, 1 + rows)
    everything, some = fold.origins(horizon), fold.origins(horizon, most=most)
    assert len(some) == min(most, len(everything))
    assert some == sorted(set(some) & set(everything))
    assert most == 1 or not everything or (some[0], some[-1]) == (everything[0], everything[-1])


def test_each_origin_goes_through_all_folds_in_order() -> None:
    folds = folds_of(100, horizon=5, count=2, least=40, scored=10)
    assert [row for _, row in each_origin(folds, 5)] == [80, 85, 90, 95]
    assert [row for _, row in each_origin(folds, 5, most=1)] == [80, 90]


def test_too_little_history_says_how_much_is_needed() -> None:
    with pytest.raises(NotEnoughData, match=r"3 folds of a horizon of 24h need 6d, there are 2d") as raised:
        folds_of(48, horizon=24, count=3, least=48, step_seconds=3600)
    assert "mora collect" in str(raised.value.hint)
    with pytest.raises(NotEnoughData, match="one fold of a horizon of 2 rows needs 7 rows, there are 0 rows"):
        folds_of(0, horizon=2, count=1, least=3)


@pytest.mark.parametrize("wrong", [{"horizon": 0}, {"count": 0}, {"least": 0}, {"window": 0}, {"gap": -1}])
def test_folds_that_make_no_sense_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(BadInput):
        folds_of(**{"rows": 100, "horizon": 5, "count": 2, "least": 40, **wrong})
    with pytest.raises(BadInput, match="holds no horizon"):
        folds_of(100, horizon=5, count=2, least=40, scored=4)
