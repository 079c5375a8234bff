from __future__ import annotations

import copy
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import mora.bounds.packing
from mora.bounds.packing import packed, unpacked
from mora.bounds.state import BoundsState
from mora.domain import Target
from mora.errors import BadDataset, StaleAnswer
from tests.bounds.test_state import DAY, FLEET, HOUR, PER_DAY, QUARTER, assert_same, state

SERIES = FLEET[[0, 1, 4, 5, 6, 7, 8]]


def used(target: Target, horizon: int, *, until: int = 9 * PER_DAY + 1) -> BoundsState:
    found = state(target, horizon, series=len(SERIES))
    found.take(SERIES[:, :until])
    return found


@pytest.mark.parametrize("target", [Target.CPU, Target.MEMORY])
@pytest.mark.parametrize("horizon", [DAY, HOUR, QUARTER])
def test_a_state_that_is_written_after_every_renewal_stays_within_half_a_per_cent(target: Target, horizon: int) -> None:
    stays = used(target, horizon)
    written = copy.deepcopy(stays)
    for at in range(9 * PER_DAY + 1, 9 * PER_DAY + 40, 3):
        written = unpacked(packed(written))
        for one in (stays, written):
            one.take(SERIES[:, at : at + 3])
        np.testing.assert_allclose(written.bounds().requests, stays.bounds().requests, rtol=0.005)
        np.testing.assert_allclose(written.bounds().confidence, stays.bounds().confidence, rtol=0.005)
    assert max(len(one) for one in packed(written)) < 20_000


@pytest.mark.parametrize("target", [Target.CPU, Target.MEMORY])
def test_what_is_written_again_without_new_samples_is_the_same(target: Target) -> None:
    once = packed(used(target, DAY))
    twice = packed(unpacked(once))
    assert packed(unpacked(twice)) == twice
    assert_same(unpacked(once).bounds(), unpacked(twice).bounds())


def test_series_are_put_together_as_is_liked() -> None:
    parts = packed(used(Target.CPU, DAY))
    alone = [unpacked([one]).bounds() for one in parts]
    other = unpacked(parts[::-1]).bounds()
    np.testing.assert_allclose(other.requests, [one.requests[0] for one in alone[::-1]], rtol=1e-9)


def test_memory_is_never_below_the_peak_of_its_last_seven_days() -> None:
    found = used(Target.MEMORY, DAY)
    for at in range(9 * PER_DAY + 1, 10 * PER_DAY, 7):
        found = unpacked(packed(found))
        found.take(SERIES[:, at : at + 7])
        week = SERIES[:, max(0, at + 7 - 7 * PER_DAY) : at + 7]
        peaks = np.nanmax(np.concatenate([week, np.zeros((len(week), 1))], axis=1), axis=1)
        known = ~np.isnan(found.bounds().requests)
        assert (found.bounds().requests[known] >= peaks[known]).all()


def test_a_state_that_saw_nothing_is_written_and_read() -> None:
    found = unpacked(packed(state(Target.CPU, DAY, series=2, next_sample=7)))
    assert (found.next_sample, len(found)) == (7, 2)
    assert np.isnan(found.bounds().requests).all()


def test_another_rule_s_state_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    written = packed(used(Target.CPU, HOUR, until=8))
    monkeypatch.setattr(mora.bounds.packing, "rule_digest", lambda: b"?" * 16)
    with pytest.raises(StaleAnswer, match="another version of MOrA's rule") as refused:
        unpacked(written)
    assert refused.value.hint == "Build it again from history."


def test_states_of_several_moments_are_not_mixed() -> None:
    with pytest.raises(BadDataset, match="several targets, steps, horizons or moments"):
        unpacked([packed(used(Target.CPU, HOUR, until=until))[0] for until in (8, 12)])


@settings(max_examples=60, deadline=None)
@given(at=st.integers(0, 10_000), byte=st.integers(0, 255), cut=st.booleans())
def test_damaged_bytes_are_refused_and_never_believed(at: int, byte: int, cut: bool) -> None:
    whole = WRITTEN[0]
    at %= len(whole)
    damaged = whole[:at] if cut else whole[:at] + bytes([byte]) + whole[at + 1 :]
    if damaged == whole:
        return
    with pytest.raises(BadDataset, match="damaged"):
        unpacked([damaged])


def test_bytes_that_another_hand_compressed_are_refused() -> None:
    head = WRITTEN[0][: mora.bounds.packing._HEAD.size]
    for body in (b"", b"\x01" * 50, b"\xff" * 200_000):
        written = head + zlib.compress(body)
        with pytest.raises(BadDataset, match="damaged"):
            unpacked([written + zlib.crc32(written).to_bytes(4, "little")])


WRITTEN = packed(used(Target.CPU, HOUR, until=2 * PER_DAY))
