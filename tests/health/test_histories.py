"""Whether a service is itself, told from its own history: when it is, when it is not, and when nothing can be said."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mora.domain import Window
from mora.health.histories import Condition, Floats, condition_of

STEP = timedelta(minutes=5)
DAY = 288
END = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)


def a_window(days: float) -> Window:
    return Window(END - timedelta(days=days) + STEP, END, STEP)


def daily(days: float, level: float, *, seed: int) -> Floats:
    """Use with a day's course, and a tenth of noise."""
    rows = round(days * DAY)
    course = 1 + 0.5 * np.sin(2 * np.pi * np.arange(rows) / DAY)
    found: Floats = level * course * np.random.default_rng(seed).uniform(0.9, 1.1, rows)
    return found


def metrics(days: float = 10, *, seed: int = 1) -> dict[str, Floats]:
    return {
        "cpu_cores_value": daily(days, 0.2, seed=seed),
        "mem_bytes_value": 2e8 * np.random.default_rng(seed + 1).uniform(0.98, 1.02, round(days * DAY)),
    }


def flagged(found: Condition) -> float:
    """The share of ten days that lies in events."""
    return sum(one.duration / STEP + 1 for one in found.events) / (10 * DAY)


@pytest.mark.parametrize("seed", range(5))
def test_a_service_that_goes_on_as_it_was_is_healthy(seed: int) -> None:
    found = condition_of(metrics(seed=10 * seed), a_window(10))
    assert found.state == "healthy"
    assert found.current is None
    assert flagged(found) < 0.05


def test_a_fault_that_goes_on_is_found_with_its_metric_and_since_when() -> None:
    sick = metrics()
    sick["cpu_cores_value"][-6:] = 1.5
    found = condition_of(sick, a_window(10))
    assert found.state == "abnormal"
    assert found.current is not None
    assert next(iter(found.current.metrics)) == "cpu_cores_value"
    assert END - 5 * STEP <= found.current.start <= END - 3 * STEP


def test_a_fault_that_is_over_is_marked_and_holds_nothing_up() -> None:
    once = metrics()
    once["mem_bytes_value"][-4 * DAY : -4 * DAY + 12] = 8e8
    found = condition_of(once, a_window(10))
    assert found.state == "healthy"
    begin = END - (4 * DAY - 1) * STEP
    assert any(one.start <= begin + 2 * STEP and one.end >= begin + 9 * STEP for one in found.events)


def test_an_event_is_over_some_time_after_the_service_is_itself_again() -> None:
    sick = metrics()
    sick["cpu_cores_value"][-28:-24] = 1.5
    assert condition_of(sick, a_window(10)).state == "healthy"


def test_what_lasts_longer_than_a_day_is_the_new_normal() -> None:
    moved = metrics()
    moved["cpu_cores_value"][-2 * DAY :] += 1.0
    assert condition_of(moved, a_window(10)).state == "healthy"
    moved = metrics()
    moved["cpu_cores_value"][-DAY // 2 :] += 1.0
    assert condition_of(moved, a_window(10)).state == "abnormal"


def test_nothing_is_called_healthy_without_data() -> None:
    for days in (0.5, 1.5):
        assert condition_of(metrics(days), a_window(days)).state == "unknown"
    gone = {name: np.concatenate([values[:-DAY], np.full(DAY, np.nan)]) for name, values in metrics().items()}
    assert condition_of(gone, a_window(10)).state == "unknown"
    nothing = {name: np.full(10 * DAY, np.nan) for name in metrics()}
    assert condition_of(nothing, a_window(10)).state == "unknown"


def test_a_metric_that_is_not_known_leaves_the_others() -> None:
    sick = metrics()
    sick["throttled_ratio"] = np.full(10 * DAY, np.nan)
    sick["cpu_cores_value"][-6:] = 1.5
    assert condition_of(sick, a_window(10)).state == "abnormal"


def test_a_metric_that_never_moves_and_gaps_are_no_fault() -> None:
    still = {"cpu_cores_value": np.full(10 * DAY, 0.1), "mem_bytes_value": np.full(10 * DAY, 1e8)}
    assert condition_of(still, a_window(10)).state == "healthy"
    still["mem_bytes_value"][-6:] = 3e8
    moved = condition_of(still, a_window(10)).current
    assert moved is not None
    assert next(iter(moved.metrics)) == "mem_bytes_value"
    holed = metrics()
    for values in holed.values():
        values[np.random.default_rng(3).random(10 * DAY) < 0.3] = np.nan
    assert condition_of(holed, a_window(10)).state == "healthy"


@settings(max_examples=15, deadline=None)
@given(factor=st.floats(1e-3, 1e3), hours=st.integers(0, 6))
def test_the_unit_changes_no_verdict(factor: float, hours: int) -> None:
    sick = metrics()
    sick["cpu_cores_value"][10 * DAY - 12 * hours :] *= 4
    scaled = {name: values * factor for name, values in sick.items()}
    plain, other = condition_of(sick, a_window(10)), condition_of(scaled, a_window(10))
    assert plain.state == other.state
    if plain.current is not None and other.current is not None:
        assert (plain.current.start, plain.current.end) == (other.current.start, other.current.end)
