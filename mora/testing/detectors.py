"""The contract of a detector."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from mora.seams import Detector
from mora.testing import examples


class DetectorContract:
    """Inherit it and fill in the fixture `detector` with one that is not fitted."""

    @pytest.fixture
    def detector(self) -> Detector:
        """The detector that is tested."""
        raise NotImplementedError("Fill in the fixture `detector`: return a detector that is not fitted.")

    def test_it_has_a_name(self, detector: Detector) -> None:
        """`name` is the registered name."""
        assert detector.name
        assert isinstance(detector.name, str)

    def test_every_row_has_one_finite_score(self, detector: Detector) -> None:
        """Shape (rows,), no NaN: what is not known is not abnormal, and not normal either."""
        frame = examples.metrics_frame()
        detector.fit(frame)
        scores = detector.score(frame)
        assert scores.shape == (len(frame),)
        assert np.isfinite(scores).all()

    def test_what_is_far_from_usual_scores_higher(self, detector: Detector) -> None:
        """Higher is more abnormal: thirty rows at ten times the use score above the rest on average."""
        frame = examples.metrics_frame()
        detector.fit(frame)
        odd = frame.copy()
        measured = ["cpu_cores_value", "mem_bytes_value", "net_rx_bytes_value", "net_tx_bytes_value"]
        odd.loc[300:329, measured] *= 10
        scores = detector.score(odd)
        assert scores[300:330].mean() > np.delete(scores, slice(300, 330)).mean()

    def test_the_same_frame_has_the_same_scores(self, detector: Detector) -> None:
        """Fitted and asked again, too."""
        frame = examples.metrics_frame()
        detector.fit(frame)
        first = detector.score(frame)
        np.testing.assert_array_equal(detector.score(frame), first)
        detector.fit(frame)
        np.testing.assert_allclose(detector.score(frame), first, rtol=1e-9)

    def test_what_it_is_given_is_not_changed(self, detector: Detector) -> None:
        """Neither in fitting nor in scoring."""
        frame = examples.metrics_frame()
        before = frame.copy(deep=True)
        detector.fit(frame)
        detector.score(frame)
        pd.testing.assert_frame_equal(frame, before)
