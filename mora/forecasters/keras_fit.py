"""Fitting the LSTM with Keras: the one room that imports TensorFlow."""

from __future__ import annotations

import os
import random
import warnings
from collections.abc import Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from mora.domain import Target
from mora.domain.learning import Floats
from mora.extras import require
from mora.features import MinMaxScaler, Pairs, six_digits
from mora.forecasters.network import Network
from mora.seams import Reporter

UNITS_FIRST = 64
UNITS_SECOND = 32
UNITS_HEAD = 16
DROPOUT = 0.2
# Networks that TensorFlow has traced and that no fit uses now, by what they were traced for. Tracing takes as long as a
# few epochs on a thousand windows, so the next fit of this process takes one over, in the state of a new one.
_traced: dict[Hashable, Any] = {}
_MOST_TRACED = 8


@dataclass(frozen=True, slots=True)
class LstmSettings:
    """How the network is fitted.

    batch_size, learning_rate: 128 at 2e-3 fits three to five times faster than Keras' own 32 at 1e-3 and measures no
    worse (experiments/benchmarks/train.py). patience_epochs: epochs without gain on validation before it stops.
    loss: what is minimised, by Keras' name.
    """

    batch_size: int = 128
    learning_rate: float = 2e-3
    max_epochs: int = 50
    patience_epochs: int = 6
    loss: str = "mse"


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
    keras = _keras()
    inputs = MinMaxScaler.fit(training.inputs)
    changes = MinMaxScaler.fit(_changes(training))
    keras.utils.set_random_seed(seed)
    scaled_targets = changes.scale(_changes(training))
    fresh = _build(keras, training.inputs.shape[1:], targets, scaled_targets.mean(axis=0), seed=seed)
    traced_for = (training.inputs.shape[1:], tuple(targets), settings.loss)
    model = _as_new(_traced.pop(traced_for, None), fresh, keras, settings)
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
    _traced[traced_for] = model
    while len(_traced) > _MOST_TRACED:
        _traced.pop(next(iter(_traced)), None)
    deviations = [six_digits(float(deviation)) for deviation in np.sqrt(squares.mean(axis=0))]
    return replace(network, deviations=np.array(deviations))


def _as_new(traced: Any | None, fresh: Any, keras: Any, settings: LstmSettings) -> Any:
    """A compiled network in the state of `fresh`, weights and random seeds; the traced one where there is one."""
    if traced is None:
        fresh.compile(optimizer=keras.optimizers.Adam(settings.learning_rate), loss=settings.loss, jit_compile=False)
        # Without its slots, the optimizer makes them inside the first step, and TensorFlow traces that a second time.
        fresh.optimizer.build(fresh.trainable_variables)
        return fresh
    for own, new in zip(traced.variables, fresh.variables, strict=True):
        own.assign(new)
    for slot in traced.optimizer.variables:
        slot.assign(keras.ops.zeros_like(slot))
    traced.optimizer.learning_rate = settings.learning_rate
    return traced


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


def _keras() -> Any:
    """Keras on TensorFlow, quiet, with one thread: two are slower on networks this small, and the sums differ."""
    require("train", by="Fitting an LSTM")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    # oneDNN reorders sums by the machine at hand; without it the same seed gives the same weights on more machines.
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
    with warnings.catch_warnings(), _silent_stderr():
        warnings.simplefilter("ignore", DeprecationWarning)
        warnings.simplefilter("ignore", FutureWarning)
        import keras
        import tensorflow as tf

    threading = tf.config.threading
    try:
        threading.set_intra_op_parallelism_threads(1)
        threading.set_inter_op_parallelism_threads(1)
    except RuntimeError:
        # TensorFlow already runs in this process with threads of its own (a caller's): slower, not wrong.
        return keras
    return keras


@contextmanager
def _silent_stderr() -> Iterator[None]:
    """Discard standard error: TensorFlow's C++ reports at import, whatever is set, that there is no GPU.

    A failed import is an exception and still seen.
    """
    kept = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def _build(keras: Any, shape: tuple[int, ...], targets: Sequence[Target], start: Floats, *, seed: int = 0) -> Any:
    """The architecture; every output starts at the mean of what it has to learn."""
    layers, initializers = keras.layers, keras.initializers
    # By itself, Keras draws each layer's seed from Python's `random`, which any other thread of the process moves on.
    draws = random.Random(seed)  # noqa: S311  (no secret is drawn)

    def drawn() -> int:
        return draws.randint(1, 10**9)

    def glorot() -> Any:
        return initializers.GlorotUniform(drawn())

    def lstm(units: int, **options: Any) -> Any:
        first, second = glorot(), initializers.Orthogonal(seed=drawn())
        return layers.LSTM(units, kernel_initializer=first, recurrent_initializer=second, seed=drawn(), **options)

    entry = keras.Input(shape)
    flow = lstm(UNITS_FIRST, return_sequences=True, name="first")(entry)
    flow = layers.Dropout(DROPOUT, seed=drawn())(flow)
    flow = lstm(UNITS_SECOND, name="second")(flow)
    flow = layers.Dropout(DROPOUT, seed=drawn())(flow)
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
