"""A challenger beside the champion: what is compared, when it is decided, what is never looked at."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from mora.backtest.history import History, history_of
from mora.domain import Target
from mora.errors import NotEnoughData
from mora.model import ServiceModel, trial
from mora.model.trial_record import Trial
from tests import fakes_learning as fakes
from tests.model.making import weighing

AT = datetime(2026, 10, 1, tzinfo=UTC)
HOUR, DAY = 3600, 86_400
PER_DAY = 288


@pytest.fixture(scope="module")
def history() -> History:
    """Of thirteen days; the models have learned from the first four."""
    return history_of(fakes.observed(days=13), "frontend")


def begun(champion: ServiceModel, challenger: ServiceModel, history: History, **options: float) -> Trial:
    begins = datetime.fromisoformat(champion.card["last_sample"]).timestamp() + 300
    return trial.begin(champion, challenger, history, at=AT, begins=begins, **options)


def after(days: float, history: History, champion: str, challenger: str, **options: float) -> Trial:
    one, other = weighing(champion), weighing(challenger)
    found = begun(one, other, history, **options)
    return trial.advance(found, one, other, history.before(int((4 + days) * PER_DAY)))


def test_a_better_challenger_takes_over_and_a_worse_one_does_not(history: History) -> None:
    better = trial.standing(after(4, history, "naive", "slots"))
    assert better.outcome == "takeover"
    assert better.why == "it forecasts better 1h ahead, and nowhere more than 5 % worse"
    assert better.evidence[HOUR][0] > better.needed == 40
    worse = trial.standing(after(4, history, "slots", "naive"))
    assert (worse.outcome, worse.why) == ("kept", "the challenger forecasts worse 1h ahead")


def test_nothing_is_decided_by_the_first_windows_or_between_equals(history: History) -> None:
    assert trial.standing(after(0.5, history, "naive", "slots")).outcome == ""
    equal = trial.standing(after(4, history, "naive", "naive"))
    assert (equal.outcome, equal.evidence[HOUR]) == ("", (1.0, 1.0))


def test_after_its_longest_time_a_test_ends_undecided(history: History) -> None:
    found = trial.standing(after(3, history, "naive", "naive", longest_days=2.5))
    assert found.outcome == "undecided"
    assert "after 2.5 days" in found.why
    quiet = begun(weighing("naive"), weighing("naive", 1), history, longest_days=2.5)
    assert trial.standing(quiet, known_until=quiet.begins + 3 * DAY).outcome == "undecided"


def test_who_is_better_at_one_horizon_and_worse_at_another_does_not_take_over(history: History) -> None:
    """The day ahead is as good a reason as the hour."""
    found = after(4, history, "naive", "slots")
    harmed = tuple(
        replace(window, challenger=window.truth * 1.5) if window.horizon_seconds == DAY else window
        for window in found.windows
    )
    now = trial.standing(replace(found, windows=harmed))
    assert now.outcome == ""
    assert "does not take over: its error is higher at cpu 24h ahead" in now.why


def test_who_is_better_at_one_horizon_waits_for_a_window_of_each_other(history: History) -> None:
    found = after(4, history, "naive", "slots")
    hours = replace(found, windows=tuple(window for window in found.windows if window.horizon_seconds == HOUR))
    now = trial.standing(hours)
    assert now.outcome == ""
    assert now.why == "it is better 1h ahead, but does not take over: no window of cpu 24h ahead is known yet"
    ended = trial.standing(hours, known_until=hours.begins + 100 * DAY)
    assert (ended.outcome, "no window of cpu 24h ahead" in ended.why) == ("undecided", True)


def test_who_forecasts_less_than_the_champion_does_not_take_its_place(history: History) -> None:
    one, whole = weighing("naive"), weighing("slots")
    hour_alone = replace(whole, horizons={HOUR: whole.horizons[HOUR]})
    with pytest.raises(NotEnoughData, match="does not forecast cpu 24h ahead, memory 24h ahead, as the champion"):
        begun(one, hour_alone, history)
    cpu = {Target.CPU: whole.horizons[DAY].calibrations[Target.CPU]}
    cpu_alone = {**whole.horizons, DAY: replace(whole.horizons[DAY], calibrations=cpu)}
    with pytest.raises(NotEnoughData, match="does not forecast memory 24h ahead, as") as raised:
        begun(one, replace(whole, horizons=cpu_alone), history)
    assert "mora ab stop frontend" in str(raised.value.hint)
    # What the challenger has more is not compared.
    found = begun(replace(one, horizons=cpu_alone), whole, history)
    assert {seconds: set(scales) for seconds, scales in found.scales.items()} == {
        HOUR: {Target.CPU, Target.MEMORY},
        DAY: {Target.CPU},
    }


def test_windows_are_whole_and_come_one_after_the_other_from_where_neither_had_seen_the_data(history: History) -> None:
    found = after(2.03, history, "naive", "slots")
    for seconds in (HOUR, DAY):
        starts = sorted({window.begins for window in found.windows if window.horizon_seconds == seconds})
        assert starts[0] == found.begins
        assert set(np.diff(starts)) <= {seconds}
        assert len(starts) == 2 * DAY // seconds
        assert starts[-1] + seconds <= history.series.start + 6.03 * DAY


def test_looking_often_gives_what_looking_once_does(history: History) -> None:
    one, other = weighing("naive"), weighing("slots")
    often = begun(one, other, history)
    for days in (0.2, 0.5, 1.1, 1.13, 2.6):
        often = trial.advance(often, one, other, history.before(int((4 + days) * PER_DAY)))
    assert often == after(2.6, history, "naive", "slots")


def test_what_comes_later_changes_no_forecast(history: History) -> None:
    early = after(1.5, history, "naive", "slots")
    other = fakes.observed(days=13, scale=1.0)
    later = other["timestamp"] >= other["timestamp"].min() + timedelta(days=5.5)
    other.loc[later, ["cpu_cores_value", "mem_bytes_value"]] *= 7
    changed = after(1.5, history_of(other, "frontend"), "naive", "slots")
    assert changed == early


def test_a_window_without_half_of_its_samples_is_left_out_and_the_next_keep_their_hours(history: History) -> None:
    frame = fakes.observed(days=6)
    begin = frame["timestamp"].min() + timedelta(days=4)
    lost = frame["timestamp"].between(begin + timedelta(hours=3), begin + timedelta(hours=5, minutes=20))
    found = after(1, history_of(frame[~lost], "frontend"), "naive", "slots")
    starts = sorted({(window.begins - found.begins) / HOUR for window in found.windows if window.horizon_seconds < DAY})
    assert starts == [*range(3), *range(5, 24)]


def test_one_outlier_decides_nothing(history: History) -> None:
    found = after(0.5, history, "naive", "slots")
    wild = (replace(found.windows[0], champion=1e9), *found.windows[1:])
    assert trial.standing(replace(found, windows=wild)).evidence[HOUR][0] < 3


def test_zeros_and_a_constant_are_no_evidence() -> None:
    for level in (0.0, 0.25):
        frame = fakes.observed(days=7)
        frame["cpu_cores_value"] = level
        frame["mem_bytes_value"] = level * 1e9
        now = trial.standing(after(3, history_of(frame, "frontend"), "naive", "slots"))
        assert now.evidence[HOUR] == (1.0, 1.0)
        assert now.outcome == ""


def test_what_has_no_horizon_in_common_is_not_compared(history: History) -> None:
    bare = replace(weighing("slots"), horizons={})
    with pytest.raises(NotEnoughData, match="no horizon in common"):
        begun(weighing("naive"), bare, history)
    with pytest.raises(NotEnoughData, match="shorter than 2h"):
        begun(weighing("naive"), weighing("slots"), history.after(4 * PER_DAY - 12))


def test_a_forecast_is_what_the_weights_make_of_it(history: History) -> None:
    before = history.before(5 * PER_DAY)
    naive = trial.forecast(weighing("naive"), before, HOUR)
    assert naive[Target.CPU] == pytest.approx(float(before.columns["cpu_cores_value"][-12:].mean()))
    with pytest.raises(NotEnoughData):
        trial.forecast(weighing("naive"), before.after(5 * PER_DAY - 3), HOUR)
