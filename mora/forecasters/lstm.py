"""The LSTM: one trunk with a head a target, fitted with TensorFlow, read with numpy.

It looks at thirty steps of everything that is known and says what the next thirty need of each target: their mean and
their high level (p95), directly. One step ahead would be easy and worthless, since neighbouring rate windows overlap;
thirty single steps fed back into themselves would add up their errors; and a request wants a level, not a curve. What
is learnt is the *change* from the window's own mean, min-max scaled like the inputs: a network that has learnt nothing
yet says what the naive forecast says, and every epoch starts from there.

Only fitting imports TensorFlow. The forward pass is a few lines of numpy: a recommendation neither pays for the import
nor depends on the library that trained it.
"""

from __future__ import annotations

import os
import random
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

import numpy as np

from mora.domain import Forecast, Reason, Reporter, Silent, Target
from mora.errors import BadInput, NotEnoughData
from mora.features import (
    DRIVEN_COLUMNS,
    HORIZON_STEPS,
    MIN_TARGET_STEPS,
    TARGET_COLUMNS,
    TARGETS,
    WINDOW_STEPS,
    Floats,
    MinMaxScaler,
    Pairs,
    Segment,
    grid_step,
    make_pairs,
    segments,
    six_digits,
)
from mora.metrics import METRIC_COLUMNS

if TYPE_CHECKING:
    import pandas as pd

UNITS_FIRST = 64
UNITS_SECOND = 32
UNITS_HEAD = 16
DROPOUT = 0.2


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


@dataclass(frozen=True, slots=True)
class Network:
    """Fitted weights and scalers, and the forward pass.

    columns: inputs, in order. weights: name -> array, in Keras' layout (gates i, f, c, o). deviations: root mean square
    of validation steps around the forecast mean, per target, in its unit.
    """

    columns: tuple[str, ...]
    targets: tuple[Target, ...]
    inputs: MinMaxScaler
    changes: MinMaxScaler
    weights: Mapping[str, Floats]
    deviations: Floats

    def predict(self, windows: Floats, levels: Floats) -> Floats:
        """Mean and high level of the coming horizon, shape (n, targets, 2), in plain units, never below 0.

        windows: shape (n, window, columns), plain units; levels: the windows' mean per target, shape (n, targets).
        """
        raw = self.forward(self.inputs.scale(windows))
        change = self.changes.restore(raw).reshape(len(windows), len(self.targets), 2)
        found = np.maximum(levels[:, :, None] + change, 0.0)
        # The high level of a stretch is not below its mean.
        found[:, :, 1] = np.maximum(found[:, :, 1], found[:, :, 0])
        return found

    def forward(self, scaled: Floats) -> Floats:
        """The network on scaled windows, shape (n, window, columns) -> (n, targets * 2); dropout is identity."""
        w = self.weights
        sequence = _lstm(scaled, w["first_kernel"], w["first_recurrent"], w["first_bias"])
        last = _lstm(sequence, w["second_kernel"], w["second_recurrent"], w["second_bias"])[:, -1]
        heads = []
        for target in self.targets:
            hidden = np.maximum(last @ w[f"{target.value}_hidden_kernel"] + w[f"{target.value}_hidden_bias"], 0.0)
            heads.append(hidden @ w[f"{target.value}_kernel"] + w[f"{target.value}_bias"])
        return np.concatenate(heads, axis=1)

    def arrays(self) -> dict[str, np.ndarray[Any, Any]]:
        """Everything as named arrays of numbers and fixed-width text, for `numpy.savez` without pickle."""
        return {
            "columns": np.array(self.columns),
            "targets": np.array([target.value for target in self.targets]),
            "inputs_low": self.inputs.low,
            "inputs_span": self.inputs.span,
            "changes_low": self.changes.low,
            "changes_span": self.changes.span,
            "deviations": self.deviations,
            # Weights were trained in single precision: kept so, and computed with in double.
            **{f"weight_{name}": value.astype(np.float32) for name, value in self.weights.items()},
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray[Any, Any]]) -> Network:
        weights = {
            name.removeprefix("weight_"): np.asarray(value, dtype=np.float64)
            for name, value in arrays.items()
            if name.startswith("weight_")
        }
        return cls(
            columns=tuple(str(name) for name in arrays["columns"]),
            targets=tuple(Target(str(name)) for name in arrays["targets"]),
            inputs=MinMaxScaler(arrays["inputs_low"], arrays["inputs_span"]),
            changes=MinMaxScaler(arrays["changes_low"], arrays["changes_span"]),
            weights=weights,
            deviations=arrays["deviations"],
        )


def _sigmoid(x: Floats) -> Floats:
    # tanh never overflows, exp(-x) does.
    half: Floats = 0.5 * (1.0 + np.tanh(0.5 * x))
    return half


def _lstm(sequence: Floats, kernel: Floats, recurrent: Floats, bias: Floats) -> Floats:
    """One LSTM layer, shape (n, steps, inputs) -> (n, steps, units)."""
    count, steps, _ = sequence.shape
    units = recurrent.shape[0]
    projected = sequence @ kernel + bias
    hidden, cell = np.zeros((count, units)), np.zeros((count, units))
    out = np.empty((count, steps, units))
    for step in range(steps):
        gates = projected[:, step] + hidden @ recurrent
        let_in, forget = _sigmoid(gates[:, :units]), _sigmoid(gates[:, units : 2 * units])
        new, let_out = np.tanh(gates[:, 2 * units : 3 * units]), _sigmoid(gates[:, 3 * units :])
        cell = forget * cell + let_in * new
        hidden = let_out * np.tanh(cell)
        out[:, step] = hidden
    return out


class LstmForecaster:
    """The LSTM for CPU, memory and replicas together."""

    name = "lstm"

    def __init__(
        self,
        settings: LstmSettings = LstmSettings(),
        *,
        targets: Sequence[Target] = TARGETS,
        window: int = WINDOW_STEPS,
        horizon: int = HORIZON_STEPS,
        network: Network | None = None,
        reasons: tuple[Reason, ...] = (),
    ) -> None:
        self.settings = settings
        self.targets = tuple(targets)
        self.window, self.horizon = window, horizon
        self.network = network
        self.reasons = reasons

    @property
    def is_fitted(self) -> bool:
        return self.network is not None

    def fit(self, history: Sequence[pd.DataFrame], *, driven: bool, seed: int) -> None:
        """As fit_segments(), validated on the last fifth of the segments, or of a single one's time."""
        pieces = [piece for frame in history for piece in segments(frame)]
        if len(pieces) > 1:
            cut = len(pieces) - max(1, len(pieces) // 5)
            self.fit_segments(pieces[:cut], pieces[cut:], driven=driven, seed=seed)
            return
        middle = int(len(pieces[0]) * 0.8)
        self.fit_segments([pieces[0].cut(0, middle)], [pieces[0].cut(middle, len(pieces[0]))], driven=driven, seed=seed)

    def fit_segments(
        self,
        training: Sequence[Segment],
        validation: Sequence[Segment],
        *,
        driven: bool,
        seed: int,
        reporter: Reporter | None = None,
    ) -> None:
        """Learn from `training`; `validation` says when to stop and how far the forecasts reach."""
        columns = self.columns_of([*training, *validation], driven=driven)
        unknown = [name for name in self._candidates(driven=driven) if name not in columns]
        if unknown:
            text = f"the LSTM does without {', '.join(unknown)}, which not every experiment knows"
            self.reasons = (Reason("lstm-without-inputs", text),)
        fit_pairs = self.pairs(training, columns, min_target=MIN_TARGET_STEPS)
        check_pairs = self.pairs(validation, columns, min_target=MIN_TARGET_STEPS)
        if not len(fit_pairs) or not len(check_pairs):
            raise NotEnoughData(
                f"The LSTM needs segments of {self.window + MIN_TARGET_STEPS} samples or more in both of its parts; "
                f"there are {len(fit_pairs)} windows to learn from and {len(check_pairs)} to check on."
            )
        self.network = fit_network(
            fit_pairs, check_pairs, columns, self.targets, self.settings, seed=seed, reporter=reporter or Silent()
        )

    def columns_of(self, pieces: Sequence[Segment], *, driven: bool) -> tuple[str, ...]:
        """The inputs that every segment knows; never an unknown load as 0."""
        return tuple(
            column
            for column in self._candidates(driven=driven)
            if all(bool(np.isfinite(piece.values[column]).all()) for piece in pieces)
        )

    @staticmethod
    def _candidates(*, driven: bool) -> tuple[str, ...]:
        return METRIC_COLUMNS + (DRIVEN_COLUMNS if driven else ())

    def pairs(self, pieces: Sequence[Segment], columns: Sequence[str], *, min_target: int | None = None) -> Pairs:
        return make_pairs(
            pieces, columns, targets=self.targets, window=self.window, horizon=self.horizon, min_target=min_target
        )

    def predict_pairs(self, pairs: Pairs) -> Floats:
        """Forecasts for prepared windows, shape (n, targets, 2)."""
        return self._fitted().predict(pairs.inputs, pairs.levels)

    def after(self, piece: Segment) -> Mapping[Target, tuple[float, float]]:
        """Mean and high level of the horizon that follows a segment's last window."""
        return self.after_all([piece])[0]

    def after_all(self, pieces: Sequence[Segment]) -> list[Mapping[Target, tuple[float, float]]]:
        """As after(), of many segments at once."""
        network = self._fitted()
        tails = [self._last_window(piece, network) for piece in pieces]
        if not tails:
            return []
        windows = np.stack([tail.matrix(network.columns) for tail in tails])
        names = [TARGET_COLUMNS[target] for target in network.targets]
        levels = np.stack([tail.matrix(names).mean(axis=0) for tail in tails])
        return [
            {target: (float(f[0]), float(f[1])) for target, f in zip(network.targets, found, strict=True)}
            for found in network.predict(windows, levels)
        ]

    def _last_window(self, piece: Segment, network: Network) -> Segment:
        if len(piece) < self.window:
            raise NotEnoughData(f"The LSTM looks at {self.window} samples; {piece.name} has {len(piece)}.")
        tail = piece.cut(len(piece) - self.window, len(piece))
        unknown = [name for name in network.columns if not np.isfinite(tail.values[name]).all()]
        if unknown:
            raise NotEnoughData(f"The LSTM was trained on {', '.join(unknown)}, which {piece.name} does not hold.")
        return tail

    def forecast(self, recent: pd.DataFrame, horizon: int, *, level: float = 0.9) -> Mapping[Target, Forecast]:
        return self.forecast_segment(segments(recent)[-1], horizon, level=level, step=grid_step(recent))

    def forecast_segment(
        self, last: Segment, horizon: int, *, step: timedelta, level: float = 0.9
    ) -> dict[Target, Forecast]:
        """The coming horizon as a level with its spread; the network was trained for `self.horizon` steps."""
        if horizon > self.horizon:
            raise BadInput(f"This LSTM was trained to look {self.horizon} steps ahead, not {horizon}.")
        network = self._fitted()
        reach = NormalDist().inv_cdf((1 + level) / 2)
        found = {}
        for index, (target, (mean, _)) in enumerate(self.after(last).items()):
            flat = np.full(horizon, mean)
            spread = reach * float(network.deviations[index])
            found[target] = Forecast(
                target, self.name, flat, np.maximum(flat - spread, 0.0), flat + spread, level, step, self.reasons
            )
        return found

    def _fitted(self) -> Network:
        if self.network is None:
            raise BadInput("This LSTM has not been fitted.")
        return self.network


# --- fitting: the only place that imports TensorFlow -----------------------------------------------------------------


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
    model = _build(keras, training.inputs.shape[1:], targets, scaled_targets.mean(axis=0), seed=seed)
    model.compile(optimizer=keras.optimizers.Adam(settings.learning_rate), loss=settings.loss, jit_compile=False)
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
    keras.backend.clear_session()
    deviations = [six_digits(float(deviation)) for deviation in np.sqrt(squares.mean(axis=0))]
    return replace(network, deviations=np.array(deviations))


def _shrink(network: Network, validation: Pairs) -> Network:
    """The network with every foretold change cut to the share of it that came true on the validation part.

    A few hundred windows teach it some noise, too: where its changes of a level are half noise, half of them is kept.
    The share is the least-squares slope of what happened on what was said, within 0..1 (Copas 1983, "Regression,
    prediction and shrinkage").
    """
    said = network.changes.restore(network.forward(network.inputs.scale(validation.inputs)))
    happened = _changes(validation)
    power = (said**2).sum(axis=0)
    slope = (said * happened).sum(axis=0) / np.where(power > 0, power, 1.0)
    # To six digits: the last bits of a matrix product hang on the threads that BLAS was given, a model must not.
    share = np.round(np.clip(slope, 0.0, 1.0), 6)
    return replace(network, changes=MinMaxScaler(network.changes.low * share, network.changes.span * share))


def _changes(pairs: Pairs) -> Floats:
    """What is learnt: future mean and high level, less the window's mean; shape (n, targets * 2)."""
    return (pairs.futures - pairs.levels[:, :, None]).reshape(len(pairs), -1)


def _keras() -> Any:
    """Keras on TensorFlow, quiet, with one thread: two are slower on networks this small, and the sums differ."""
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
    """File descriptor 2 leads nowhere meanwhile: TensorFlow's C++ says at import, past every setting, that there is no
    GPU. What goes wrong in an import is an exception and still seen.
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
    # Left alone, Keras draws each layer's seed from Python's `random`, which any other thread of the process moves on.
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
    def tell(epoch: int, logs: Mapping[str, float] | None = None) -> None:
        note = "" if not logs else f"validation loss {logs['val_loss']:.4g}"
        reporter.advance("LSTM", epoch + 1, settings.max_epochs, note)

    return [
        keras.callbacks.EarlyStopping(patience=settings.patience_epochs, restore_best_weights=True),
        keras.callbacks.ReduceLROnPlateau(factor=0.5, patience=max(settings.patience_epochs // 2, 1)),
        keras.callbacks.LambdaCallback(on_epoch_end=tell),
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
