"""The dense autoencoder: one row's metrics, their averages, changes and ratios, given back by a small network.

Fitted by Keras, scored by numpy or as a TFLite model by LiteRT. Its inputs are made by one object for fitting and for
scoring (RowInputs).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mora.detectors.frames import known_columns, matrix_of
from mora.detectors.scaling import FILLED_ROWS, LEAST_KNOWN, Scaling, fill_forward, learn_scaling, percentile_reason
from mora.domain.learning import Floats, Saved
from mora.errors import BadInput, BadModel, NotEnoughData
from mora.networks import autoencoder_fit
from mora.networks.autoencoder_fit import FitSettings
from mora.networks.autoencoders import DenseNetwork, checked_units, read_units
from mora.networks.tflite import TfliteModel
from mora.seams import Reporter, Silent

AVERAGED_ROWS = (5, 15)
TRAINING_SHARE = 0.8
ERROR_QUANTILE = 0.95
LEAST_ROWS = 60
# What a ratio is of: the first of these that a frame has stands for the work done; else the first metric does.
_WORK = ("requests_per_second", "request_rate", "net_rx_bytes_value", "net_tx_bytes_value")

ErrorName = Literal["mse", "mae"]
ERRORS: tuple[ErrorName, ...] = ("mse", "mae")
RunnerName = Literal["numpy", "litert"]
RUNNERS: tuple[RunnerName, ...] = ("numpy", "litert")


@dataclass(frozen=True, slots=True)
class RowInputs:
    """Frames to inputs of the network, the same for fitting and for scoring.

    For each metric: the scaled sample, its mean over 5 and over 15 rows, and its change since the row before as a share
    of the two; for each metric but the one that stands for the work done, its ratio to that. scaling: of the metrics.
    features: of those inputs.
    """

    scaling: Scaling
    features: Scaling

    @property
    def owners(self) -> NDArray[np.int64]:
        """The metric that each input is of, shape (inputs,)."""
        return feature_owners(self.scaling.columns)

    def rows(self, frame: pd.DataFrame) -> Floats:
        """The inputs of each row, shape (rows, inputs)."""
        return self.features.scale(features_of(self.scaling, frame))


class DenseAutoencoder:
    """The autoencoder of the project's document on TFLite and HTTP.

    units: of the layers down, those up are the same; None chooses them by the number of inputs. epochs, batch_size,
    patience: of the fit. error: mse or mae, over the inputs of a row. runner: who computes the network when scoring;
    litert needs TensorFlow where it is fitted, and LiteRT where it scores. reporter: told of each epoch.
    """

    name = "autoencoder"

    def __init__(
        self,
        *,
        units: Sequence[int] | str | int | None = None,
        epochs: int = 50,
        batch_size: int = 64,
        patience: int = 10,
        error: ErrorName = "mse",
        runner: RunnerName = "numpy",
        seed: int = 0,
        reporter: Reporter | None = None,
    ) -> None:
        if error not in ERRORS:
            raise BadInput(f"There is no error {error!r}.", hint=f"Known: {', '.join(ERRORS)}.")
        if runner not in RUNNERS:
            raise BadInput(f"There is no runner {runner!r}.", hint=f"Known: {', '.join(RUNNERS)}.")
        self.units = None if units is None else read_units(units)
        self.settings, self.seed = FitSettings(epochs, batch_size, patience), seed
        self.error, self.runner, self.reporter = error, runner, reporter or Silent()
        self.reasons: tuple[str, ...] = ()
        self.threshold = np.inf
        self._inputs: RowInputs | None = None
        self._network: DenseNetwork | None = None
        self._tflite: bytes | None = None
        self._model: TfliteModel | None = None

    context = max(AVERAGED_ROWS) - 1 + FILLED_ROWS

    @property
    def columns(self) -> tuple[str, ...]:
        """The metrics it was fitted on."""
        return () if self._inputs is None else self._inputs.scaling.columns

    def fit(self, frame: pd.DataFrame) -> None:
        """Learn the first four fifths of the frame; the rest says when to stop, and what error is usual."""
        if len(frame) < LEAST_ROWS:
            raise NotEnoughData(
                f"The detector {self.name} needs {LEAST_ROWS} rows, and there are {len(frame)}.",
                hint="Train it on a longer history.",
            )
        cut = int(len(frame) * TRAINING_SHARE)
        names, left = known_columns(frame[:cut], LEAST_KNOWN, self.name)
        scaling, told = learn_scaling(names, matrix_of(frame[:cut], names), {}, by=self.name)
        raw = features_of(scaling, frame)
        features, _ = learn_scaling([str(n) for n in range(raw.shape[1])], raw[:cut], {}, by=self.name)
        inputs = RowInputs(scaling, features)
        rows = inputs.rows(frame)
        is_known = _has_any(frame, scaling.columns)
        training, validation = rows[:cut][is_known[:cut]], rows[cut:][is_known[cut:]]
        if not len(training) or not len(validation):
            raise NotEnoughData(
                f"The detector {self.name} needs known samples in the first four fifths of the rows and in the last.",
                hint="Train it on a longer history, or on one with fewer gaps.",
            )
        units = self.units or usual_units(rows.shape[1])
        weights = autoencoder_fit.fit_dense(training, validation, units, self.settings, self.reporter, self.seed)
        weights = {name: weight.astype(np.float32) for name, weight in weights.items()}
        self.units, self._inputs = units, inputs
        self._network = DenseNetwork(weights, units, rows.shape[1])
        self._tflite, self._model = None, None
        if self.runner == "litert":
            self._tflite = self.tflite()
            self._model = TfliteModel(self._tflite)
        self.threshold = float(np.quantile(self._of_rows(validation).mean(axis=1), ERROR_QUANTILE))
        self.reasons = (*left, *told, percentile_reason(self.threshold))

    def score(self, frame: pd.DataFrame) -> NDArray[np.float64]:
        """The mean squared (or absolute) error of each row's inputs, scaled; NaN where no metric is known."""
        errors, is_known = self._judged(frame)
        scores: NDArray[np.float64] = np.full(len(frame), np.nan)
        scores[is_known] = errors.mean(axis=1)
        return scores

    def contributions(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Each metric's share of the error: that of its own inputs."""
        errors, is_known = self._judged(frame)
        owners, count = self._fitted()[0].owners, len(self.columns)
        by_metric = errors @ (owners[:, None] == np.arange(count)).astype(np.float64)
        total = by_metric.sum(axis=1, keepdims=True)
        shares = np.zeros((len(frame), count))
        shares[is_known] = np.divide(by_metric, total, out=np.zeros_like(by_metric), where=total > 0)
        return pd.DataFrame(shares, index=frame.index, columns=list(self.columns))

    def tflite(self) -> bytes:
        """The network as a TFLite model of one row. Raises ToolMissing where TensorFlow is not installed."""
        inputs, network = self._fitted()
        assert self.units is not None  # noqa: S101  (fitted)
        return autoencoder_fit.as_tflite(
            autoencoder_fit.dense_model, (len(inputs.owners),), self.units, network.weights
        )

    def save(self) -> Saved:
        """The configuration, the scalers, the threshold, the weights, and the TFLite model where that scores."""
        inputs, network = self._fitted()
        assert self.units is not None  # noqa: S101  (fitted)
        scaling, features = inputs.scaling.saved(), inputs.features.saved()
        document = {
            **scaling.document,
            "units": list(self.units),
            "error": self.error,
            "runner": self.runner,
            "threshold": self.threshold,
            "reasons": list(self.reasons),
        }
        arrays = {
            **scaling.arrays,
            **{f"feature_{name}": value for name, value in features.arrays.items()},
            **{f"weight_{name}": value.astype(np.float32) for name, value in network.weights.items()},
        }
        if self._tflite is not None:
            arrays["tflite"] = np.frombuffer(self._tflite, dtype=np.uint8)
        return Saved(document, arrays)

    def restore(self, saved: Saved) -> None:
        """Take them back. Raises ToolMissing where the saved detector scores by LiteRT and there is none."""
        try:
            scaling = Scaling.restored(saved)
            size = len(feature_owners(scaling.columns))
            features = Scaling.restored(
                Saved(
                    {"columns": [str(n) for n in range(size)], "is_fixed": [False] * size},
                    {name: saved.arrays[f"feature_{name}"] for name in ("low", "high", "middle")},
                )
            )
            units = checked_units(saved.document["units"])
            network = DenseNetwork(_weights_in(saved.arrays), units, size)
            error, runner = saved.document["error"], saved.document["runner"]
            threshold = float(saved.document["threshold"])
            if error not in ERRORS or runner not in RUNNERS or not np.isfinite(threshold):
                raise ValueError("settings that cannot be")  # noqa: TRY301  (one answer for all)
            tflite = saved.arrays["tflite"].astype(np.uint8).tobytes() if runner == "litert" else None
            reasons = tuple(str(reason) for reason in saved.document["reasons"])
        except (KeyError, TypeError, ValueError, AttributeError) as wrong:
            raise BadModel(f"This is no saved detector {self.name}.", hint="Train it again.") from wrong
        model = None if tflite is None else TfliteModel(tflite)
        if model is not None and model.shapes != ((size,), (size,)):
            raise BadModel(f"The saved detector {self.name} does not fit together.", hint="Train it again.")
        self.units, self.error, self.runner, self.threshold = units, error, runner, threshold
        self._inputs, self._network, self.reasons = RowInputs(scaling, features), network, reasons
        self._tflite, self._model = tflite, model

    def _fitted(self) -> tuple[RowInputs, DenseNetwork]:
        if self._inputs is None or self._network is None:
            raise BadInput(f"The detector {self.name} is not fitted.", hint="Fit it, or restore one that was saved.")
        return self._inputs, self._network

    def _of_rows(self, rows: Floats) -> Floats:
        """The error of each input, shape (n, inputs)."""
        network = self._model or self._fitted()[1]
        difference = network.forward(rows) - rows
        errors: Floats = difference**2 if self.error == "mse" else np.abs(difference)
        return errors

    def _judged(self, frame: pd.DataFrame) -> tuple[Floats, NDArray[np.bool_]]:
        """The errors of the rows that get a score, and which these are."""
        inputs, _ = self._fitted()
        is_known = _has_any(frame, self.columns)
        return self._of_rows(inputs.rows(frame)[is_known]), is_known


def usual_units(inputs: int) -> tuple[int, ...]:
    """Layers that are a half and a quarter of the inputs, within 8..64.

    >>> usual_units(24), usual_units(1000)
    ((16, 8), (64, 32))
    """
    first = int(np.clip(inputs // 2, 16, 64))
    return first, max(first // 2, int(np.clip(inputs // 4, 8, 32)))


def feature_owners(columns: Sequence[str]) -> NDArray[np.int64]:
    """The metric of each feature, in the order of `features_of`: its place among the columns."""
    all_of_them = np.arange(len(columns))
    blocks = 2 + len(AVERAGED_ROWS)
    return np.concatenate([np.tile(all_of_them, blocks), np.delete(all_of_them, _work_of(columns))])


def features_of(scaling: Scaling, frame: pd.DataFrame) -> Floats:
    """Samples, averages, changes and ratios, shape (rows, features).

    A change is (x - y) / (|x| + |y|), a ratio x / (|x| + |work|), each of plain samples: within -1..1 whatever the
    unit, and 0 where both are 0.
    """
    values = fill_forward(matrix_of(frame, scaling.columns))
    values = np.where(np.isfinite(values), values, scaling.middle)
    scaled = scaling.scale_known(values)
    parts = [scaled, *(_trailing_mean(scaled, rows) for rows in AVERAGED_ROWS)]
    before = np.concatenate([values[:1], values[:-1]])
    parts.append(_share(values - before, np.abs(values) + np.abs(before)))
    work = _work_of(scaling.columns)
    # Of unlike units, a ratio says something once each is a multiple of its own usual level.
    level = np.where(scaling.middle != 0, np.abs(scaling.middle), 1.0)
    multiples = values / level
    others = np.delete(multiples, work, axis=1)
    parts.append(_share(others, np.abs(others) + np.abs(multiples[:, work : work + 1])))
    return np.hstack(parts)


def _has_any(frame: pd.DataFrame, columns: Sequence[str]) -> NDArray[np.bool_]:
    """Whether a metric of each row is known, shape (rows,)."""
    found: NDArray[np.bool_] = np.asarray(np.isfinite(matrix_of(frame, columns)).any(axis=1))
    return found


def _work_of(columns: Sequence[str]) -> int:
    return next((columns.index(name) for name in _WORK if name in columns), 0)


def _share(part: Floats, whole: Floats) -> Floats:
    found: Floats = np.divide(part, whole, out=np.zeros_like(part), where=whole > 0)
    return found


def _trailing_mean(values: Floats, rows: int) -> Floats:
    """The mean of each row and those before it, `rows` in all where there are as many."""
    if not len(values):
        return values
    padded = np.concatenate([np.repeat(values[:1], rows - 1, axis=0), values])
    found: Floats = np.lib.stride_tricks.sliding_window_view(padded, rows, axis=0).mean(axis=-1)
    return found


def _weights_in(arrays: Mapping[str, np.ndarray[Any, Any]]) -> dict[str, np.ndarray[Any, Any]]:
    return {name.removeprefix("weight_"): array for name, array in arrays.items() if name.startswith("weight_")}
