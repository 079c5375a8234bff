"""The dense autoencoder: its inputs, its errors, and who computes its network."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mora.detectors.autoencoder import DenseAutoencoder, RowInputs, feature_owners, features_of
from mora.detectors.scaling import learn_scaling
from mora.errors import BadInput, BadModel, NotEnoughData


def service(rows: int = 300, seed: int = 1) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    work = 50 + 20 * np.sin(np.arange(rows) / 20) + rng.normal(0, 1, rows)
    return pd.DataFrame(
        {
            "timestamp": pd.date_range("2026-11-02", periods=rows, freq="60s", tz="UTC").as_unit("us"),
            "cpu_cores_value": 0.01 * work + rng.normal(0, 0.005, rows),
            "mem_bytes_value": 3e8 + 1e6 * work,
            "requests_per_second": work,
        }
    )


METRICS = ["cpu_cores_value", "mem_bytes_value", "requests_per_second"]


@pytest.fixture(scope="module")
def fitted() -> DenseAutoencoder:
    made = DenseAutoencoder(runner="litert", epochs=8)
    made.fit(service())
    return made


def test_inputs_are_samples_averages_changes_and_ratios_to_the_work() -> None:
    frame = service(60)
    values = frame[METRICS].to_numpy()
    scaling, _ = learn_scaling(METRICS, values, {}, by="this")
    found = features_of(scaling, frame)
    scaled = scaling.scale(values)
    assert found.shape == (60, 3 * 4 + 2)
    assert feature_owners(METRICS).tolist() == [0, 1, 2] * 4 + [0, 1]
    row = 40
    np.testing.assert_allclose(found[row, :3], scaled[row])
    np.testing.assert_allclose(found[row, 3:6], scaled[row - 4 : row + 1].mean(axis=0))
    np.testing.assert_allclose(found[row, 6:9], scaled[row - 14 : row + 1].mean(axis=0))
    now, before = values[row], values[row - 1]
    np.testing.assert_allclose(found[row, 9:12], (now - before) / (abs(now) + abs(before)))
    multiples = now / np.median(values, axis=0)
    np.testing.assert_allclose(found[row, 12:], multiples[:2] / (multiples[:2] + multiples[2]))


@given(seed=st.integers(0, 99), holes=st.floats(0, 1), zero=st.booleans())
@settings(max_examples=40, deadline=None)
def test_inputs_are_numbers_whatever_is_missing_or_zero(seed: int, holes: float, zero: bool) -> None:
    usual = service(60)
    scaling, _ = learn_scaling(METRICS, usual[METRICS].to_numpy(), {}, by="this")
    raw = features_of(scaling, usual)
    features, _ = learn_scaling([str(n) for n in range(raw.shape[1])], raw, {}, by="this")
    frame = service(60, seed)
    hidden = np.random.default_rng(seed).uniform(size=(60, 3)) < holes
    frame[METRICS] = frame[METRICS].mask(hidden)
    if zero:
        frame["requests_per_second"] = 0.0
    assert np.isfinite(RowInputs(scaling, features).rows(frame)).all()


@pytest.mark.slow
def test_litert_and_numpy_score_the_same(fitted: DenseAutoencoder) -> None:
    """From one fit: the saved one scores by LiteRT; without its TFLite model it scores by numpy."""
    saved = fitted.save()
    other = DenseAutoencoder()
    other.restore(replace(saved, document={**saved.document, "runner": "numpy"}))
    assert (fitted.runner, other.runner) == ("litert", "numpy")
    np.testing.assert_allclose(other.score(service()), fitted.score(service()), atol=1e-4)
    assert sum(array.nbytes for array in saved.arrays.values()) < 0.5 * 2**20


@pytest.mark.slow
def test_both_errors_are_offered_and_the_absolute_one_is_larger_where_errors_are_small(
    fitted: DenseAutoencoder,
) -> None:
    """The document's 0.1998 is a percentile of absolute errors, compared with squared ones."""
    saved = fitted.save()
    absolute = DenseAutoencoder()
    absolute.restore(replace(saved, document={**saved.document, "error": "mae", "runner": "numpy"}))
    squared_error, absolute_error = fitted.score(service()), absolute.score(service())
    # The mean of squares is never below the square of the mean.
    assert (squared_error >= absolute_error**2 - 1e-6).all()
    assert np.median(absolute_error) > np.median(squared_error)


@pytest.mark.slow
def test_a_fault_scores_highest_and_is_put_down_to_its_metric(fitted: DenseAutoencoder) -> None:
    odd = service(400, seed=2)
    odd.loc[350:354, "cpu_cores_value"] *= 4
    scores = fitted.score(odd)
    assert scores[350:355].min() > np.quantile(scores[:350], 0.99)
    assert fitted.threshold < scores[350:355].min()
    assert (fitted.contributions(odd).loc[350:354].idxmax(axis=1) == "cpu_cores_value").all()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "value"), [("error", "rmse"), ("runner", "sh"), ("units", [1, 2]), ("threshold", None), ("reasons", 7)]
)
def test_a_document_that_no_save_wrote_is_refused(fitted: DenseAutoencoder, name: str, value: object) -> None:
    saved = fitted.save()
    with pytest.raises(BadModel, match="autoencoder"):
        DenseAutoencoder().restore(replace(saved, document={**saved.document, name: value}))


@pytest.mark.slow
@pytest.mark.parametrize("wrong", [None, np.zeros(10, np.uint8)])
def test_a_tflite_model_that_is_missing_or_none_is_refused(fitted: DenseAutoencoder, wrong: np.ndarray | None) -> None:
    saved = fitted.save()
    arrays = {name: array for name, array in saved.arrays.items() if name != "tflite"}
    with pytest.raises(BadModel):
        DenseAutoencoder().restore(replace(saved, arrays=arrays if wrong is None else {**arrays, "tflite": wrong}))


def test_too_few_rows_are_refused_with_what_is_needed() -> None:
    with pytest.raises(NotEnoughData, match="needs 60 rows, and there are 59"):
        DenseAutoencoder().fit(service(59))


@pytest.mark.parametrize("options", [{"error": "rmse"}, {"runner": "sh"}, {"units": "2,4"}])
def test_options_that_cannot_be_are_refused(options: dict[str, str]) -> None:
    with pytest.raises(BadInput):
        DenseAutoencoder(**options)  # type: ignore[arg-type]  # what is wrong
