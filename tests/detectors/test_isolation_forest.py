"""The isolation forest scores with numpy what scikit-learn grew."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import IsolationForest as Forest
from sklearn.preprocessing import StandardScaler

from mora.detectors.isolation_forest import IsolationForest
from mora.domain.learning import Saved
from mora.errors import BadModel, NotEnoughData


def frame(rows: int = 400, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    values = {"cpu": rng.normal(40, 10, rows), "mem": rng.normal(5e8, 1e7, rows), "net": rng.exponential(3, rows)}
    return pd.DataFrame({"timestamp": pd.date_range("2026-01-01", periods=rows, freq="60s", tz="UTC"), **values})


@pytest.mark.parametrize("rows", [25, 256, 700])
def test_scores_are_those_of_scikit_learn(rows: int) -> None:
    detector, data = IsolationForest(), frame(rows)
    detector.fit(data)
    values = data[list(detector.columns)].to_numpy()
    scaler = StandardScaler().fit(values)
    forest = Forest(n_estimators=100, random_state=42).fit(scaler.transform(values))
    odd = frame(300, seed=1)
    odd.loc[:20, "mem"] *= 3
    theirs = -forest.score_samples(scaler.transform(odd[list(detector.columns)].to_numpy()))
    np.testing.assert_allclose(detector.score(odd), theirs, rtol=1e-12)


def test_the_metric_that_is_off_carries_most() -> None:
    detector = IsolationForest()
    detector.fit(frame())
    odd = frame(50, seed=2).assign(cpu=40.0, net=2.0, mem=9e8)
    assert detector.contributions(odd)["mem"].min() > 0.8


def test_a_sample_that_is_not_known_counts_as_the_mean() -> None:
    detector, data = IsolationForest(), frame()
    detector.fit(data)
    filled = data.assign(net=data["net"].mean())
    np.testing.assert_allclose(detector.score(data.assign(net=np.nan)), detector.score(filled), rtol=1e-9)


def test_metrics_that_never_move_have_scores_and_equal_shares() -> None:
    detector = IsolationForest()
    still = frame()[["timestamp"]].assign(one=3.0, two=0.0)
    detector.fit(still)
    assert np.isfinite(detector.score(still)).all()
    assert detector.contributions(still).to_numpy().tolist() == [[0.5, 0.5]] * len(still)


def test_the_reason_for_leaving_a_metric_out_is_kept() -> None:
    detector = IsolationForest(trees=5)
    detector.fit(frame().assign(disk=np.nan))
    assert detector.reasons == ("disk is left out: 0 of its samples are known, and 20 are needed.",)
    other = IsolationForest()
    other.restore(detector.save())
    assert other.reasons == detector.reasons


def test_it_says_that_it_is_not_trained() -> None:
    with pytest.raises(NotEnoughData, match="not trained"):
        IsolationForest().save()


@pytest.mark.parametrize(
    "change", [{"usual_steps": 0.0}, {"usual_steps": "many"}, {"columns": []}, {"columns": ["cpu"]}]
)
def test_a_forged_document_is_refused(change: dict[str, object]) -> None:
    detector = IsolationForest(trees=5)
    detector.fit(frame())
    saved = detector.save()
    with pytest.raises(BadModel):
        IsolationForest().restore(Saved({**saved.document, **change}, saved.arrays))
