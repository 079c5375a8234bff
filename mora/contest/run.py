"""The harness: every entrant learns from the begin of each fold, and is asked at every origin of it.

The refit policy is the same for all: everybody is fitted once for each fold, on its training part, and is as old as
its last window is far away (half of the scored half of the history, at most). No one can look ahead: a forecast at
an origin is asked of a grid that ends there, and a fit is given a history that ends with the training part.
"""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mora.backtest.history import History
from mora.contest.entrants import Entrant, Lesson, entrants
from mora.contest.windows import FOLDS, Answers, Contest, Plan, plan, windows_of
from mora.domain import Target
from mora.domain.learning import AtRow, Floats
from mora.errors import BadInput, MoraError, NotEnoughData
from mora.seams import Forecaster, Reporter, Silent


@dataclass(frozen=True, slots=True)
class Task:
    """One entrant in one fold of one history and horizon; what Answered needs, and nothing of later folds.

    folds, window_seconds: as plan() takes them. fold: which of them.
    """

    entrant: Entrant
    history: History
    horizon_seconds: float
    fold: int
    folds: int = FOLDS
    window_seconds: float | None = None
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Answered:
    """What came of a task: target -> mean and p95 at each origin, shape (n, 2), NaN where there is no forecast.

    fit_seconds, ask_seconds: of CPU. bytes: how much memory the process had at most, above what it had before.
    failure: why there is no forecast; empty where there is.
    """

    levels: Mapping[Target, Floats]
    fit_seconds: float = 0.0
    ask_seconds: float = 0.0
    bytes: float = 0.0
    failure: str = ""


Workers = Callable[[Sequence[Task]], Iterable[tuple[Task, Answered]]]


def run_task(task: Task) -> tuple[Task, Answered]:
    """Fit and ask; what a forecaster raises becomes the failure."""
    cut = plan(task.history, task.horizon_seconds, folds=task.folds, window_seconds=task.window_seconds)
    fold, rows = cut.folds[task.fold], cut.origins[task.fold]
    grid, targets = cut.grid, task.history.targets
    known = grid.before(fold.train_stop)
    lesson = Lesson(task.history.before(task.history.sample(grid, fold.train_stop)), known, fold.train_start)
    begin = time.process_time()
    memory = _Memory()
    try:
        fitted = task.entrant.fit(lesson, seed=task.seed)
        ready = time.process_time()
        # Each origin on a grid that ends with it: what is not given cannot be looked at.
        found = [fitted.levels([AtRow(grid.before(row), row)])[0] for row in rows]
    except MoraError as failure:
        return task, Answered({}, time.process_time() - begin, 0.0, memory.added(), failure.message)
    # A plug-in's own error ends that plug-in's part, not the others'.
    except Exception as failure:
        text = f"{type(failure).__name__}: {failure}"
        return task, Answered({}, time.process_time() - begin, 0.0, memory.added(), text)
    levels = {}
    for target in targets:
        answers = [one.get(target, (np.nan, np.nan)) for one in found]
        levels[target] = np.array(answers, dtype=np.float64).reshape(len(rows), 2)
    return task, Answered(levels, ready - begin, time.process_time() - ready, memory.added())


def one_by_one(tasks: Sequence[Task]) -> Iterator[tuple[Task, Answered]]:
    """The workers of a single process."""
    return map(run_task, tasks)


class Keeps:
    """Keeps nothing; kept.Kept keeps answers in a folder."""

    def load(self, task: Task) -> Answered | None:
        """The answers of a task that was finished before; None where there are none."""
        return None

    def save(self, task: Task, answered: Answered) -> None:
        """Keep them."""
        return None


def evaluate(
    histories: History | Sequence[History],
    forecasters: Sequence[Entrant | str] | Mapping[str, Forecaster] | None = None,
    horizons: Sequence[float] = (3600.0, 86_400.0),
    folds: int = FOLDS,
    *,
    window_seconds: float | None = None,
    groups: Mapping[str, str] | None = None,
    seed: int = 0,
    workers: Workers = one_by_one,
    kept: Keeps | None = None,
    reporter: Reporter | None = None,
    skipped: list[str] | None = None,
) -> list[Contest]:
    """Everybody on the same rolling origins: one Contest for each history, horizon and target that has windows.

    forecasters: entrants, their names (all by default) or objects by name; the naive forecast is always among them.
    horizons: seconds. window_seconds: sliding windows to train on; expanding ones by default. groups: series -> its
    group, where several are siblings. skipped: gets a line for each history and horizon that is too short. Raises
    NotEnoughData where all are.
    """
    several = [histories] if isinstance(histories, History) else list(histories)
    who = entrants(forecasters)
    _check_names(several)
    kept, reporter = kept or Keeps(), reporter or Silent()
    plans: dict[tuple[int, float], Plan] = {}
    refused: list[NotEnoughData] = []
    for number, history in enumerate(several):
        for horizon in horizons:
            try:
                cut = plan(history, horizon, folds=folds, window_seconds=window_seconds)
            except NotEnoughData as short:
                refused.append(short)
                if skipped is not None:
                    skipped.append(f"{history.series.id}: {short.message}")
            else:
                plans[number, horizon] = cut
    if not plans and refused:
        raise refused[0]
    tasks: dict[tuple[int, float, str, int], Task] = {}
    for (number, horizon), cut in plans.items():
        for one in who:
            for fold in range(len(cut.folds)):
                task = Task(one, several[number], horizon, fold, folds, window_seconds, seed)
                tasks[number, horizon, one.text, fold] = task
    done = _answer(list(tasks.values()), workers, kept, reporter)
    answered = dict(zip(tasks, done, strict=True))
    found = []
    for (number, horizon), cut in plans.items():
        history = several[number]
        for target in history.targets:
            windows = windows_of(cut, history, target, group=(groups or {}).get(history.series.id))
            if not len(windows):
                continue
            own = {
                one.text: [answered[number, horizon, one.text, fold] for fold in range(len(cut.folds))] for one in who
            }
            answers = {name: _joined(name, parts, cut, windows.rows, target) for name, parts in own.items()}
            found.append(Contest(windows, answers))
    return found


def _check_names(histories: Sequence[History]) -> None:
    twice = [name for name, count in Counter(one.series.id for one in histories).items() if count > 1]
    if twice:
        raise BadInput(f"Two histories are called {twice[0]!r}.", hint="Give each series its own id.")


def _answer(tasks: Sequence[Task], workers: Workers, kept: Keeps, reporter: Reporter) -> list[Answered]:
    """What came of each task, in their order."""
    found: dict[int, Answered] = {}
    missing: dict[int, Task] = {}
    for number, task in enumerate(tasks):
        before = kept.load(task)
        if before is None:
            missing[number] = task
        else:
            found[number] = before
    reporter.advance("compare", len(found), len(tasks))
    # A task may come back as a copy (from another process): it is known by what it is of.
    number_of = {_key(task): number for number, task in missing.items()}
    for task, answered in workers(list(missing.values())):
        number = number_of[_key(task)]
        if not answered.failure:  # it may be an extra that is not installed yet
            kept.save(tasks[number], answered)
        found[number] = answered
        reporter.advance("compare", len(found), len(tasks), f"{task.entrant.text} on {task.history.series.id}")
    return [found[number] for number in range(len(tasks))]


def _key(task: Task) -> tuple[str, str, float, int]:
    return task.entrant.text, task.history.series.id, task.horizon_seconds, task.fold


def _joined(name: str, parts: Sequence[Answered], cut: Plan, rows: np.ndarray, target: Target) -> Answers:
    """The folds' answers one after the other, at the origins that are scored."""
    levels: dict[int, Floats] = {}
    for part, origins in zip(parts, cut.origins, strict=True):
        if target in part.levels:
            levels.update(zip(origins, part.levels[target], strict=True))
    nothing = np.full(2, np.nan)
    both = np.array([levels.get(int(row), nothing) for row in rows], dtype=np.float64).reshape(len(rows), 2)
    return Answers(
        name,
        both[:, 0],
        both[:, 1],
        sum(part.fit_seconds for part in parts),
        sum(part.ask_seconds for part in parts),
        max(part.bytes for part in parts),
        tuple(dict.fromkeys(part.failure for part in parts if part.failure)),
    )


class _Memory:
    """How much memory this process has had at most since this object was made, above what it had then (Linux)."""

    def __init__(self) -> None:
        # The kernel's high-water mark begins anew.
        with contextlib.suppress(OSError):
            Path("/proc/self/clear_refs").write_text("5")
        self._before = _status("VmRSS")

    def added(self) -> float:
        return max(_status("VmHWM") - self._before, 0.0)


def _status(name: str) -> float:
    """A field of /proc/self/status, in bytes; 0 where there is none."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return 0.0
    found = [float(line.split()[1]) * 1024 for line in lines if line.startswith(f"{name}:")]
    return found[0] if found else 0.0
