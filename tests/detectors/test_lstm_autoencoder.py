"""The LSTM autoencoder: windows, the times of day, bounds, what it needs and what it refuses."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from mora.detectors.lstm_autoencoder import LstmAutoencoder, WindowInputs, time_inputs
from mora.detectors.scaling import learn_scaling
from mora.domain.learning import Saved
from mora.errors import BadInput, BadModel, NotEnoughData
from mora.networks.autoencoder_fit import FitSettings
from mora.networks.autoencoders import lstm_shapes
from mora.seams import Silent
from tests.networks.making import drawn


def service(rows: int = 300, cpu: float = 0.05, start: str = "2026-11-02") -> pd.DataFrame:
    """Five metrics within the document's bounds, a row a minute, with a daily wave."""
    rng = np.random.default_rng(1)
    wave = 1 + 0.5 * np.sin(2 * np.pi * np.arange(rows) / 1440) + rng.normal(0, 0.02, rows)
    return pd.DataFrame(
        {
            "timestamp": pd.date_range(start, periods=rows, freq="60s", tz="UTC").as_unit("us"),
            "request_rate": 40 * wave,
            "latency_p95": 0.1 * wave,
            "memory_usage": 3e8 * (1 + 0.1 * wave),
            "error_rate": rng.uniform(0, 0.02, rows),
            "cpu_usage": cpu * wave,
        }
    )


def unfitted(frame: pd.DataFrame) -> LstmAutoencoder:
    """One with drawn weights: for tests that need no fit."""
    columns = [str(name) for name in frame if name != "timestamp"]
    scaling, _ = learn_scaling(columns, frame[columns].to_numpy(), {}, by="this")
    weights = {f"weight_{name}": w for name, w in drawn(lstm_shapes((8,), len(columns) + 6)).items()}
    found = scaling.saved()
    document = {**found.document, "window": 20, "units": [8], "threshold": 0.1, "reasons": []}
    made = LstmAutoencoder()
    made.restore(Saved(document, {**found.arrays, **weights}))
    return made


def test_times_are_hour_and_weekday_on_circles_weekend_and_business_hours() -> None:
    moments = pd.to_datetime(["2026-11-02 00:00", "2026-11-04 12:00", "2026-11-06 17:00", "2026-11-07 18:00"], utc=True)
    found = time_inputs(pd.DataFrame({"timestamp": moments.as_unit("us")}))
    hour, day = 2 * np.pi * np.array([0, 12, 17, 18]) / 24, 2 * np.pi * np.array([0, 2, 4, 5]) / 7
    circles = np.column_stack([np.sin(hour), np.cos(hour), np.sin(day), np.cos(day)])
    np.testing.assert_allclose(found[:, :4], circles, atol=1e-9)
    assert found[:, 4].tolist() == [0, 0, 0, 1]
    assert found[:, 5].tolist() == [0, 1, 0, 0]


def test_a_window_is_twenty_rows_of_eleven_inputs_and_one_ends_with_each_row() -> None:
    frame = service(60)
    columns = [str(name) for name in frame if name != "timestamp"]
    inputs = WindowInputs(learn_scaling(columns, frame[columns].to_numpy(), {}, by="this")[0], 20)
    windows, rows = inputs.windows(frame), inputs.rows(frame)
    assert windows.shape == (41, 20, 11)
    for number in (0, 17, 40):
        np.testing.assert_array_equal(windows[number], rows[number : number + 20])


def test_fitting_and_scoring_make_their_windows_by_one_object(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the network is fitted on, and what it scores, are the same windows of the same rows."""
    from mora.networks import autoencoder_fit

    frame = service(200)
    given: list[np.ndarray] = []

    def fit(training: np.ndarray, validation: np.ndarray, units: tuple[int, ...], *_: object) -> dict[str, np.ndarray]:
        given.extend([training, validation])
        return drawn(lstm_shapes(units, training.shape[2]))

    monkeypatch.setattr(autoencoder_fit, "fit_lstm", fit)
    made = LstmAutoencoder(units=(8,))
    made.fit(frame)
    assert made._inputs is not None
    windows = made._inputs.windows(frame)
    # Windows with stride 1 within the first four fifths, and within the rest: none across.
    np.testing.assert_array_equal(given[0], windows[: 160 - 19])
    np.testing.assert_array_equal(given[1], windows[160:])
    errors = made.score(frame)[179:]
    assert made.threshold == pytest.approx(np.quantile(errors, 0.95))
    assert f"fixed:level={made.threshold:.4g}" in made.reasons[-1]


def test_defaults_are_the_documents() -> None:
    made = LstmAutoencoder()
    assert (made.window, made.settings) == (20, FitSettings(epochs=30, batch_size=32, patience=10))
    assert made.units == (64, 32, 16)
    assert made.bounds["cpu_usage"] == (0, 0.15)


def test_five_windows_of_rows_are_needed() -> None:
    with pytest.raises(NotEnoughData, match=r"needs 100 rows \(5 windows of 20\), and there are 99"):
        LstmAutoencoder().fit(service(99))


def test_a_service_that_the_bounds_do_not_fit_is_refused_before_anything_is_fitted() -> None:
    with pytest.raises(BadInput, match=r"of cpu_usage lies outside its bounds \[0, 0\.15\]") as raised:
        LstmAutoencoder().fit(service(cpu=0.5))
    assert "bounds=learnt" in str(raised.value.hint)


def test_what_is_clipped_in_scoring_is_counted() -> None:
    frame = service()
    made = unfitted(frame)
    assert made.clipped(frame) == {}
    assert made.clipped(frame.assign(cpu_usage=1e9)) == {"cpu_usage": 300}


def test_a_window_of_which_less_than_half_is_known_has_no_score() -> None:
    frame = service()
    made = unfitted(frame)
    metrics = list(made.columns)
    frame.loc[100:111, metrics] = np.nan
    scores = made.score(frame)
    assert np.isfinite(scores[19:100]).all()
    assert np.isnan(scores[:19]).all()
    # 12 of 20 rows are missing from row 112 to 119, 10 at row 121.
    assert np.isnan(scores[100:121]).all()
    assert np.isfinite(scores[121:]).all()


@pytest.mark.slow
def test_a_fault_scores_above_the_threshold_and_is_put_down_to_its_metric() -> None:
    """Fitted by Keras with the document's settings but a smaller network and few epochs."""
    made = LstmAutoencoder(units=(8,), window=8, epochs=12)
    made.fit(service(400))
    odd = service(460)
    odd.loc[430:445, "latency_p95"] = 0.49
    scores = made.score(odd)
    assert (scores[437:446] > made.threshold).all()
    assert (scores[437:446] > 3 * np.nanmedian(scores[:430])).all()
    assert (made.contributions(odd).loc[437:445].idxmax(axis=1) == "latency_p95").all()


@pytest.mark.slow
def test_the_network_can_be_taken_along_as_tflite() -> None:
    from mora.networks.tflite import TfliteModel

    frame = service()
    made = unfitted(frame)
    assert made._inputs is not None
    assert made._network is not None
    windows = made._inputs.windows(frame)[:5]
    np.testing.assert_allclose(TfliteModel(made.tflite()).forward(windows), made._network.forward(windows), atol=1e-4)


@pytest.mark.parametrize(
    ("name", "value"),
    [("window", 1), ("window", 10**9), ("window", "20"), ("units", [8, 8]), ("units", []), ("threshold", None)],
)
def test_a_document_that_no_save_wrote_is_refused(name: str, value: object) -> None:
    saved = unfitted(service()).save()
    with pytest.raises(BadModel, match="lstm-autoencoder"):
        LstmAutoencoder().restore(replace(saved, document={**saved.document, name: value}))


@pytest.mark.parametrize("name", ["weight_output_bias", "low", "middle"])
def test_arrays_that_no_save_wrote_are_refused(name: str) -> None:
    saved = unfitted(service()).save()
    for wrong in (np.array([np.nan]), np.array(["a"])):
        with pytest.raises(BadModel, match="lstm-autoencoder"):
            LstmAutoencoder().restore(replace(saved, arrays={**saved.arrays, name: wrong}))


def test_one_that_is_not_fitted_scores_nothing() -> None:
    with pytest.raises(BadInput, match="not fitted"):
        LstmAutoencoder(reporter=Silent()).score(service())


@pytest.mark.parametrize(
    "options",
    [
        {"window": 1},
        {"window": 10**6},
        {"units": "a"},
        {"bounds": "cpu"},
        {"epochs": 0},
        {"epochs": "a"},
        {"patience": 1.5},
        {"window": 9.5},
    ],
)
def test_options_that_cannot_be_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(BadInput):
        LstmAutoencoder(**options)  # type: ignore[arg-type]  # what is wrong
