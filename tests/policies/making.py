"""Demands, allocations and settings for the tests of policies: named ones, and any that can be."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from hypothesis import strategies as st

from mora.domain import (
    Advice,
    Allocation,
    AmountRange,
    Autoscaler,
    Container,
    Demand,
    Load,
    Recommendation,
    Resources,
    Target,
    TargetDemand,
    Workload,
)
from mora.policies import LimitPolicy, PolicySettings, Surroundings
from mora.quantities import GIB, MIB

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


NOTHING = Resources()


def within(least: Resources = NOTHING, most: Resources = NOTHING) -> Surroundings:
    return Surroundings(limit_range=AmountRange(least, most))
