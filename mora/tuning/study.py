"""Optuna's study of one forecaster on one history, in a SQLite file: what was tried, and what to try next.

The one importer of Optuna. A study that was stopped, or whose process was killed, goes on where it was; what ran then
counts as failed. Errors of its file become MoraErrors that name it.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mora.domain.learning import Knob
from mora.errors import MoraError
from mora.extras import require

if TYPE_CHECKING:
    import optuna

Options = Mapping[str, float | int]
"""Field of a forecaster's settings -> its value."""
# So long another process may hold the file.
_WAIT_SECONDS = 10.0
# Before so many trials have ended, none is stopped for being worse than their median.
_STARTUP_TRIALS = 4
_LOSSES, _STEPS = "losses", "steps"


@dataclass(frozen=True, slots=True)
class Tried:
    """A trial that went through all folds. losses: of each block of one horizon (trial.Step.losses)."""

    options: Options
    value: float
    losses: Sequence[float]


class Study:
    """What was tried of one forecaster; made by opened()."""

    def __init__(self, study: optuna.Study, knobs: Mapping[str, Knob], usual: Options, seed: int) -> None:
        self._study, self._knobs, self._usual, self._seed = study, knobs, dict(usual), seed
        self._running: dict[int, optuna.Trial] = {}

    @property
    def counts(self) -> Mapping[str, int]:
        """How many trials ended how: complete, pruned, failed."""
        names = {"COMPLETE": "complete", "PRUNED": "pruned", "FAIL": "failed"}
        states = [names.get(trial.state.name, "running") for trial in self._study.trials]
        return {name: states.count(name) for name in (*names.values(), "running")}

    def begin(self, earlier: Sequence[Options] = ()) -> int:
        """Prepare for ask(): the default and what earlier searches found come first. How many trials a kill left over.

        earlier: of another history of this service, say.
        """
        import optuna

        left_over = 0
        for trial in self._study.get_trials(states=(optuna.trial.TrialState.RUNNING,)):
            self._study.tell(trial.number, state=optuna.trial.TrialState.FAIL)
            left_over += 1
        if self.default() is None:
            # What waits since a run that was killed would come before the default.
            for _ in self._study.get_trials(states=(optuna.trial.TrialState.WAITING,)):
                self._study.tell(self._study.ask(), state=optuna.trial.TrialState.FAIL)
            for options in (self._usual, *earlier):
                self._study.enqueue_trial(dict(options))
        return left_over

    @property
    def steps(self) -> Sequence[int] | None:
        """The numbers of the steps that the default settings have a forecast of; None before they were tried."""
        found: Sequence[int] | None = self._study.user_attrs.get(_STEPS)
        return found

    @steps.setter
    def steps(self, numbers: Sequence[int]) -> None:
        self._study.set_user_attr(_STEPS, list(numbers))

    def ask(self) -> tuple[int, Options]:
        """The number of the next trial and its options; tell() or drop() must follow."""
        # Each draw from a seed of its own: a study that goes on would draw the same again.
        self._study.sampler = _sampler(self._seed + len(self._study.trials))
        trial = self._study.ask()
        self._running[trial.number] = trial
        return trial.number, {name: _suggest(trial, name, knob) for name, knob in self._knobs.items()}

    def is_hopeless(self, number: int, step: int, value: float) -> bool:
        """Note what a trial has come to after a step; whether it is worse than the median of the others there."""
        trial = self._running[number]
        trial.report(value, step)
        return trial.should_prune()

    def tell(self, number: int, value: float, losses: Sequence[float]) -> None:
        """A trial went through all steps."""
        trial = self._running.pop(number)
        trial.set_user_attr(_LOSSES, [float(loss) for loss in losses])
        self._study.tell(trial, value)

    def drop(self, number: int, *, is_pruned: bool = False) -> None:
        """A trial ended before: pruned, or failed."""
        import optuna

        states = optuna.trial.TrialState
        self._study.tell(self._running.pop(number), state=states.PRUNED if is_pruned else states.FAIL)

    def tried(self) -> list[Tried]:
        """Every trial that went through, best first."""
        import optuna

        done = self._study.get_trials(states=(optuna.trial.TrialState.COMPLETE,))
        found = [
            Tried(trial.params, float(trial.value), trial.user_attrs[_LOSSES])
            for trial in done
            if trial.value is not None and _LOSSES in trial.user_attrs
        ]
        return sorted(found, key=lambda one: one.value)

    def default(self) -> Tried | None:
        """The trial of the default settings, where it went through."""
        return next((one for one in self.tried() if dict(one.options) == self._usual), None)


@contextmanager
def opened(path: Path, name: str, knobs: Mapping[str, Knob], usual: Options, *, seed: int) -> Iterator[Study]:
    """The study of a name in a file; both are made where they are missing.

    usual: the default settings, of the knobs. Raises MoraError where the file is locked, full, or no study.
    """
    require("tune", by="mora train --tune")
    import optuna
    import sqlalchemy

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        url = sqlalchemy.engine.URL.create("sqlite", database=str(path)).render_as_string()
        with warnings.catch_warnings():
            # An enqueued trial may hold a value that the knob's step moves.
            warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
            storage = optuna.storages.RDBStorage(url, engine_kwargs={"connect_args": {"timeout": _WAIT_SECONDS}})
            try:
                study = optuna.create_study(
                    storage=storage,
                    study_name=name,
                    sampler=_sampler(seed),
                    pruner=optuna.pruners.MedianPruner(n_startup_trials=_STARTUP_TRIALS, n_warmup_steps=0),
                    load_if_exists=True,
                )
                yield Study(study, knobs, usual, seed)
            finally:
                storage.remove_session()
                storage.engine.dispose()
    except (sqlalchemy.exc.SQLAlchemyError, optuna.exceptions.StorageInternalError) as failure:
        raise _unusable(path, failure) from failure
    except OSError as failure:
        raise MoraError(
            f"The study {path} cannot be written: {failure.strerror}.", hint="Is its folder yours?"
        ) from failure


def _sampler(seed: int) -> Any:
    import optuna

    # Several trials run at a time: what is running counts as bad, so that none is tried twice.
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
        return optuna.samplers.TPESampler(seed=seed, n_startup_trials=8, multivariate=True, constant_liar=True)


def _suggest(trial: optuna.Trial, name: str, knob: Knob) -> float | int:
    if knob.is_whole:
        return trial.suggest_int(name, int(knob.low), int(knob.high), log=knob.is_log)
    return trial.suggest_float(name, knob.low, knob.high, log=knob.is_log)


def _unusable(path: Path, failure: Exception) -> MoraError:
    words = f"{failure} {failure.__cause__ or ''}"
    if "locked" in words:
        return MoraError(
            f"The study {path} is locked by another process for longer than {_WAIT_SECONDS:g} s; nothing is lost.",
            hint="Does another mora train --tune of this service run? Wait for it, then start again.",
        )
    if "not a database" in words or "malformed" in words:
        return MoraError(
            f"The study {path} is no SQLite database: it is damaged, or another program's.",
            hint="Move it away. A new search then begins from the start.",
        )
    first = str(failure.__cause__ or failure).strip().splitlines()
    return MoraError(f"The study {path} cannot be used: {first[0] if first else type(failure).__name__}.")
