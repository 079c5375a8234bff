"""The threshold that a person gives."""

from __future__ import annotations

import numpy as np
import pytest

from mora.detectors.fixed import Fixed
from mora.errors import BadInput


def test_the_level_is_the_documents_unless_another_is_given() -> None:
    assert Fixed().level == 0.1998
    made = Fixed(2.5)
    made.fit(np.full(50, 100.0))
    assert made.follow(np.array([1.0, 3.0])).tolist() == [2.5, 2.5]
    other = Fixed()
    other.restore(made.save())
    assert other.level == 2.5


def test_a_level_that_is_no_number_is_refused() -> None:
    with pytest.raises(BadInput, match="threshold"):
        Fixed(float("nan"))
