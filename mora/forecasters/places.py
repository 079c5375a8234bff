"""The places of a forecast as rows of a grid: forecasters of a history then know experiments, too.

An experiment is a short history: its thirty steps are the horizon, and what follows a window is the row after its last.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mora.domain import Target
from mora.domain.learning import AfterWindow, AtLoad, AtRow, Experiments, HorizonGrid, Past, Place, Segment
from mora.features import HORIZON_STEPS, TARGET_COLUMNS
from mora.forecasters.horizon import fill_from_past
from mora.metrics import SCALE_FREE_COLUMNS

_COLUMNS = tuple(dict.fromkeys((*SCALE_FREE_COLUMNS, *TARGET_COLUMNS.values())))


def grid_of(segment: Segment) -> HorizonGrid:
    """An experiment as a history whose horizon is the thirty steps that a driven forecast is of."""
    step = float(segment.seconds[1] - segment.seconds[0]) if len(segment) > 1 else 1.0
    known = {name: segment.values[name] for name in _COLUMNS if name in segment.values}
    means = {name: values for name, values in known.items() if np.isfinite(values).any()}
    filled = {name: fill_from_past(values) for name, values in means.items()}
    start = float(segment.seconds[0]) if len(segment) else 0.0
    return HorizonGrid(step * HORIZON_STEPS, HORIZON_STEPS, start, means, filled)


def row_of(place: Place) -> AtRow | None:
    """The row of a grid that a place is; None for a load, and where nothing lies before it."""
    if isinstance(place, AtLoad):
        return None
    if isinstance(place, AfterWindow):
        return AtRow(grid_of(place.segment), len(place.segment)) if len(place.segment) else None
    return place if place.row > 0 else None


def targets_at(grid: HorizonGrid, targets: Sequence[Target] = tuple(TARGET_COLUMNS)) -> list[Target]:
    """Those of the targets that a grid knows."""
    return [target for target in targets if TARGET_COLUMNS[target] in grid.means]


@dataclass(frozen=True, slots=True)
class Lesson:
    """A grid to learn from: rows before `fit_until` train, those from it up to `check_until` say when to stop."""

    grid: HorizonGrid
    fit_until: int
    check_until: int


def lessons_of(data: Experiments | Past, target: Target) -> list[Lesson]:
    """What may be learnt of one target; a history is one lesson, each experiment that is not limit-bound is one."""
    column = TARGET_COLUMNS[target]
    if isinstance(data, Past):
        return [Lesson(data.grid, data.fit_until, data.check_until)] if column in data.grid.means else []
    bound: Mapping[Target, frozenset[str]] = data.limit_bound
    left_out = bound.get(target, frozenset())
    training = [piece for piece in data.training if piece.name not in left_out] or list(data.training)
    found = [Lesson(grid_of(piece), len(piece), len(piece)) for piece in training if len(piece)]
    found += [Lesson(grid_of(piece), 0, len(piece)) for piece in data.validation if len(piece)]
    return [lesson for lesson in found if column in lesson.grid.means]
