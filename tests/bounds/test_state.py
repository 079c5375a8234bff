from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mora.bounds.cpu import cpu_bounds_many
from mora.bounds.memory import memory_bounds_many
from mora.bounds.state import BoundsState
from mora.bounds.ticks import Bounds, Floats
from mora.domain import Target
from mora.errors import BadInput
from tests.bounds.making import bumpy

DAY, HOUR, QUARTER = 86400, 3600, 900
STEP = 900
PER_DAY = DAY // STEP


def fleet() -> Floats:
    """Ten days of series of every kind that the arithmetic tells apart, from a third of a core to 10^9 bytes."""
    found = np.array([bumpy(days=10, step_seconds=STEP, seed=seed) * 1e3**seed for seed in range(4)])
    late, zeros, unseen = bumpy(days=10, seed=7), np.zeros(10 * PER_DAY), np.full(10 * PER_DAY, np.nan)
    late[: 5 * PER_DAY + 3] = np.nan
    woken, gone = bumpy(days=10, seed=8), bumpy(days=10, seed=9)
    woken[: 4 * PER_DAY + 1] = 0.0
    # A gap longer than the week that memory is sized on.
    gone[PER_DAY : 9 * PER_DAY] = np.nan
    return np.concatenate([found, [late, zeros, unseen, woken, gone]])


FLEET = fleet()


def state(target: Target, horizon: int, *, series: int = len(FLEET), next_sample: int = 0) -> BoundsState:
    return BoundsState(target, series, step_seconds=STEP, horizon_seconds=horizon, next_sample=next_sample)


def whole(values: Floats, target: Target, horizon: int) -> Bounds:
    """The rule on the whole history, where what is missing of the running tick is missing."""
    per_tick = min(horizon, HOUR) // STEP
    end = -(-values.shape[1] // per_tick) * per_tick
    values = np.concatenate([values, np.full((len(values), end - values.shape[1]), np.nan)], axis=1)
    rule = cpu_bounds_many if target is Target.CPU else memory_bounds_many
    found = rule(values, step_seconds=STEP, decisions=np.array([end]), horizon_seconds=horizon)
    return Bounds(found.requests[:, 0], found.confidence[:, 0])


def assert_same(found: Bounds, wanted: Bounds) -> None:
    np.testing.assert_array_equal(found.requests, wanted.requests)
    np.testing.assert_array_equal(found.confidence, wanted.confidence)


@pytest.mark.parametrize("target", [Target.CPU, Target.MEMORY])
@pytest.mark.parametrize("horizon", [DAY, HOUR, QUARTER])
@settings(max_examples=2, deadline=None)
@given(cuts=st.lists(st.integers(1, 10 * PER_DAY), min_size=1, max_size=8))
def test_a_history_in_pieces_gives_the_numbers_of_the_whole(target: Target, horizon: int, cuts: list[int]) -> None:
    found, edges = state(target, horizon), [0, *sorted(set(cuts))]
    for begin, end in pairwise(edges):
        found.take(FLEET[:, begin:end])
        # Asking changes nothing.
        found.bounds()
    assert_same(found.bounds(), whole(FLEET[:, : edges[-1]], target, horizon))


@pytest.mark.parametrize("target", [Target.CPU, Target.MEMORY])
def test_a_renewal_every_quarter_of_an_hour_gives_the_numbers_of_a_full_read(target: Target) -> None:
    begin = 9 * PER_DAY + 1
    found = state(target, DAY)
    found.take(FLEET[:, :begin])
    for at in range(begin, begin + 4):
        assert_same(found.bounds(), whole(FLEET[:, :at], target, DAY))
        found.take(FLEET[:, at : at + 1])


def test_series_that_join_later_have_the_numbers_that_they_have_alone() -> None:
    late = FLEET[:, 3 * PER_DAY + 1 :]
    found = state(Target.CPU, DAY, next_sample=3 * PER_DAY + 1)
    found.take(late)
    among = np.concatenate([np.full((len(FLEET), 3 * PER_DAY + 1), np.nan), late], axis=1)
    assert_same(found.bounds(), whole(among, Target.CPU, DAY))


def test_nothing_known_is_no_number_and_zeros_need_nothing() -> None:
    found = state(Target.CPU, DAY, series=2)
    assert np.isnan(found.bounds().requests).all()
    found.take(np.array([[np.nan], [0.0]]))
    assert np.isnan(found.bounds().requests[0])
    assert found.bounds().requests[1] == 0.0


def test_steps_that_make_no_whole_ticks_are_refused() -> None:
    for step, horizon in ((420, DAY), (HOUR, QUARTER)):
        with pytest.raises(BadInput, match="cannot be carried on") as refused:
            BoundsState(Target.CPU, 1, step_seconds=step, horizon_seconds=horizon, next_sample=0)
        assert refused.value.hint


def test_samples_of_other_series_are_refused() -> None:
    with pytest.raises(ValueError, match="samples of 2 series for a state of 3"):
        state(Target.CPU, DAY, series=3).take(np.ones((2, 4)))
