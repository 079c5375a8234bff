"""The LSTM: one trunk with a head a target, fitted with TensorFlow, read with numpy.

On load experiments it looks at thirty steps of everything that is known and forecasts what the next thirty need of each
target: their mean and their high level (p95), directly. One step ahead would be easy and worthless, since neighbouring
rate windows overlap; thirty single steps fed back into themselves would add up their errors; and a request needs a
level, not a curve. What is learned is the *change* from the window's own mean, min-max scaled like the inputs: a
network that has learned nothing yet forecasts what the naive forecast does, and every epoch starts from there. On a
history it is fitted for each horizon (horizon_lstm.py).

Only fitting imports TensorFlow. The forward pass is a few lines of numpy: a recommendation neither pays for the import
nor depends on the library that trained it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from mora.domain import Reason, Target
from mora.domain.learning import AfterWindow, Experiments, Knob, Level, Past, Place, Saved, Segment
from mora.errors import NotEnoughData
from mora.features import (
    DRIVEN_COLUMNS,
    HORIZON_STEPS,
    MIN_TARGET_STEPS,
    TARGET_COLUMNS,
    WINDOW_STEPS,
    Pairs,
    make_pairs,
)
from mora.forecasters.horizon_lstm import HorizonLstm, fit_horizon_lstm
from mora.forecasters.keras_fit import LstmSettings, fit_network
from mora.forecasters.network import Network
from mora.metrics import METRIC_COLUMNS
from mora.seams import Reporter

# What every experiment may know: the metrics, and what the plan asked for.
CANDIDATES = METRIC_COLUMNS + DRIVEN_COLUMNS


@dataclass(frozen=True, slots=True)
class WindowLstm:
    """A network fitted on load experiments: what follows the last window of one."""

    network: Network
    reasons: tuple[Reason, ...] = ()

    @property
    def columns(self) -> tuple[str, ...]:
        """Its inputs, in order."""
        return self.network.columns

    def levels(self, places: Sequence[Place]) -> list[Mapping[Target, Level]]:
        """Mean and high level after each window; nothing of other places. Raises NotEnoughData for a short window."""
        found: list[Mapping[Target, Level]] = [{} for _ in places]
        windows = [(number, place.segment) for number, place in enumerate(places) if isinstance(place, AfterWindow)]
        for (number, _), levels in zip(windows, self.after([piece for _, piece in windows]), strict=True):
            found[number] = levels
        return found

    def after(self, pieces: Sequence[Segment]) -> list[Mapping[Target, Level]]:
        """Mean and high level of the thirty steps that follow each segment's last window."""
        tails = [self._last_window(piece) for piece in pieces]
        if not tails:
            return []
        windows = np.stack([tail.matrix(self.network.columns) for tail in tails])
        names = [TARGET_COLUMNS[target] for target in self.network.targets]
        levels = np.stack([tail.matrix(names).mean(axis=0) for tail in tails])
        return [
            {target: (float(f[0]), float(f[1])) for target, f in zip(self.network.targets, found, strict=True)}
            for found in self.network.predict(windows, levels)
        ]

    def _last_window(self, piece: Segment) -> Segment:
        if len(piece) < WINDOW_STEPS:
            raise NotEnoughData(f"The LSTM looks at {WINDOW_STEPS} samples; {piece.name} has {len(piece)}.")
        tail = piece.cut(len(piece) - WINDOW_STEPS, len(piece))
        unknown = [name for name in self.network.columns if not np.isfinite(tail.values[name]).all()]
        if unknown:
            raise NotEnoughData(f"The LSTM was trained on {', '.join(unknown)}, which {piece.name} does not have.")
        return tail

    def save(self) -> Saved:
        """Its arrays."""
        return Saved(arrays=self.network.arrays())


class LstmForecaster:
    """The LSTM for all targets together, on load experiments or on a history."""

    name = "lstm"
    is_refitted = False
    knobs = MappingProxyType(
        {
            "learning_rate": Knob(5e-4, 1e-2, is_log=True),
            "batch_size": Knob(32, 256, is_log=True, is_whole=True),
            "patience_epochs": Knob(3, 12, is_whole=True),
            "units": Knob(16, 96, is_log=True, is_whole=True),
            "dropout": Knob(0.0, 0.5),
        }
    )

    def __init__(self, settings: LstmSettings | None = None) -> None:
        self.settings = settings if settings is not None else LstmSettings()

    def fit(self, data: Experiments | Past, *, seed: int, reporter: Reporter) -> WindowLstm | HorizonLstm:
        """Learn from the training part; the validation part says when to stop. Raises NotEnoughData."""
        if isinstance(data, Past):
            return fit_horizon_lstm(
                data.grid,
                data.targets,
                first=data.fit_until,
                second=data.check_until,
                settings=self.settings,
                seed=seed,
                reporter=reporter,
            )
        columns = known_columns([*data.training, *data.validation])
        unknown = [name for name in CANDIDATES if name not in columns]
        reasons: tuple[Reason, ...] = ()
        if unknown:
            text = f"the LSTM does without {', '.join(unknown)}: not every experiment has it"
            reasons = (Reason("lstm-without-inputs", text),)
        training = window_pairs(data.training, columns, data.targets, min_target=MIN_TARGET_STEPS)
        checking = window_pairs(data.validation, columns, data.targets, min_target=MIN_TARGET_STEPS)
        if not len(training) or not len(checking):
            raise NotEnoughData(
                f"The LSTM needs segments of {WINDOW_STEPS + MIN_TARGET_STEPS} samples or more in both of its parts; "
                f"there are {len(training)} windows to learn from and {len(checking)} to check on."
            )
        network = fit_network(training, checking, columns, data.targets, self.settings, seed=seed, reporter=reporter)
        return WindowLstm(network, reasons)

    def restore(self, saved: Saved) -> WindowLstm | HorizonLstm:
        """What save() of either gave."""
        if HorizonLstm.is_in(saved.arrays):
            return HorizonLstm.from_arrays(saved.arrays)
        return WindowLstm(Network.from_arrays(saved.arrays))


def known_columns(pieces: Sequence[Segment]) -> tuple[str, ...]:
    """The inputs that every segment knows; never an unknown load as 0."""
    return tuple(
        column for column in CANDIDATES if all(bool(np.isfinite(piece.values[column]).all()) for piece in pieces)
    )


def window_pairs(
    pieces: Sequence[Segment], columns: Sequence[str], targets: Sequence[Target], *, min_target: int | None = None
) -> Pairs:
    """Every window of the segments with what followed it (features.make_pairs)."""
    return make_pairs(
        pieces, columns, targets=targets, window=WINDOW_STEPS, horizon=HORIZON_STEPS, min_target=min_target
    )
