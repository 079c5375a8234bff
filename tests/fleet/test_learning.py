"""Bounds that go on from run to run are those of a run that learns all anew, at whatever minute it is asked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

import mora.bounds.packing
from mora.bounds.cpu import cpu_bounds_many
from mora.bounds.ticks import Bounds, Floats
from mora.domain import BoundSeries, KeptBound, Target, Window, Workload
from mora.fleet.learning import Learning

STEP, HOUR, DAY = timedelta(minutes=5), timedelta(hours=1), timedelta(days=1)
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
WEB = Workload("shop", "web")
SERIES = [BoundSeries(WEB, "server", Target.CPU, place) for place in range(3)]
ROWS = int(9 * DAY / STEP)
FIRST = NOON - 7 * DAY


def made() -> Floats:
    """Nine days of three series from FIRST on: a rhythm with noise, one that begins late, one with bursts and a gap."""
    rng = np.random.default_rng(4)
    day = 1 + 0.5 * np.sin(np.arange(ROWS) * 2 * np.pi * (STEP / DAY))
    use: Floats = 0.2 * day * np.exp(rng.normal(0, 0.3, (3, ROWS)))
    use[1, : ROWS // 2] = np.nan
    use[2] += np.where(rng.random(ROWS) < 0.01, 1.5, 0)
    use[2, 700:760] = np.nan
    return use


USE = made()


@dataclass
class Memory:
    """Keeps bounds as a Store does."""

    kept: dict[BoundSeries, KeptBound] = field(default_factory=dict)
    told: list[str] = field(default_factory=list)

    def bounds(
        self, workloads: Iterable[Workload], step: timedelta, horizon: timedelta
    ) -> Mapping[BoundSeries, KeptBound]:
        wanted = set(workloads)
        return {one: kept for one, kept in self.kept.items() if one.workload in wanted}

    def keep_bounds(self, found: Mapping[BoundSeries, KeptBound], step: timedelta, horizon: timedelta) -> None:
        self.kept |= found

    def tell(self, words: str) -> None:
        self.told.append(words)


def learn(
    end: datetime, keeper: Memory | None, *, start: datetime = FIRST, use: Floats = USE, horizon: timedelta = HOUR
) -> Bounds:
    learning = Learning(Window(start, end, STEP), horizon, keeper, [WEB])
    return learning.bounds(use[:, (start - FIRST) // STEP : (end - FIRST) // STEP + 1], SERIES)


def begun(keeper: Memory) -> list[float]:
    """Of each series, from when on it is learnt anew: another moment where it was just begun."""
    return [keeper.kept[one].until for one in SERIES]


def assert_close(found: Bounds, expected: Bounds) -> None:
    np.testing.assert_allclose(found.requests, expected.requests, rtol=0.005)
    np.testing.assert_allclose(found.confidence, expected.confidence, rtol=0.005)


@pytest.mark.parametrize("horizon", [HOUR, DAY, timedelta(minutes=15)])
def test_each_renewal_goes_on_and_gives_the_bounds_of_all_samples(horizon: timedelta) -> None:
    keeper = Memory()
    learn(NOON, keeper, horizon=horizon)
    lives = begun(keeper)
    for minutes in (15, 30, 40, 60, 75):
        end = NOON + timedelta(minutes=minutes)
        assert_close(learn(end, keeper, horizon=horizon), learn(end, None, horizon=horizon))
        assert begun(keeper) == lives
    assert keeper.told == []


def test_at_the_full_hour_bounds_are_those_of_the_rule_on_all_samples() -> None:
    count = (NOON - FIRST) // STEP + 1
    plain = cpu_bounds_many(
        USE[:, :count], step_seconds=300, decisions=np.array([count]), horizon_seconds=HOUR.total_seconds()
    )
    for keeper in (None, Memory()):
        found = learn(NOON, keeper)
        np.testing.assert_array_equal(found.requests, plain.requests[:, 0])
        np.testing.assert_array_equal(found.confidence, plain.confidence[:, 0])


def test_newest_samples_that_change_are_taken_again_and_older_ones_begin_anew() -> None:
    keeper, later = Memory(), NOON + timedelta(minutes=15)
    learn(NOON, keeper)
    lives, at = begun(keeper), (NOON - FIRST) // STEP
    late = USE.copy()
    late[0, at - 3] *= 3
    assert_close(learn(later, keeper, use=late), learn(later, None, use=late))
    assert begun(keeper) == lives
    late[0, at - 50] *= 3
    found, expected = learn(later + STEP, keeper, use=late), learn(later + STEP, None, use=late)
    assert_close(found, expected)
    assert found.requests[0] == expected.requests[0]
    assert begun(keeper)[1:] == lives[1:]
    assert begun(keeper)[0] != lives[0]


def test_all_are_learnt_anew_within_a_day_so_that_what_aged_out_is_forgotten() -> None:
    keeper = Memory()
    learn(NOON, keeper)
    lives = begun(keeper)
    hours = (lives[0] - NOON.timestamp()) / 3600
    assert len(set(lives)) == 1
    assert 12 <= hours <= 24
    end, start = NOON + DAY, FIRST + DAY
    np.testing.assert_array_equal(learn(end, keeper, start=start).requests, learn(end, None, start=start).requests)
    assert begun(keeper)[0] > lives[0]


@pytest.mark.parametrize("change", ["a longer history", "a clock that jumps back"])
def test_what_does_not_go_on_from_before_begins_anew(change: str) -> None:
    keeper = Memory()
    learn(NOON, keeper, start=FIRST + DAY)
    lives = begun(keeper)
    end, start = (NOON + STEP, FIRST) if change == "a longer history" else (NOON - HOUR, FIRST + DAY)
    np.testing.assert_array_equal(learn(end, keeper, start=start).requests, learn(end, None, start=start).requests)
    assert begun(keeper) != lives


def test_another_rule_s_and_damaged_ones_are_learnt_anew_and_told(monkeypatch: pytest.MonkeyPatch) -> None:
    keeper, end = Memory(), NOON + STEP
    learn(NOON, keeper)
    expected = learn(end, None)
    body = keeper.kept[SERIES[1]].body
    keeper.kept[SERIES[1]] = replace(keeper.kept[SERIES[1]], body=body[:-9])
    found = learn(end, keeper)
    assert_close(found, expected)
    assert found.requests[1] == expected.requests[1]
    (words,) = keeper.told
    assert words.startswith("What bounds of the run before rest on is damaged in part")
    keeper.told.clear()
    monkeypatch.setattr(mora.bounds.packing, "rule_digest", lambda: b"?" * 16)
    np.testing.assert_array_equal(learn(end + STEP, keeper).requests, learn(end + STEP, None).requests)
    (words,) = keeper.told
    assert words.startswith("What bounds of the run before rest on was kept by another version of MOrA's rule")


def test_where_whole_steps_make_no_tick_nothing_is_kept() -> None:
    keeper, step = Memory(), timedelta(minutes=7)
    window = Window(NOON - 300 * step, NOON, step)
    found, expected = (
        Learning(window, HOUR, one, [WEB]).bounds(USE[:, :301], SERIES).requests for one in (keeper, None)
    )
    np.testing.assert_array_equal(found, expected)
    assert keeper.kept == {}
