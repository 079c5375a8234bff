"""The LSTM autoencoder: twenty rows of metrics and the time of day, given back; what it cannot give back is abnormal.

Fitted by Keras, scored by numpy. Its windows are made by one object for both (WindowInputs).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mora.detectors.frames import known_columns, matrix_of, seconds_of
from mora.detectors.scaling import (
    DOCUMENT,
    FILLED_ROWS,
    LEAST_KNOWN,
    Scaling,
    learn_scaling,
    percentile_reason,
    read_bounds,
)
from mora.domain.learning import DAY_SECONDS, Floats, Saved
from mora.errors import BadInput, BadModel, NotEnoughData
from mora.networks import autoencoder_fit
from mora.networks.autoencoder_fit import FitSettings
from mora.networks.autoencoders import LstmNetwork, checked_units, read_units
from mora.seams import Reporter, Silent

UNITS = (64, 32, 16)
WINDOW_ROWS = 20
LEAST_WINDOWS = 5
"""Fitting takes at least so many windows of rows: a hundred for windows of twenty."""
TRAINING_SHARE = 0.8
ERROR_QUANTILE = 0.95
"""The document's threshold: the 95th percentile of the errors on the validation part. It flags 5 % of healthy rows."""
LEAST_KNOWN_SHARE = 0.5
"""A window of which less is known gets no score."""
_TIME_INPUTS = 6
_MOST_WINDOW = 500


@dataclass(frozen=True, slots=True)
class WindowInputs:
    """Frames to windows for the network, the same for fitting and for scoring.

    An input is a scaled metric, or one of six of the time (UTC): hour and weekday as sine and cosine, whether it is a
    weekend, whether it is in business hours (Monday to Friday, 9 to 17).
    """

    scaling: Scaling
    window: int

    @property
    def size(self) -> int:
        """Inputs of one row."""
        return len(self.scaling.columns) + _TIME_INPUTS

    def rows(self, frame: pd.DataFrame) -> Floats:
        """The inputs of each row, shape (rows, size)."""
        values = matrix_of(frame, self.scaling.columns)
        return np.hstack([self.scaling.scale(values), time_inputs(frame)])

    def windows(self, frame: pd.DataFrame) -> Floats:
        """The window that ends with each row from row `window - 1` on, shape (rows - window + 1, window, size)."""
        if len(frame) < self.window:
            return np.empty((0, self.window, self.size))
        views = np.lib.stride_tricks.sliding_window_view(self.rows(frame), self.window, axis=0)
        return views.transpose(0, 2, 1)

    def known_share(self, frame: pd.DataFrame) -> Floats:
        """The share of each of these windows that was measured and not filled in, shape (rows - window + 1,)."""
        known = np.isfinite(matrix_of(frame, self.scaling.columns)).mean(axis=1)
        sums = np.cumsum(np.concatenate([[0.0], known]))
        share: Floats = (sums[self.window :] - sums[: -self.window]) / self.window
        return share


class LstmAutoencoder:
    """The pipeline of the project's document, with its fixed bounds.

    window: rows of a window. units: the layers down, as numbers or as text (64,32,16); those up are the same. epochs,
    batch_size, patience: of the fit. bounds: "document"; "learnt" from each metric; or fixed ones by metric, in
    plain units, as a mapping or as text (cpu_cores_value=0..2,mem_bytes_value=0..4e9): other metrics learn theirs.
    reporter: told of each epoch.
    """

    name = "lstm-autoencoder"

    def __init__(
        self,
        *,
        window: int = WINDOW_ROWS,
        units: Sequence[int] | str | int = UNITS,
        epochs: int = 30,
        batch_size: int = 32,
        patience: int = 10,
        bounds: Mapping[str, tuple[float, float]] | str = DOCUMENT,
        seed: int = 0,
        reporter: Reporter | None = None,
    ) -> None:
        if type(window) is not int or not 2 <= window <= _MOST_WINDOW:
            raise BadInput(f"A window of {window} rows is not possible.", hint=f"Give from 2 to {_MOST_WINDOW} rows.")
        self.window, self.settings = window, FitSettings(epochs, batch_size, patience)
        self.units = read_units(units)
        self.bounds = read_bounds(bounds)
        self.seed, self.reporter = seed, reporter or Silent()
        self.reasons: tuple[str, ...] = ()
        self.threshold = np.inf
        self._inputs: WindowInputs | None = None
        self._network: LstmNetwork | None = None

    @property
    def columns(self) -> tuple[str, ...]:
        """The metrics it was fitted on."""
        return () if self._inputs is None else self._inputs.scaling.columns

    @property
    def context(self) -> int:
        """The rest of the window, and what the first row of it may be filled from."""
        return self.window - 1 + FILLED_ROWS

    def fit(self, frame: pd.DataFrame) -> None:
        """Learn the first four fifths of the frame; the rest says when to stop, and what error is usual."""
        least = LEAST_WINDOWS * self.window
        if len(frame) < least:
            raise NotEnoughData(
                f"The detector {self.name} needs {least} rows ({LEAST_WINDOWS} windows of {self.window}), "
                f"and there are {len(frame)}.",
                hint="Train it on a longer history.",
            )
        cut = max(int(len(frame) * TRAINING_SHARE), self.window)
        names, left = known_columns(frame[:cut], LEAST_KNOWN, self.name)
        scaling, told = learn_scaling(names, matrix_of(frame[:cut], names), self.bounds, by=self.name)
        inputs = WindowInputs(scaling, self.window)
        training, validation = self._whole(inputs, frame[:cut]), self._whole(inputs, frame[cut:])
        if not len(training) or not len(validation):
            raise NotEnoughData(
                f"The detector {self.name} needs windows of {self.window} rows at least half of which are known, both "
                f"in the first four fifths of the rows and in the last.",
                hint="Train it on a longer history, or on one with fewer gaps.",
            )
        weights = autoencoder_fit.fit_lstm(training, validation, self.units, self.settings, self.reporter, self.seed)
        # As they will be saved, in single precision.
        weights = {name: weight.astype(np.float32) for name, weight in weights.items()}
        self._inputs, self._network = inputs, LstmNetwork(weights, self.units, inputs.size)
        self.threshold = float(np.quantile(self._errors(validation).mean(axis=1), ERROR_QUANTILE))
        self.reasons = (*left, *told, percentile_reason(self.threshold))

    def score(self, frame: pd.DataFrame) -> NDArray[np.float64]:
        """The mean squared error of the window that ends with each row, over its metrics; scaled units.

        NaN in the first rows, where there is no whole window; where less than half of it is known; where nothing of the
        row is.
        """
        errors, is_known = self._judged(frame)
        scores: NDArray[np.float64] = np.full(len(frame), np.nan)
        scores[is_known] = errors.mean(axis=1)
        return scores

    def contributions(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Each metric's share of the error."""
        errors, is_known = self._judged(frame)
        shares = np.zeros((len(frame), len(self.columns)))
        total = errors.sum(axis=1, keepdims=True)
        shares[is_known] = np.divide(errors, total, out=np.zeros_like(errors), where=total > 0)
        return pd.DataFrame(shares, index=frame.index, columns=list(self.columns))

    def clipped(self, frame: pd.DataFrame) -> dict[str, int]:
        """How many samples of each metric lie outside its bounds; metrics without any are left out."""
        scaling = self._fitted()[0].scaling
        counts = scaling.outside(matrix_of(frame, scaling.columns))
        return {name: int(count) for name, count in zip(scaling.columns, counts, strict=True) if count}

    def tflite(self) -> bytes:
        """The network as a TFLite model of one window. Raises ToolMissing where TensorFlow is not installed."""
        inputs, network = self._fitted()
        return autoencoder_fit.as_tflite(
            autoencoder_fit.lstm_model, (self.window, inputs.size), self.units, network.weights
        )

    def save(self) -> Saved:
        """The configuration, the scaler, the threshold and the weights."""
        inputs, network = self._fitted()
        scaling = inputs.scaling.saved()
        document = {
            **scaling.document,
            "window": self.window,
            "units": list(self.units),
            "threshold": self.threshold,
            "reasons": list(self.reasons),
        }
        weights = {f"weight_{name}": value.astype(np.float32) for name, value in network.weights.items()}
        return Saved(document, {**scaling.arrays, **weights})

    def restore(self, saved: Saved) -> None:
        """Take them back."""
        try:
            window, threshold = saved.document["window"], float(saved.document["threshold"])
            if type(window) is not int or not 2 <= window <= _MOST_WINDOW or not np.isfinite(threshold):
                raise ValueError("a window or threshold that cannot be")  # noqa: TRY301  (one answer for all)
            units = checked_units(saved.document["units"])
            inputs = WindowInputs(Scaling.restored(saved), window)
            network = LstmNetwork(
                {n.removeprefix("weight_"): v for n, v in saved.arrays.items() if n.startswith("weight_")},
                units,
                inputs.size,
            )
            reasons = tuple(str(reason) for reason in saved.document["reasons"])
        except (KeyError, TypeError, ValueError, AttributeError) as wrong:
            raise BadModel(f"This is no saved detector {self.name}.", hint="Train it again.") from wrong
        self.window, self.threshold, self.units, self.reasons = window, threshold, units, reasons
        self._inputs, self._network = inputs, network

    def _fitted(self) -> tuple[WindowInputs, LstmNetwork]:
        if self._inputs is None or self._network is None:
            raise BadInput(f"The detector {self.name} is not fitted.", hint="Fit it, or restore one that was saved.")
        return self._inputs, self._network

    def _whole(self, inputs: WindowInputs, part: pd.DataFrame) -> Floats:
        """The windows of a part of which at least half is known."""
        return inputs.windows(part)[inputs.known_share(part) >= LEAST_KNOWN_SHARE]

    def _errors(self, windows: Floats) -> Floats:
        """The mean squared error of each metric over each window, shape (n, columns)."""
        assert self._network is not None  # noqa: S101  (only called when fitted)
        metrics = len(self.columns)
        given = self._network.forward(windows)[:, :, :metrics]
        errors: Floats = ((given - windows[:, :, :metrics]) ** 2).mean(axis=1)
        return errors

    def _judged(self, frame: pd.DataFrame) -> tuple[Floats, NDArray[np.bool_]]:
        """The errors of the rows that get a score, and which these are."""
        inputs, _ = self._fitted()
        is_known: NDArray[np.bool_] = np.asarray(np.isfinite(matrix_of(frame, self.columns)).any(axis=1))
        before = self.window - 1
        is_known[:before] = False
        is_known[before:] &= inputs.known_share(frame) >= LEAST_KNOWN_SHARE
        if not is_known.any():
            return np.empty((0, len(self.columns))), is_known
        return self._errors(inputs.windows(frame)[is_known[before:]]), is_known


def time_inputs(frame: pd.DataFrame) -> Floats:
    """Hour and weekday as sine and cosine, weekend, business hours; UTC, shape (rows, 6)."""
    seconds = seconds_of(frame)
    hours = seconds % DAY_SECONDS / 3600
    weekday = (seconds // DAY_SECONDS + 3) % 7  # the first day of the epoch was a Thursday
    hour_angle, day_angle = 2 * np.pi * hours / 24, 2 * np.pi * weekday / 7
    is_weekend = weekday >= 5
    is_business = ~is_weekend & (hours >= 9) & (hours < 17)
    return np.column_stack(
        [np.sin(hour_angle), np.cos(hour_angle), np.sin(day_angle), np.cos(day_angle), is_weekend, is_business]
    ).astype(np.float64)
