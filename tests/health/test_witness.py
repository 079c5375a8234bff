"""Which abnormal times may be left out of sizing without a person, part by part."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mora.health.witness import Flags, Parts, Rows, Signs, left_out

STEP = timedelta(minutes=5)
DAY = 288
ROWS = 10 * DAY
EVENT: Rows = (5 * DAY, 5 * DAY + 24)


def usual(seed: int = 1) -> Signs:
    """Ten days of work and of the CPU that it takes."""
    work = 100 * np.random.default_rng(seed).uniform(0.5, 1.5, ROWS)
    return Signs(cpu=work / 500, work=work)


def with_hog(event: Rows = EVENT) -> Signs:
    signs = usual()
    signs.cpu[slice(*event)] += 2.0
    return signs


def rows_of(flags: Flags) -> Rows:
    rows = np.flatnonzero(flags)
    return int(rows[0]), int(rows[-1]) + 1


def test_cpu_that_no_work_explains_is_left_out() -> None:
    found = left_out([EVENT], with_hog(), STEP)
    assert rows_of(found) == EVENT


def test_what_rose_with_the_load_stays() -> None:
    signs = usual()
    work = np.array(signs.work)
    work[slice(*EVENT)] *= 10
    busy = Signs(cpu=work / 500, work=work)
    assert not left_out([EVENT], busy, STEP).any()
    dear = replace(busy, cpu=np.where(np.arange(ROWS) // 24 == EVENT[0] // 24, 3 * busy.cpu, busy.cpu))
    assert not left_out([EVENT], dear, STEP).any()  # dear, and busier than ever: it may be the load


def test_only_what_a_detector_flags_is_left_out() -> None:
    assert not left_out([], with_hog(), STEP).any()


def test_without_a_witness_nothing_is_left_out_unless_that_part_is_off() -> None:
    alone = replace(with_hog(), work=None)
    assert not left_out([EVENT], alone, STEP).any()
    assert rows_of(left_out([EVENT], alone, STEP, parts=Parts(witness=False))) == EVENT


def test_an_event_that_goes_on_stays() -> None:
    now = (ROWS - 12, ROWS)
    assert not left_out([now], with_hog(now), STEP).any()
    assert rows_of(left_out([now], with_hog(now), STEP, parts=Parts(ended=False))) == now


def test_what_recurs_at_its_time_of_day_stays() -> None:
    again = (EVENT[0] - 3 * DAY + 6, EVENT[1] - 3 * DAY)
    signs = with_hog()
    signs.cpu[slice(*again)] += 2.0
    assert not left_out([again, EVENT], signs, STEP).any()
    elsewhere = (EVENT[0] - 3 * DAY + 100, EVENT[1] - 3 * DAY + 100)
    signs = with_hog()
    signs.cpu[slice(*elsewhere)] += 2.0
    assert left_out([elsewhere, EVENT], signs, STEP)[slice(*EVENT)].all()


def test_what_lasts_longer_than_a_day_stays() -> None:
    long = (4 * DAY, 5 * DAY + 30)
    assert not left_out([long], with_hog(long), STEP).any()


def test_enough_of_the_history_remains() -> None:
    flagged = Parts(witness=False)
    event = (100, 100 + DAY - 10)
    assert left_out([event], usual(), STEP, parts=flagged).any()
    tight = Signs(usual().cpu[: DAY + 200])
    assert not left_out([event], tight, STEP, parts=flagged).any()
    assert left_out([event], tight, STEP, parts=replace(flagged, remaining=False)).any()


def test_a_leak_is_left_out_up_to_its_kill_and_memory_asks_for_no_other_witness() -> None:
    kills = np.zeros(ROWS)
    kills[EVENT[1] - 4] = 1
    leak = replace(usual(), kills=kills)
    assert rows_of(left_out([EVENT], leak, STEP, of_memory=True)) == (EVENT[0], EVENT[1] - 3)
    assert not left_out([EVENT], with_hog(), STEP, of_memory=True).any()


@pytest.mark.parametrize("name", ["errors", "latency"])
def test_errors_and_latency_without_load_are_witnesses(name: str) -> None:
    values = np.random.default_rng(3).uniform(0.01, 0.02, ROWS)
    values[slice(*EVENT)] = 0.5
    assert rows_of(left_out([EVENT], replace(usual(), **{name: values}), STEP)) == EVENT


def test_what_is_not_known_witnesses_nothing() -> None:
    nothing = np.full(ROWS, np.nan)
    signs = Signs(with_hog().cpu, work=nothing, errors=nothing, latency=nothing, kills=nothing)
    assert not left_out([EVENT], signs, STEP).any()
    idle = Signs(with_hog().cpu, work=np.zeros(ROWS))
    assert not left_out([EVENT], idle, STEP).any()


@given(first=st.integers(0, ROWS - 1), length=st.integers(1, 2 * DAY), seed=st.integers(0, 9), of_memory=st.booleans())
def test_never_more_than_what_is_flagged_and_never_most_of_the_history(
    first: int, length: int, seed: int, of_memory: bool
) -> None:
    event = (first, min(first + length, ROWS))
    signs = usual(seed)
    signs.cpu[slice(*event)] *= 4
    found = left_out([event], signs, STEP, of_memory=of_memory)
    outside = found.copy()
    outside[slice(*event)] = False
    assert not outside.any()
    assert found.sum() <= DAY
