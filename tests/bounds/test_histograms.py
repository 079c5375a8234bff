from __future__ import annotations

import numpy as np
import pytest

from mora.bounds.histograms import BUCKETS, Histograms


@pytest.mark.parametrize("paces", [(1.0,), (0.9, 0.5), (0.01,)])
def test_quantiles_are_those_of_weights_that_fade_one_by_one(paces: tuple[float, ...]) -> None:
    rng = np.random.default_rng(3)
    rows, ticks = 4, 150
    histograms = Histograms(paces, rows)
    plain = np.zeros((len(paces), rows, BUCKETS))
    for _ in range(ticks):
        places = rng.integers(0, rows, 30) * BUCKETS + rng.integers(0, BUCKETS, 30)
        weights = rng.random(30)
        histograms.fade()
        histograms.add(places, weights)
        plain *= np.array(paces)[:, None, None]
        for number in range(len(paces)):
            np.add.at(plain[number].reshape(-1), places, weights)
        for share in (0.05, 0.5, 0.95):
            cumulated = plain.cumsum(axis=2)
            exact = (cumulated >= share * cumulated[:, :, -1:]).argmax(axis=2)
            np.testing.assert_array_equal(histograms.quantiles(np.full(len(paces), share)), exact)


def test_what_was_taken_away_again_leaves_an_empty_histogram() -> None:
    histograms = Histograms([1.0, 0.5], 2)
    assert histograms.quantiles(np.array([0.5, 0.5])).tolist() == [[-1, -1], [-1, -1]]
    histograms.add(np.array([7, BUCKETS + 9]), np.ones(2))
    assert histograms.quantiles(np.array([0.5, 1.0])).tolist() == [[7, 9], [7, 9]]
    histograms.add(np.array([7]), -np.ones(1), pace=0)
    assert histograms.quantiles(np.array([0.5, 0.5])).tolist() == [[-1, 9], [7, 9]]


def test_one_pace_may_be_asked_for_several_shares() -> None:
    histograms = Histograms([0.5, 1.0], 1)
    histograms.add(np.arange(100), np.ones(100))
    assert histograms.quantiles(np.array([0.1, 0.5, 0.95]), np.array([1, 1, 0])).tolist() == [[9], [49], [94]]


def test_a_row_has_the_same_answer_alone_as_among_many() -> None:
    rng = np.random.default_rng(5)
    rows, paces = 300, (0.9, 0.5)
    together, alone = Histograms(paces, rows), Histograms(paces, 1)
    shares = np.array([0.5, 0.95])
    for _ in range(40):
        places, weights = rng.integers(0, BUCKETS, (rows, 12)), rng.random((rows, 12))
        together.fade()
        alone.fade()
        together.add((places + np.arange(rows)[:, None] * BUCKETS).ravel(), weights.ravel())
        alone.add(places[7], weights[7])
        np.testing.assert_array_equal(together.quantiles(shares)[:, 7], alone.quantiles(shares)[:, 0])
