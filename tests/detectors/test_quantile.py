"""The threshold at a quantile."""

from __future__ import annotations

import numpy as np
import pytest

from mora.detectors.quantile import Quantile
from mora.domain.learning import Saved
from mora.errors import BadModel, NotEnoughData


def test_it_is_the_quantile_of_what_is_known_and_stays_there() -> None:
    threshold = Quantile(0.9)
    threshold.fit(np.array([*range(101), np.nan]))
    assert threshold.level == 90.0
    np.testing.assert_array_equal(threshold.follow(np.array([1e9, np.nan])), [90.0, 90.0])
    other = Quantile()
    other.restore(threshold.save())
    assert (other.level, other.quantile) == (90.0, 0.9)


def test_too_few_scores_are_an_error() -> None:
    with pytest.raises(NotEnoughData, match="there are 1"):
        Quantile().fit(np.array([1.0, np.nan]))


@pytest.mark.parametrize("document", [{}, {"quantile": 2, "level": 1.0}, {"quantile": 0.9, "level": "x"}])
def test_what_no_save_wrote_is_refused(document: dict[str, object]) -> None:
    with pytest.raises(BadModel):
        Quantile().restore(Saved(document))
