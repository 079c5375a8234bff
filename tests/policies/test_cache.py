"""Memory that is page cache: no raise for it, and no cut."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mora.domain import Container, Demand, Reason, Resources, TargetDemand
from mora.policies import PolicySettings, size
from mora.quantities import GIB, MIB
from tests.policies.making import codes, demand, needs

CACHE = Reason("page-cache", "2.8 GiB of up to 4 GiB in use is page cache; the kernel gives it back")


def full(less: float = 1.2 * GIB, *, oom_kills: int = 0, **fields: Any) -> Demand:
    """A working set at its limit of 4 GiB, of which `less` cannot be given back."""
    at_limit = needs(4.0 * GIB, 4.2 * GIB, 4.0 * GIB, is_limit_bound=True)
    known = needs(less, less, less, reasons=(CACHE,), takes_buffer=False)
    return demand(memory=at_limit, memory_less_cache=known, oom_kills=oom_kills, **fields)


def sized(of: Demand, request: int | None, limit: int | None, settings: PolicySettings | None = None) -> Any:
    resources = Resources(memory_request_bytes=request, memory_limit_bytes=limit)
    return size(of, Container("server", resources), settings or PolicySettings())


def test_page_cache_that_fills_the_limit_neither_raises_nor_cuts_memory() -> None:
    advice = sized(full(), 4 * GIB, 4 * GIB)
    assert (advice.memory_request.value, advice.memory_limit.value) == (4 * GIB, 4 * GIB)
    assert codes(advice.memory_request)[-1] == "page-cache"
    assert "page cache" in advice.memory_request.summary
    # What was replayed is memory without cache, and that is covered.
    assert advice.memory_request.confidence == 0.9


def test_a_limit_above_the_request_is_not_taken_from_the_cache_either() -> None:
    advice = sized(full(), 2 * GIB, 4 * GIB)
    assert (advice.memory_request.value, advice.memory_limit.value) == (2 * GIB, 4 * GIB)


def test_without_a_limit_none_is_added_and_the_request_is_what_cannot_be_given_back() -> None:
    advice = sized(full(), None, None)
    assert advice.memory_request.value == pytest.approx(1.2 * GIB, abs=MIB)
    assert (advice.memory_limit.value, advice.memory_limit.is_unset) == (None, True)
    assert "page cache" in advice.memory_limit.reasons[0].text


def test_memory_is_raised_for_what_cannot_be_given_back() -> None:
    advice = sized(full(3.5 * GIB), 3 * GIB, 4 * GIB)
    assert advice.memory_request.value == pytest.approx(3.5 * GIB, abs=MIB)
    assert advice.memory_limit.value == 4 * GIB


def test_an_oom_kill_shows_that_there_was_nothing_to_give_back() -> None:
    assert sized(full(oom_kills=1), 4 * GIB, 4 * GIB).memory_request.value >= 1.2 * 4 * GIB


def test_where_the_working_set_alone_raises_nothing_its_cache_changes_nothing() -> None:
    with_cache = demand(memory_less_cache=needs(100 * MIB, 100 * MIB, 100 * MIB, reasons=(CACHE,)))
    assert sized(with_cache, GIB, GIB) == sized(demand(), GIB, GIB)


@given(
    least=st.floats(1.0 * MIB, 8.0 * GIB),
    cache=st.floats(0.0, 8.0 * GIB),
    now=st.integers(16 * MIB, 16 * GIB),
)
def test_advice_is_never_below_what_cannot_be_given_back_nor_above_what_the_working_set_asks_for(
    least: float, cache: float, now: int
) -> None:
    def of(bytes_: float, **fields: Any) -> TargetDemand:
        return needs(bytes_, bytes_, bytes_, takes_buffer=False, **fields)

    settings = PolicySettings(allow_any_step=True, min_change=0.0)
    plain = demand(memory=of(least + cache))
    known = demand(memory=of(least + cache), memory_less_cache=of(least, reasons=(CACHE,)))
    value = sized(known, now, now, settings).memory_request.value
    assert least <= value + 1
    # As now where the working set alone would raise it, as that says where it would cut.
    assert value == sized(plain, now, now, settings).memory_request.value or now <= value <= max(now, least + MIB)
