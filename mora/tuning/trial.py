"""What a trial is worth: its errors over the naive forecast's, on the folds that the search may look at.

A search's folds are the first half of those that a contest of this history would have, so that the second half, the
newest windows, was never looked at when the find is measured on it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from mora import registry
from mora.backtest.history import History
from mora.contest.entrants import Entrant
from mora.contest.run import Answered, Task, run_task
from mora.contest.windows import Plan, plan, windows_of
from mora.domain import Target
from mora.domain.learning import Floats
from mora.errors import NotEnoughData
from mora.fusion import NAIVE
from mora.seams import Forecaster

# Half of them for the search, half for what comes of it.
FOLDS = 4
# An error below this share of the mean use is as good as none: memory that hardly moves must not decide between trials.
_NEGLIGIBLE = 0.01

Workers = Callable[[Sequence[Task]], Iterable[tuple[Task, Answered]]]
"""Runs tasks, in any order: contest.run.one_by_one, processes of this machine, a cluster's workers."""


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """One fold of one horizon: what a trial is asked between two looks at whether it is worth going on.

    naive: target -> the naive forecast's mean error on its windows, in the target's unit; at least 1 % of the mean use.
    """

    history: History
    horizon_seconds: float
    fold: int
    folds: int
    cut: Plan
    naive: dict[Target, float]

    def task(self, forecaster: Forecaster, name: str, seed: int) -> Task:
        """What a worker runs. name: tells trials apart, and nothing else."""
        made = Entrant(name, forecaster.name, {}, forecaster)
        return Task(made, self.history, self.horizon_seconds, self.fold, self.folds, None, seed)

    def losses(self, answered: Answered) -> list[float]:
        """The error of each block of one horizon over the naive forecast's, mean over the targets, oldest first.

        Raises NotEnoughData where the trial has no forecast of them: its own failure, in its words.
        """
        if answered.failure:
            raise NotEnoughData(answered.failure)
        found: dict[int, list[float]] = {}
        for target, naive in self.naive.items():
            errors, rows = self._errors(answered, target)
            if np.isnan(errors).any():
                raise NotEnoughData(f"It has no forecast of {target.value} in {int(np.isnan(errors).sum())} windows.")
            blocks = (rows - self.cut.folds[self.fold].score_start) // self.cut.grid.steps
            for block in np.unique(blocks).tolist():
                found.setdefault(block, []).append(float(errors[blocks == block].mean()) / naive)
        return [float(np.mean(found[block])) for block in sorted(found)]

    def _errors(self, answered: Answered, target: Target) -> tuple[Floats, np.ndarray[Any, Any]]:
        windows = windows_of(self.cut, self.history, target)
        own = windows.folds == self.fold
        place = {row: number for number, row in enumerate(self.cut.origins[self.fold])}
        rows = windows.rows[own]
        means = answered.levels[target][[place[row] for row in rows.tolist()], 0]
        return np.abs(means - windows.truth[own]), rows


def steps_of(history: History, horizons: Sequence[float]) -> tuple[list[Step], list[Step]]:
    """The steps that a search looks at, oldest folds of every horizon first, and those that it never sees.

    Raises NotEnoughData where the history is too short for two folds of any horizon.
    """
    searched: list[tuple[int, Step]] = []
    unseen: list[Step] = []
    refused = ""
    for seconds in horizons:
        try:
            cut = plan(history, seconds, folds=FOLDS)
        except NotEnoughData as short:
            refused = short.message
            continue
        many = len(cut.folds)
        if many < 2:
            refused = f"The history of {history.series.id!r} is long enough for one fold alone."
            continue
        for fold in range(many):
            step = Step(history, seconds, fold, FOLDS, cut, {})
            naive = _naive_errors(step)
            if not naive:
                continue
            step = replace(step, naive=naive)
            if fold < (many + 1) // 2:
                searched.append((fold, step))
            else:
                unseen.append(step)
    if not searched or not unseen:
        raise NotEnoughData(
            f"Not enough history to search settings over time: some folds are for the search, others for what comes "
            f"of it. {refused}".strip(),
            hint="Collect more with: mora collect --history 14d. Or train without --tune.",
        )
    # The sort is stable: within a fold, horizons keep their order.
    return [step for _, step in sorted(searched, key=lambda pair: pair[0])], unseen


def _naive_errors(step: Step) -> dict[Target, float]:
    """The yardstick, per target that has windows: a hundredth of the mean use at least, 1 where nothing is used."""
    answered = run_task(step.task(registry.load("forecasters", NAIVE)(), NAIVE, 0))[1]
    found = {}
    for target in step.history.targets:
        windows = windows_of(step.cut, step.history, target)
        own = windows.folds == step.fold
        if not own.any():
            continue
        least = _NEGLIGIBLE * float(windows.truth[own].mean())
        errors = step._errors(answered, target)[0]
        found[target] = max(float(np.nanmean(errors)), least) or 1.0
    return found
