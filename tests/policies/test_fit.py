"""The check of a whole pod: LimitRanges of containers and pods, the pod's own resources, and what nodes can give."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mora.domain import AmountRange, Container, ContainerAdvice, Demand, Resources, Role
from mora.policies import Part, PodBounds, PolicySettings, Surroundings, fit, size
from mora.policies.fit import total
from mora.policies.proposal import CPU, MEMORY
from mora.quantities import GIB, MIB
from tests.policies.making import PLAIN, codes, demand, needs

RATIOS = AmountRange(cpu_ratio=4.0, memory_ratio=2.0)


def part(
    cores: float = 0.1,
    mib: float = 200,
    *,
    now: Resources,
    name: str = "web",
    allowed: AmountRange | None = None,
    settings: PolicySettings = PLAIN,
    is_limit_bound: bool = False,
) -> Part:
    """A container that needs this much, as the policy sizes it."""
    asked = demand(cpu=needs(cores, is_limit_bound=is_limit_bound), memory=needs(mib * MIB))
    around = Surroundings(limit_range=allowed)
    return Part(size(asked, Container(name, now), settings, around), asked, around)


def on(cpu: int | None, memory: int | None) -> Resources:
    """What a node can give."""
    return Resources(cpu_request_millicores=cpu, memory_request_bytes=memory)


def fitted(*parts: Part, settings: PolicySettings = PLAIN, **bounds: object) -> list[ContainerAdvice]:
    return fit(parts, PodBounds(**bounds), settings)  # type: ignore[arg-type]  # one helper for all bounds


# --- a ratio of limits to requests -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("limit", "expected"),
    [(200, 200), (4000, 480), (None, 480)],
    ids=["within", "lowered", "set where there is none"],
)
def test_a_container_keeps_a_limit_within_the_ratio_that_the_namespace_allows(limit: int | None, expected: int) -> None:
    advice = part(now=Resources(500, limit, 512 * MIB, 512 * MIB), allowed=RATIOS).advice
    assert (advice.cpu_request.value, advice.cpu_limit.value) == (120, expected)
    assert "limit-range" in codes(advice.cpu_limit)


def test_without_a_ratio_the_cpu_limit_goes_as_before() -> None:
    advice = part(now=Resources(500, 1000, 512 * MIB, 512 * MIB), allowed=AmountRange(memory_ratio=2.0)).advice
    assert (advice.cpu_limit.value, advice.cpu_limit.is_unset) == (None, True)


# --- the pod in all --------------------------------------------------------------------------------------------------


def test_a_cut_goes_no_further_than_the_minimum_of_a_pod() -> None:
    web = part(now=Resources(500, None, 512 * MIB, 512 * MIB))
    helper = part(0.05, 50, now=Resources(200, None, 128 * MIB, 128 * MIB), name="helper")
    least = AmountRange(minimum=Resources(500, 500, 512 * MIB, 512 * MIB))
    first, second = fitted(web, helper, limit_range=least)
    assert (first.cpu_request.value, second.cpu_request.value) == (440, 60)
    assert first.memory_request.value == 512 * MIB - (second.memory_request.value or 0)
    assert first.memory_limit.value == first.memory_request.value
    assert "limit-range" in codes(first.cpu_request)
    assert "at least 500m in all" in first.cpu_request.summary


def test_the_goal_of_a_cut_in_steps_leaves_the_pod_its_minimum_too() -> None:
    steps = PolicySettings()
    now = Resources(2000, None, 2 * GIB, 2 * GIB)
    web, helper = (part(now=now, name=name, settings=steps) for name in ("web", "helper"))
    least = AmountRange(minimum=Resources(500, 500, GIB, GIB))
    advice = fitted(web, helper, settings=steps, limit_range=least)
    assert [one.cpu_request.value for one in advice] == [1000, 1000]
    assert [one.at_goal.cpu_request.value for one in advice] == [380, 120]
    assert sum(one.at_goal.memory_request.value or 0 for one in advice) == GIB
    assert all(one.at_goal.memory_limit.value == one.at_goal.memory_request.value for one in advice)


@pytest.mark.parametrize(
    ("bounds", "why"),
    [
        ({}, "the namespace's LimitRange allows a container 4"),
        ({"rooms": (on(3000, GIB),)}, "the largest node can give a pod 3"),
        ({"resources": Resources(2000, 2000)}, "the pod itself requests 2 (resources of its template's spec)"),
    ],
    ids=["container", "node", "pod"],
)
def test_a_minimum_of_a_pod_that_something_else_forbids_gives_no_number(bounds: dict[str, Any], why: str) -> None:
    allowed = AmountRange(maximum=Resources(4000, 4000))
    web = part(now=Resources(500, None, 512 * MIB, 512 * MIB), allowed=allowed)
    least = AmountRange(minimum=Resources(cpu_request_millicores=1_000_000))
    (advice,) = fitted(web, limit_range=least, **bounds)
    assert advice.cpu_request.value is None
    assert codes(advice.cpu_request)[-1] == "bounds-contradict"
    assert advice.cpu_request.reasons[-1].text == (
        f"the namespace's LimitRange asks a pod for at least 1000 in all, but {why}"
    )
    assert advice.memory_request.value is not None


def test_what_is_left_of_a_cut_above_the_minimum_is_deferred_where_it_is_small() -> None:
    settings = replace(PLAIN, min_change=0.1)
    web = part(now=Resources(520, None, 512 * MIB, 512 * MIB), settings=settings)
    (advice,) = fitted(web, settings=settings, limit_range=AmountRange(minimum=Resources(500, 500)))
    assert advice.cpu_request.value == 520


def test_raises_beyond_the_maximum_of_a_pod_are_withheld() -> None:
    web = part(2.0, 3000, now=Resources(500, None, 1 * GIB, 1 * GIB))
    helper = part(0.05, 50, now=Resources(200, None, 512 * MIB, 512 * MIB), name="helper")
    most = AmountRange(maximum=Resources(1000, 1000, 2 * GIB, 2 * GIB))
    first, second = fitted(web, helper, limit_range=most)
    assert first.cpu_request.value == 1000 - (second.cpu_request.value or 0)  # CPU is lowered to what is left
    assert first.memory_request.value is None  # memory below the need would be a kill
    assert "cap-below-need" in codes(first.memory_request)
    assert first.memory_limit.value is None


def test_raises_beyond_what_the_pod_itself_requests_are_withheld() -> None:
    web = part(0.1, 3000, now=Resources(500, None, 1 * GIB, 1 * GIB))
    (advice,) = fitted(web, resources=Resources(1000, 1000, 2 * GIB, 2 * GIB))
    assert (advice.cpu_request.value, advice.memory_request.value) == (120, None)
    assert "the pod itself requests 2048Mi" in advice.memory_request.summary


def test_an_init_container_that_asks_for_more_counts_alone() -> None:
    init = Part(replace(part(now=Resources(2000)).advice, container="init", role=Role.INIT))
    init = Part(replace(init.advice, cpu_request=replace(init.advice.cpu_request, value=None)))
    web = part(now=Resources(500))
    assert total(CPU, [web, init]) == 2000
    (advice, _) = fitted(web, init, limit_range=AmountRange(minimum=Resources(1000, 1000)))
    assert advice.cpu_request.value == 120  # the init container asks for the minimum already


# --- nodes -----------------------------------------------------------------------------------------------------------


def test_a_raise_is_cut_to_what_the_largest_node_can_give() -> None:
    web = part(4.0, 200, now=Resources(3000, None, 512 * MIB, 512 * MIB))
    (advice,) = fitted(web, rooms=(on(3920, 8 * GIB), on(1920, 4 * GIB)))
    assert (advice.cpu_request.value, advice.cpu_request.confidence) == (3920, None)
    assert "the largest node can give a pod 3920m" in advice.cpu_request.summary


def test_limit_bound_cpu_that_no_node_can_give_has_no_number() -> None:
    web = part(4.0, 200, now=Resources(3000, 4000, 512 * MIB, 512 * MIB), is_limit_bound=True)
    (advice,) = fitted(web, rooms=(on(3920, 8 * GIB),))
    assert (advice.cpu_request.value, codes(advice.cpu_request)[-1]) == (None, "cap-below-need")
    assert advice.resources.cpu_limit_millicores == 4000


def test_memory_that_no_node_can_give_has_no_number() -> None:
    web = part(0.1, 15_000, now=Resources(500, None, 12 * GIB, 12 * GIB))
    (advice,) = fitted(web, rooms=(on(3920, 13 * GIB),), nodes="the smallest node that it runs on")
    assert advice.memory_request.value is None
    assert "the smallest node that it runs on can give a pod 13312Mi" in advice.memory_request.summary
    assert advice.cpu_request.value == 120


def test_cpu_has_to_fit_on_a_node_that_has_the_memory() -> None:
    web = part(6.0, 30_000, now=Resources(3000, None, 20 * GIB, 20 * GIB))
    (advice,) = fitted(web, rooms=(on(15_900, 28 * GIB), on(7900, 60 * GIB), on(3900, 120 * GIB)))
    assert advice.memory_request.value is not None
    assert advice.cpu_request.value == 7200  # 6 cores and a fifth fit on the second, beside the memory
    web = part(8.0, 30_000, now=Resources(3000, None, 20 * GIB, 20 * GIB))
    (advice,) = fitted(web, rooms=(on(15_900, 28 * GIB), on(7900, 60 * GIB), on(3900, 120 * GIB)))
    assert advice.cpu_request.value == 7900


def test_nodes_never_bound_a_cut() -> None:
    web = part(1.0, 200, now=Resources(8000, None, 512 * MIB, 512 * MIB))
    (advice,) = fitted(web, rooms=(on(500, 128 * MIB),))
    assert advice.cpu_request.value == 1200


AMOUNTS = st.integers(50, 4000)


@given(
    cores=st.tuples(st.floats(0.01, 8), st.floats(0.01, 8)),
    mib=st.tuples(st.floats(10, 8000), st.floats(10, 8000)),
    now=st.tuples(AMOUNTS, AMOUNTS, AMOUNTS, AMOUNTS),
    room=st.tuples(st.integers(100, 9000), st.integers(100, 9000)),
    least=st.tuples(st.integers(0, 500), st.integers(0, 500)),
)
def test_no_pod_grows_beyond_what_it_may_ask_for_and_none_shrinks_below(
    cores: tuple[float, float],
    mib: tuple[float, float],
    now: tuple[int, int, int, int],
    room: tuple[int, int],
    least: tuple[int, int],
) -> None:
    one = part(cores[0], mib[0], now=Resources(now[0], None, now[1] * MIB, now[1] * MIB))
    other = part(cores[1], mib[1], now=Resources(now[2], None, now[3] * MIB, now[3] * MIB), name="helper")
    minimum = Resources(least[0], least[0], least[1] * MIB, least[1] * MIB)
    advised = fitted(one, other, rooms=(on(room[0], room[1] * MIB),), limit_range=AmountRange(minimum=minimum))
    parts = [Part(advice) for advice in advised]
    for kind, most, at_least in ((CPU, room[0], least[0]), (MEMORY, room[1] * MIB, least[1] * MIB)):
        then, before = total(kind, parts), total(kind, parts, is_now=True)
        assert then <= max(most, before, at_least + MIB)
        assert then >= min(before, at_least)
    for advice, needed in zip(advised, (one.demand, other.demand), strict=True):
        _covers(advice, needed)


def _covers(advice: ContainerAdvice, needed: Demand | None) -> None:
    """Memory that is set covers the peak, and no request is above its limit."""
    assert needed is not None
    assert needed.memory is not None
    memory = advice.memory_request.value
    assert memory is None or memory >= needed.memory.peak
    assert memory is None or advice.memory_limit.value == memory
