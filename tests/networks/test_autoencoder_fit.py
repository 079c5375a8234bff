"""Autoencoders fitted by Keras, or with weights put into it: numpy, Keras and LiteRT say the same."""

from __future__ import annotations

import numpy as np
import pytest

from mora.networks.autoencoder_fit import FitSettings, as_tflite, dense_model, fit_dense, lstm_model, pour
from mora.networks.autoencoders import DenseNetwork, LstmNetwork, dense_shapes, lstm_shapes
from mora.networks.keras_room import load_keras
from mora.networks.tflite import LITERT, TfliteModel
from mora.seams import Silent
from tests.networks.making import drawn


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["lstm", "dense"])
def test_numpy_keras_and_litert_give_the_same_to_a_ten_thousandth(kind: str, capfd: pytest.CaptureFixture[str]) -> None:
    """The network of the document, 64-32-16 on windows of 20 rows with 11 inputs; a small dense one beside it."""
    rng = np.random.default_rng(2)
    units: tuple[int, ...]
    shape: tuple[int, ...]
    if kind == "lstm":
        units, shape, build = (64, 32, 16), (20, 11), lstm_model
        weights = drawn(lstm_shapes(units, 11))
        given = rng.uniform(-2, 3, (12, *shape))
        ours = LstmNetwork(weights, units, 11).forward(given)
    else:
        units, shape, build = (16, 8), (24,), dense_model
        weights = drawn(dense_shapes(units, 24))
        given = rng.uniform(-2, 3, (12, *shape))
        ours = DenseNetwork(weights, units, 24).forward(given)
    model = build(load_keras(by="This test"), shape, units, 0)
    pour(model, weights)
    np.testing.assert_allclose(ours, model(given.astype(np.float32), training=False), atol=1e-4)
    content = as_tflite(build, shape, units, weights)
    lite = TfliteModel(content)
    assert lite.library == LITERT
    assert lite.shapes == (shape, shape)
    np.testing.assert_allclose(ours, lite.forward(given), atol=1e-4)
    assert len(content) < 0.5 * 2**20
    assert capfd.readouterr() == ("", "")


@pytest.mark.slow
def test_a_fit_learns_is_repeatable_and_tells_its_epochs() -> None:
    """What was fitted gives back what it saw better than what it did not, and the same seed fits the same."""
    rng = np.random.default_rng(3)
    seen = np.column_stack([wave := rng.uniform(0, 1, 800), wave, 1 - wave, wave / 2])
    told: list[tuple[str, float, float]] = []

    class Listener:
        def advance(self, task: str, done: float, total: float, note: str = "") -> None:
            assert "validation loss" in note
            told.append((task, done, total))

    settings = FitSettings(epochs=8, patience=8, learning_rate=1e-2)
    weights = fit_dense(seen[:600], seen[600:], (8, 4), settings, Listener(), 7)
    again = fit_dense(seen[:600], seen[600:], (8, 4), settings, Silent(), 7)
    for name, weight in weights.items():
        np.testing.assert_array_equal(weight, again[name])
    assert told == [("autoencoder", epoch, 8) for epoch in range(1, 9)]
    network = DenseNetwork(weights, (8, 4), 4)
    odd = rng.permuted(seen, axis=0)

    def error(rows: np.ndarray) -> float:
        return float(((network.forward(rows) - rows) ** 2).mean())

    assert error(seen[600:]) < 0.5 * error(odd)
