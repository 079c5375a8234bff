"""The threshold in standard deviations."""

from __future__ import annotations

import numpy as np
import pytest

from mora.detectors.sigma import Sigma


def test_it_is_so_many_deviations_above_the_mean_and_stays_there() -> None:
    threshold = Sigma(2.5)
    threshold.fit(np.r_[np.tile([1.0, 3.0], 50), np.nan])
    assert threshold.level == pytest.approx(4.5)
    np.testing.assert_array_equal(threshold.follow(np.array([9.0, np.nan])), [4.5, 4.5])
