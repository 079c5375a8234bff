"""Known scores and saved numbers."""

from __future__ import annotations

import numpy as np
import pytest

from mora.detectors.levels import known_scores, paced, restored_numbers
from mora.detectors.quantile import Quantile
from mora.detectors.tracking import Tracking
from mora.domain.learning import Saved
from mora.errors import BadModel, NotEnoughData


def test_unknown_scores_are_passed_over() -> None:
    scores = np.r_[np.arange(20.0), np.nan, np.inf]
    np.testing.assert_array_equal(known_scores(scores), np.arange(20.0))
    with pytest.raises(NotEnoughData, match="needs 20 scores of healthy samples, and there are 19"):
        known_scores(scores[1:])


def test_a_number_that_lacks_or_is_none_is_refused() -> None:
    assert restored_numbers(Saved({"a": 1, "b": 2.5}), ("b", "a")) == (2.5, 1.0)
    for wrong in (Saved({"a": 1}), Saved({"a": 1, "b": "x"}), Saved({"a": 1, "b": float("inf")}), Saved({"b": []})):
        with pytest.raises(BadModel):
            restored_numbers(wrong, ("a", "b"))


def test_a_threshold_that_counts_hours_is_paced_and_another_is_not() -> None:
    threshold = Tracking()
    assert paced(threshold, 300) is threshold
    assert threshold.hold == 12
    paced(threshold, 0)
    assert threshold.hold == 12
    assert isinstance(paced(Quantile(), 300), Quantile)
