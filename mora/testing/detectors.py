"""The contract of a detector."""

from __future__ import annotations

import io
import json

import numpy as np
import pandas as pd
import pytest

from mora.domain.learning import Saved
from mora.errors import BadInput, BadModel, MoraError, NotEnoughData
from mora.seams import Detector
from mora.testing import examples


class DetectorContract:
    """Inherit it and fill in the fixture `detector` with one that is not fitted."""

    @pytest.fixture
    def detector(self) -> Detector:
        """The detector that is tested."""
        raise NotImplementedError("Fill in the fixture `detector`: return a detector that is not fitted.")

    @pytest.fixture
    def frame(self) -> pd.DataFrame:
        """What it is fitted on: the twelve metrics, a row every 15 s. A detector that needs other rows fills it in."""
        return examples.metrics_frame()

    def test_it_has_a_name(self, detector: Detector) -> None:
        """`name` is the registered name; it knows no metric before it is fitted."""
        assert detector.name
        assert isinstance(detector.name, str)
        assert detector.columns == ()

    def test_every_row_with_enough_before_it_has_one_finite_score(
        self, detector: Detector, frame: pd.DataFrame
    ) -> None:
        """Shape (rows,); NaN only in the first `context` rows where all metrics are known."""
        detector.fit(frame)
        scores = detector.score(frame)
        assert scores.shape == (len(frame),)
        assert np.isfinite(scores[detector.context :]).all()
        assert set(detector.columns) <= set(frame.columns) - {"timestamp"}
        assert all(isinstance(reason, str) for reason in detector.reasons)

    def test_what_is_far_from_usual_scores_higher(self, detector: Detector, frame: pd.DataFrame) -> None:
        """Higher is more abnormal: thirty rows at ten times the use score above the rest on average."""
        detector.fit(frame)
        odd = frame.copy()
        measured = ["cpu_cores_value", "mem_bytes_value", "net_rx_bytes_value", "net_tx_bytes_value"]
        start = len(frame) // 2
        odd.loc[start : start + 29, measured] *= 10
        scores = detector.score(odd)
        assert np.nanmean(scores[start : start + 30]) > np.nanmean(np.delete(scores, slice(start, start + 30)))

    def test_the_same_frame_has_the_same_scores(self, detector: Detector, frame: pd.DataFrame) -> None:
        """Fitted and asked again, too."""
        detector.fit(frame)
        first = detector.score(frame)
        np.testing.assert_array_equal(detector.score(frame), first)
        detector.fit(frame)
        np.testing.assert_allclose(detector.score(frame), first, rtol=1e-9)

    def test_what_it_is_given_is_not_changed(self, detector: Detector, frame: pd.DataFrame) -> None:
        """Neither in fitting nor in scoring."""
        before = frame.copy(deep=True)
        detector.fit(frame)
        detector.score(frame)
        detector.contributions(frame)
        pd.testing.assert_frame_equal(frame, before)

    def test_what_comes_later_changes_no_score(self, detector: Detector, frame: pd.DataFrame) -> None:
        """The first part of a frame scores as it does in the whole of it."""
        detector.fit(frame)
        part = 2 * len(frame) // 3
        np.testing.assert_allclose(detector.score(frame[:part]), detector.score(frame)[:part], rtol=1e-7, atol=1e-9)

    def test_a_row_depends_on_the_rows_of_its_context_alone(self, detector: Detector, frame: pd.DataFrame) -> None:
        """A watcher that keeps `context` rows gives the score that the whole history gives."""
        detector.fit(frame)
        last = detector.score(frame)[-1]
        tail = frame[-(detector.context + 1) :]
        np.testing.assert_allclose(detector.score(tail)[-1], last, rtol=1e-3)

    def test_contributions_share_out_each_score(self, detector: Detector, frame: pd.DataFrame) -> None:
        """One row a row, never negative, adding up to 1, or to 0 where there is no score."""
        detector.fit(frame)
        odd = frame.copy()
        odd.loc[len(odd) - 10 :, "cpu_cores_value"] *= 50
        scores, shares = detector.score(odd), detector.contributions(odd)
        assert tuple(shares.columns) == detector.columns
        assert shares.index.equals(odd.index)
        assert (shares.to_numpy() >= 0).all()
        known = np.isfinite(scores) & (scores > 0)
        np.testing.assert_allclose(shares.to_numpy()[known].sum(axis=1), 1.0, atol=1e-6)
        assert (shares.to_numpy()[np.isnan(scores)] == 0).all()

    def test_one_metric_is_enough_and_one_that_never_moves_does_no_harm(
        self, detector: Detector, frame: pd.DataFrame
    ) -> None:
        """The same with a gap of an hour, and with a metric that is never known."""
        alone = frame[["timestamp", "cpu_cores_value"]]
        detector.fit(alone)
        assert np.isfinite(detector.score(alone)[detector.context :]).all()
        odd = alone.assign(constant=7.0, unknown=np.nan)
        detector.fit(odd)
        assert np.isfinite(detector.score(odd)[detector.context :]).all()

    def test_gaps_are_no_error_and_what_is_not_known_has_no_score(
        self, detector: Detector, frame: pd.DataFrame
    ) -> None:
        """Rows without any known metric are NaN; single gaps in a metric leave the row its score or NaN, never inf."""
        metrics = [name for name in frame.columns if name != "timestamp"]
        holed = frame.copy()
        holed.loc[len(frame) // 4 : len(frame) // 4 + 3, metrics[0]] = np.nan
        detector.fit(holed)
        holed.loc[len(frame) // 2 : len(frame) // 2 + 20, metrics] = np.nan
        scores = detector.score(holed)
        assert not np.isinf(scores).any()
        assert np.isnan(scores[len(frame) // 2 : len(frame) // 2 + 21]).all()

    def test_many_metrics(self, detector: Detector, frame: pd.DataFrame) -> None:
        """Two hundred metrics are fitted and scored."""
        rng = np.random.default_rng(1)
        wide = pd.DataFrame(rng.normal(1, 0.1, (len(frame), 200)), columns=[f"m{n:03}" for n in range(200)])
        wide.insert(0, "timestamp", frame["timestamp"].to_numpy())
        detector.fit(wide)
        assert np.isfinite(detector.score(wide)[detector.context :]).all()

    def test_a_column_that_lacks_is_an_error_that_names_it(self, detector: Detector, frame: pd.DataFrame) -> None:
        """Never a score of something else."""
        detector.fit(frame)
        lacking = detector.columns[0]
        with pytest.raises(BadInput, match=lacking):
            detector.score(frame.drop(columns=lacking))

    def test_too_little_is_not_fitted(self, detector: Detector, frame: pd.DataFrame) -> None:
        """A clear error, with what is needed."""
        with pytest.raises(NotEnoughData):
            detector.fit(frame[:3])

    def test_one_that_is_not_fitted_says_so(self, detector: Detector, frame: pd.DataFrame) -> None:
        """Never a score, and nothing that could be taken for a trained one."""
        with pytest.raises(MoraError, match=r"not (fitted|trained)"):
            detector.score(frame)
        with pytest.raises(MoraError, match=r"not (fitted|trained)"):
            detector.contributions(frame)
        with pytest.raises(MoraError, match=r"not (fitted|trained)"):
            detector.save()

    def test_no_row_has_no_score(self, detector: Detector, frame: pd.DataFrame) -> None:
        """A frame without rows is no error."""
        detector.fit(frame)
        assert detector.score(frame[:0]).shape == (0,)
        assert detector.contributions(frame[:0]).shape == (0, len(detector.columns))

    def test_a_metric_that_is_hardly_known_is_left_out_with_a_reason(
        self, detector: Detector, frame: pd.DataFrame
    ) -> None:
        """Named in `reasons`, also after it was saved and restored."""
        detector.fit(frame.assign(hardly_known=np.nan))
        assert "hardly_known" not in detector.columns
        assert any("hardly_known" in reason for reason in detector.reasons)
        other = type(detector)()
        other.restore(detector.save())
        assert other.reasons == detector.reasons

    def test_what_is_saved_is_restored_to_the_same_scores(
        self, detector: Detector, frame: pd.DataFrame, request: pytest.FixtureRequest
    ) -> None:
        """The document is JSON, the arrays need no pickle."""
        detector.fit(frame)
        before, context = detector.score(frame), detector.context
        saved = detector.save()
        document = json.loads(json.dumps(saved.document, allow_nan=False))
        arrays = {}
        for name, array in saved.arrays.items():
            file = io.BytesIO()
            np.save(file, array, allow_pickle=False)
            file.seek(0)
            arrays[name] = np.load(file, allow_pickle=False)
        other = type(detector)()
        other.restore(Saved(document, arrays))
        assert (other.columns, other.context) == (detector.columns, context)
        np.testing.assert_allclose(other.score(frame), before, rtol=1e-6, atol=1e-9)

    def test_what_no_save_wrote_is_not_restored(self, detector: Detector) -> None:
        """An error that says to train again."""
        for document in ({}, {"columns": 7}, {"columns": ["cpu"], "level": "high"}):
            with pytest.raises(BadModel):
                detector.restore(Saved(document, {}))
