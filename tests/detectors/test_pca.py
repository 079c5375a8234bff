"""PCA."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from mora.detectors.pca import Pca
from mora.domain.learning import Saved
from mora.errors import BadModel


def pair(rows: int, seed: int) -> pd.DataFrame:
    """CPU that follows load."""
    rng = np.random.default_rng(seed)
    load = rng.normal(10, 3, rows)
    return pd.DataFrame({"load": load, "cpu": 0.1 * load + rng.normal(0, 0.02, rows)})


def test_metrics_that_break_with_each_other_are_found_inside_their_ranges() -> None:
    detector = Pca()
    detector.fit(pair(3000, 1))
    frame = pair(200, 2)
    assert np.median(detector.score(frame)) == pytest.approx(1.0, rel=0.15)
    frame.loc[100, ["load", "cpu"]] = [6.0, 1.4]
    scores = detector.score(frame)
    assert scores.argmax() in range(100, 100 + detector.context + 1)
    assert scores.max() > 1.5 * np.delete(scores, np.arange(100, 101 + detector.context)).max()


@pytest.mark.parametrize("name", ["mean", "directions", "variances", "spread"])
def test_arrays_that_do_not_fit_together_are_refused(name: str) -> None:
    detector = Pca()
    detector.fit(pair(300, 1))
    saved = detector.save()
    for wrong in (saved.arrays[name][:-1], -np.abs(saved.arrays[name])):
        if name in ("mean", "directions") and wrong.shape == saved.arrays[name].shape:
            continue
        with pytest.raises(BadModel, match="does not fit together"):
            Pca().restore(Saved(saved.document, {**saved.arrays, name: wrong}))
