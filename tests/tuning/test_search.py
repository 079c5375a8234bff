"""A search takes what is clearly better, says what it is worth on windows it never saw, and loses nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from mora import registry
from mora.contest.run import Answered, Task, run_task
from mora.errors import NotEnoughData
from mora.seams import Tunable
from mora.tuning.search import MOST_TRIALS, Found, search, with_options
from mora.tuning.study import opened
from mora.tuning.trial import FOLDS, steps_of
from tests.tuning.making import HOUR, Clock, FactorForecaster, noisy


class Workers:
    """Run tasks here, and note what was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[float, int]] = []

    def __call__(self, tasks: Sequence[Task]) -> Iterator[tuple[Task, Answered]]:
        for task in tasks:
            self.asked.append((task.entrant.made.settings.factor, task.fold))  # type: ignore[union-attr]
            yield run_task(task)


def searched(
    folder: Path, names: Sequence[str] = ("factor",), *, seconds: float = 4.0, **options: object
) -> list[Found]:
    arguments: dict[str, object] = {"horizons": (HOUR,), "clock": Clock(), **options}
    history = arguments.pop("history", None) or noisy()
    return search(history, names, file=folder / "study.db", budget_seconds=seconds, **arguments)  # type: ignore[arg-type]


def test_better_settings_are_found_and_measured_on_windows_that_the_search_never_saw(tmp_path: Path) -> None:
    workers = Workers()
    (found,) = searched(tmp_path, workers=workers)
    assert found.options is not None
    assert found.options["factor"] == pytest.approx(1.0, abs=0.3)
    assert found.unseen is not None
    before, after = found.unseen
    assert after < before / 2
    assert found.searched[1] < found.searched[0]
    assert f"its error is {after:.3f} times the naive forecast's, with the default settings {before:.3f}" in found.text
    # The newest folds were asked of two alone, when everything had been tried: the default and the find.
    folds = [fold for _, fold in workers.asked]
    first = next(place for place, fold in enumerate(folds) if fold >= FOLDS // 2)
    assert set(folds[:first]) == set(range(FOLDS // 2))
    assert {factor for factor, _ in workers.asked[first:]} == {1.5, found.options["factor"]}


def test_a_default_that_nothing_beats_stays_and_the_newest_windows_are_never_looked_at(tmp_path: Path) -> None:
    workers = Workers()
    (found,) = searched(tmp_path, ["right"], workers=workers)
    assert found.options is None
    assert "the default settings stay; nothing is better by more than one standard error" in found.text
    assert {fold for _, fold in workers.asked} == set(range(FOLDS // 2))


@pytest.mark.parametrize("level", [0.0, 2.0])
def test_a_series_that_never_changes_keeps_the_default(tmp_path: Path, level: float) -> None:
    (found,) = searched(tmp_path, ["right"], history=noisy(level=level, noise=0.0), seconds=1.5)
    assert (found.options, found.failure) == (None, "")
    assert np.isfinite(found.searched).all()


def test_missing_days_are_no_windows(tmp_path: Path) -> None:
    history = noisy(6)
    for values in (history.series.cpu, *history.columns.values()):
        assert values is not None
        values[300:560] = np.nan
    (found,) = searched(tmp_path, history=history)
    assert found.options is not None


def test_a_search_goes_on_where_it_was_and_a_trial_that_was_killed_counts_as_failed(tmp_path: Path) -> None:
    (first,) = searched(tmp_path, seconds=1.5)
    title, usual = _title(tmp_path), {"factor": 1.5}
    # A process that is killed leaves its trial running.
    with opened(tmp_path / "study.db", title, FactorForecaster.knobs, usual, seed=0) as study:
        study.ask()
    (second,) = searched(tmp_path, seconds=1.5)
    assert second.trials > first.trials + 1
    assert second.failed == first.failed + 1
    assert second.notes == ("1 trials of factor were killed before they ended; they count as failed",)
    assert second.searched[1] <= first.searched[1]


def test_the_same_seed_tries_the_same_and_other_data_begin_anew(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    factors = []
    for name in ("one", "two"):
        workers = Workers()
        searched(tmp_path / name, workers=workers, seconds=2.5)
        factors.append([factor for factor, _ in workers.asked])
    assert factors[0] == factors[1]
    assert len(set(factors[0])) > 3
    (other,) = searched(tmp_path / "one", history=noisy(seed=1), seconds=0.5)
    assert other.trials < len(factors[0])


def test_what_was_found_before_is_tried_again_on_other_data(tmp_path: Path) -> None:
    workers = Workers()
    searched(tmp_path, workers=workers, earlier={"factor": {"factor": 1.01}}, seconds=1)
    assert [factor for factor, _ in dict.fromkeys(workers.asked)][:4:2] == [1.5, 1.01]


def test_trials_run_side_by_side(tmp_path: Path) -> None:
    batches: list[int] = []

    def workers(tasks: Sequence[Task]) -> list[tuple[Task, Answered]]:
        batches.append(len(tasks))
        return [run_task(task) for task in reversed(tasks)]

    searched(tmp_path, workers=workers, jobs=3, seconds=1.5)
    assert max(batches) == 3


def test_trials_that_are_worse_than_most_are_pruned(tmp_path: Path) -> None:
    (found,) = searched(tmp_path, seconds=5)
    assert found.pruned > 0
    assert found.trials <= MOST_TRIALS


def test_workers_that_are_killed_end_the_search_and_not_the_training(tmp_path: Path) -> None:
    alive = {"batches": 6}

    def workers(tasks: Sequence[Task]) -> Iterator[tuple[Task, Answered]]:
        alive["batches"] -= 1
        if alive["batches"] < 0:
            raise RuntimeError("A worker process was killed, maybe for its memory.")
        yield from map(run_task, tasks)

    (found,) = searched(tmp_path, ["right"], workers=workers, seconds=60)
    assert found.options is None
    assert found.failed == 2
    assert found.notes[0].startswith("the search of right ended early: RuntimeError: A worker process was killed")


def test_a_forecaster_that_cannot_be_fitted_has_a_sentence_and_the_others_are_searched(tmp_path: Path) -> None:
    failing, factor = searched(tmp_path, ["failing", "naive", "factor"])
    assert failing.text == (
        "the settings of failing were not searched: With its default settings failing has no forecast to judge. It "
        "needs a year of history."
    )
    assert factor.options is not None


def test_too_little_history_for_folds_says_so(tmp_path: Path) -> None:
    with pytest.raises(NotEnoughData, match="Not enough history to search settings over time") as raised:
        searched(tmp_path, history=noisy(0.5))
    assert "train without --tune" in str(raised.value.hint)
    assert not (tmp_path / "study.db").exists()


def test_a_horizon_that_is_too_long_is_passed_over() -> None:
    seen, unseen = steps_of(noisy(3), (HOUR, 48 * HOUR))
    assert {step.horizon_seconds for step in (*seen, *unseen)} == {HOUR}


def test_the_search_sees_nothing_that_comes_after_its_folds() -> None:
    history = noisy()
    seen, unseen = steps_of(history, (HOUR,))
    edge = min(step.cut.folds[step.fold].score_start for step in unseen)
    changed = noisy()
    begins = changed.sample(seen[0].cut.grid, edge)
    for values in (changed.series.cpu, *changed.columns.values()):
        assert values is not None
        values[begins:] *= 7.0
    forecaster = with_options(FactorForecaster(), {"factor": 0.9})
    for one, two in zip(seen, steps_of(changed, (HOUR,))[0], strict=True):
        losses = [step.losses(run_task(step.task(forecaster, "x", 0))[1]) for step in (one, two)]
        assert losses[0] == losses[1]


def test_trials_of_another_rule_are_not_compared_with_those_of_this_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import optuna

    def studies() -> int:
        return len(optuna.get_all_study_names(f"sqlite:///{tmp_path / 'study.db'}"))

    searched(tmp_path, seconds=1.0)
    assert studies() == 1
    monkeypatch.setattr("mora.tuning.search.code_of", lambda seam, name, *, also: f"{seam} {name} {also} changed")
    workers = Workers()
    searched(tmp_path, seconds=1.0, workers=workers)
    assert studies() == 2
    assert workers.asked[0][0] == 1.5  # the default is tried again


def _title(folder: Path) -> str:
    import optuna

    (name,) = optuna.get_all_study_names(f"sqlite:///{folder / 'study.db'}")
    return name


def test_every_forecaster_with_knobs_is_made_with_any_value_of_them() -> None:
    tunable = {name: made for name in registry.names("forecasters") if isinstance(made := _made(name), Tunable)}
    assert {"prophet", "lstm", "xgboost", "lightgbm"} <= tunable.keys()
    for made in tunable.values():
        usual = {name: getattr(made.settings, name) for name in made.knobs}
        assert all(knob.holds(usual[name]) for name, knob in made.knobs.items()), made
        for end in ("low", "high"):
            options = {name: getattr(knob, end) for name, knob in made.knobs.items()}
            other = with_options(made, {n: int(v) if made.knobs[n].is_whole else v for n, v in options.items()})
            assert {name: getattr(other.settings, name) for name in made.knobs} == options


def _made(name: str) -> object:
    return registry.load("forecasters", name)()
