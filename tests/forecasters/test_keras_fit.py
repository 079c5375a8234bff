"""Fitting with Keras: read by numpy the same, and the same weights from the same seed."""

from __future__ import annotations

import random
import threading
from dataclasses import replace

import numpy as np
import pytest

from mora.features import Pairs, segments
from mora.forecasters import keras_fit as room
from mora.forecasters.lstm import WindowLstm
from mora.forecasters.network import Network
from mora.networks import keras_room
from mora.networks.keras_room import load_keras
from tests import fakes_learning as fakes
from tests.forecasters.making import QUICK, fit


@pytest.mark.slow
def test_the_numpy_forward_pass_is_keras_to_a_hundred_thousandth(fitted_lstm: tuple[WindowLstm, Pairs]) -> None:
    made, pairs = fitted_lstm
    network = made.network
    keras = load_keras(by="This test")
    model = room._build(keras, pairs.inputs.shape[1:], network.targets, np.zeros(6))
    _pour(model, network)
    scaled = network.inputs.scale(pairs.inputs)
    expected = model.predict(scaled.astype(np.float32), verbose=0)
    assert len(pairs) > 100
    np.testing.assert_allclose(network.forward(scaled), expected, atol=1e-5)


def _pour(model: object, network: Network) -> None:
    """Our weights into a Keras model of the same shape."""
    w = network.weights

    def put(layer: str, *names: str) -> None:
        model.get_layer(layer).set_weights([w[f"{layer}_{name}"] for name in names])  # type: ignore[attr-defined]

    for layer in ("first", "second"):
        put(layer, "kernel", "recurrent", "bias")
    for target in network.targets:
        put(f"{target.value}_hidden", "kernel", "bias")
        put(target.value, "kernel", "bias")


@pytest.mark.slow
@pytest.mark.parametrize("is_first", [True, False])
def test_the_same_seed_gives_the_same_weights_in_a_first_fit_and_after_another(
    fitted_lstm: tuple[WindowLstm, Pairs], is_first: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A later fit takes over what TensorFlow traced for an earlier one, and nothing of what that learned."""
    pieces = segments(fakes.driven(repeats=1)[0])
    if is_first:
        monkeypatch.setattr(keras_room, "_traced", {})
    else:
        fit(pieces[6:], pieces[:6], settings=replace(QUICK, learning_rate=0.01))
        assert keras_room._traced
    again = fit(pieces[:12], pieces[12:])
    for name, weight in fitted_lstm[0].network.weights.items():
        np.testing.assert_array_equal(weight, again.network.weights[name])


@pytest.mark.slow
def test_what_other_threads_draw_at_random_changes_no_weight(fitted_lstm: tuple[WindowLstm, Pairs]) -> None:
    pieces = segments(fakes.driven(repeats=1)[0])
    ended = threading.Event()

    def draw() -> None:
        while not ended.wait(0.0001):
            random.random()

    others = threading.Thread(target=draw)
    others.start()
    try:
        again = fit(pieces[:12], pieces[12:])
    finally:
        ended.set()
        others.join()
    for name, weight in fitted_lstm[0].network.weights.items():
        np.testing.assert_array_equal(weight, again.network.weights[name])


@pytest.mark.slow
def test_fitting_reports_progress_and_prints_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    advanced: list[tuple[str, float, float]] = []

    class Listener:
        def advance(self, task: str, done: float, total: float, note: str = "") -> None:
            advanced.append((task, done, total))

    pieces = segments(fakes.driven(repeats=1)[0])
    fit(pieces[:4], pieces[4:6], Listener())
    assert advanced == [("LSTM", epoch, 3) for epoch in (1, 2, 3)]
    assert capfd.readouterr() == ("", "")
