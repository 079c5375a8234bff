"""How well each forecaster predicts the next thirty steps of experiments that it was not fitted on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from mora.domain import Target
from mora.domain.learning import AfterWindow, Level, Segment
from mora.features import HORIZON_STEPS, TARGET_COLUMNS, TARGETS, WINDOW_STEPS, level_of
from mora.model.cells import SIZED, Split, is_pinned
from mora.model.learners import Fitted
from mora.model.report import Row, tabulate
from mora.model.settings import TrainSettings
from mora.response import Run


def next_step_errors(
    pieces: Sequence[Segment],
    runs: Mapping[str, Run],
    split: Split,
    settings: TrainSettings,
    fitted_for: Callable[[str], Fitted],
) -> dict[str, Any]:
    """Errors of the mean and the p95 of the next 30 steps, of full horizons only, where the last window is known.

    fitted_for: experiment -> the forecasters as they are without it, or the last part of it. Weights for this question
    are chosen on the cells that choose, the table is of those that score (where none does, of the cell that stopped the
    network).
    """
    scored = split.score or split.choose
    predicted = {
        piece.name: _predicted(piece, fitted_for(piece.name)) for piece in pieces if piece.name in split.choose | scored
    }
    tables = {}
    for target in TARGETS:
        choosing = _rows(pieces, runs, target, split.choose, predicted)
        scoring = choosing if not split.score else _rows(pieces, runs, target, scored, predicted)
        tables[target.value] = tabulate(target, choosing, scoring, settings).to_dict()
    return tables


def _predicted(piece: Segment, fitted: Fitted) -> list[dict[str, Mapping[Target, Level]]]:
    """What each forecaster expects after every window of a segment that a full horizon follows."""
    windows = [
        AfterWindow(piece.cut(start, start + WINDOW_STEPS))
        for start in range(len(piece) - WINDOW_STEPS - HORIZON_STEPS + 1)
    ]
    # One window at a time: the last bits of a matrix product depend on how many rows it has.
    return [{name: forecaster.levels([window])[0] for name, forecaster in fitted.items()} for window in windows]


def _rows(
    pieces: Sequence[Segment],
    runs: Mapping[str, Run],
    target: Target,
    names: frozenset[str],
    predicted: Mapping[str, Sequence[Mapping[str, Mapping[Target, Level]]]],
) -> list[Row]:
    """(experiment, forecaster -> (mean, p95), truth) of every full horizon of the named experiments."""
    found: list[Row] = []
    column = TARGET_COLUMNS[target]
    for piece in pieces:
        # Limit-bound use is the limit's: predicting it is no merit, missing it no fault.
        if piece.name not in names or (target in SIZED and is_pinned(runs[piece.name], target)):
            continue
        for start, levels in enumerate(predicted[piece.name]):
            ahead = piece.values[column][start + WINDOW_STEPS : start + WINDOW_STEPS + HORIZON_STEPS]
            of_target = {name: own[target] for name, own in levels.items() if target in own}
            found.append((piece.name, of_target, level_of(ahead, HORIZON_STEPS)))
    return found
