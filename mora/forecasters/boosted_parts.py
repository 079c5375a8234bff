"""The rows that boosted trees learn from and are checked on: tables with what came of them, and what an error costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mora.domain.learning import Floats
from mora.forecasters import tabular
from mora.forecasters.places import Lesson

MEAN, HIGH = "mean", "high"
# More rows than this teach trees of this size nothing new: neighbours overlap by all but one step.
MOST_ROWS, MOST_CHECKS = 2000, 500
# The upper level learns from so many steps of each horizon.
_STEPS_OF_HORIZON = 3
# No row counts as more, or less, than so many times the mean one.
_MOST_WORTH = 5.0
# On fewer horizons nothing is called better.
_LEAST_HORIZONS = 3


@dataclass(frozen=True, slots=True)
class Part:
    """Rows to learn from or to check on: their tables, anchors, true means and steps, in logarithms.

    apart: how many rows of the grid lie between two of them.
    """

    table: Floats
    plain: Floats
    means: Floats
    steps: Floats
    apart: int

    def __len__(self) -> int:
        """How many rows there are."""
        return len(self.means)

    def cut(self, start: int, stop: int) -> Part:
        """Rows start..stop (stop excluded)."""
        where = slice(start, stop)
        return Part(self.table[where], self.plain[where], self.means[where], self.steps[where], self.apart)

    def thinned(self, step: int) -> Part:
        """One row of so many."""
        if step <= 1:
            return self
        return Part(self.table[::step], self.plain[::step], self.means[::step], self.steps[::step], self.apart * step)

    def wanted(self, anchor: Floats, what: str) -> Floats:
        """What trees should say of each row; of the high level, of each of its steps."""
        base = self.plain @ anchor
        return self.means - base if what == MEAN else (self.steps - base[:, None]).ravel()

    def worth(self, anchor: Floats, what: str) -> Floats:
        """How much each row counts, as errors are of the use and not of its logarithm: by its level."""
        level = np.exp(np.clip(self.plain @ anchor - float((self.plain @ anchor).mean()), -50, 50))
        found: Floats = np.clip(level / level.mean(), 1 / _MOST_WORTH, _MOST_WORTH)
        return found if what == MEAN else np.repeat(found, _STEPS_OF_HORIZON)

    def given(self, what: str) -> Floats:
        """The table; for the high level a row of it for each step."""
        return self.table if what == MEAN else np.repeat(self.table, _STEPS_OF_HORIZON, axis=0)


def surely_best(errors: Floats, steps: int, apart: int) -> int:
    """The row of `errors`, shape (options, rows of a part), that is better than the first by most.

    It is the first where none is by more than one standard error over whole horizons: rows overlap, and neighbours are
    one witness.
    """
    count = max(round(steps / apart), 1)
    blocks = np.add.reduceat(errors, np.arange(0, errors.shape[1], count), axis=1) / count
    if blocks.shape[1] < _LEAST_HORIZONS:
        return 0
    gains = blocks[0] - blocks
    doubts = gains.std(axis=1, ddof=1) / np.sqrt(blocks.shape[1])
    surely = np.where(gains.mean(axis=1) > doubts, gains.mean(axis=1), 0.0)
    return int(np.argmax(np.round(surely / max(float(blocks[0].mean()), 1e-300), 6)))


def pinball(errors: Floats, quantile: float, worth: Floats) -> Floats:
    """What each error (truth - forecast) of a quantile costs. Source: Koenker & Bassett (1978)."""
    found: Floats = worth * np.maximum(quantile * errors, (quantile - 1) * errors)
    return found


def part_of(
    lesson: Lesson, columns: Sequence[str], column: str, idle: Mapping[str, float], *, is_check: bool
) -> Part | None:
    """What may be learned of a lesson, or be checked on; None where nothing is known. idle: column -> what is added."""
    grid, steps = lesson.grid, lesson.grid.steps
    first, last = (lesson.fit_until, lesson.check_until) if is_check else (0, lesson.fit_until)
    rows = np.arange(max(first, steps), last - steps + 1)
    apart = max(1, -(-len(rows) // (MOST_CHECKS if is_check else MOST_ROWS)))
    rows = rows[::apart]
    truth = tabular.truths(grid, rows, column)
    rows, truth = rows[~np.isnan(truth)], truth[~np.isnan(truth)]
    if not len(rows):
        return None
    own = np.linspace(0, steps - 1, _STEPS_OF_HORIZON).round().astype(np.int64)
    added = idle[column]
    return Part(
        tabular.table(grid, rows, columns, column, idle),
        tabular.anchors(grid, rows, column, added),
        np.log(truth + added),
        np.log(np.maximum(grid.filled[column][rows[:, None] + own], 0.0) + added),
        apart,
    )


def joined_parts(parts: Sequence[Part | None], most: int) -> Part | None:
    """Several as one, thinned evenly; None where there is none."""
    known = [part for part in parts if part is not None]
    if not known:
        return None
    tables, plain, means, steps = (
        np.concatenate([getattr(part, name) for part in known]) for name in ("table", "plain", "means", "steps")
    )
    apart = max(part.apart for part in known)
    return Part(tables, plain, means, steps, apart).thinned(-(-len(tables) // most))
