"""Fitting autoencoders with Keras; what was fitted is read with numpy."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mora.domain.learning import Floats
from mora.errors import BadInput
from mora.networks.autoencoders import dense_layers, lstm_layers
from mora.networks.keras_room import compiled, keep, load_keras, lstm_layer, seeds, to_tflite
from mora.seams import Reporter

_MOST = 100_000

Weights = Mapping[str, Floats]


@dataclass(frozen=True, slots=True)
class FitSettings:
    """How an autoencoder is fitted. patience: epochs without gain on the validation part before it stops."""

    epochs: int = 30
    batch_size: int = 32
    patience: int = 10
    learning_rate: float = 1e-3

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "patience"):
            value = getattr(self, name)
            if type(value) is not int or not 1 <= value <= _MOST:
                raise BadInput(f"{name} is {value!r}.", hint=f"Give a whole number from 1 to {_MOST:,}.")


def fit_lstm(
    training: Floats, validation: Floats, units: Sequence[int], settings: FitSettings, reporter: Reporter, seed: int
) -> Weights:
    """Weights of an LSTM autoencoder of windows, shape (n, window, inputs), by the names of `lstm_layers`."""
    return _fit(lstm_model, training, validation, units, settings, reporter, seed)


def fit_dense(
    training: Floats, validation: Floats, units: Sequence[int], settings: FitSettings, reporter: Reporter, seed: int
) -> Weights:
    """Weights of a dense autoencoder of rows, shape (n, inputs), by the names of `dense_layers`."""
    return _fit(dense_model, training, validation, units, settings, reporter, seed)


def lstm_model(keras: Any, shape: tuple[int, ...], units: Sequence[int], seed: int) -> Any:
    """LSTM layers down to a vector, which is repeated for every step, and LSTM layers up again."""
    names, drawn = lstm_layers(units), seeds(seed)
    entry = flow = keras.Input(shape)
    for number, size in enumerate(units):
        is_last = number == len(units) - 1
        flow = lstm_layer(keras, size, drawn, return_sequences=not is_last, name=names[number])(flow)
    flow = keras.layers.RepeatVector(shape[0])(flow)
    for number, size in enumerate(reversed(units)):
        flow = lstm_layer(keras, size, drawn, return_sequences=True, name=names[len(units) + number])(flow)
    return keras.Model(entry, _dense(keras, shape[-1], drawn, "output", None)(flow))


def dense_model(keras: Any, shape: tuple[int, ...], units: Sequence[int], seed: int) -> Any:
    """Dense layers down to the smallest and up again."""
    names, drawn = dense_layers(units), seeds(seed)
    entry = flow = keras.Input(shape)
    for name, size in zip(names, (*units, *units[-2::-1]), strict=False):
        flow = _dense(keras, size, drawn, name, "relu")(flow)
    return keras.Model(entry, _dense(keras, shape[-1], drawn, "output", None)(flow))


def as_tflite(build: Any, shape: tuple[int, ...], units: Sequence[int], weights: Weights) -> bytes:
    """The network with these weights as a TFLite model that takes one example at a time.

    build: lstm_model or dense_model. Raises ToolMissing where TensorFlow is not installed.
    """
    keras = load_keras(by="Converting a network to TFLite")
    model = build(keras, shape, units, 0)
    pour(model, weights)
    fixed = keras.Input(batch_shape=(1, *shape))
    return to_tflite(keras.Model(fixed, model(fixed)))


def pour(model: Any, weights: Weights) -> None:
    """Put weights into a Keras model of the same layers."""
    for layer in model.layers:
        if layer.get_weights():
            parts = ("kernel", "recurrent", "bias") if len(layer.get_weights()) == 3 else ("kernel", "bias")
            layer.set_weights([weights[f"{layer.name}_{part}"] for part in parts])


def _dense(keras: Any, size: int, drawn: Any, name: str, activation: str | None) -> Any:
    start = keras.initializers.GlorotUniform(drawn())
    return keras.layers.Dense(size, activation=activation, kernel_initializer=start, name=name)


def _fit(
    build: Any,
    training: Floats,
    validation: Floats,
    units: Sequence[int],
    settings: FitSettings,
    reporter: Reporter,
    seed: int,
) -> Weights:
    keras = load_keras(by="Fitting an autoencoder")
    keras.utils.set_random_seed(seed)
    shape = training.shape[1:]
    traced_for = (build.__name__, shape, tuple(units))
    fresh = build(keras, shape, units, seed)
    model = compiled(traced_for, fresh, keras, learning_rate=settings.learning_rate, loss="mse")
    x, check = training.astype(np.float32), validation.astype(np.float32)

    def report(epoch: int, logs: Mapping[str, float] | None = None) -> None:
        note = "" if not logs else f"validation loss {logs['val_loss']:.4g}"
        reporter.advance("autoencoder", epoch + 1, settings.epochs, note)

    with warnings.catch_warnings():
        # keras 3.15 calls numpy's __array__ the old way; harmless with the pinned numpy.
        warnings.filterwarnings("ignore", message=".*__array__.*copy.*", category=DeprecationWarning)
        model.fit(
            x,
            x,
            validation_data=(check, check),
            batch_size=settings.batch_size,
            epochs=settings.epochs,
            callbacks=[
                keras.callbacks.EarlyStopping(patience=settings.patience, restore_best_weights=True),
                keras.callbacks.LambdaCallback(on_epoch_end=report),
            ],
            verbose=0,
        )
    found: dict[str, Floats] = {}
    for layer in model.layers:
        if arrays := layer.get_weights():
            parts = ("kernel", "recurrent", "bias") if len(arrays) == 3 else ("kernel", "bias")
            found |= {f"{layer.name}_{part}": np.asarray(a, np.float64) for part, a in zip(parts, arrays, strict=True)}
    keep(traced_for, model)
    return found
