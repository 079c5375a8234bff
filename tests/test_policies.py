"""The policy: what is always true, by property; what each piece does, by example."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mora.domain import (
    Advice,
    Allocation,
    AmountRange,
    Autoscaler,
    Container,
    Demand,
    Load,
    Reason,
    Recommendation,
    Resources,
    Target,
    TargetDemand,
    Workload,
)
from mora.errors import BadInput
from mora.policies import LimitPolicy, PolicySettings, Surroundings, cpu_need, memory_need, recommend, size
from mora.quantities import GIB, KIB, MIB

# Before it is rounded up, an amount loses its float noise: the sixth digit of a Mi is a byte, of a millicore nothing.
NOISE_BYTES, NOISE_MILLICORES = 1.0, 1e-6
AS_OF = datetime(2026, 11, 21, 2, 0, tzinfo=UTC)
PLAIN = PolicySettings(allow_any_step=True, min_change=0.0, cpu_floor_millicores=1, memory_floor_bytes=1)


def needs(point_forecast: float, bound: float | None = None, peak: float | None = None, **fields: Any) -> TargetDemand:
    bound = point_forecast if bound is None else bound
    return TargetDemand(point_forecast, bound, bound if peak is None else peak, confidence=0.9, windows=20, **fields)


def demand(**fields: Any) -> Demand:
    """100m (bound 110m) and 200 MiB (bound 210 MiB, peak 220 MiB) on two replicas, unless given otherwise."""
    given_fields: dict[str, Any] = {
        "workload": Workload("shop", "frontend"),
        "load": Load("browsing", 40),
        "as_of": AS_OF,
        "cpu": needs(0.1, 0.11),
        "memory": needs(200 * MIB, 210 * MIB, 220 * MIB),
        "replicas": needs(2.0),
    }
    return Demand(**(given_fields | fields))


def allocation(replicas: int | None = 2, autoscaler: Autoscaler | None = None, **resources: int | None) -> Allocation:
    containers = (Container("server", Resources(**resources), is_main=True), Container("istio-proxy"))
    return Allocation(replicas, containers, autoscaler)


def codes(advice: Advice) -> list[str]:
    return [reason.code for reason in advice.reasons]


# --- what is always true ---------------------------------------------------------------------------------------------


@st.composite
def targets(draw: st.DrawFn, most: float) -> TargetDemand:
    point_forecast = draw(st.floats(0, most))
    bound = point_forecast + draw(st.floats(0, most))
    return TargetDemand(
        point_forecast,
        bound,
        draw(st.floats(0, 2 * most)),
        draw(st.floats(0, 1)),
        draw(st.integers(0, 99)),
        draw(st.booleans()),
    )


DEMANDS = st.builds(
    Demand,
    workload=st.sampled_from([Workload("shop", "frontend"), Workload("shop", "agent", "DaemonSet")]),
    load=st.sampled_from([None, Load("browsing", 40)]),
    as_of=st.just(AS_OF),
    cpu=st.none() | targets(16.0),
    memory=st.none() | targets(8.0 * GIB),
    replicas=st.none() | targets(50.0),
    startup_cpu_cores=st.none() | st.floats(0, 16),
    startup_memory_bytes=st.none() | st.floats(0, 8.0 * GIB),
    oom_kills=st.integers(0, 3),
    oom_peak_bytes=st.none() | st.floats(0, 8.0 * GIB),
)

AUTOSCALERS = st.builds(
    Autoscaler,
    name=st.just("frontend"),
    resource=st.sampled_from([Target.CPU, Target.MEMORY]),
    is_utilisation=st.booleans(),
    target=st.integers(1, 100),
    min_replicas=st.integers(1, 3),
    max_replicas=st.integers(3, 20),
)


@st.composite
def allocations(draw: st.DrawFn) -> Allocation:
    """What a cluster accepts: a request is never above its limit."""

    def pair(most: int) -> tuple[int | None, int | None]:
        request, limit = draw(st.none() | st.integers(0, most)), draw(st.none() | st.integers(1, most))
        return request, limit if limit is None or request is None else max(limit, request)

    cpu, memory = pair(32_000), pair(16 * GIB)
    return allocation(
        draw(st.none() | st.integers(0, 50)),
        draw(st.none() | AUTOSCALERS),
        cpu_request_millicores=cpu[0],
        cpu_limit_millicores=cpu[1],
        memory_request_bytes=memory[0],
        memory_limit_bytes=memory[1],
    )


@st.composite
def policy_settings(draw: st.DrawFn) -> PolicySettings:
    policies: st.SearchStrategy[LimitPolicy] = st.sampled_from(["unset", "request", "keep", "ratio"])
    return PolicySettings(
        cpu_cap_millicores=draw(st.none() | st.integers(10, 32_000)),
        memory_cap_bytes=draw(st.none() | st.integers(16 * MIB, 16 * GIB)),
        min_change=draw(st.floats(0, 1)),
        max_cpu_cut=draw(st.floats(0.05, 1)),
        max_memory_cut=draw(st.floats(0.05, 1)),
        allow_any_step=draw(st.booleans()),
        cpu_limit=draw(policies),
        memory_limit=draw(policies),
        min_replicas=draw(st.integers(1, 3)),
        max_replicas=draw(st.none() | st.integers(3, 60)),
        touch_autoscaled=draw(st.booleans()),
    )


ANY = {"asked": DEMANDS, "current": allocations(), "settings": policy_settings()}


def pairs(advice: Recommendation) -> list[tuple[Advice, Advice]]:
    return [(advice.main.cpu_request, advice.main.cpu_limit), (advice.main.memory_request, advice.main.memory_limit)]


@given(**ANY)
def test_memory_is_never_below_its_peak_its_bound_and_its_start(
    asked: Demand, current: Allocation, settings: PolicySettings
) -> None:
    value = recommend(asked, current, settings).main.memory_request.value
    if value is not None:
        assert asked.memory is not None
        assert value >= max(asked.memory.peak, asked.memory.bound, asked.startup_memory_bytes or 0.0) - NOISE_BYTES


@given(**ANY)
def test_a_request_is_never_above_its_limit(asked: Demand, current: Allocation, settings: PolicySettings) -> None:
    set_now = recommend(asked, current, settings).main.resources
    for request, limit in (
        (set_now.cpu_request_millicores, set_now.cpu_limit_millicores),
        (set_now.memory_request_bytes, set_now.memory_limit_bytes),
    ):
        assert request is None or limit is None or request <= limit


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
def test_a_raise_is_never_deferred(asked: Demand, current: Allocation, settings: PolicySettings) -> None:
    settings = replace(settings, cpu_cap_millicores=None, memory_cap_bytes=None, touch_autoscaled=True)
    advice = recommend(asked, current, settings)
    for request, need, noise in (
        (advice.main.cpu_request, cpu_need(asked, settings), NOISE_MILLICORES),
        (advice.main.memory_request, memory_need(asked, settings), NOISE_BYTES),
    ):
        if need.amount is not None:
            assert request.value is not None
            assert request.value >= need.amount - noise


@given(**ANY)
def test_a_cut_is_worth_a_rollout_and_no_larger_than_a_step(
    asked: Demand, current: Allocation, settings: PolicySettings
) -> None:
    advice = recommend(asked, current, settings)
    for pair, max_cut in zip(pairs(advice), (settings.max_cpu_cut, settings.max_memory_cut), strict=True):
        for number in pair:
            if not number.now or number.value is None or number.value >= number.now:
                continue
            cut = 1 - number.value / number.now
            # A step is rounded up to whole Mi, so it may stay below what is worth a rollout by itself.
            assert cut >= settings.min_change - 1e-9 or "stepped" in codes(number)
            assert settings.allow_any_step or cut <= max_cut + 1e-9


@given(**ANY)
def test_limit_bound_use_never_lowers_a_number(asked: Demand, current: Allocation, settings: PolicySettings) -> None:
    asked = replace(
        asked,
        cpu=asked.cpu and replace(asked.cpu, is_limit_bound=True),
        memory=asked.memory and replace(asked.memory, is_limit_bound=True),
    )
    for request, limit in pairs(recommend(asked, current, settings)):
        for number in (request, limit):
            if number.value is not None and number.now is not None:
                assert number.value >= number.now


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


@given(**ANY)
def test_an_oom_kill_raises_memory_to_the_bump_or_to_no_number(
    asked: Demand, current: Allocation, settings: PolicySettings
) -> None:
    advice = recommend(replace(asked, oom_kills=1), current, settings).main.memory_request
    if advice.value is not None:
        assert asked.memory is not None
        peak = max(asked.memory.peak, asked.oom_peak_bytes or 0.0)
        assert advice.value >= max(peak + 100 * MIB, peak * 1.2) - NOISE_BYTES


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


@given(**ANY)
def test_an_autoscaled_request_and_autoscaled_replicas_are_unchanged(
    asked: Demand, current: Allocation, settings: PolicySettings
) -> None:
    settings = replace(settings, touch_autoscaled=False)
    advice = recommend(asked, current, settings)
    scaler = current.autoscaler
    if scaler is None:
        return
    assert advice.replicas.value is None
    if scaler.is_utilisation:
        request, limit = pairs(advice)[0 if scaler.resource is Target.CPU else 1]
        assert (request.value, limit.value) == (None, None)
        assert not limit.is_unset or limit.now is None


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


@given(asked=DEMANDS, current=allocations(), settings=policy_settings())
def test_an_hpa_has_room_between_its_replicas(asked: Demand, current: Allocation, settings: PolicySettings) -> None:
    advice = recommend(asked, current, settings)
    if advice.hpa_average_value_millicores is not None:
        assert advice.hpa_average_value_millicores >= 1
        assert advice.hpa_min_replicas is not None
        assert advice.hpa_max_replicas is not None
        assert settings.min_replicas <= advice.hpa_min_replicas <= advice.hpa_max_replicas


# --- the sizes -------------------------------------------------------------------------------------------------------


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


def test_memory_below_a_mebibyte_is_whole_kibibytes() -> None:
    settings = replace(PLAIN, memory_floor_bytes=0)
    assert recommend(demand(memory=needs(1500.0)), allocation(), settings).main.memory_request.value == 2 * KIB


def test_an_oom_kill_adds_a_hundred_mebibytes_or_a_fifth() -> None:
    small = recommend(demand(oom_kills=2, oom_peak_bytes=256.0 * MIB), allocation()).main.memory_request
    assert small.value == 356 * MIB
    assert small.reasons[-2] == Reason(
        "oom-bump", "2 OOM kills at 256Mi: at least max(256Mi + 100Mi, 256Mi x 1.2) = 356Mi"
    )
    large = recommend(demand(memory=needs(1.0, 1.0, 1000.0 * MIB), oom_kills=1), allocation()).main.memory_request
    assert large.value == 1200 * MIB  # the VPA's own test: 1000 -> 1200


def test_memory_that_was_oom_killed_is_not_cut() -> None:
    current = allocation(memory_request_bytes=GIB, memory_limit_bytes=2 * GIB)
    advice = recommend(demand(oom_kills=1), current)
    assert (advice.main.memory_request.value, advice.main.memory_limit.value) == (GIB, 2 * GIB)
    assert codes(advice.main.memory_request)[-2] == codes(advice.main.memory_limit)[-1] == "kept-limit-bound"


def test_limit_bound_use_is_raised_by_a_fifth() -> None:
    advice = recommend(
        demand(cpu=needs(0.18, 0.2, is_limit_bound=True)), allocation(cpu_request_millicores=100)
    ).main.cpu_request
    assert advice.value == 240
    assert advice.reasons[-2].text == (
        "limit-bound: real CPU demand may be higher than the 200m that could be seen; 200m x 1.2 = 240m"
    )


def test_limit_bound_use_is_not_cut() -> None:
    advice = recommend(
        demand(cpu=needs(0.18, 0.2, is_limit_bound=True)), allocation(cpu_request_millicores=800)
    ).main.cpu_request
    assert (advice.value, codes(advice)[-2]) == (800, "kept-limit-bound")


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


def test_a_bound_that_was_scored_alone_takes_no_buffer() -> None:
    alone = replace(needs(0.1, 0.11), takes_buffer=False)
    advice = recommend(demand(cpu=alone), allocation())
    assert (advice.main.cpu_request.value, advice.main.cpu_request.confidence) == (110, 0.9)
    assert advice.main.cpu_request.reasons[-1].text == "upper bound 110m -> 110m"


# --- floors, caps, steps ---------------------------------------------------------------------------------------------


def test_floors_raise_and_say_so() -> None:
    advice = recommend(demand(cpu=needs(0.001), memory=needs(MIB)), allocation())
    assert (advice.main.cpu_request.value, advice.main.memory_request.value) == (10, 16 * MIB)
    assert (codes(advice.main.cpu_request)[-1], codes(advice.main.memory_request)[-1]) == ("floor", "floor")


def test_a_cpu_cap_lowers_the_number_and_takes_its_confidence() -> None:
    advice = recommend(demand(), allocation(), PolicySettings(cpu_cap_millicores=100)).main.cpu_request
    assert (advice.value, advice.confidence, codes(advice)[-1]) == (100, None, "cap")


def test_a_memory_cap_below_what_must_be_covered_gives_no_number() -> None:
    advice = recommend(demand(), allocation(memory_limit_bytes=MIB), PolicySettings(memory_cap_bytes=200 * MIB))
    assert (advice.main.memory_request.value, advice.main.memory_limit.value) == (None, None)
    assert advice.main.memory_request.reasons[-1] == Reason(
        "cap-below-need", "the cap of 200Mi is below the 220Mi that must be covered"
    )
    assert advice.main.resources.memory_limit_bytes == MIB


def test_a_memory_cap_may_eat_into_the_buffer_only() -> None:
    advice = recommend(demand(), allocation(), PolicySettings(memory_cap_bytes=225 * MIB)).main.memory_request
    assert (advice.value, advice.confidence) == (225 * MIB, None)


def test_a_cut_below_ten_per_cent_is_deferred_and_one_of_ten_is_not() -> None:
    held = recommend(demand(), allocation(cpu_request_millicores=133)).main.cpu_request
    assert (held.value, held.confidence) == (133, 0.9)
    assert held.reasons[-1] == Reason(
        "deferred", "stays at 133m: the cut to 120m (9.8%) is deferred; cuts below 10% are not worth a rollout"
    )
    exactly = demand(cpu=needs(0.09, 0.09), memory=needs(90 * MIB, 90 * MIB))
    unbuffered = PolicySettings(cpu_buffer=1.0, memory_buffer=1.0)
    cut = recommend(exactly, allocation(cpu_request_millicores=100, memory_request_bytes=100 * MIB), unbuffered)
    assert (cut.main.cpu_request.value, cut.main.memory_request.value) == (90, 90 * MIB)


def test_one_step_cuts_half_of_the_cpu_and_three_tenths_of_the_memory() -> None:
    current = allocation(cpu_request_millicores=1000, memory_request_bytes=1000 * MIB)
    advice = recommend(demand(), current)
    assert (advice.main.cpu_request.value, advice.main.memory_request.value) == (500, 700 * MIB)
    assert advice.main.cpu_request.reasons[-1] == Reason(
        "stepped", "step limit: one change cuts at most 50% of 1, so 500m for now and 120m later"
    )
    at_once = recommend(demand(), current, PolicySettings(allow_any_step=True))
    assert (at_once.main.cpu_request.value, at_once.main.memory_request.value) == (120, 230 * MIB)


@pytest.mark.parametrize("now", [None, 0])
def test_an_unset_request_gets_the_whole_number(now: int | None) -> None:
    advice = recommend(demand(), allocation(cpu_request_millicores=now, memory_request_bytes=now))
    assert (advice.main.cpu_request.value, advice.main.memory_request.value) == (120, 230 * MIB)
    assert advice.main.cpu_request.change is None


# --- limits ----------------------------------------------------------------------------------------------------------


def test_by_default_the_cpu_limit_goes_and_the_memory_limit_is_the_request() -> None:
    advice = recommend(demand(), allocation(cpu_limit_millicores=200))
    assert (advice.main.cpu_limit.is_unset, advice.main.cpu_limit.value, advice.main.cpu_limit.now) == (True, None, 200)
    assert advice.main.memory_limit.value == advice.main.memory_request.value == 230 * MIB
    assert advice.main.resources == Resources(120, None, 230 * MIB, 230 * MIB)


def test_a_limit_below_the_new_request_moves() -> None:
    current = allocation(cpu_request_millicores=50, cpu_limit_millicores=100)
    kept = recommend(demand(), current, PolicySettings(cpu_limit="keep")).main.cpu_limit
    assert (kept.value, codes(kept)) == (120, ["limit-raised"])
    ratio = recommend(demand(), current, PolicySettings(cpu_limit="ratio")).main.cpu_limit
    assert (ratio.value, ratio.reasons[0].text) == (240, "2x the request, as now (100m to 50m)")


def test_keep_keeps_a_limit_that_is_high_enough_and_adds_none() -> None:
    settings = PolicySettings(cpu_limit="keep", memory_limit="keep")
    advice = recommend(demand(), allocation(cpu_limit_millicores=1000), settings)
    assert (advice.main.cpu_limit.value, codes(advice.main.cpu_limit)) == (1000, ["limit-kept"])
    assert (advice.main.memory_limit.value, advice.main.memory_limit.is_unset) == (None, True)


def test_ratio_takes_a_lone_limit_for_a_request_of_the_same_size() -> None:
    advice = recommend(demand(), allocation(cpu_limit_millicores=200), PolicySettings(cpu_limit="ratio")).main.cpu_limit
    assert (advice.value, codes(advice)) == (120, ["limit-equals-request"])


def test_a_ratio_below_one_is_not_kept() -> None:
    current = allocation(cpu_request_millicores=200, cpu_limit_millicores=100)
    assert recommend(demand(), current, PolicySettings(cpu_limit="ratio")).main.cpu_limit.value == 120


def test_a_memory_limit_is_cut_no_faster_than_a_request() -> None:
    advice = recommend(demand(), allocation(memory_limit_bytes=1000 * MIB))
    assert (advice.main.memory_request.value, advice.main.memory_limit.value) == (230 * MIB, 700 * MIB)
    assert codes(advice.main.memory_limit) == ["limit-equals-request", "stepped"]


# --- replicas and autoscalers ----------------------------------------------------------------------------------------


def test_replicas_are_those_that_the_demand_asks_for_between_floor_and_cap() -> None:
    assert recommend(demand(), allocation(5)).replicas.value == 2
    floored = recommend(demand(), allocation(None), PolicySettings(min_replicas=3)).replicas
    assert (floored.value, codes(floored)[-1]) == (3, "replicas-floor")
    capped = recommend(demand(replicas=needs(4.0)), allocation(2), PolicySettings(max_replicas=3))
    assert (capped.replicas.value, codes(capped.replicas)[-1]) == (None, "replicas-cap")
    assert capped.target.replicas == 2


def test_a_daemonset_has_as_many_pods_as_nodes() -> None:
    advice = recommend(demand(workload=Workload("shop", "agent", "DaemonSet")), allocation(3))
    assert (advice.replicas.value, codes(advice.replicas)) == (None, ["replicas-by-nodes"])
    assert advice.hpa_average_value_millicores is None


HPA = Autoscaler("frontend-hpa", Target.CPU, is_utilisation=True, target=70, min_replicas=2, max_replicas=10)


def test_a_request_that_an_hpa_measures_against_is_left_with_two_ways_out() -> None:
    current = allocation(4, HPA, cpu_request_millicores=200, cpu_limit_millicores=400)
    advice = recommend(demand(), current)
    assert advice.main.resources.cpu_request_millicores == 200
    assert advice.main.resources.cpu_limit_millicores == 400
    assert advice.main.memory_request.value == 230 * MIB
    reason = advice.main.cpu_request.reasons[0]
    assert reason.code == "autoscaler-utilisation"
    assert "120m would do: let the HPA scale on averageValue first (mora recommend -o hpa)" in reason.text
    assert "set its target from 70% of 200m to 116% of 120m" in reason.text
    assert codes(advice.replicas) == ["replicas-by-autoscaler"]
    assert (advice.hpa_min_replicas, advice.hpa_max_replicas) == (2, 10)


def test_an_hpa_on_average_value_leaves_the_request_free() -> None:
    current = allocation(4, replace(HPA, is_utilisation=False, target=100), cpu_request_millicores=200)
    advice = recommend(demand(), current)
    assert advice.main.cpu_request.value == 120
    assert advice.replicas.value is None


def test_an_autoscaled_request_may_be_changed_together_with_the_target() -> None:
    current = allocation(4, HPA, cpu_request_millicores=200)
    advice = recommend(demand(), current, PolicySettings(touch_autoscaled=True)).main.cpu_request
    assert advice.value == 120
    assert codes(advice)[-1] == "autoscaler-retarget"


def test_another_container_of_the_pod_moves_the_hpa_as_well() -> None:
    sidecar = Container("proxy", Resources(cpu_request_millicores=300))
    whole_pod = Surroundings((HPA,), shares_pod=True)
    left = size(demand(), sidecar, PolicySettings(), whole_pod).cpu_request
    assert (left.value, codes(left)) == (None, ["autoscaler-utilisation"])
    assert "--retarget-hpa" in left.reasons[0].text
    assert "%" not in left.reasons[0].text.partition("would do")[2]  # the pod's sum decides, which one container lacks
    of_the_server = Surroundings((replace(HPA, container="server"),), shares_pod=True)
    assert size(demand(), sidecar, PolicySettings(), of_the_server).cpu_request.value == 150


def test_a_second_metric_of_the_hpa_is_seen() -> None:
    by_memory = replace(HPA, resource=Target.MEMORY)
    current = allocation(4, HPA, cpu_request_millicores=200, memory_request_bytes=500 * MIB)
    advice = recommend(demand(), current, around=Surroundings((HPA, by_memory)))
    assert codes(advice.main.cpu_request) == codes(advice.main.memory_request) == ["autoscaler-utilisation"]


# --- what the namespace and the runtime allow ------------------------------------------------------------------------

NOTHING = Resources()


def within(least: Resources = NOTHING, most: Resources = NOTHING) -> Surroundings:
    return Surroundings(limit_range=AmountRange(least, most))


def test_a_limit_range_raises_what_is_below_its_least() -> None:
    allowed = within(Resources(cpu_request_millicores=250, memory_request_bytes=GIB))
    advice = recommend(demand(), allocation(), around=allowed)
    assert (advice.main.cpu_request.value, advice.main.memory_request.value) == (250, GIB)
    assert advice.main.memory_limit.value == GIB
    assert codes(advice.main.cpu_request)[-1] == codes(advice.main.memory_request)[-1] == "limit-range"


def test_a_limit_range_lowers_cpu_and_takes_its_confidence() -> None:
    advice = recommend(demand(), allocation(), around=within(most=Resources(cpu_limit_millicores=50)))
    assert (advice.main.cpu_request.value, advice.main.cpu_request.confidence) == (50, None)
    assert codes(advice.main.cpu_limit) == ["limit-unset", "limit-range"]


def test_a_limit_that_a_limit_range_gives_is_a_reason_and_never_below_the_request() -> None:
    def given(millicores: int) -> Advice:
        resources = Resources(cpu_limit_millicores=millicores)
        allowed = Surroundings(limit_range=AmountRange(given=resources))
        return recommend(demand(), allocation(cpu_limit_millicores=400), around=allowed).main.cpu_limit

    enough = given(500)
    assert (enough.is_unset, codes(enough)) == (True, ["limit-unset", "limit-range"])
    assert "gives a container without a limit one of 500m" in enough.reasons[-1].text
    too_little = given(100)  # the API server would refuse a pod that requests 120m and is limited to 100m
    assert (too_little.is_unset, too_little.value, codes(too_little)[0]) == (False, 200, "limit-range")


def test_a_limit_range_below_what_must_be_covered_gives_no_memory_number() -> None:
    advice = recommend(demand(), allocation(), around=within(most=Resources(memory_limit_bytes=100 * MIB)))
    assert (advice.main.memory_request.value, codes(advice.main.memory_request)[-1]) == (None, "cap-below-need")
    assert "LimitRange" in advice.main.memory_request.reasons[-1].text


def test_a_limit_stays_within_the_limit_range_too() -> None:
    settings = PolicySettings(memory_limit="ratio")
    now = allocation(memory_request_bytes=200 * MIB, memory_limit_bytes=800 * MIB)
    advice = recommend(demand(), now, settings, within(most=Resources(memory_limit_bytes=300 * MIB)))
    assert (advice.main.memory_request.value, advice.main.memory_limit.value) == (230 * MIB, 300 * MIB)


def test_memory_that_may_not_be_cut_is_raised_all_the_same() -> None:
    held = Surroundings(no_memory_cut=Reason("kept-jvm", "a Java heap takes what it is given"))
    cut = recommend(demand(), allocation(memory_request_bytes=GIB, memory_limit_bytes=2 * GIB), around=held)
    assert (cut.main.memory_request.value, cut.main.memory_limit.value) == (GIB, 2 * GIB)
    assert codes(cut.main.memory_request)[-1] == codes(cut.main.memory_limit)[-1] == "kept-jvm"
    assert recommend(demand(), allocation(memory_request_bytes=MIB), around=held).main.memory_request.value == 230 * MIB


def test_the_hpa_target_is_the_use_at_which_the_driven_load_kept_its_slo() -> None:
    advice = recommend(demand(), allocation())
    assert advice.hpa_average_value_millicores == 100
    assert (advice.hpa_min_replicas, advice.hpa_max_replicas) == (1, 4)
    assert advice.reasons[-1].code == "hpa-average-value"


def test_without_a_driven_load_the_hpa_target_is_a_share_of_the_request() -> None:
    advice = recommend(demand(load=None), allocation())
    assert advice.hpa_average_value_millicores == 84  # 70 % of 120m


# --- what cannot be meant --------------------------------------------------------------------------------------------


def test_the_reasons_of_the_demand_are_the_reason_where_there_is_no_number() -> None:
    asked = demand(cpu=None, reasons=(Reason("too-few-samples", "12 samples, 60 are needed"),))
    advice = recommend(asked, allocation(cpu_request_millicores=100, cpu_limit_millicores=200))
    assert advice.main.cpu_request.reasons == (Reason("no-number", "12 samples, 60 are needed"),)
    assert advice.main.resources.cpu_limit_millicores == 200


def test_a_workload_without_containers_cannot_be_sized() -> None:
    with pytest.raises(BadInput, match="frontend has no container"):
        recommend(demand(), Allocation(2))


@pytest.mark.parametrize("wrong", [float("nan"), float("inf"), -1.0])
def test_a_demand_that_is_no_amount_is_refused(wrong: float) -> None:
    with pytest.raises(BadInput, match="finite number"):
        recommend(demand(cpu=needs(wrong)), allocation())


@pytest.mark.parametrize(
    "wrong",
    [
        {"cpu_buffer": 0.9},
        {"limit_bound_factor": float("nan")},
        {"memory_floor_bytes": -1},
        {"min_change": 1.1},
        {"max_cpu_cut": 0.0},
        {"cpu_cap_millicores": 5},
        {"max_replicas": 1, "min_replicas": 2},
    ],
)
def test_settings_that_cannot_be_meant_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(BadInput):
        PolicySettings(**wrong)
