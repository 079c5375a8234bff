"""The laws of adding pods up: order, doubling and cuts change nothing; a quiet pod never hides a hot one."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

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
    ended_by_kill,
    events_within,
    filled,
    moved,
    restarts_of,
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


@pytest.mark.parametrize(
    ("first", "values", "begins", "restarts"),
    [
        pytest.param(0, [3.0, 3.0, 4.0], 0, 1, id="what it shows when the data begins happened before"),
        pytest.param(5, [1.0, 1.0, 3.0], 0, 3, id="what appears later happened then"),
        pytest.param(4, [2.0, 2.0], 4, 0, id="the data may begin late"),
        pytest.param(0, [5.0, 1.0, 2.0], 0, 2, id="a counter that falls began anew"),
    ],
)
def test_restarts_are_counted_within_the_window(first: int, values: list[float], begins: int, restarts: int) -> None:
    assert restarts_of([strip(first, values)], WINDOW, begins).risen.sum() == restarts


@pytest.mark.parametrize(
    ("reason", "killed"),
    [
        pytest.param(strip(0, [1.0] * COUNT), [3], id="it has said so ever since, and one restart was"),
        pytest.param(strip(0, [1.0] * 4), [], id="it was said of an earlier one, and lingers for a step"),
        pytest.param(strip(3, [1.0] * 4), [3], id="it is said from the restart on"),
        pytest.param(strip(6, [1.0] * 4), [], id="it is said of something else, without a restart"),
    ],
)
def test_a_restart_is_an_oom_kill_where_the_last_reason_is_one_afterwards(reason: Strip, killed: list[int]) -> None:
    told = restarts_of([strip(0, [1.0, 1.0, 1.0, 2.0, 2.0, 2.0, 2.0, 2.0, 2.0])], WINDOW, 0)
    assert told.kills([reason]).tolist() == killed


def test_a_kill_right_before_the_end_or_the_pod_s_end_is_seen() -> None:
    last = restarts_of([strip(0, [1.0] * (COUNT - 1) + [2.0])], WINDOW, 0)
    assert last.kills([strip(COUNT - 1, [1.0])]).tolist() == [COUNT - 1]
    gone = restarts_of([strip(0, [1.0, 1.0, 2.0])], WINDOW, 0)
    assert gone.kills([strip(2, [1.0])]).tolist() == [2]


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


@pytest.mark.parametrize(
    ("ends", "risen", "begins", "row"),
    [
        pytest.param(strip(4, [1.0] * 8), None, 0, 4, id="a job's pod stays as it ended"),
        pytest.param(strip(4, [1.0] * 3), strip(0, [1.0] * 6 + [2.0] * 6), 0, None, id="a restart counts it already"),
        pytest.param(strip(8, [1.0] * 4), strip(0, [1.0] * 6 + [2.0] * 6), 0, 8, id="killed once more, for good"),
        pytest.param(strip(1, [1.0] * 11), None, 0, None, id="it ended before the data begins"),
        pytest.param(strip(5, [1.0] * 7), None, 4, None, id="and so it did where the data begins late"),
        pytest.param(strip(5, [np.nan] * 0), None, 0, None, id="it was never killed"),
    ],
)
def test_a_kill_that_no_restart_follows_counts_once(
    ends: Strip, risen: Strip | None, begins: int, row: int | None
) -> None:
    restarts = None if risen is None else restarts_of([risen], WINDOW, begins)
    assert ended_by_kill([ends, ends], restarts, WINDOW, begins) == row


def test_kills_of_child_processes_are_what_the_cgroups_counted_within_the_window() -> None:
    def row(container: str, cgroup: str, ago: int, value: float, job: str = "kubelet") -> dict[str, Any]:
        labels = {"namespace": "shop", "pod": "web-0", "container": container, "id": cgroup, "days_ago": str(ago)}
        return {"metric": {**labels, "job": job}, "value": [0, str(value)]}

    rows = [
        row("web", "/a", 3, 2),
        row("web", "/a", 2, 5),
        row("web", "/a", 2, 5, job="cadvisor"),  # the same, scraped twice
        row("web", "/b", 1, 1),
        row("web", "/b", 0, 4),  # another cgroup of the same container
        row("old", "/c", 3, 7),
        row("old", "/c", 0, 7),  # nothing since
        row("odd", "/d", 0, float("nan")),
    ]
    assert events_within(rows, first=3) == {("shop", "web-0", "web"): 7}
