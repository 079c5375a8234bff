"""What counters of restarts tell, made by hand: what happened before the window does not count."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from mora.domain import Window
from mora.sources.prometheus.matrix import Strip
from mora.sources.prometheus.restarts import crash_loop, ended_by_kill, events_within, restarts_of

START = datetime(2026, 11, 1, tzinfo=UTC)
STEP = timedelta(minutes=5)
WINDOW = Window(START, START + 11 * STEP, STEP)
COUNT = WINDOW.sample_count


def strip(first: int, values: list[float]) -> Strip:
    kept = np.array(values[: COUNT - first], dtype=np.float64)
    return Strip({}, slice(first, first + len(kept)), kept)


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


@pytest.mark.parametrize(
    ("per_day", "days", "expected"),
    [
        pytest.param(1, 14, None, id="once a day is no loop"),
        pytest.param(4, 1, None, id="a bad day is none"),
        pytest.param(6, 1, (6, timedelta(days=1)), id="six within the last day are"),
        pytest.param(3, 7, (21, timedelta(days=7)), id="three a day, all week"),
        pytest.param(0, 14, None, id="no restart"),
    ],
)
def test_a_crash_loop_is_many_restarts_of_one_pod_lately(
    per_day: int, days: int, expected: tuple[int, timedelta] | None
) -> None:
    window = Window(START, START + timedelta(days=14), timedelta(minutes=5))
    crashes = np.zeros(window.sample_count, dtype=np.intp)
    for day in range(days):
        for number in range(per_day):
            crashes[-1 - day * 288 - 20 * number] = 1
    found = crash_loop("web-0", "web", crashes, window)
    assert (None if found is None else (found.restarts, found.span)) == expected


def test_a_crash_loop_that_ended_last_week_is_over() -> None:
    window = Window(START, START + timedelta(days=14), timedelta(minutes=5))
    crashes = np.zeros(window.sample_count, dtype=np.intp)
    crashes[: 6 * 288 : 10] = 1
    assert crash_loop("web-0", "web", crashes, window) is None
