"""The table of validation errors: how far each forecaster was off, beside the naive one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mora.domain import Reason, Target
from mora.domain.learning import Level
from mora.fusion import NAIVE, Weights, choose_weights
from mora.model.calibration import blend
from mora.model.choice import BLEND
from mora.model.settings import TrainSettings

CHOSEN = "chosen"
Row = tuple[str, dict[str, Level], Level]
"""A validation window: its experiment, forecaster -> (mean, p95), and what they were."""


@dataclass(frozen=True, slots=True)
class ErrorTable:
    """One target's mean absolute errors.

    errors: forecaster (with blend and naive) -> (of the next steps' mean, of their p95), in cores, bytes or replicas.
    level: mean use over the windows, to read the errors against. shares: the weights of the blend.
    windows, experiments: how much it rests on; windows of one experiment overlap.
    """

    target: Target
    errors: Mapping[str, tuple[float, float]]
    level: float
    shares: Mapping[str, float]
    windows: int
    experiments: int
    reasons: tuple[Reason, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON, as the card has it."""
        return {
            "errors": {name: {"mean": mean, "p95": p95} for name, (mean, p95) in self.errors.items()},
            "level": self.level,
            "shares": dict(self.shares),
            "windows": self.windows,
            "experiments": self.experiments,
            "reasons": [[reason.code, reason.text] for reason in self.reasons],
        }


def tabulate(
    target: Target,
    choosing: Sequence[Row],
    scoring: Sequence[Row],
    settings: TrainSettings,
    *,
    weights: Weights | None = None,
    chosen: Weights | None = None,
) -> ErrorTable:
    """Weights from the windows that choose, errors of those that score; empty where none has a full horizon.

    weights: those of the blend, where they have been chosen already. chosen: those of the model that was chosen where
    there were candidates; its errors stand under "chosen", and every candidate's own under its name.
    """
    names = [
        name
        for name in dict.fromkeys((*settings.trained, NAIVE))
        if choosing and all(name in levels for _, levels, _ in (*choosing, *scoring))
    ]
    if weights is None:
        per_part = {name: _by_experiment(choosing, name) for name in names}
        subject = f"{target.value} over the next steps"
        weights = choose_weights(target, per_part, default=settings.weights, subject=subject)
    if not scoring:
        return ErrorTable(target, {}, 0.0, dict(weights.shares), 0, 0, weights.reasons)
    errors: dict[str, tuple[float, float]] = {}
    for name in names:
        errors[name] = _mean_errors([(levels[name], truth) for _, levels, truth in scoring])
    errors[BLEND] = _mean_errors(_mixed(weights.shares, scoring))
    if chosen is not None and settings.candidates:
        errors[CHOSEN] = _mean_errors(_mixed(chosen.shares, scoring))
    order = [name for name in dict.fromkeys((*settings.trained, BLEND, CHOSEN, NAIVE)) if name in errors]
    return ErrorTable(
        target,
        {name: errors[name] for name in order},
        float(np.mean([truth[0] for _, _, truth in scoring])),
        dict(weights.shares),
        len(scoring),
        len({name for name, _, _ in scoring}),
        weights.reasons,
    )


def _mixed(shares: Mapping[str, float], rows: Sequence[Row]) -> list[tuple[Level, Level]]:
    """What a blend forecasts of every window, and what it was."""

    def level(levels: Mapping[str, Level], which: int) -> float:
        return blend(shares, {name: own[which] for name, own in levels.items()})

    return [((level(levels, 0), level(levels, 1)), truth) for _, levels, truth in rows]


def _by_experiment(rows: Sequence[Row], name: str) -> list[float]:
    """Mean absolute error of the level per experiment: overlapping windows of one are one witness, not many."""
    found: dict[str, list[float]] = {}
    for experiment, levels, truth in rows:
        found.setdefault(experiment, []).append(abs(levels[name][0] - truth[0]))
    return [float(np.mean(errors)) for _, errors in sorted(found.items())]


def _mean_errors(pairs: Sequence[tuple[Level, Level]]) -> tuple[float, float]:
    return (
        float(np.mean([abs(level[0] - truth[0]) for level, truth in pairs])),
        float(np.mean([abs(level[1] - truth[1]) for level, truth in pairs])),
    )
