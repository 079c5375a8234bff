"""k-means."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from mora.detectors.kmeans import KMeans, _centroids
from mora.domain.learning import Saved
from mora.errors import BadModel


def test_clusters_that_lie_apart_are_found() -> None:
    rng = np.random.default_rng(1)
    middles = np.array([[0.0, 0.0], [10.0, 0.0], [0.0, 10.0], [10.0, 10.0]])
    points = np.concatenate([middle + rng.normal(0, 0.5, (200, 2)) for middle in middles])
    found = _centroids(points, 4)
    assert sorted(map(tuple, found.round().tolist())) == sorted(map(tuple, middles.tolist()))


def test_a_shape_that_never_was_scores_above_all_that_were() -> None:
    saw = np.tile([0.0, 1.0, 2.0, 3.0], 200) + np.random.default_rng(1).normal(0, 0.05, 800)
    detector = KMeans()
    detector.fit(pd.DataFrame({"saw": saw}))
    odd = saw.copy()
    odd[400:404] = odd[403:399:-1].copy()  # the same values, the other way round
    scores = detector.score(pd.DataFrame({"saw": odd}))
    assert scores[404] > 2 * scores[:400].max()
    assert detector.contributions(pd.DataFrame({"saw": odd}))["saw"][404] == 1.0


def test_a_history_of_one_value_has_one_shape() -> None:
    detector = KMeans()
    detector.fit(pd.DataFrame({"replicas": np.full(100, 3.0)}))
    assert detector.save().arrays["centroids"].shape[0] == 1
    assert detector.score(pd.DataFrame({"replicas": [3.0, 4.0]})).argmax() == 1


def test_arrays_that_do_not_fit_together_are_refused() -> None:
    detector = KMeans()
    detector.fit(pd.DataFrame({"a": np.random.default_rng(1).normal(size=200)}))
    saved = detector.save()
    for wrong in (np.empty((0, 24)), saved.arrays["centroids"][:, 1:], saved.arrays["centroids"][0]):
        with pytest.raises(BadModel, match="does not fit together"):
            KMeans().restore(Saved(saved.document, {**saved.arrays, "centroids": wrong}))
