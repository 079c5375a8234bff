"""The last gate: no number above the largest node, far above all use, or far above what is set now."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given

from mora.domain import Advice, Allocation, Container, ContainerAdvice, Demand, Resources
from mora.policies import PolicySettings, Surroundings, gated, size
from mora.policies.gate import HARMLESS_BYTES, HARMLESS_MILLICORES, MOST_OF_NOW, MOST_OF_USE
from mora.quantities import GIB, MIB
from tests.policies.making import ANY, codes, demand, needs

NODE = Resources(cpu_request_millicores=4000, memory_request_bytes=16 * GIB)
AROUND = Surroundings(largest_node=NODE)
WEB = Container("web", Resources(500, 1000, 512 * MIB, 512 * MIB), is_main=True)


@given(**ANY)
def test_no_number_passes_that_no_use_explains(asked: Demand, current: Allocation, settings: PolicySettings) -> None:
    main = current.main
    assert main is not None
    advice = size(asked, main, settings, AROUND)
    for request, most, floor, target, unit, started in (
        (advice.cpu_request, 4000, settings.cpu_floor_millicores, asked.cpu, 1000, asked.startup_cpu_cores),
        (advice.memory_request, 16 * GIB, settings.memory_floor_bytes, asked.memory, 1, asked.startup_memory_bytes),
    ):
        if request.value is None:
            assert request.reasons
            continue
        assert request.value <= most
        least = max(request.now or 0, floor, HARMLESS_MILLICORES if unit == 1000 else HARMLESS_BYTES)
        if request.value > least:
            assert target is not None
            killed = (asked.oom_peak_bytes or 0) if unit == 1 else 0
            used = unit * max(target.peak, target.point_forecast, started or 0.0, killed)
            assert request.value <= max(MOST_OF_USE * used, used + settings.oom_bump_bytes * (unit == 1)) + 1
            if request.now and not settings.allow_any_step:
                assert request.value <= MOST_OF_NOW * request.now


@pytest.mark.parametrize(
    ("cores", "peak", "now", "code"),
    [(5.0, 5.0, 500, "above-node"), (3.0, 0.2, 500, "above-use"), (3.0, 3.0, 100, "above-now")],
)
def test_a_refused_request_has_a_reason_and_keeps_its_limit(cores: float, peak: float, now: int, code: str) -> None:
    asked = demand(cpu=needs(peak, bound=cores, peak=peak))
    container = replace(WEB, resources=replace(WEB.resources, cpu_request_millicores=now))
    advice = size(asked, container, PolicySettings(), AROUND)
    assert (advice.cpu_request.value, codes(advice.cpu_request)[-1]) == (None, code)
    assert advice.cpu_request.confidence is None
    assert "no recommendation" in advice.cpu_request.summary
    assert advice.resources.cpu_request_millicores == now  # what is written: nothing new
    assert advice.resources.cpu_limit_millicores == 1000


def test_a_small_number_is_never_refused() -> None:
    container = replace(WEB, resources=Resources(10, None, 16 * MIB, None))
    advice = size(demand(cpu=needs(0.5), memory=needs(600 * MIB)), container, PolicySettings(), AROUND)
    assert (advice.cpu_request.value, advice.memory_request.value) == (600, 690 * MIB)


def test_a_large_raise_that_use_explains_can_be_allowed() -> None:
    asked = demand(cpu=needs(3.0, bound=3.0, peak=3.0))
    container = replace(WEB, resources=replace(WEB.resources, cpu_request_millicores=100))
    assert size(asked, container, PolicySettings(allow_any_step=True), AROUND).cpu_request.value == 3600


def test_the_policy_of_another_package_passes_the_same_gate() -> None:
    asked = demand()
    mad = ContainerAdvice(
        "web", Advice(500, 15_321_360, 0.9), Advice(1000, 20_000_000), Advice(512 * MIB, 600 * MIB), Advice(None, None)
    )
    advice = gated(mad, asked, PolicySettings(), AROUND)
    assert advice.cpu_request.value is None
    assert advice.cpu_limit.value is None
    assert advice.memory_request == mad.memory_request
