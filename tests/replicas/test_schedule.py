"""The schedule of a history: which hours, which days, and how early."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np

from mora.domain import Floor
from mora.replicas.schedule import WEEKEND, WORKING_DAYS, always, at_samples, floors_of, levels

MONDAY = datetime(2026, 11, 2, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
DAY = 1440


def office_hours(days: int = 14) -> np.ndarray:
    """One pod's worth of work, and four from 8 to 18 on working days."""
    minute = np.arange(days * DAY)
    is_busy = (minute % DAY >= 8 * 60) & (minute % DAY < 18 * 60) & (minute // DAY % 7 < 5)
    return np.where(is_busy, 3.7, 0.9)


def test_working_hours_become_one_span_that_begins_early() -> None:
    level = levels(office_hours(), MONDAY, MINUTE, 0.95)
    assert floors_of(level, timedelta(seconds=90), 1) == (Floor(WORKING_DAYS, 8 * 60 - 2, 18 * 60, 4),)


def test_days_that_are_alike_share_their_spans() -> None:
    demand = np.tile(office_hours(1), 14)
    spans = floors_of(levels(demand, MONDAY, MINUTE, 0.5), MINUTE, 1)
    assert spans == (Floor((*WORKING_DAYS, *WEEKEND), 8 * 60 - 1, 18 * 60, 4),)


def test_a_span_at_midnight_begins_on_the_evening_before() -> None:
    level = np.ones((2, 24))
    level[:, :2] = 3.0
    assert floors_of(level, MINUTE, 1)[0].start == -1


def test_a_span_of_whole_days_is_one() -> None:
    level = np.array([np.full(24, 2.0), np.full(24, 3.0)])
    assert floors_of(level, MINUTE, 1) == (Floor((0,), -1, 5 * DAY, 2), Floor((5,), -1, 2 * DAY, 3))
    assert always(level) == 2
    assert floors_of(level, MINUTE, always(level)) == (Floor((5,), -1, 2 * DAY, 3),)


def test_hours_that_are_not_known_ask_for_nothing() -> None:
    level = levels(np.full(DAY, np.nan), MONDAY, MINUTE, 0.5)
    assert np.isnan(level).all()
    assert floors_of(level, MINUTE, 1) == ()
    assert (at_samples(level, 10, MONDAY, MINUTE, MINUTE) == 0).all()


def test_no_day_has_more_spans_than_somebody_reads() -> None:
    level = np.random.default_rng(1).uniform(2, 9, (2, 24))
    spans = floors_of(level, MINUTE, 1)
    assert 2 <= len(spans) <= 12
    pods = at_samples(level, 7 * DAY, MONDAY, MINUTE, timedelta(0)).reshape(7, 24, 60)[:, :, 0]
    assert (pods[0] >= np.ceil(level[0])).all(), "hours are joined by the more of both"
    assert (pods[6] >= np.ceil(level[1])).all()


def test_the_samples_of_a_schedule_are_those_of_its_spans() -> None:
    rng = np.random.default_rng(0)
    level = rng.uniform(0.2, 6.0, (2, 24))
    start_up = timedelta(minutes=3)
    found = at_samples(level, 14 * DAY, MONDAY, MINUTE, start_up)
    expected = np.ones(14 * DAY)
    for floor in floors_of(level, start_up, 1):
        for week in (-1, 0, 1, 2):
            for day in floor.days:
                begin = (week * 7 + day) * DAY
                here = slice(max(begin + floor.start, 0), max(begin + floor.end, 0))
                expected[here] = np.maximum(expected[here], floor.pods)
    np.testing.assert_array_equal(np.maximum(found, 1), expected)
