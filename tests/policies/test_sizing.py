"""All pieces together: what is always true of a recommendation, its confidence and its summaries."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given

from mora.domain import Allocation, Container, Demand, Resources, Target, VerticalScaler
from mora.domain.runtimes import Runtime
from mora.errors import BadInput
from mora.policies import PolicySettings, Surroundings, recommend, size
from mora.quantities import GIB, MIB
from tests.policies.making import (
    ANY,
    NOISE_BYTES,
    allocation,
    codes,
    demand,
    needs,
    pairs,
)


@given(**ANY)
def test_memory_is_never_below_its_peak_its_bound_and_its_start(
    asked: Demand, current: Allocation, settings: PolicySettings
) -> None:
    value = recommend(asked, current, settings).main.memory_request.value
    if value is not None:
        assert asked.memory is not None
        assert value >= max(asked.memory.peak, asked.memory.bound, asked.startup_memory_bytes or 0.0) - NOISE_BYTES


@given(**ANY)
def test_every_amount_is_an_integer_and_every_number_has_its_reasons(
    asked: Demand, current: Allocation, settings: PolicySettings
) -> None:
    advice = recommend(asked, current, settings)
    for number in (*(item for pair in pairs(advice) for item in pair), advice.replicas):
        assert number.value is None or type(number.value) is int
        assert number.reasons
        assert number.summary
        assert len(number.summary) <= 100
        assert "\n" not in number.summary
        assert all(reason.code and reason.text and "nan" not in reason.text for reason in number.reasons)
        assert number.value is not None or number.confidence is None


@given(**ANY)
def test_too_little_data_gives_a_reason_and_no_number(
    asked: Demand, current: Allocation, settings: PolicySettings
) -> None:
    advice = recommend(replace(asked, cpu=None, memory=None, replicas=None), current, settings)
    assert [pair[0].value for pair in pairs(advice)] == [None, None]
    assert advice.replicas.value is None
    assert advice.target.containers == current.containers
    assert advice.target.replicas == current.replicas
    assert advice.hpa_average_value_millicores is None


@given(**ANY)
def test_an_oom_kill_raises_memory_to_the_bump_or_to_no_number(
    asked: Demand, current: Allocation, settings: PolicySettings
) -> None:
    advice = recommend(replace(asked, oom_kills=1), current, settings).main.memory_request
    if advice.value is not None:
        assert asked.memory is not None
        peak = max(asked.memory.peak, asked.oom_peak_bytes or 0.0)
        assert advice.value >= max(peak + 100 * MIB, peak * 1.2) - NOISE_BYTES


@given(**ANY)
def test_following_the_advice_until_nothing_changes_takes_a_few_steps(
    asked: Demand, current: Allocation, settings: PolicySettings
) -> None:
    settings = replace(settings, max_cpu_cut=max(settings.max_cpu_cut, 0.3), max_memory_cut=0.3)
    state = current
    for _ in range(100):
        following = recommend(asked, state, settings).target
        if following == state:
            break
        state = following
    assert recommend(asked, state, settings).target == state


@pytest.mark.parametrize(
    ("asked", "now", "settings", "summary"),
    [
        ({}, {}, {}, "mean use 100m + 20% headroom"),
        ({"cpu": needs(0.1, 0.13)}, {}, {}, "upper bound 130m"),
        ({"startup_cpu_cores": 0.5}, {}, {}, "start-up peak 500m"),
        ({"cpu": needs(0.001)}, {}, {}, "mean use 1m + 20% headroom; raised to the floor of 10m"),
        ({}, {}, {"cpu_cap_millicores": 100}, "mean use 100m + 20% headroom; lowered to the cap of 100m"),
        ({"cpu": needs(0.1, is_limit_bound=True)}, {}, {}, "mean use 100m + 20% headroom; limit-bound: at least 120m"),
        ({"cpu": needs(0.1, is_limit_bound=True)}, {"now": 900}, {}, "unchanged: not cut while use is limit-bound"),
        ({}, {"now": 125}, {}, "unchanged: a cut below 10% is not worth a rollout"),
        (
            {},
            {"now": 900},
            {},
            "mean use 100m + 20% headroom; step limit: at most -50% per change, 450m for now",
        ),
        ({"cpu": None}, {}, {}, "no recommendation: too little data to size CPU"),
    ],
)
def test_a_summary_says_what_decides_the_number(
    asked: dict[str, Any], now: dict[str, int], settings: dict[str, Any], summary: str
) -> None:
    current = allocation(cpu_request_millicores=now.get("now"))
    assert recommend(demand(**asked), current, PolicySettings(**settings)).main.cpu_request.summary == summary


def test_memory_limits_and_replicas_have_a_summary_too() -> None:
    advice = recommend(demand(oom_kills=2, oom_peak_bytes=256.0 * MIB), allocation(cpu_limit_millicores=200))
    assert advice.main.memory_request.summary == "2 OOM kills at 256Mi: raised to 356Mi"
    assert advice.main.memory_limit.summary == "equal to the request of 356Mi: memory cannot be overcommitted"
    assert advice.main.cpu_limit.summary == "no CPU limit: the container may use idle CPU of its node"
    assert advice.replicas.summary == "2 replicas carry 40 users of browsing"
    assert (
        recommend(demand(memory=needs(MIB, MIB, 240 * MIB)), allocation()).main.memory_request.summary == "peak 240Mi"
    )


def test_limit_bound_use_and_oom_kills_have_no_confidence() -> None:
    advice = recommend(demand(cpu=needs(0.18, 0.2, is_limit_bound=True), oom_kills=1), allocation())
    for number in (advice.main.cpu_request, advice.main.memory_request, advice.main.memory_limit):
        assert number.value is not None
        assert number.confidence is None
    assert codes(advice.main.cpu_request)[-1] == codes(advice.main.memory_request)[-1] == "no-confidence"
    assert recommend(demand(), allocation()).main.cpu_request.confidence == 0.9


def test_a_smaller_buffer_than_was_tested_has_no_confidence() -> None:
    bare = recommend(demand(), allocation(), PolicySettings(cpu_buffer=1.0, memory_buffer=1.0))
    assert (bare.main.cpu_request.value, bare.main.cpu_request.confidence) == (110, None)
    assert bare.main.cpu_request.reasons[-1].text.endswith("scored with the usual buffer, 120m")
    assert (bare.main.memory_request.value, bare.main.memory_request.confidence) == (220 * MIB, None)
    assert recommend(demand(), allocation(), PolicySettings(cpu_buffer=1.5)).main.cpu_request.confidence == 0.9


def test_a_workload_without_containers_cannot_be_sized() -> None:
    with pytest.raises(BadInput, match="frontend has no container"):
        recommend(demand(), Allocation(2))


def test_a_request_that_a_vpa_sets_is_left_to_it() -> None:
    memory = frozenset({Target.MEMORY})
    vpa = VerticalScaler("web", "Recreate", controlled=(("server", memory),))
    container = Container("server", Resources(500, 1000, 512 * MIB, 512 * MIB), is_main=True)
    advice = size(demand(), container, PolicySettings(allow_any_step=True), Surroundings(vpas=(vpa,)))
    assert (advice.cpu_request.value, advice.memory_request.value) == (120, None)
    assert advice.memory_limit.value is None
    assert codes(advice.memory_request) == ["vpa"]
    assert "the VPA web sets the memory request of its pods (230Mi would do)" in advice.memory_request.summary
    off = replace(vpa, mode="Off")
    assert size(demand(), container, PolicySettings(), Surroundings(vpas=(off,))).memory_request.value is not None


def test_what_a_runtime_may_take_bounds_a_number_of_a_model_alone_too() -> None:
    now = allocation(memory_request_bytes=8 * GIB, memory_limit_bytes=8 * GIB)
    java = replace(now, containers=(replace(now.containers[0], runtime=Runtime("Java", GIB, "-Xmx1g")),))
    settings = PolicySettings(allow_any_step=True)
    assert recommend(demand(), java, settings).main.memory_request.value == 1280 * MIB
    assert recommend(demand(), now, settings).main.memory_request.value == 230 * MIB
