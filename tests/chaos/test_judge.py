"""What a detector makes of a run: detected or not, after how long, by which metric; false alarms."""

from __future__ import annotations

import itertools
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mora.chaos.judge import TAIL, Alarm, PartSeen, alarms_of, judge_part, see
from mora.chaos.labels import Label
from mora.errors import NotEnoughData
from mora.health.events import State
from mora.health.model import Judgement
from tests.chaos.made import BEGAN, SECOND, run_part, scenario


def judged(tmp_path: Path, **changes: bool) -> PartSeen:
    of = scenario(tmp_path)
    return judge_part(run_part(of, **changes), recover=of.recover, alarm_after=of.alarm_after)


def test_a_plain_fault_is_detected_at_its_service_by_its_metric_and_an_unseen_one_is_not(tmp_path: Path) -> None:
    seen = judged(tmp_path)
    latency, errors = seen.seen
    assert latency.own is not None
    assert latency.delay is not None
    assert timedelta(0) < latency.delay < timedelta(seconds=20)
    assert (latency.own.metric, latency.blamed) == ("latency_p95_seconds", "cartservice")
    assert (errors.own, errors.first, errors.blamed) == (None, None, None)
    assert seen.false_alarms == ()


def test_an_alarm_without_a_fault_is_false(tmp_path: Path) -> None:
    seen = judged(tmp_path, stray=True)
    assert [one.service for one in seen.false_alarms] == ["frontend"]
    assert seen.flagged_share > 0
    healthy = timedelta(seconds=699 - 300) - 2 * timedelta(seconds=70)
    assert seen.healthy == healthy, "without the faults and their recovery"


def test_a_false_alarm_that_comes_again_at_once_is_one_and_later_another(tmp_path: Path) -> None:
    part = run_part(scenario(tmp_path), is_seen=False)
    for first in (600, 628, 690):  # abnormal for ten seconds each, the first two 18 s apart
        part.frames["frontend"].loc[first : first + 9, "cpu_cores_value"] *= 9
    seen = judge_part(
        replace(part, labels=()), recover=30 * SECOND, alarm_after=5 * SECOND, detector="robust-z", threshold="peaks"
    )
    assert len(seen.alarms) == 3
    assert [round((one.began - BEGAN) / SECOND) for one in seen.false_alarms] == [600, 690]


def test_an_alarm_that_ends_before_a_fault_and_comes_again_counts_for_it() -> None:
    found = see(label(10, 50), [alarm("web", 0), alarm("web", 12)])
    assert found.delay == 2 * SECOND


def test_what_is_learnt_from_is_never_judged(tmp_path: Path) -> None:
    part = run_part(scenario(tmp_path))
    part.frames["frontend"].loc[100:130, "cpu_cores_value"] *= 9
    seen = judge_part(part, recover=30 * SECOND, alarm_after=10 * SECOND)
    assert all(one.raised >= part.learnt_until for one in seen.alarms)


def test_the_future_changes_no_verdict(tmp_path: Path) -> None:
    part = run_part(scenario(tmp_path))
    cut = replace(
        part,
        ended=BEGAN + 450 * SECOND,
        frames={name: frame.iloc[:451] for name, frame in part.frames.items()},
        labels=part.labels[:1],
    )
    whole, short = (judge_part(one, recover=30 * SECOND, alarm_after=10 * SECOND) for one in (part, cut))
    assert whole.seen[0].own is not None
    assert short.seen[0].own is not None
    assert whole.seen[0].own.raised == short.seen[0].own.raised


def test_a_service_without_a_healthy_beginning_is_an_error(tmp_path: Path) -> None:
    part = run_part(scenario(tmp_path))
    frames = {**part.frames, "frontend": part.frames["frontend"].iloc[400:]}
    with pytest.raises(NotEnoughData, match="'frontend' before the first fault"):
        judge_part(replace(part, frames=frames), recover=30 * SECOND, alarm_after=10 * SECOND)


# --- alarms ----------------------------------------------------------------------------------------------------------


def verdicts(abnormal: list[bool]) -> Judgement:
    count = len(abnormal)
    frame = pd.DataFrame(
        {
            "timestamp": pd.date_range(BEGAN, periods=count, freq="1s", unit="us"),
            "score": np.where(abnormal, 3.0, 0.5),
            "threshold": np.ones(count),
            "state": [State.ABNORMAL if one else State.HEALTHY for one in abnormal],
            "weight": np.ones(count),
        }
    )
    return Judgement(frame, pd.DataFrame({"cpu": np.ones(count)}), ())


@given(st.lists(st.booleans(), min_size=1, max_size=200), st.integers(1, 10))
def test_an_alarm_is_raised_after_so_long_without_a_break_and_never_sooner(abnormal: list[bool], after: int) -> None:
    found = alarms_of("web", verdicts(abnormal), step=SECOND, after=after * SECOND, since=BEGAN)
    for alarm in found:
        raised = round((alarm.raised - BEGAN) / SECOND)
        assert raised >= after
        assert all(abnormal[raised - after : raised + 1])
        assert alarm.began <= alarm.raised <= alarm.ended
    assert all(later.began > sooner.ended for sooner, later in itertools.pairwise(found))
    longest = max((len(run) for run in "".join("x" if one else " " for one in abnormal).split()), default=0)
    assert bool(found) == (longest > after), "as `for` of an alert rule: from the first sample to the last"


def alarm(service: str, raised: int, *, peak: float = 2.0) -> Alarm:
    return Alarm(service, BEGAN + raised * SECOND, BEGAN + raised * SECOND, BEGAN + (raised + 9) * SECOND, peak, {})


def test_of_a_service_that_was_abnormal_before_the_fault_no_alarm_counts() -> None:
    before = replace(alarm("web", 21), began=BEGAN + 9 * SECOND)
    assert see(label(10, 50), [before]).own is None
    assert see(label(10, 50), [replace(before, began=BEGAN + 10 * SECOND)]).own is not None


def test_an_alarm_that_began_without_a_fault_is_false_though_it_is_raised_in_one(tmp_path: Path) -> None:
    part = run_part(scenario(tmp_path), is_seen=False)
    part.frames["cartservice"].loc[354:380, "cpu_cores_value"] *= 6  # the fault begins at 360
    seen = judge_part(part, recover=30 * SECOND, alarm_after=10 * SECOND)
    assert seen.seen[0].own is None
    assert [one.service for one in seen.false_alarms] == ["cartservice"]
    assert seen.false_alarms[0].began < part.labels[0].start < seen.false_alarms[0].raised


def test_an_alarm_that_lasts_into_the_next_fault_went_on(tmp_path: Path) -> None:
    part = run_part(scenario(tmp_path))
    part.frames["cartservice"].loc[361:500, "latency_p95_seconds"] = 0.3  # the next fault is from 480 to 520
    seen = judge_part(part, recover=30 * SECOND, alarm_after=10 * SECOND)
    assert seen.seen[0].own is not None
    assert seen.seen[1].own is None
    assert [one.service for one in seen.lingering] == ["cartservice"]


def label(start: int, end: int) -> Label:
    return Label("1", "stuck", "default", "web", BEGAN + start * SECOND, BEGAN + end * SECOND)


def test_the_first_alarm_at_the_service_itself_counts_and_the_highest_is_blamed() -> None:
    found = see(label(10, 50), [alarm("cart", 12, peak=9), alarm("web", 20), alarm("web", 30)])
    assert found.delay == 10 * SECOND
    assert found.first is not None
    assert (found.first.service, found.blamed) == ("cart", "cart")


def test_of_two_sick_services_the_one_that_is_called_is_blamed() -> None:
    alarms = [alarm("web", 12, peak=9), alarm("cart", 20)]
    assert see(label(10, 50), alarms, [("web", "till"), ("till", "cart")]).blamed == "cart"
    assert see(label(10, 50), alarms, [("cart", "web"), ("web", "cart")]).blamed == "web", "the highest, in a circle"
    assert see(label(10, 50), [], [("web", "cart")]).blamed is None


@pytest.mark.parametrize(("raised", "is_seen"), [(9, False), (10, True), (50, True), (65, True), (66, False)])
def test_an_alarm_before_a_fault_or_long_after_it_does_not_count(raised: int, is_seen: bool) -> None:
    assert TAIL == 15 * SECOND
    assert (see(label(10, 50), [alarm("web", raised)]).own is not None) == is_seen
