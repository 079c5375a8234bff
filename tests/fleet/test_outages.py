"""Outages of a dependency: what must be known of one, and what stays where a part of it is missing."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mora.domain import FailingCalls, ImageUse, Recommendation, Window, Workload
from mora.fleet.certain import causes_of
from mora.fleet.outages import outages_of
from mora.fleet.settings import FleetSettings
from mora.fleet.stream import stream
from mora.quantities import MIB
from tests.fleet.making import (
    AT_ONCE,
    DAY,
    SAMPLES,
    WINDOW,
    codes,
    container_history,
    history,
    state,
    steady,
    words,
)

HOUR = 12
BEGIN = SAMPLES - 1 - 3 * DAY
END = BEGIN + 8


def calls(begin: int = BEGIN, end: int = END, *, share: float = 1.0, **fields: Any) -> FailingCalls:
    """Calls to cart that failed in rows begin..end (end excluded), while requests came in as ever."""
    failed = np.zeros(SAMPLES)
    failed[begin:end] = share
    given: dict[str, Any] = {"failed": failed, "requests": steady(50.0, seed=3)}
    return FailingCalls("cart", **(given | fields))


def changed(values: Any, rows: slice, value: float) -> Any:
    values = np.array(values)
    values[rows] = value
    return values


class Mesh:
    """A source that tells of failing calls."""

    def __init__(self, *known: FailingCalls) -> None:
        self.known, self.asked = known, 0

    def images(self, workload: Workload, window: Window) -> tuple[ImageUse, ...]:
        raise AssertionError("nobody's memory rose to an OOM kill")

    def failing_calls(self, workload: Workload, window: Window) -> tuple[FailingCalls, ...]:
        self.asked += 1
        return self.known


def sized(source: Mesh, settings: FleetSettings) -> Recommendation:
    memory = changed(steady(200 * MIB, seed=2), slice(BEGIN, END), 450.0 * MIB)
    seen = container_history(mem_bytes=memory)
    (advice,) = stream([state()], [history(seen)], WINDOW, settings, causes=causes_of(source))
    return advice


def test_what_callers_used_in_an_outage_is_left_out_with_its_cause_and_both_numbers() -> None:
    source = Mesh(calls())
    whole, less = sized(source, AT_ONCE), sized(source, replace(AT_ONCE, certain=True))
    assert source.asked == 1, "asked only where certain causes are asked for"
    assert (less.main.memory_request.value or 0) < 0.7 * (whole.main.memory_request.value or 0)
    assert f"left in it would be {(whole.main.memory_request.value or 0) // MIB}Mi" in words(less.main.memory_request)
    assert "100% of the calls to cart failed for 40m, and none or few in the hour before and after" in words(less)
    assert "requests/s came in meanwhile, as usual" in words(less)
    assert "incidents-left-out" not in codes(whole)


ODD = [
    pytest.param(calls(share=0.4), id="fewer than half failed"),
    pytest.param(calls(end=BEGIN + 1), id="a moment only"),
    pytest.param(calls(requests=changed(steady(50.0), slice(BEGIN + 2, BEGIN + 3), 80.0)), id="more load than usual"),
    pytest.param(calls(requests=changed(steady(50.0), slice(BEGIN, END), 0.0)), id="no load"),
    pytest.param(calls(requests=changed(steady(50.0), slice(BEGIN, END), np.nan)), id="load not known"),
    pytest.param(calls(requests=np.full(SAMPLES, np.nan)), id="no load known at all"),
    pytest.param(calls(SAMPLES - 8, SAMPLES), id="not ended"),
    pytest.param(calls(SAMPLES - 12, SAMPLES - 4), id="ended a moment ago"),
    pytest.param(calls(0, 8), id="began before the history"),
    pytest.param(calls(failed=changed(calls().failed, slice(END, END + 11), 0.3)), id="not well after it"),
    pytest.param(calls(failed=changed(calls().failed, slice(BEGIN - 11, BEGIN), 0.3)), id="not well before it"),
    pytest.param(calls(failed=changed(calls().failed, slice(END, END + 11), np.nan)), id="no calls after it"),
    pytest.param(calls(BEGIN, BEGIN + DAY), id="out for a day of fourteen"),
    pytest.param(calls(failed=np.full(SAMPLES, np.nan)), id="no calls"),
]


@pytest.mark.parametrize("odd", ODD)
def test_where_a_part_is_missing_nothing_is_left_out(odd: FailingCalls) -> None:
    assert outages_of(odd, WINDOW) == []


def test_an_outage_with_a_short_recovery_in_it_is_one() -> None:
    odd = calls(failed=changed(calls(end=BEGIN + 12).failed, slice(BEGIN + 5, BEGIN + 6), 0.1))
    ((span, text),) = outages_of(odd, WINDOW)
    assert span.end - span.start == 13 * WINDOW.step
    assert "failed for 1h" in text


@given(begin=st.integers(0, SAMPLES - 1), long=st.integers(1, DAY), share=st.floats(0, 1))
def test_what_is_left_out_lies_around_calls_that_failed_for_the_most_part(begin: int, long: int, share: float) -> None:
    one = calls(begin, begin + long, share=share)
    for span, _ in outages_of(one, WINDOW):
        first, last = (round((at - WINDOW.start) / WINDOW.step) for at in (span.start, span.end))
        assert (one.failed[first + 1 : last] >= 0.5).all()
        assert share >= 0.5
        assert HOUR <= begin <= SAMPLES - HOUR - long
