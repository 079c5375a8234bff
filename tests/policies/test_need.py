"""What must be covered, before any setting: the figures, limit-bound use, OOM kills."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mora.domain import (
    Demand,
    Reason,
    TargetDemand,
)
from mora.errors import BadInput
from mora.policies import PolicySettings, cpu_need, memory_need, recommend
from mora.quantities import GIB, MIB
from tests.policies.making import (
    DEMANDS,
    allocation,
    demand,
    needs,
    policy_settings,
    targets,
)


@given(asked=DEMANDS, cpu=targets(16.0), memory=targets(8.0 * GIB), settings=policy_settings())
def test_limit_bound_use_raises_the_number(
    asked: Demand, cpu: TargetDemand, memory: TargetDemand, settings: PolicySettings
) -> None:
    free = replace(asked, cpu=replace(cpu, is_limit_bound=False), memory=replace(memory, is_limit_bound=False))
    pinned = replace(asked, cpu=replace(cpu, is_limit_bound=True), memory=replace(memory, is_limit_bound=True))
    for need, most in ((cpu_need, cpu), (memory_need, memory)):
        unit = 1000 if need is cpu_need else 1
        raised, plain = need(pinned, settings).amount, need(free, settings).amount
        assert raised is not None
        assert plain is not None
        assert raised >= max(plain, max(most.bound, most.peak) * unit * settings.limit_bound_factor - 1e-6)


@given(
    cpu=targets(16.0),
    memory=targets(8.0 * GIB),
    startup=st.floats(0, 4),
    factor=st.floats(0.01, 100),
    settings=policy_settings(),
)
def test_scaling_the_demand_scales_the_need(
    cpu: TargetDemand, memory: TargetDemand, startup: float, factor: float, settings: PolicySettings
) -> None:
    def scaled(target: TargetDemand) -> TargetDemand:
        return replace(
            target,
            point_forecast=target.point_forecast * factor,
            bound=target.bound * factor,
            peak=target.peak * factor,
        )

    asked = demand(cpu=cpu, memory=memory, startup_cpu_cores=startup, startup_memory_bytes=startup * GIB)
    larger = replace(
        asked,
        cpu=scaled(cpu),
        memory=scaled(memory),
        startup_cpu_cores=startup * factor,
        startup_memory_bytes=startup * GIB * factor,
    )
    for need in (cpu_need, memory_need):
        plain = need(asked, settings).amount
        assert plain is not None
        assert need(larger, settings).amount == pytest.approx(plain * factor)


def test_the_number_is_the_largest_of_upper_bound_buffered_mean_and_start_up() -> None:
    assert recommend(demand(), allocation()).main.cpu_request.value == 120  # 100m x 1.2
    assert (
        recommend(demand(cpu=needs(0.1, 0.1301)), allocation()).main.cpu_request.value == 131
    )  # the bound, rounded up
    assert recommend(demand(startup_cpu_cores=0.5), allocation()).main.cpu_request.value == 500
    assert recommend(demand(), allocation()).main.memory_request.value == 230 * MIB  # 200 MiB x 1.15
    assert recommend(demand(startup_memory_bytes=300.5 * MIB), allocation()).main.memory_request.value == 301 * MIB
    assert recommend(demand(memory=needs(MIB, MIB, 240 * MIB)), allocation()).main.memory_request.value == 240 * MIB


def test_the_reasons_hold_the_arithmetic() -> None:
    advice = recommend(demand(startup_cpu_cores=0.09), allocation())
    assert advice.main.cpu_request.reasons == (
        Reason("sized", "the largest of: upper bound 110m; mean use 100m x 1.2 = 120m; start-up peak 90m -> 120m"),
    )
    assert advice.main.memory_request.reasons == (
        Reason("sized", "the largest of: upper bound 210Mi; mean use 200Mi x 1.15 = 230Mi; peak 220Mi -> 230Mi"),
    )
    assert (advice.main.cpu_request.confidence, advice.main.cpu_request.windows) == (0.9, 20)


def test_an_oom_kill_adds_a_hundred_mebibytes_or_a_fifth() -> None:
    small = recommend(demand(oom_kills=2, oom_peak_bytes=256.0 * MIB), allocation()).main.memory_request
    assert small.value == 356 * MIB
    assert small.reasons[-2] == Reason(
        "oom-bump", "2 OOM kills at 256Mi: at least max(256Mi + 100Mi, 256Mi x 1.2) = 356Mi"
    )
    large = recommend(demand(memory=needs(1.0, 1.0, 1000.0 * MIB), oom_kills=1), allocation()).main.memory_request
    assert large.value == 1200 * MIB  # the VPA's own test: 1000 -> 1200


def test_limit_bound_use_is_raised_by_a_fifth() -> None:
    advice = recommend(
        demand(cpu=needs(0.18, 0.2, is_limit_bound=True)), allocation(cpu_request_millicores=100)
    ).main.cpu_request
    assert advice.value == 240
    assert advice.reasons[-2].text == (
        "limit-bound: real CPU demand may be higher than the 200m that could be seen; 200m x 1.2 = 240m"
    )


def test_a_bound_that_was_scored_alone_takes_no_buffer() -> None:
    alone = replace(needs(0.1, 0.11), takes_buffer=False)
    advice = recommend(demand(cpu=alone), allocation())
    assert (advice.main.cpu_request.value, advice.main.cpu_request.confidence) == (110, 0.9)
    assert advice.main.cpu_request.reasons[-1].text == "upper bound 110m -> 110m"


def test_the_reasons_of_the_demand_are_the_reason_where_there_is_no_number() -> None:
    asked = demand(cpu=None, reasons=(Reason("too-few-samples", "12 samples, 60 are needed"),))
    advice = recommend(asked, allocation(cpu_request_millicores=100, cpu_limit_millicores=200))
    assert advice.main.cpu_request.reasons == (Reason("no-number", "12 samples, 60 are needed"),)
    assert advice.main.resources.cpu_limit_millicores == 200


@pytest.mark.parametrize("wrong", [float("nan"), float("inf"), -1.0])
def test_a_demand_that_is_no_amount_is_refused(wrong: float) -> None:
    with pytest.raises(BadInput, match="finite number"):
        recommend(demand(cpu=needs(wrong)), allocation())
