"""Figures from what Locust recorded."""

from __future__ import annotations

import json
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mora.harness.record import LoadRecord, Second, percentile_seconds

START = datetime(2026, 11, 1, 12, 0, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def record(requests: list[int], *, milliseconds: float = 20.0, late: float = 0.003, failures: int = 0) -> LoadRecord:
    """A record with so many requests in each second; in the n-th line, those between n - 1 and n."""
    totals = [sum(requests[: n + 1]) for n in range(len(requests))]
    return LoadRecord(
        [
            Second(at(n + late).timestamp(), 5, total, failures * n, Counter({milliseconds: requests[n]}))
            for n, total in enumerate(totals)
        ]
    )


def test_figures_cover_exactly_the_seconds_of_the_time_range() -> None:
    seconds = record([1000, 1000, 10, 20, 30, 1000])
    figures = seconds.figures(at(1), at(4))
    assert figures is not None
    assert figures.requests == 60
    assert figures.requests_per_second == pytest.approx(20)
    assert figures.latency_p95_seconds == 0.02


@pytest.mark.parametrize("late", [0.0, 0.003, 0.3, -0.01])
def test_a_line_belongs_to_the_nearest_second(late: float) -> None:
    figures = record([0, 10, 20, 40], late=late).figures(at(1), at(3))
    assert figures is not None
    assert figures.requests == 60


def test_a_time_range_before_the_record_has_no_figures() -> None:
    assert record([0, 10, 20]).figures(at(-5), at(2)) is None
    assert LoadRecord([]).figures(at(0), at(1)) is None


def test_a_load_that_got_no_answer_has_no_latency_and_no_error_ratio() -> None:
    figures = record([0, 0, 0, 0]).figures(at(0), at(3))
    assert figures is not None
    assert figures.requests_per_second == 0
    assert figures.latency_p99_seconds is None
    assert figures.error_ratio is None


@pytest.mark.parametrize(("late", "second"), [(0.0, 2), (0.02, 2), (0.3, 3)])
def test_all_users_run_from_the_first_second_that_says_so(late: float, second: int) -> None:
    lines = [Second(at(n + late).timestamp(), users, 0, 0, Counter()) for n, users in enumerate((0, 3, 5, 5))]
    assert LoadRecord(lines).reached(5) == at(second)
    assert LoadRecord(lines).reached(6) is None


def test_columns_cover_the_rate_window_before_each_sample() -> None:
    columns = record([0, 10, 10, 10, 40, 40], failures=1).columns([at(3), at(5)], timedelta(seconds=2))
    assert columns["requests_per_second"].tolist() == pytest.approx([10, 40])
    assert columns["error_ratio"].tolist() == pytest.approx([0.1, 0.025])
    assert columns.index[0] == at(3)
    before = record([0, 10]).columns([at(0)], timedelta(seconds=2))
    assert before.isna().all(axis=None)


@given(st.dictionaries(st.floats(0.1, 1e5), st.integers(1, 50), min_size=1), st.floats(0.01, 1.0))
def test_a_percentile_is_the_smallest_time_that_covers_its_share(times: dict[float, int], level: float) -> None:
    counts = Counter(times)
    value = percentile_seconds(counts, level)
    assert value is not None
    everyone = sorted(counts.elements())
    covered = sum(t <= value * 1000 + 1e-6 for t in everyone)
    below = sum(t < value * 1000 - 1e-6 for t in everyone)
    assert covered >= level * len(everyone) - 1e-6 > below - 1e-3
    assert percentile_seconds(Counter(), level) is None


# --- how Locust itself did -------------------------------------------------------------------------------------------


def line(n: int, *, late: dict[float, int], cpu: float | None, waited: float | None) -> dict[str, object]:
    """A line of the recorder, n seconds after the start."""
    own = {"late_milliseconds": late, "cpu_seconds": cpu, "waited_seconds": waited}
    return {"time": at(n + 0.01).timestamp(), "users": 1, "requests": 0, "failures": 0, "milliseconds": {}, **own}


def write(path: Path, lines: list[dict[str, object]]) -> None:
    path.write_text("".join(json.dumps(one) + "\n" for one in lines))


def test_how_late_locust_was_covers_exactly_the_seconds_of_the_time_range(tmp_path: Path) -> None:
    late = [{900.0: 9}, {900.0: 9}, {2.0: 19, 80.0: 1}, {2.0: 19, 80.0: 2}]
    write(tmp_path / "r", [line(n, late=one, cpu=0.5 * n, waited=0.1 * n) for n, one in enumerate(late)])
    loop = LoadRecord.read(tmp_path / "r").loop(at(1), at(3))
    assert loop is not None
    assert loop.late_p95_seconds == 0.08
    assert loop.cpu_cores == pytest.approx(0.5)
    assert loop.waited_cores == pytest.approx(0.1)
    assert LoadRecord.read(tmp_path / "r").loop(at(-5), at(3)) is None


def test_what_the_kernel_does_not_say_is_not_known(tmp_path: Path) -> None:
    write(tmp_path / "r", [line(n, late={}, cpu=None, waited=None) for n in range(3)])
    loop = LoadRecord.read(tmp_path / "r").loop(at(0), at(2))
    assert loop is not None
    assert (loop.late_p95_seconds, loop.cpu_cores, loop.waited_cores) == (None, None, None)


def test_workers_on_this_machine_count_with_their_master(tmp_path: Path) -> None:
    write(tmp_path / "r", [line(n, late={1.0: 50}, cpu=0.1 * n, waited=0.0) for n in range(3)])
    for pid in (7, 8):
        write(tmp_path / f"r.{pid}", [line(n, late={90.0: 50}, cpu=0.4 * n, waited=0.2 * n) for n in range(3)])
    loop = LoadRecord.read(tmp_path / "r").loop(at(0), at(2))
    assert loop is not None
    assert loop.late_p95_seconds == 0.09
    assert loop.cpu_cores == pytest.approx(0.9)
    assert loop.waited_cores == pytest.approx(0.4)
