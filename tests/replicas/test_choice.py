"""The choice saves where it can, keeps to the budget of minutes over, and says what it rests on."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from mora.replicas import PLAIN, Setting, choice, choose, simulate

START = datetime(2026, 11, 2, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
DAY = 1440


def daily(days: int, *, noise: float = 0.3, seed: int = 0) -> np.ndarray:
    minute = np.arange(days * DAY)
    return np.clip(
        4.0 + 3.0 * np.sin(2 * np.pi * minute / DAY) + np.random.default_rng(seed).normal(0, noise, days * DAY), 0, None
    )


def test_it_saves_on_what_took_no_part_in_it_at_no_more_minutes_over() -> None:
    demand, setting = daily(6), Setting(MINUTE)
    found = choose(demand, START, setting)
    assert found.rejected is None
    assert found.held_out.pod_hours < 0.9
    assert found.held_out.span == timedelta(days=2)
    # The figures are those of the last third, replayed.
    plain, chosen = simulate(demand, [PLAIN, found.scaler], setting)
    last = slice(4 * DAY, None)
    assert found.held_out.pod_hours == pytest.approx(chosen.pod_hours(MINUTE, last) / plain.pod_hours(MINUTE, last))
    assert found.held_out.over == chosen.over(demand, last)
    assert found.held_out.plain_over == plain.over(demand, last)
    assert (found.least, found.most) == (chosen.pods.min(), chosen.pods.max())


def test_an_hpa_alone_gets_no_smoothing_and_no_schedule() -> None:
    found = choose(daily(4), START, Setting(MINUTE), may_smooth=False)
    assert found.scaler.is_plain
    assert found.floors == ()
    assert found.held_out.pod_hours < 1.0


def test_what_does_not_hold_later_is_rejected_and_said_so() -> None:
    # Calm as long as it is chosen; then jumps that only room to spare carries.
    calm = np.full(2 * DAY, 3.45)
    wild = np.tile(np.repeat([3.45, 4.9], 15), DAY // 30)
    found = choose(np.concatenate([calm, wild]), START, Setting(MINUTE))
    assert found.rejected is not None
    assert found.rejected.over > found.rejected.plain_over or found.rejected.pod_hours >= 1
    assert found.scaler == PLAIN
    assert found.held_out.pod_hours == 1.0


def test_pods_that_start_slowly_get_a_schedule_where_the_day_is_known() -> None:
    minute = np.arange(11 * DAY)
    level = np.where((minute % DAY >= 8 * 60) & (minute % DAY < 18 * 60), 6.0, 2.0)
    demand = np.clip(level + np.random.default_rng(0).normal(0, 1, len(level)), 0.1, None)
    found = choose(demand, START, Setting(MINUTE, timedelta(minutes=10)))
    assert found.floors, "only a schedule is ahead of the jump at eight"
    assert 8 * 60 - 10 in [floor.start for floor in found.floors]
    assert found.held_out.pod_hours < 0.9
    assert found.held_out.over < found.held_out.plain_over


def test_minimum_and_maximum_are_kept() -> None:
    found = choose(daily(4), START, Setting(MINUTE, least=3, most=6))
    assert found.least >= 3
    assert found.most <= 6


def test_a_target_that_pods_at_their_limit_never_reach_is_not_chosen() -> None:
    # Steady, so that the highest target is the cheapest.
    demand = np.full(2 * DAY, 9.3)
    free, limited = (
        choose(demand, START, Setting(MINUTE, limit=limit), may_smooth=False).scaler for limit in (np.inf, 1.0)
    )
    assert free.target * 1.1 > 1.0
    assert limited.target * 1.1 < 1.0


def test_what_the_schedule_asks_for_at_every_hour_is_the_minimum(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choice, "PLAIN_ONES", (PLAIN,))
    monkeypatch.setattr(choice, "SMOOTHED", choice.SMOOTHED[::20])
    minute = np.arange(0, 11 * DAY, 5)
    level = np.where((minute % DAY >= 8 * 60) & (minute % DAY < 18 * 60), 8.0, 4.0)
    demand = np.clip(level + np.random.default_rng(0).normal(0, 1, len(level)), 0.1, None)
    found = choose(demand, START, Setting(5 * MINUTE, timedelta(minutes=10)))
    assert found.floors
    assert all(found.least < floor.pods for floor in found.floors)
    assert all(floor.end - floor.start < DAY for floor in found.floors)
