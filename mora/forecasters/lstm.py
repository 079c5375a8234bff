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

from collections.abc import Mapping, Sequence
from datetime import timedelta
from statistics import NormalDist
from typing import TYPE_CHECKING

import numpy as np

from mora.domain import Forecast, Reason, Target
from mora.errors import BadInput, NotEnoughData
from mora.features import (
    DRIVEN_COLUMNS,
    HORIZON_STEPS,
    MIN_TARGET_STEPS,
    TARGET_COLUMNS,
    TARGETS,
    WINDOW_STEPS,
    Floats,
    Pairs,
    Segment,
    grid_step,
    make_pairs,
    segments,
)
from mora.forecasters.keras_fit import LstmSettings, fit_network
from mora.forecasters.network import Network
from mora.metrics import METRIC_COLUMNS
from mora.seams import Reporter, Silent

if TYPE_CHECKING:
    import pandas as pd


class LstmForecaster:
    """The LSTM for CPU, memory and replicas together."""

    name = "lstm"

    def __init__(
        self,
        settings: LstmSettings | None = None,
        *,
        targets: Sequence[Target] = TARGETS,
        window: int = WINDOW_STEPS,
        horizon: int = HORIZON_STEPS,
        network: Network | None = None,
        reasons: tuple[Reason, ...] = (),
    ) -> None:
        self.settings = settings if settings is not None else LstmSettings()
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
