"""A moment is healthy, abnormal, starting or unknown; alarms close together are one event."""

from __future__ import annotations

from datetime import timedelta
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mora.health.events import State, excess_of, find_events, starting_rows, states, weights
from tests.health.made import START, healthy

STEP = timedelta(seconds=15)
METRICS = ("cpu_cores_value", "mem_bytes_value", "latency_p95_seconds")


def starting(frame: pd.DataFrame, minutes: float = 1, **more: object) -> list[int]:
    found = starting_rows(frame, METRICS, step=STEP, start_up=timedelta(minutes=minutes), **more)  # type: ignore[arg-type]  # started
    return [int(row) for row in np.flatnonzero(found)]


def test_replicas_that_rise_from_none_are_a_cold_start() -> None:
    frame = healthy(30)
    frame.loc[5:9, "replica_count_value"] = 0
    assert starting(frame) == [10, 11, 12, 13]


def test_metrics_that_come_back_after_a_start_up_s_time_are_one_and_after_less_none() -> None:
    frame = healthy(30)
    frame.loc[5:9, list(METRICS)] = np.nan
    assert starting(frame) == [10, 11, 12, 13]
    assert starting(frame, minutes=2) == []


def test_a_start_that_is_known_otherwise_counts_and_the_first_row_does_not() -> None:
    assert starting(healthy(30)) == []
    assert starting(healthy(30), started=[START]) == [0, 1, 2, 3]
    assert starting(healthy(30), minutes=0, started=[START]) == []


@given(st.data())
def test_a_state_is_never_healthy_without_data(data: st.DataObject) -> None:
    rows = data.draw(st.integers(1, 30))
    scores = np.array(data.draw(st.lists(st.one_of(st.just(np.nan), st.floats(0, 10)), min_size=rows, max_size=rows)))
    known = np.array(data.draw(st.lists(st.floats(0, 1), min_size=rows, max_size=rows)))
    cold = np.array(data.draw(st.lists(st.booleans(), min_size=rows, max_size=rows)))
    found = states(scores, np.full(rows, 5.0), known, cold)
    for score, share, is_cold, state in zip(scores, known, cold, found, strict=True):
        if share == 0 or (np.isnan(score) and not is_cold):
            assert state == State.UNKNOWN
        elif is_cold:
            assert state == State.STARTING
        elif score > 5:
            assert state == State.ABNORMAL
        else:
            assert state == (State.HEALTHY if share >= 0.5 else State.UNKNOWN)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=40), st.integers(0, 60))
def test_a_weight_is_the_mean_of_what_is_known_over_the_context(known: list[float], context: int) -> None:
    found = weights(np.array(known), context)
    for row, weight in enumerate(found):
        window = known[max(row - context, 0) : row + 1]
        assert weight == pytest.approx(sum(window) / (context + 1), abs=1e-9)


@given(st.lists(st.booleans(), min_size=1, max_size=200), st.integers(1, 20))
def test_every_alarm_is_in_one_event_and_events_are_further_apart_than_the_gap(alarms: list[bool], gap: int) -> None:
    times = pd.Series(pd.date_range(START, periods=len(alarms), freq="1min"))
    flags = np.array(alarms)
    events = find_events(times, flags, excess=np.ones(len(alarms)), gap=timedelta(minutes=gap))
    assert sum(event.samples for event in events) == flags.sum()
    for at, is_alarm in zip(times, alarms, strict=True):
        inside = [event for event in events if event.start <= at <= event.end]
        assert len(inside) <= 1
        assert inside or not is_alarm
    for before, after in pairwise(events):
        assert after.start - before.end > timedelta(minutes=gap)


def test_an_event_names_its_peak_and_its_metrics_the_largest_first() -> None:
    times = pd.Series(pd.date_range(START, periods=4, freq="1min"))
    shares = pd.DataFrame({"cpu": [0.5, 0.9, 0.1, 0.5], "mem": [0.5, 0.1, 0.9, 0.5]})
    (event,) = find_events(
        times,
        np.array([False, True, True, False]),
        excess=np.array([0.1, 2.0, 6.0, 0.2]),
        shares=shares,
        weight=np.array([1.0, 0.5, 1.0, 1.0]),
    )
    assert (event.start, event.peak_at, event.samples, event.peak) == (times[1], times[2], 2, 6.0)
    assert list(event.metrics) == ["mem", "cpu"]
    assert event.metrics["mem"] == pytest.approx(0.7)
    assert event.weight == 0.75
    assert event.duration == timedelta(minutes=1)


@given(st.lists(st.tuples(st.floats(0, 1e308), st.sampled_from([0.0, 1e-300, 1.0])), min_size=1, max_size=20))
def test_the_excess_is_finite_and_shares_add_up_whatever_the_scores(rows: list[tuple[float, float]]) -> None:
    scores, thresholds = np.array(rows).T
    excess = excess_of(scores, thresholds)
    assert np.isfinite(excess).all()
    times = pd.Series(pd.date_range(START, periods=len(rows), freq="1min"))
    shares = pd.DataFrame({"cpu": 0.25, "mem": 0.75}, index=range(len(rows)))
    (event,) = find_events(times, np.ones(len(rows), dtype=bool), excess=excess, shares=shares)
    assert not event.metrics or sum(event.metrics.values()) == pytest.approx(1)
    assert np.isnan(excess_of(np.array([np.nan]), np.array([0.0]))).all()


def test_rounding_is_no_anomaly_where_no_metric_ever_moved() -> None:
    none, all_known = np.zeros(2, dtype=bool), np.ones(2)
    found = states(np.array([2e-6, 2.0]), np.zeros(2), all_known, none)
    assert found.tolist() == [State.HEALTHY, State.ABNORMAL]
