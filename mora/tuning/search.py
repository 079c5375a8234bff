"""The search itself: forecaster after forecaster, several trials at a time, until the time is up.

The default settings are the first trial. What the search finds replaces them where its errors on the folds that it saw
are smaller by more than one standard error of the paired differences (and by 2 %), and its errors on the newest
windows, which it did not see, are not larger. Both errors are reported, before and after.
"""

from __future__ import annotations

import contextlib
import hashlib
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from mora import registry
from mora.backtest.history import History
from mora.code_digest import code_of
from mora.contest.run import Answered, one_by_one
from mora.errors import MoraError, NotEnoughData
from mora.fusion import is_clearly_worse
from mora.seams import Forecaster, Reporter, Silent, Tunable
from mora.tuning import trial
from mora.tuning.study import Options, Study, opened
from mora.tuning.trial import Step, Workers, steps_of

# More trials than this fit the folds, and not the service.
MOST_TRIALS = 100
# Batches in a row of which no trial came back: then the workers do not.
_MOST_LOST = 2


@dataclass(frozen=True, slots=True)
class Found:
    """What a search came to for one forecaster. Errors are over the naive forecast's: below 1 is better than it.

    options: what the best trial was made with, None where the default is kept. searched: errors of the default and of
    the best trial on the folds of the search; unseen: on the newest windows, None where no trial beat the default on
    the others. trials, pruned, failed: of the study, earlier runs included. notes: what went wrong on the way. failure:
    why there was no search.
    """

    forecaster: str
    options: Options | None
    searched: tuple[float, float]
    unseen: tuple[float, float] | None
    trials: int
    pruned: int
    failed: int
    notes: tuple[str, ...] = ()
    failure: str = ""

    @property
    def text(self) -> str:
        """A sentence for people."""
        if self.failure:
            return f"the settings of {self.forecaster} were not searched: {self.failure}"
        counted = f"{self.trials} trials of {self.forecaster}"
        counted += f" ({self.pruned} pruned, {self.failed} failed)" if self.pruned or self.failed else ""
        if self.unseen is None:
            return (
                f"{counted}: the default settings stay; nothing is better by more than one standard error (the default "
                f"{self.searched[0]:.3f} times the naive forecast's error, the best {self.searched[1]:.3f})"
            )
        before, after = self.unseen
        both = (
            f"on windows that the search never saw its error is {after:.3f} times the naive forecast's, with the "
            f"default settings {before:.3f}"
        )
        if self.options is None:
            return f"{counted}: the default settings stay; the best is better on the folds of the search alone: {both}"
        values = ", ".join(f"{name} {value:.4g}" for name, value in self.options.items())
        return f"{counted}: {values}; {both}"


def search(
    history: History,
    forecasters: Sequence[str],
    *,
    horizons: Sequence[float],
    file: Path,
    budget_seconds: float,
    seed: int = 0,
    jobs: int = 1,
    workers: Workers = one_by_one,
    earlier: Mapping[str, Options] | None = None,
    reporter: Reporter | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> list[Found]:
    """Search the settings of each forecaster that has knobs; each gets its share of the time that is left.

    file: of the studies (study.py). jobs: how many trials run at a time, by the workers. earlier: forecaster ->
    settings that were found before, which are tried again. Raises NotEnoughData where the history is too short, and
    what study.opened() raises.
    """
    reporter = reporter or Silent()
    every = {name: registry.load("forecasters", name)() for name in dict.fromkeys(forecasters)}
    made = {name: one for name, one in every.items() if isinstance(one, Tunable)}
    searched, unseen = steps_of(history, horizons)
    begun, found = clock(), []
    for place, (name, forecaster) in enumerate(made.items()):
        left = budget_seconds - (clock() - begun)
        ends = clock() + left / (len(made) - place)
        usual = {knob: getattr(forecaster.settings, knob) for knob in forecaster.knobs}
        title = f"{name}-{_digest(history, horizons, name, forecaster, seed)}"
        with opened(file, title, forecaster.knobs, usual, seed=seed) as study:
            one = _Search(study, forecaster, searched, unseen, seed, jobs, workers, reporter, clock)
            try:
                found.append(one.run(ends, (earlier or {}).get(name), (begun, budget_seconds)))
            except NotEnoughData as failure:
                found.append(Found(name, None, (math.nan, math.nan), None, 0, 0, 0, failure=failure.message))
    reporter.advance("tune", budget_seconds, budget_seconds)
    return found


@dataclass(frozen=True, slots=True)
class _Search:
    """The search of one forecaster."""

    study: Study
    forecaster: Any
    searched: Sequence[Step]
    unseen: Sequence[Step]
    seed: int
    jobs: int
    workers: Workers
    reporter: Reporter
    clock: Callable[[], float]

    def run(self, ends: float, earlier: Options | None, whole: tuple[float, float]) -> Found:
        """Batch after batch until the time is up; the default is tried however long it takes."""
        name, notes = self.forecaster.name, []
        left_over = self.study.begin([] if earlier is None else [earlier])
        if left_over:
            notes.append(f"{left_over} trials of {name} were killed before they ended; they count as failed")
        if self.study.default() is None:
            self._try_default()
        lost = 0
        while self.clock() < ends and sum(self.study.counts.values()) < MOST_TRIALS:
            failures, came_back = self._batch(ends)
            lost = 0 if came_back else lost + 1
            if lost >= _MOST_LOST:
                notes.append(f"the search of {name} ended early: {'; '.join(dict.fromkeys(failures))}")
                break
            note = f"{name}, {self.study.counts['complete']} trials, best {self.study.tried()[0].value:.3f}"
            self.reporter.advance("tune", min(self.clock() - whole[0], whole[1]), whole[1], note)
        return self._judged(tuple(notes))

    def _try_default(self) -> None:
        """The first trial. Steps that it has no forecast of (too short a past, say) are left out for all trials.

        Raises NotEnoughData where it has none of any.
        """
        number, options = self.study.ask()
        losses, means, usable, failures = [], [], [], []
        for place, step in enumerate(self.searched):
            try:
                own = self._losses(step, options)
            except NotEnoughData as failure:
                failures.append(failure.message)
                continue
            losses += own
            means.append(float(np.mean(own)))
            usable.append(place)
            self.study.is_hopeless(number, len(usable), float(np.mean(means)))
        if not usable:
            self.study.drop(number)
            words = "; ".join(dict.fromkeys(failures))
            raise NotEnoughData(f"With its default settings {self.forecaster.name} has no forecast to judge. {words}")
        self.study.steps = usable
        self.study.tell(number, float(np.mean(means)), losses)

    def _losses(self, step: Step, options: Options) -> list[float]:
        """Of one trial alone; raises NotEnoughData where it has none."""
        answers, failure = self._asked(step, {"alone": with_options(self.forecaster, options)})
        if "alone" not in answers:
            raise NotEnoughData(failure)
        return step.losses(answers["alone"])

    def _batch(self, ends: float) -> tuple[list[str], bool]:
        """Some trials side by side, step by step. What failed, as sentences, and whether any worker came back."""
        alive: dict[str, _Running] = {}
        for _ in range(self.jobs):
            number, options = self.study.ask()
            alive[f"{self.forecaster.name} {number}"] = _Running(number, with_options(self.forecaster, options))
        steps = [self.searched[place] for place in self.study.steps or ()]
        failures: list[str] = []
        came_back = False
        for count, step in enumerate(steps, start=1):
            if self.clock() >= ends:
                break
            answers, failure = self._asked(step, {name: one.made for name, one in alive.items()})
            failures += [failure] if failure else []
            came_back = came_back or bool(answers)
            for name, one in list(alive.items()):
                try:
                    one.note(step.losses(answers[name]))
                except (KeyError, NotEnoughData) as wrong:
                    failures += [wrong.message] if isinstance(wrong, NotEnoughData) else []
                    self.study.drop(one.number)
                    del alive[name]
                    continue
                if self.study.is_hopeless(one.number, count, one.value) and count < len(steps):
                    self.study.drop(one.number, is_pruned=True)
                    del alive[name]
            if not alive:
                break
        for one in alive.values():
            if len(one.means) == len(steps):
                self.study.tell(one.number, one.value, one.losses)
            else:  # the time is up
                self.study.drop(one.number, is_pruned=True)
        return failures, came_back or self.clock() >= ends

    def _asked(self, step: Step, made: Mapping[str, Forecaster]) -> tuple[dict[str, Answered], str]:
        """What each trial answered; of workers that were killed, nothing, and why."""
        tasks = [step.task(forecaster, name, self.seed) for name, forecaster in made.items()]
        found: dict[str, Answered] = {}
        try:
            for task, answered in self.workers(tasks):
                found[task.entrant.text] = answered
        except MoraError:
            raise
        # A process that the kernel killed: joblib's own error, of no common class.
        except Exception as failure:
            return found, f"{type(failure).__name__}: {' '.join(str(failure).split())[:200]}"
        return found, ""

    def _judged(self, notes: tuple[str, ...]) -> Found:
        default, best, counts = self.study.default(), self.study.tried()[0], self.study.counts
        assert default is not None  # noqa: S101  # run() tries it first
        unseen: tuple[float, float] | None = None
        options: Options | None = None
        if is_clearly_worse(default.losses, best.losses):
            unseen = self._unseen(default.options, best.options)
            if unseen is not None and unseen[1] <= unseen[0]:
                options = dict(best.options)
        return Found(
            self.forecaster.name,
            options,
            (default.value, best.value),
            unseen,
            sum(counts.values()),
            counts["pruned"],
            counts["failed"],
            notes,
        )

    def _unseen(self, default: Options, best: Options) -> tuple[float, float] | None:
        """Errors of both over the naive forecast's on the newest windows; None where one has no forecast of them."""
        pairs = []
        for step in self.unseen:
            with contextlib.suppress(NotEnoughData):
                pairs.append([float(np.mean(self._losses(step, options))) for options in (default, best)])
        if not pairs:
            return None
        before, after = np.mean(pairs, axis=0).tolist()
        return before, after


@dataclass(slots=True)
class _Running:
    """A trial under way. losses: of each block so far; means: of each step."""

    number: int
    made: Forecaster
    losses: list[float] = field(default_factory=list)
    means: list[float] = field(default_factory=list)

    def note(self, losses: Sequence[float]) -> None:
        self.losses += losses
        self.means.append(float(np.mean(losses)))

    @property
    def value(self) -> float:
        return float(np.mean(self.means))


def with_options(forecaster: Any, options: Options) -> Any:
    """The same forecaster, made with other values of its settings."""
    return type(forecaster)(replace(forecaster.settings, **options))


def _digest(history: History, horizons: Sequence[float], name: str, forecaster: Tunable, seed: int) -> str:
    """Of all that a trial's value depends on, beside its options: trials of other data or code are not compared."""
    made = hashlib.sha256(f"{sorted(horizons)} {forecaster.knobs} {forecaster.settings} {seed}".encode())
    made.update(code_of("forecasters", name, also=(trial.__name__,)).encode())
    made.update(f"{history.series.id} {history.series.start} {history.series.step_seconds}".encode())
    for name in sorted(history.columns):
        made.update(name.encode())
        made.update(np.ascontiguousarray(history.columns[name]).tobytes())
    return made.hexdigest()[:16]
