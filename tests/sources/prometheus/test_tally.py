"""The laws of adding pods up: order, doubling and cuts change nothing; a quiet pod never hides a hot one."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mora.domain import Target, Window
from mora.sources.prometheus.grid import coarse
from mora.sources.prometheus.matrix import Strip
from mora.sources.prometheus.tally import (
    Limits,
    Tally,
    filled,
    moved,
    spans_of,
    starting_rows,
)

START = datetime(2026, 11, 1, tzinfo=UTC)
STEP = timedelta(minutes=5)
WINDOW = Window(START, START + 11 * STEP, STEP)
COUNT = WINDOW.sample_count

uses = st.lists(
    st.tuples(st.integers(0, COUNT - 1), st.lists(st.floats(0, 100), min_size=1, max_size=COUNT)),
    min_size=1,
    max_size=5,
)


def strip(first: int, values: list[float]) -> Strip:
    kept = np.array(values[: COUNT - first], dtype=np.float64)
    return Strip({}, slice(first, first + len(kept)), kept)


def tallied(pods: list[tuple[str, Strip]], starting: dict[str, list[slice]] | None = None) -> Tally:
    tally = Tally(WINDOW)
    for pod, one in pods:
        tally.pods.add(pod)
        tally.add_cpu(pod, one.rows, one.values, (starting or {}).get(pod, []), None)
    return tally


@settings(max_examples=40, deadline=None)
@given(uses, st.randoms(use_true_random=False))
def test_neither_the_order_of_pods_nor_doubled_scrapes_change_a_history(
    pods: list[tuple[int, list[float]]], random: st.DataObject
) -> None:
    rows = [(f"pod-{number}", strip(first, values)) for number, (first, values) in enumerate(pods)]
    once = tallied(rows).history("app", throttling_is_known=True)
    mixed = [*rows, *rows]
    random.shuffle(mixed)  # type: ignore[attr-defined]  # hypothesis gives a random.Random
    again = tallied(mixed).history("app", throttling_is_known=True)
    np.testing.assert_array_equal(once.cpu_cores, again.cpu_cores)
    assert once.pods == again.pods == len(pods)


@settings(max_examples=40, deadline=None)
@given(uses)
def test_each_moment_is_of_the_hottest_pod(pods: list[tuple[int, list[float]]]) -> None:
    dense = np.full((len(pods), COUNT), np.nan)
    rows = []
    for number, (first, values) in enumerate(pods):
        one = strip(first, values)
        dense[number, one.rows] = one.values
        rows.append((f"pod-{number}", one))
    history = tallied(rows).history("app", throttling_is_known=True)
    np.testing.assert_array_equal(history.cpu_cores, np.fmax.reduce(dense))
    peak = int(history.peak_pods[Target.CPU].removeprefix("pod-"))
    assert np.nanmax(dense[peak]) == np.nanmax(dense)


def test_start_up_is_left_out_and_its_peak_kept() -> None:
    history = tallied([("a", strip(0, [9.0, 8.0, 1.0, 2.0]))], {"a": [slice(0, 2)]}).history(
        "app", throttling_is_known=True
    )
    assert np.isnan(history.cpu_cores[:2]).all()
    assert history.cpu_cores[2:4].tolist() == [1.0, 2.0]
    assert history.startup_cpu_cores == 9.0


def test_the_limit_is_that_of_the_pod_that_was_hottest() -> None:
    slow = coarse(WINDOW, timedelta(minutes=30))
    tally = Tally(WINDOW)
    for pod, values, limit in (("old", [2.0, 2.0, 2.0], 1.0), ("new", [1.0, 3.0, 1.0], 4.0)):
        limits = Limits.of(slow, [Strip({}, slice(0, slow.sample_count), np.full(slow.sample_count, limit))])
        tally.add_cpu(pod, slice(0, 3), np.array(values), [], limits)
    limits_seen = tally.cpu.limits
    assert limits_seen is not None
    assert limits_seen[:3].tolist() == [1.0, 4.0, 1.0]


def test_a_limit_that_changed_is_known_span_by_span() -> None:
    slow = coarse(WINDOW, timedelta(minutes=30))  # spans end at 0, 30 and 60 minutes
    limits = Limits.of(slow, [Strip({}, slice(0, 3), np.array([1.0, 2.0, 3.0]))])
    found = limits.at(slice(0, COUNT), WINDOW)
    assert isinstance(found, np.ndarray)
    assert found.tolist() == [1.0] + [2.0] * 6 + [3.0] * 5


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([np.nan, 1.0, np.nan, 2.0], [1.0, 1.0, 1.0, 2.0]),
        ([3.0, np.nan, np.nan], [3.0, 3.0, 3.0]),
    ],
)
def test_gaps_of_a_limit_are_filled_with_what_was_known(values: list[float], expected: list[float]) -> None:
    assert filled(np.array(values)).tolist() == expected


def test_starting_rows_cover_every_step_that_touches_the_first_five_minutes() -> None:
    at = (START + 3 * STEP).timestamp()
    assert starting_rows([at], WINDOW, STEP) == [slice(3, 5)]
    assert starting_rows([at + 1], WINDOW, STEP) == [slice(4, 6)]
    assert starting_rows([at - 86_400], WINDOW, STEP)[0].stop <= 0


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 500), st.integers(1, 40))
def test_every_row_lies_in_one_span_of_a_coarse_grid(samples: int, factor: int) -> None:
    window = Window(START, START + (samples - 1) * STEP, STEP)
    slow = coarse(window, factor * STEP)
    spans = spans_of(np.arange(samples), window, slow)
    ends = np.array([(slow.start - START + span * slow.step) / STEP for span in spans.tolist()])
    assert (ends - factor < np.arange(samples)).all()
    assert (np.arange(samples) <= ends).all()
    assert set(spans.tolist()) == set(range(slow.sample_count))


def test_a_piece_is_moved_to_its_place() -> None:
    assert moved(strip(1, [1.0, 2.0]), 4).rows == slice(5, 7)
    assert moved(Strip({}, np.array([0, 2]), np.array([1.0, 2.0])), 4).rows.tolist() == [4, 6]  # type: ignore[union-attr]


@pytest.mark.parametrize("seconds", [8, 30])
def test_where_pods_live_minutes_their_start_up_is_their_use(seconds: int) -> None:
    """Steps of a minute here: pods of 8 or 30 of them, of which five are start-up."""
    window = Window(START, START + timedelta(minutes=1) * (seconds * 20 - 1), timedelta(minutes=1))
    tally = Tally(window)
    for number in range(20):
        rows = slice(number * seconds, (number + 1) * seconds)
        used = np.full(seconds, 0.5)
        used[:2] = 1.5
        starting = [slice(rows.start, rows.start + 5)]
        tally.add_cpu(f"p{number}", rows, used, starting, None)
        tally.add_memory(f"p{number}", rows, 100 * used, starting, None)
    tally.leave_out_odd()
    history = tally.history("app", throttling_is_known=False)
    assert not np.isnan(history.cpu_cores).any()
    assert not np.isnan(history.mem_bytes).any()
    assert np.max(history.cpu_cores) == 1.5
    assert history.startup_cpu_cores == 1.5
    assert history.by_pod == ()  # one after the other
    share = {8: "62%", 30: "17%"}[seconds]
    for target in (Target.CPU, Target.MEMORY):
        assert history.left_out[target].remark == (
            f"its pods live minutes (start-up is {share} of the samples), so start-up counts as use"
        )


def test_start_up_of_pods_that_live_on_is_no_use_however_often_they_are_replaced() -> None:
    window = Window(START, START + timedelta(minutes=5) * (288 * 3 - 1), timedelta(minutes=5))
    tally = Tally(window)
    for number in range(24):  # each for three hours
        rows = slice(number * 36, (number + 1) * 36)
        used = np.full(36, 0.5)
        used[:2] = 1.5
        tally.add_cpu(f"p{number}", rows, used, [slice(rows.start, rows.start + 2)], None)
    tally.leave_out_odd()
    history = tally.history("app", throttling_is_known=False)
    assert np.nanmax(history.cpu_cores) == 0.5
    assert history.startup_cpu_cores == 1.5
    assert history.left_out == {}
