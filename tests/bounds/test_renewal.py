from __future__ import annotations

import zlib

import numpy as np
import pytest

import mora.bounds.packing
from mora.bounds.packing import _HEAD, _SUM
from mora.bounds.renewal import _SEEN, Renewed, renewed
from mora.bounds.ticks import Floats
from mora.domain import Target
from mora.errors import BadDataset, StaleAnswer
from tests.bounds.test_state import DAY, FLEET, HOUR, PER_DAY, STEP

SERIES = FLEET[[0, 4, 7]]
NOW, LATER = 8 * PER_DAY, 8 * PER_DAY + 5
BEGUN = (False,) * 3


def renew(values: Floats, kept: Renewed | None, first_sample: int = 0, horizon: int = DAY) -> Renewed:
    return renewed(
        values,
        (None,) * len(values) if kept is None else kept.kept,
        target=Target.CPU,
        first_sample=first_sample,
        step_seconds=STEP,
        horizon_seconds=horizon,
    )


BEFORE = renew(SERIES[:, :NOW], None)


def test_what_follows_is_taken_and_gives_the_bounds_of_the_whole_history() -> None:
    found, whole = renew(SERIES[:, :LATER], BEFORE), renew(SERIES[:, :LATER], None)
    assert (BEFORE.went_on, whole.went_on, found.went_on) == (BEGUN, BEGUN, (True,) * 3)
    np.testing.assert_allclose(found.bounds.requests, whole.bounds.requests, rtol=0.005)
    np.testing.assert_allclose(found.bounds.confidence, whole.bounds.confidence, rtol=0.005)


def test_a_history_that_begins_later_than_before_is_gone_on_with() -> None:
    found = renew(SERIES[:, 2 * PER_DAY : LATER], BEFORE, first_sample=2 * PER_DAY)
    assert found.went_on == (True,) * 3
    np.testing.assert_allclose(found.bounds.requests, renew(SERIES[:, :LATER], None).bounds.requests, rtol=0.005)


def test_nothing_new_changes_nothing() -> None:
    again = renew(SERIES[:, :NOW], BEFORE)
    assert again.went_on == (True,) * 3
    np.testing.assert_allclose(again.bounds.requests, BEFORE.bounds.requests, rtol=0.005)


@pytest.mark.parametrize("changed", ["a late sample", "a sample that is gone", "a time range that is left out"])
def test_a_series_whose_past_is_another_one_begins_anew_alone(changed: str) -> None:
    values = SERIES[:, :LATER].copy()
    at = int(np.flatnonzero(~np.isnan(values[1]))[-30])
    if changed == "a late sample":
        values[1, at] *= 2
    elif changed == "a sample that is gone":
        values[1, at] = np.nan
    else:
        values[1, at - 20 : at] = np.nan
    found = renew(values, BEFORE)
    assert found.went_on == (True, False, True)
    assert found.bounds.requests[1] == renew(values, None).bounds.requests[1]


def test_a_clock_that_jumps_back_and_a_history_that_does_not_reach_back_begin_anew() -> None:
    assert renew(SERIES[:, : NOW - 1], BEFORE).went_on == BEGUN
    first = NOW - PER_DAY
    assert renew(SERIES[:, first:LATER], BEFORE, first_sample=first).went_on == BEGUN
    assert renew(SERIES[:, NOW + 1 :], BEFORE, first_sample=NOW + 1).went_on == BEGUN


def test_what_is_of_another_rule_or_horizon_or_damaged_begins_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    assert renew(SERIES[:, :LATER], BEFORE, horizon=HOUR).went_on == BEGUN
    one = BEFORE.kept[0]
    damaged = Renewed(BEFORE.bounds, (one[:-9], b"", one[:40] + b"?" + one[41:]), ())
    found = renew(SERIES[[0, 0, 0], :LATER], damaged)
    assert found.went_on == BEGUN
    assert [type(problem) for problem in found.refused] == [BadDataset]
    assert renew(SERIES[:, :LATER], BEFORE).refused == ()
    monkeypatch.setattr(mora.bounds.packing, "rule_digest", lambda: b"?" * 16)
    found = renew(SERIES[:, :LATER], BEFORE)
    assert found.went_on == BEGUN
    assert [type(problem) for problem in found.refused] == [StaleAnswer]


def test_bytes_that_are_whole_and_of_nothing_begin_anew() -> None:
    """Checksums hold, and what they are of cannot be read: forged, or of a broken writer."""
    one = BEFORE.kept[0]
    head = _SEEN.size + _HEAD.size
    body = zlib.compress(zlib.decompress(one[head : -_SUM.size])[:-8])
    written = one[_SEEN.size : head] + body
    forged = one[: _SEEN.size] + written + _SUM.pack(zlib.crc32(written))
    found = renew(SERIES[:1, :LATER], Renewed(BEFORE.bounds, (forged,), ()))
    assert found.went_on == (False,)
    assert [type(problem) for problem in found.refused] == [BadDataset]
    assert found.bounds.requests[0] == renew(SERIES[:1, :LATER], None).bounds.requests[0]
