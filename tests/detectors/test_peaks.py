"""Peaks over threshold."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mora.detectors.peaks import Peaks, pareto_level


@pytest.mark.parametrize(
    ("draw", "exact"),
    [
        (lambda rng: rng.exponential(1.0, 200_000), 9.21),
        (lambda rng: rng.uniform(size=200_000), 0.9999),
        # The tail of Student's t with four degrees of freedom has the shape 1/4.
        (lambda rng: rng.standard_t(4, 200_000), 13.03),
    ],
)
def test_the_level_is_that_of_the_known_distribution(draw: object, exact: float) -> None:
    assert callable(draw)
    assert pareto_level(draw(np.random.default_rng(2)), 1e-4) == pytest.approx(exact, rel=0.1)


@given(seed=st.integers(0, 999), rows=st.integers(20, 2000), risk=st.sampled_from([1e-2, 1e-3, 1e-4, 1e-5]))
@settings(max_examples=60, deadline=None)
def test_a_smaller_risk_is_a_higher_level_and_scores_scale_it(seed: int, rows: int, risk: float) -> None:
    scores = np.random.default_rng(seed).lognormal(0, 1, rows)
    level = pareto_level(scores, risk)
    assert np.isfinite(level)
    assert pareto_level(scores, risk / 10) >= level
    assert level >= np.quantile(scores, 0.5)
    assert pareto_level(scores * 8, risk) == pytest.approx(level * 8)


def test_scores_that_are_mostly_the_same_have_a_level_at_least_as_high_as_their_foot() -> None:
    assert pareto_level(np.zeros(100), 1e-4) == 0
    assert pareto_level(np.r_[np.zeros(500), 1.0], 1e-4) >= 1.0


def test_it_does_not_move() -> None:
    threshold = Peaks(1e-3)
    threshold.fit(np.random.default_rng(1).exponential(1, 2000))
    assert set(threshold.follow(np.full(50, 1e6))) == {threshold.level}


def test_few_scores_get_a_safer_level() -> None:
    scores = np.random.default_rng(1).exponential(1, 100_000)
    for rows, most in ((200, 3.0), (100_000, 1.2)):
        safe, plain = (pareto_level(scores[:rows], 1e-3, errors=errors) for errors in (4.0, 0.0))
        assert plain < safe < most * plain
