"""The harness: no one sees what comes later, everybody is asked the same, and a failure is one entrant's alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mora.backtest.history import History
from mora.contest import evaluate
from mora.contest.run import Answered, Keeps, Task, run_task
from mora.contest.windows import plan
from mora.domain import Target
from mora.errors import BadInput, NotEnoughData
from tests.contest.making import DAY, Constant, Failing, Fitted, Peeking, wave

HOUR, A_DAY = 3600.0, 86_400.0


@settings(max_examples=10, deadline=None)
@given(st.data(), st.sampled_from([HOUR, A_DAY]), st.sampled_from([None, 3 * A_DAY]))
def test_what_comes_later_changes_no_forecast(data: st.DataObject, horizon: float, window: float | None) -> None:
    """Whatever any forecaster does with what it is given: one that answers with the sum of all that it sees."""
    whole = wave(9.0)
    options = {"forecasters": {"peeking": Peeking()}, "horizons": [horizon], "window_seconds": window}
    contest = evaluate(whole, **options)[0]  # type: ignore[arg-type]  # options of several types
    windows = contest.windows
    number = data.draw(st.integers(0, len(windows) - 1))
    edge = whole.sample(whole.grid(horizon), int(windows.rows[number]))
    changed = _changed(whole, edge, data.draw(st.integers(edge, whole.series.sample_count - 1)))
    later = evaluate(changed, **options)[0]  # type: ignore[arg-type]  # options of several types
    np.testing.assert_array_equal(later.windows.rows, windows.rows)
    answers, others = contest.answers["peeking"].mean, later.answers["peeking"].mean
    np.testing.assert_array_equal(others[: number + 1], answers[: number + 1])


def test_the_test_of_looking_ahead_can_fail() -> None:
    whole = wave(9.0)
    options = {"forecasters": {"peeking": Peeking()}, "horizons": [HOUR]}
    contest = evaluate(whole, **options)[0]  # type: ignore[arg-type]  # options of several types
    edge = whole.sample(whole.grid(HOUR), int(contest.windows.rows[10])) - 1
    later = evaluate(_changed(whole, edge, edge), **options)[0]  # type: ignore[arg-type]  # options of several types
    assert later.answers["peeking"].mean[10] != contest.answers["peeking"].mean[10]


def test_everybody_is_asked_the_same_and_the_yardstick_is_always_there() -> None:
    found = evaluate(wave(8.0), {"half": Constant(0.5)}, folds=2)
    assert [(one.windows.horizon_seconds, one.windows.target) for one in found] == [
        (HOUR, Target.CPU),
        (HOUR, Target.MEMORY),
        (A_DAY, Target.CPU),
        (A_DAY, Target.MEMORY),
    ]
    for contest in found:
        assert list(contest.answers) == ["naive", "half"]
        np.testing.assert_allclose(contest.answers["half"].mean, 0.5 * contest.answers["naive"].mean)
        assert set(contest.windows.folds) == {0, 1}
        assert not np.isnan(contest.answers["half"].mean).any()


def test_a_fit_sees_nothing_of_the_gap_before_the_first_window() -> None:
    seen: list[int] = []

    class Noting(Constant):
        is_refitted = False

        def fit(self, data: Any, *, seed: int, reporter: Any) -> Fitted:
            seen.append(len(data.grid))
            return super().fit(data, seed=seed, reporter=reporter)

    whole = wave(8.0)
    cut = plan(whole, A_DAY)
    evaluate(whole, {"noting": Noting(1.0)}, [A_DAY])
    assert seen == [fold.train_stop for fold in cut.folds]
    assert all(origins[0] - stop >= 24 for origins, stop in zip(cut.origins, seen, strict=True))


def test_an_error_of_a_plugin_is_its_own_failure_and_the_others_go_on() -> None:
    contest = evaluate(wave(8.0), {"failing": Failing()}, [HOUR])[0]
    assert contest.answers["failing"].failures == ("ZeroDivisionError: nothing to divide by",)
    assert np.isnan(contest.answers["failing"].mean).all()
    assert not np.isnan(contest.answers["naive"].mean).any()


def test_what_was_answered_before_is_not_asked_again() -> None:
    class Memory(Keeps):
        def __init__(self) -> None:
            self.known: dict[object, Answered] = {}

        def load(self, task: Task) -> Answered | None:
            return self.known.get((task.entrant.text, task.horizon_seconds, task.fold))

        def save(self, task: Task, answered: Answered) -> None:
            self.known[task.entrant.text, task.horizon_seconds, task.fold] = answered

    asked: list[str] = []

    def workers(tasks: Sequence[Task]) -> Iterator[tuple[Task, Answered]]:
        for task in reversed(tasks):
            asked.append(task.entrant.text)
            # As from another process: a copy.
            yield replace(task), run_task(task)[1]

    kept = Memory()
    first = evaluate(wave(8.0), {"half": Constant(0.5)}, [HOUR], workers=workers, kept=kept)
    assert sorted(asked) == ["half"] * 2 + ["naive"] * 2
    asked.clear()
    again = evaluate(wave(8.0), {"half": Constant(0.5), "failing": Failing()}, [HOUR], workers=workers, kept=kept)
    # A failure is not kept: it may be an extra that is not installed yet.
    assert asked == ["failing"] * 2
    np.testing.assert_array_equal(first[0].answers["half"].mean, again[0].answers["half"].mean)
    evaluate(wave(8.0), {"failing": Failing()}, [HOUR], workers=workers, kept=kept)
    assert asked == ["failing"] * 4


def test_too_short_a_history_says_what_is_needed_and_others_go_on() -> None:
    with pytest.raises(NotEnoughData, match="Not enough history to validate over time"):
        evaluate(wave(2.0), {}, [A_DAY])
    skipped: list[str] = []
    found = evaluate([wave(2.0, name="short"), wave(8.0, name="long")], {}, [A_DAY], skipped=skipped)
    assert {one.windows.series for one in found} == {"long"}
    assert skipped[0].startswith("short: Not enough history")


def test_two_histories_of_one_name_are_refused() -> None:
    with pytest.raises(BadInput, match="Two histories are called 'web'"):
        evaluate([wave(8.0), wave(9.0)], {}, [HOUR])


@pytest.mark.parametrize("value", [0.0, 3.0])
def test_a_series_that_never_changes_is_no_error(value: float) -> None:
    flat = wave(8.0)
    column = flat.columns["cpu_cores_value"]
    steady = History(
        replace(flat.series, cpu=np.full_like(column, value)),
        {**flat.columns, "cpu_cores_value": np.full_like(column, value)},
    )
    contest = evaluate(steady, {}, [HOUR])[0]
    np.testing.assert_array_equal(contest.errors("naive"), 0.0)


def test_days_that_are_missing_have_no_windows() -> None:
    whole = wave(10.0)
    use = whole.columns["cpu_cores_value"].copy()
    use[8 * DAY : 9 * DAY] = np.nan
    gone = History(replace(whole.series, cpu=use), {**whole.columns, "cpu_cores_value": use})
    cpu, memory = evaluate(gone, {}, [HOUR])
    assert len(cpu.windows) < len(memory.windows)
    start = gone.series.start
    assert not any(start + 8 * A_DAY <= at < start + 9 * A_DAY - HOUR for at in cpu.windows.seconds)


def _changed(whole: History, first: int, last: int) -> History:
    """The history with other numbers from sample `first` to `last`."""
    columns = {}
    for name, values in whole.columns.items():
        columns[name] = values.copy()
        columns[name][first : last + 1] *= 3.0
    series = replace(whole.series, cpu=columns["cpu_cores_value"], mem=columns["mem_bytes_value"])
    return History(series, columns)
