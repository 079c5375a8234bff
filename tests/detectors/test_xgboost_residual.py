"""Trees expect a value of each metric: with numpy as with XGBoost, and the twin without the row's own moment."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
import xgboost

from mora.detectors import xgboost_residual
from mora.detectors.frames import seconds_of
from mora.detectors.xgboost_residual import Helios, XgboostResidual
from mora.domain.learning import Saved
from mora.errors import BadModel, NotEnoughData
from mora.trees import Trees


def frame(rows: int = 300, seed: int = 0) -> pd.DataFrame:
    """A daily wave in 5-minute steps, memory that follows it."""
    rng = np.random.default_rng(seed)
    wave = 1 + 0.5 * np.sin(2 * np.pi * np.arange(rows) / 288)
    values = {"cpu": wave + rng.normal(0, 0.05, rows), "mem": 5e8 * wave + rng.normal(0, 1e7, rows)}
    return pd.DataFrame({"timestamp": pd.date_range("2026-01-01", periods=rows, freq="5min", tz="UTC"), **values})


def test_numpy_predicts_what_xgboost_does(monkeypatch: pytest.MonkeyPatch) -> None:
    grown: list[tuple[Any, Any]] = []
    train = xgboost.train

    def spy(options: Any, data: Any, trees: int) -> Any:
        grown.append((data, train(options, data, trees)))
        return grown[-1][1]

    monkeypatch.setattr(xgboost, "train", spy)
    detector = Helios(trees=30)
    rng = np.random.default_rng(0)
    table = rng.normal(size=(500, 6)).astype(np.float32).astype(np.float64)
    table[rng.random(table.shape) < 0.1] = np.nan
    detector.columns = ("cpu",)
    trees: Trees = detector._grow(table, np.nan_to_num(table[:, 0]) * 3 + rng.normal(size=500))
    ((_, booster),) = grown
    np.testing.assert_allclose(trees.sums(table), booster.predict(xgboost.DMatrix(table)), rtol=1e-5, atol=1e-6)
    # A value that is exactly a limit goes to the right.
    limits = np.tile(np.unique(trees.limit)[:, None], (1, 6))
    limits = np.nextafter(limits.astype(np.float32), np.float32(np.inf)).astype(np.float64)
    np.testing.assert_allclose(trees.sums(limits), booster.predict(xgboost.DMatrix(limits)), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("jump", [0.5, 5.0])
def test_a_jump_scores_by_its_size_in_past_errors(jump: float) -> None:
    detector, odd = XgboostResidual(trees=40), frame()
    detector.fit(frame(600))
    usual = detector.score(odd)[200]
    odd["cpu"] += np.where(np.arange(len(odd)) == 200, jump, 0.0)
    assert detector.score(odd)[200] > max(2.5, usual)
    assert detector.contributions(odd)["cpu"].iloc[200] > 0.5


def test_the_twin_expects_the_same_whatever_the_moment_brings_and_helios_copies_it() -> None:
    honest, helios = XgboostResidual(trees=40), Helios(trees=40)
    for detector in (honest, helios):
        detector.fit(frame(600))
    odd = frame(seed=3)
    odd["cpu"] *= np.where(np.arange(len(odd)) == 200, 1.4, 1.0)

    def expected(detector: XgboostResidual, data: pd.DataFrame) -> float:
        inputs = xgboost_residual._Inputs(
            seconds_of(data),
            (data[["cpu", "mem"]].to_numpy() - detector._mean) / detector._scale,
            detector.columns,
            detector._knows_its_moment,
        )
        return float(detector._trees[0].sums(inputs.of(0)[200:201])[0])

    assert expected(honest, odd) == expected(honest, frame(seed=3))
    assert expected(helios, odd) > expected(helios, frame(seed=3)) + 0.1


@pytest.mark.parametrize("level", [0.0, 5e8])
def test_a_metric_that_never_moved_may_jump_but_not_beyond_measure(level: float) -> None:
    detector, still = XgboostResidual(trees=5), frame().assign(mem=level)
    detector.fit(still)
    assert detector.score(still)[20:].max() < 20
    jump, tiny = (detector.score(still.assign(mem=level + by))[20:] for by in (3 + level, level * 1e-6))
    np.testing.assert_array_equal(jump, 100.0)
    np.testing.assert_allclose(tiny, detector.score(still)[20:], atol=0.1)


def test_many_metrics_share_the_trees_and_the_reason_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(xgboost_residual, "_MOST_METRICS", 1)
    detector = XgboostResidual(trees=20)
    detector.fit(frame())
    assert [len(trees.roots) for trees in detector._trees] == [10, 10]
    other = XgboostResidual()
    other.restore(detector.save())
    assert other.reasons == detector.reasons
    assert "2 metrics" in detector.reasons[0]


def test_it_needs_a_history() -> None:
    with pytest.raises(NotEnoughData, match="72 known samples"):
        XgboostResidual().fit(frame(60))
    with pytest.raises(NotEnoughData, match="not trained"):
        XgboostResidual().score(frame())
    with pytest.raises(NotEnoughData, match="not trained"):
        XgboostResidual().save()


@pytest.mark.parametrize("lost", ["1.roots", "0.left", "spread", "mean"])
def test_what_is_not_whole_is_refused(lost: str) -> None:
    detector = XgboostResidual(trees=3)
    detector.fit(frame())
    saved = detector.save()
    arrays = {name: array for name, array in saved.arrays.items() if name != lost}
    with pytest.raises(BadModel):
        XgboostResidual().restore(Saved(saved.document, arrays))
    with pytest.raises(BadModel):
        XgboostResidual().restore(Saved(saved.document, {**saved.arrays, "spread": np.zeros(2)}))
    with pytest.raises(BadModel):
        # The trees of two metrics, and the name of one: they ask for features that are not there.
        XgboostResidual().restore(Saved({**saved.document, "columns": ["cpu"]}, saved.arrays))
