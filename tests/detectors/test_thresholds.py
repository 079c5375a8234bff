"""What every registered threshold promises."""

from __future__ import annotations

import io
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mora import registry
from mora.domain.learning import Saved
from mora.errors import BadModel, NotEnoughData
from mora.seams import Threshold

NAMES = registry.names("thresholds")
# One is given and learns nothing.
LEARNT = [name for name in NAMES if name != "fixed"]


def made(name: str) -> Threshold:
    found: Threshold = registry.load("thresholds", name)()
    assert found.name == name
    return found


def stored(saved: Saved) -> Saved:
    """As it is after it was written to files and read again."""
    arrays = {}
    for name, array in saved.arrays.items():
        file = io.BytesIO()
        np.save(file, array, allow_pickle=False)
        file.seek(0)
        arrays[name] = np.load(file, allow_pickle=False)
    return Saved(json.loads(json.dumps(saved.document, allow_nan=False)), arrays)


@given(name=st.sampled_from(NAMES), seed=st.integers(0, 99), cut=st.integers(0, 300), scale=st.floats(0.01, 100))
@settings(max_examples=60, deadline=None)
def test_scores_in_two_pieces_have_the_thresholds_they_have_in_one(
    name: str, seed: int, cut: int, scale: float
) -> None:
    """Also where the threshold was saved and restored between them, and where some scores are not known."""
    rng = np.random.default_rng(seed)
    healthy, later = scale * rng.exponential(1, 500), scale * rng.exponential(3, 300)
    later[rng.uniform(size=300) < 0.1] = np.nan
    whole, first, second = made(name), made(name), made(name)
    whole.fit(healthy)
    first.fit(healthy)
    assert whole.level == first.level > 0
    expected = whole.follow(later)
    before = first.follow(later[:cut])
    second.restore(stored(first.save()))
    after = second.follow(later[cut:])
    np.testing.assert_allclose(np.concatenate([before, after]), expected, rtol=1e-12)
    assert second.level == pytest.approx(whole.level)


@pytest.mark.parametrize("name", NAMES)
def test_a_threshold_is_in_force_before_the_score_that_moves_it(name: str) -> None:
    """What comes later changes no threshold, and not the score itself."""
    rng = np.random.default_rng(1)
    scores = rng.exponential(1, 500)
    one, other = made(name), made(name)
    one.fit(scores)
    other.fit(scores)
    later = rng.exponential(2, 400)
    changed = later.copy()
    changed[200:] *= 50
    np.testing.assert_array_equal(one.follow(later)[:201], other.follow(changed)[:201])


@pytest.mark.parametrize("name", LEARNT)
def test_few_healthy_scores_lie_above_it(name: str) -> None:
    """At most one in fifty, of several kinds of scores."""
    rng = np.random.default_rng(1)
    for scores in (rng.exponential(1, 10_000), rng.uniform(size=10_000), np.abs(rng.normal(size=10_000))):
        threshold = made(name)
        threshold.fit(scores[:5000])
        later = scores[5000:]
        assert (later > threshold.follow(later)).mean() <= 0.02


@pytest.mark.parametrize("name", LEARNT)
def test_scores_that_never_differed_have_a_threshold(name: str) -> None:
    threshold = made(name)
    threshold.fit(np.full(100, 0.5))
    assert threshold.level == pytest.approx(0.5, rel=0.01)
    assert threshold.level >= 0.5


@pytest.mark.parametrize("name", LEARNT)
def test_too_few_scores_are_an_error(name: str) -> None:
    with pytest.raises(NotEnoughData, match="there are 2"):
        made(name).fit(np.array([1.0, np.nan, 2.0]))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("wrong", [{}, {"level": "high"}, {"level": None}])
def test_what_no_save_wrote_is_refused(name: str, wrong: dict[str, object]) -> None:
    with pytest.raises(BadModel):
        made(name).restore(Saved(wrong))
    fitted = made(name)
    fitted.fit(np.random.default_rng(1).exponential(1, 100))
    for field in fitted.save().document:
        with pytest.raises(BadModel):
            made(name).restore(Saved({**fitted.save().document, field: float("nan")}, fitted.save().arrays))
