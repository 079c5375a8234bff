"""Rows one at a time are what they are all at once; what is not known is never healthy."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mora.errors import BadInput
from mora.health.events import State
from mora.health.monitor import Monitor
from mora.registry import load
from tests.health.watching import METRICS, START, STEP, trained, usual


def monitor_of(
    detector: str = "robust-z", threshold: str = "quantile", *, start_up: timedelta = timedelta(0)
) -> Monitor:
    return Monitor.of(trained(detector, threshold, start_up=start_up))


def sick(frame: pd.DataFrame, first: int, last: int) -> pd.DataFrame:
    frame = frame.copy()
    frame.loc[first:last, "cpu_cores_value"] *= 8
    return frame


def states(monitor: Monitor, frame: pd.DataFrame) -> list[State]:
    """The state after each row."""
    found = []
    for row in range(len(frame)):
        monitor.feed(frame[row : row + 1])
        assert monitor.last is not None
        found.append(monitor.last.state)
    return found


def test_a_fault_is_abnormal_from_its_first_sample_and_names_its_metric() -> None:
    monitor = monitor_of()
    monitor.feed(sick(usual(60), 50, 59))
    assert monitor.last is not None
    assert (monitor.last.state, monitor.alarms) == (State.ABNORMAL, 1)
    assert monitor.since == START + 50 * STEP
    assert next(iter(monitor.last.contributions)) == "cpu_cores_value"
    assert monitor.last.ratio is not None
    assert monitor.last.ratio > 1


@st.composite
def histories(draw: st.DrawFn) -> pd.DataFrame:
    """Samples with gaps, faults, cold starts and lost metrics, and perhaps with replicas."""
    rows = draw(st.integers(2, 120))
    frame = sick(usual(rows, seed=draw(st.integers(0, 99))), rows // 2, rows // 2 + draw(st.integers(0, 5)))
    if draw(st.booleans()):
        frame["replica_count_value"] = 1.0
        frame.loc[rows // 3 : rows // 3 + draw(st.integers(0, 20)), "replica_count_value"] = 0.0
    for _ in range(draw(st.integers(0, 3))):
        first, length = draw(st.integers(0, rows - 1)), draw(st.integers(1, 30))
        names = list(METRICS) if draw(st.booleans()) else [draw(st.sampled_from(METRICS))]
        frame.loc[first : first + length, names] = np.nan
    return frame


@settings(max_examples=30, deadline=None)
@given(
    histories(),
    st.lists(st.integers(1, 40), min_size=1, max_size=6),
    st.sampled_from([("robust-z", "quantile"), ("context-distance", "tracking")]),
)
def test_rows_as_they_come_are_judged_as_the_whole_history_is(
    frame: pd.DataFrame, pieces: list[int], rules: tuple[str, str]
) -> None:
    model = MODELS[rules]
    whole = model.judge(frame)
    monitor, row = Monitor.of(model), 0
    for piece in (*pieces, *[7] * len(frame)):
        if row >= len(frame):
            break
        monitor.feed(frame[row : row + piece])
        row = min(row + piece, len(frame))
        said, there = monitor.last, whole.frame.iloc[row - 1]
        assert said is not None
        assert (said.at, said.state) == (there.timestamp.to_pydatetime(), there.state)
        score = np.nan if said.score is None else said.score
        np.testing.assert_allclose(score, there.score, rtol=1e-3)
        if said.threshold is not None:
            np.testing.assert_allclose(said.threshold, there.threshold, rtol=1e-2)
    assert monitor.alarms == len(whole.events)


MODELS = {
    rules: trained(*rules, start_up=timedelta(minutes=9))
    for rules in (("robust-z", "quantile"), ("context-distance", "tracking"))
}


def test_it_holds_no_more_than_a_score_depends_on() -> None:
    monitor = monitor_of()
    monitor.feed(usual(5000))
    assert len(monitor._values) == max(monitor.detector.context, 1)


def test_nothing_known_is_unknown_with_the_reason() -> None:
    monitor = monitor_of()
    frame = usual(10)
    frame.loc[5:, list(METRICS)] = np.nan
    monitor.feed(frame)
    assert monitor.last is not None
    assert (monitor.last.state, monitor.last.score, monitor.since) == (State.UNKNOWN, None, START + 5 * STEP)
    assert "No metric" in monitor.last.why


def test_a_metric_that_lacks_is_not_known_and_the_others_are_scored() -> None:
    monitor = monitor_of()
    monitor.feed(usual(10).drop(columns="latency_p95_seconds"))
    assert monitor.last is not None
    assert monitor.last.state == State.HEALTHY
    assert monitor.last.contributions.get("latency_p95_seconds", 0) == 0


def test_a_service_that_starts_has_no_verdict_until_its_rates_are_whole() -> None:
    monitor = monitor_of(start_up=timedelta(minutes=5))
    frame = sick(usual(40), 20, 22)
    frame.loc[5:19, list(METRICS)] = np.nan
    found = states(monitor, frame)
    assert found[:5] == [State.HEALTHY] * 5
    assert found[5:20] == [State.UNKNOWN] * 15
    assert found[20:25] == [State.STARTING] * 5
    assert set(found[25:]) <= {State.HEALTHY, State.ABNORMAL}
    assert monitor.alarms == 0


def test_what_is_scored_while_it_starts_moves_no_threshold() -> None:
    quiet, starting = (monitor_of(threshold="tracking", start_up=timedelta(minutes=5)) for _ in range(2))
    frame = usual(30)
    frame.loc[:19, list(METRICS)] = np.nan
    quiet.feed(frame)
    starting.feed(sick(frame, 20, 24))
    assert starting.threshold.level == quiet.threshold.level


def test_alarms_within_half_an_hour_are_one_event() -> None:
    monitor = monitor_of()
    frame = sick(sick(sick(usual(120), 10, 11), 30, 31), 100, 100)
    monitor.feed(frame)
    assert monitor.alarms == 2


def test_rows_that_were_fed_are_passed_over_and_gaps_are_rows_of_nothing() -> None:
    monitor = monitor_of()
    frame = usual(50)
    assert monitor.feed(frame[:20]) == 20
    assert monitor.feed(frame[:25]) == 5
    assert monitor.feed(frame[:25]) == 0
    monitor.feed(frame[40:])
    assert monitor.last is not None
    assert monitor.last.at == START + 49 * STEP


def test_a_gap_of_years_costs_no_more_than_what_a_score_depends_on() -> None:
    monitor = monitor_of()
    monitor.feed(usual(5))
    late = usual(5, START + timedelta(days=3650))
    monitor.feed(late)
    assert monitor.last is not None
    assert monitor.last.at == late["timestamp"].iloc[-1].to_pydatetime()


def test_samples_out_of_order_are_refused() -> None:
    monitor = monitor_of()
    with pytest.raises(BadInput, match="order of time"):
        monitor.feed(usual(5)[::-1])
    with pytest.raises(BadInput, match="timestamp"):
        monitor.feed(usual(5).drop(columns="timestamp"))


def test_an_untrained_detector_is_refused() -> None:
    with pytest.raises(BadInput, match="not trained"):
        Monitor(load("detectors", "robust-z")(), load("thresholds", "quantile")(), STEP)


def test_after_it_forgot_it_begins_anew_and_keeps_its_alarms() -> None:
    monitor = monitor_of()
    monitor.feed(sick(usual(20), 19, 19))
    monitor.forget()
    assert monitor.last is None
    assert monitor.feed(usual(5)) == 5
    assert monitor.alarms == 1
