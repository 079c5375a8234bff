"""Fitting the LSTM with Keras."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from mora.domain import Target
from mora.domain.learning import Floats
from mora.features import MinMaxScaler, Pairs, six_digits
from mora.forecasters.network import Network
from mora.networks.keras_room import compiled, keep, load_keras, lstm_layer, seeds
from mora.seams import Reporter

UNITS_FIRST = 64
UNITS_HEAD = 16
DROPOUT = 0.2


@dataclass(frozen=True, slots=True)
class LstmSettings:
    """How the network is fitted.

    batch_size, learning_rate: 128 at 2e-3 fits three to five times faster than Keras' own 32 at 1e-3 and measures no
    worse (experiments/benchmarks/train.py). patience_epochs: epochs without gain on validation before it stops.
    loss: what is minimised, by Keras' name. units: of the first layer; the second has half of them. dropout: the share
    of what leaves either layer that is left out at each step.
    """

    batch_size: int = 128
    learning_rate: float = 2e-3
    max_epochs: int = 50
    patience_epochs: int = 6
    loss: str = "mse"
    units: int = UNITS_FIRST
    dropout: float = DROPOUT


_USUAL = LstmSettings()


def fit_network(
    training: Pairs,
    validation: Pairs,
    columns: Sequence[str],
    targets: Sequence[Target],
    settings: LstmSettings,
    *,
    seed: int,
    reporter: Reporter,
) -> Network:
    """Fit the network; seeded, single-threaded, the same weights on every run of one machine."""
    keras = load_keras(by="Fitting an LSTM")
    inputs = MinMaxScaler.fit(training.inputs)
    changes = MinMaxScaler.fit(_changes(training))
    keras.utils.set_random_seed(seed)
    scaled_targets = changes.scale(_changes(training))
    shape = training.inputs.shape[1:]
    fresh = _build(keras, shape, targets, scaled_targets.mean(axis=0), settings, seed=seed)
    traced_for = (shape, tuple(targets), settings.loss, settings.units, settings.dropout)
    model = compiled(traced_for, fresh, keras, learning_rate=settings.learning_rate, loss=settings.loss)
    x, y = inputs.scale(training.inputs).astype(np.float32), scaled_targets.astype(np.float32)
    check_x = inputs.scale(validation.inputs).astype(np.float32)
    check_y = changes.scale(_changes(validation)).astype(np.float32)
    with warnings.catch_warnings():
        # keras 3.15 calls numpy's __array__ the old way; harmless with the pinned numpy.
        warnings.filterwarnings("ignore", message=".*__array__.*copy.*", category=DeprecationWarning)
        model.fit(
            x,
            y,
            validation_data=(check_x, check_y),
            batch_size=settings.batch_size,
            epochs=settings.max_epochs,
            callbacks=_callbacks(keras, settings, reporter),
            verbose=0,
        )
    network = Network(
        columns=tuple(columns),
        targets=tuple(targets),
        inputs=inputs,
        changes=changes,
        weights=_weights(model, targets),
        deviations=np.zeros(len(targets)),
    )
    network = _shrink(network, validation)
    means = network.predict(validation.inputs, validation.levels)[:, :, 0]
    squares = (validation.futures[:, :, 0] - means) ** 2 + validation.spreads**2
    keep(traced_for, model)
    deviations = [six_digits(float(deviation)) for deviation in np.sqrt(squares.mean(axis=0))]
    return replace(network, deviations=np.array(deviations))


def _shrink(network: Network, validation: Pairs) -> Network:
    """The network with every predicted change cut to the share of it that came true on the validation part.

    A few hundred windows teach it some noise, too: where its changes of a level are half noise, half of them is kept.
    The share is the least-squares slope of what happened on what was predicted, within 0..1 (Copas 1983, "Regression,
    prediction and shrinkage").
    """
    predicted = network.changes.restore(network.forward(network.inputs.scale(validation.inputs)))
    happened = _changes(validation)
    power = (predicted**2).sum(axis=0)
    slope = (predicted * happened).sum(axis=0) / np.where(power > 0, power, 1.0)
    # To six digits: the last bits of a matrix product depend on the threads that BLAS was given, a model must not.
    share = np.round(np.clip(slope, 0.0, 1.0), 6)
    return replace(network, changes=MinMaxScaler(network.changes.low * share, network.changes.span * share))


def _changes(pairs: Pairs) -> Floats:
    """What is learned: future mean and high level, less the window's mean; shape (n, targets * 2)."""
    return (pairs.futures - pairs.levels[:, :, None]).reshape(len(pairs), -1)


def _build(
    keras: Any,
    shape: tuple[int, ...],
    targets: Sequence[Target],
    start: Floats,
    settings: LstmSettings = _USUAL,
    *,
    seed: int = 0,
) -> Any:
    """The architecture; every output starts at the mean of what it has to learn."""
    layers, initializers = keras.layers, keras.initializers
    drawn = seeds(seed)

    def glorot() -> Any:
        return initializers.GlorotUniform(drawn())

    entry = keras.Input(shape)
    flow = lstm_layer(keras, settings.units, drawn, return_sequences=True, name="first")(entry)
    flow = layers.Dropout(settings.dropout, seed=drawn())(flow)
    flow = lstm_layer(keras, max(settings.units // 2, 1), drawn, name="second")(flow)
    flow = layers.Dropout(settings.dropout, seed=drawn())(flow)
    heads = []
    for index, target in enumerate(targets):
        name = f"{target.value}_hidden"
        hidden = layers.Dense(UNITS_HEAD, activation="relu", kernel_initializer=glorot(), name=name)(flow)
        bias = initializers.Constant(start[2 * index : 2 * index + 2])
        heads.append(layers.Dense(2, kernel_initializer=glorot(), bias_initializer=bias, name=target.value)(hidden))
    whole = heads[0] if len(heads) == 1 else layers.Concatenate()(heads)
    return keras.Model(entry, whole)


def _callbacks(keras: Any, settings: LstmSettings, reporter: Reporter) -> list[Any]:
    def report(epoch: int, logs: Mapping[str, float] | None = None) -> None:
        note = "" if not logs else f"validation loss {logs['val_loss']:.4g}"
        reporter.advance("LSTM", epoch + 1, settings.max_epochs, note)

    return [
        keras.callbacks.EarlyStopping(patience=settings.patience_epochs, restore_best_weights=True),
        keras.callbacks.ReduceLROnPlateau(factor=0.5, patience=max(settings.patience_epochs // 2, 1)),
        keras.callbacks.LambdaCallback(on_epoch_end=report),
    ]


def _weights(model: Any, targets: Sequence[Target]) -> dict[str, Floats]:
    found: dict[str, Floats] = {}
    for layer in ("first", "second"):
        kernel, recurrent, bias = model.get_layer(layer).get_weights()
        found |= {f"{layer}_kernel": kernel, f"{layer}_recurrent": recurrent, f"{layer}_bias": bias}
    for target in targets:
        for layer in (f"{target.value}_hidden", target.value):
            kernel, bias = model.get_layer(layer).get_weights()
            found |= {f"{layer}_kernel": kernel, f"{layer}_bias": bias}
    return {name: np.asarray(value, dtype=np.float64) for name, value in found.items()}
