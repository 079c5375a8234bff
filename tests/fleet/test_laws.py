"""What is true of any history, state and settings: no request above its limit, no number without a reason."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from mora.domain import API_VERSIONS, AmountRange, Autoscaler, CrashLoop, Quota, Resources, Role, Target, Workload
from mora.domain.runtimes import Runtime
from mora.fleet.settings import FleetSettings
from mora.policies import PolicySettings
from mora.quantities import GIB, MIB
from tests.fleet.making import SAMPLES, advised, container, container_history, history, state

MILLICORES = st.none() | st.integers(1, 4000)
BYTES = st.none() | st.integers(MIB, 4 * GIB)


@st.composite
def some_history(draw: st.DrawFn) -> Any:
    rng = np.random.default_rng(draw(st.integers(0, 10**6)))
    known = rng.random(SAMPLES) >= draw(st.sampled_from([0.0, 0.1, 0.9, 0.99, 1.0]))
    known &= np.arange(SAMPLES) >= draw(st.sampled_from([0, SAMPLES // 2, SAMPLES - 50]))
    level = draw(st.sampled_from([0.0, 1e-4, 0.2, 30.0]))
    cpu = np.where(known, level * rng.gamma(2.0, 0.5, SAMPLES), np.nan)
    memory = np.where(known, 200 * MIB * rng.uniform(0.5, 1.5, SAMPLES), np.nan)
    limits: dict[str, Any] = {}
    if draw(st.booleans()):
        limits["cpu_limit_cores"] = np.where(rng.random(SAMPLES) < 0.9, 0.25, np.nan)
        limits["throttled"] = np.where(known, rng.random(SAMPLES), np.nan)
    if draw(st.booleans()):
        limits["mem_limit_bytes"] = np.full(SAMPLES, 280.0 * MIB)
    kills = draw(st.integers(0, 2))
    return container_history(
        cpu_cores=cpu,
        mem_bytes=memory,
        startup_cpu_cores=draw(st.none() | st.floats(0.0, 5.0)),
        startup_mem_bytes=draw(st.none() | st.floats(0.0, 1e9)),
        oom_kills=kills,
        oom_limit_bytes=300.0 * MIB if kills else None,
        pods=draw(st.integers(0, 20)),
        mem_less_cache_bytes=draw(st.sampled_from([None, memory * rng.uniform(0.1, 1.0, SAMPLES)])),
        crash_loop=draw(st.sampled_from([None, CrashLoop("frontend-abc", "server", 50, timedelta(days=1))])),
        **limits,
    )


@st.composite
def some_state(draw: st.DrawFn) -> Any:
    sized = Resources(draw(MILLICORES), draw(MILLICORES), draw(BYTES), draw(BYTES))
    runtime = draw(st.sampled_from([None, Runtime("Java", GIB // 2, "-Xmx512m"), Runtime("Go", None, "limit")]))
    own = replace(container(role=draw(st.sampled_from(list(Role)))), resources=sized, runtime=runtime)
    scaler = Autoscaler("hpa", draw(st.sampled_from([Target.CPU, Target.MEMORY])), draw(st.booleans()), 70, 1, 9)
    return state(
        own,
        replicas=draw(st.none() | st.integers(0, 9)),
        workload=Workload("shop", "frontend", draw(st.sampled_from(list(API_VERSIONS)))),
        autoscalers=draw(st.sampled_from([(), (scaler,)])),
        limit_range=draw(
            st.sampled_from(
                [
                    None,
                    AmountRange(
                        Resources(cpu_request_millicores=50),
                        Resources(cpu_limit_millicores=1000, memory_limit_bytes=GIB),
                        Resources(cpu_limit_millicores=200),
                    ),
                ]
            )
        ),
        quotas=draw(st.sampled_from([(), (Quota("q", Resources(cpu_limit_millicores=10**6), Resources()),)])),
        jvm=draw(st.sampled_from([frozenset(), frozenset({"server"})])),
    )


SETTINGS = st.builds(
    FleetSettings,
    policy=st.builds(PolicySettings, touch_autoscaled=st.booleans(), allow_any_step=st.booleans()),
    include_sidecars=st.booleans(),
    allow_jvm_cut=st.booleans(),
)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(of=some_state(), seen=some_history(), how=SETTINGS)
def test_whatever_comes_the_advice_is_whole(of: Any, seen: Any, how: FleetSettings) -> None:
    advice = advised(of, history(seen, workload=of.workload), how)
    cpu, memory = advice.main.cpu_request, advice.main.memory_request
    for part in (cpu, memory, advice.main.cpu_limit, advice.main.memory_limit, advice.replicas):
        assert part.reasons, "no number, and no lack of one, without a reason"
        assert part.value is None or part.value > 0
        assert part.confidence is None or 0 <= part.confidence <= 1
    for request, limit in ((cpu, advice.main.cpu_limit), (memory, advice.main.memory_limit)):
        if request.value is not None and limit.value is not None:
            assert request.value <= limit.value
    if memory.value is not None:
        # Page cache is no need, but where an OOM kill shows that there was none to give back.
        less = seen.mem_less_cache_bytes is not None and not seen.oom_kills
        needed = (seen.mem_less_cache_bytes if less else seen.mem_bytes)[-7 * 288 :]
        assert memory.value >= np.nanmax(needed, initial=0.0)
        assert less or memory.value >= (seen.startup_mem_bytes or 0.0)
        assert not seen.oom_kills or memory.value >= 400 * MIB
    if of.limit_range is not None:
        assert cpu.value is None or 50 <= cpu.value <= 1000
        assert memory.value is None or memory.value <= GIB
        # A pod that requests more than the limit it would be given is refused.
        assert cpu.value is None or cpu.value <= 200 or not advice.main.cpu_limit.is_unset
    (own,) = of.allocation.containers
    told = own.runtime.container_bytes if own.runtime is not None else None
    if told is not None and memory.value is not None and memory.now is not None:
        assert memory.value >= min(memory.now, told, GIB)
    if seen.crash_loop is not None:
        for part in (cpu, memory):
            assert part.confidence is None
            assert part.value is None or part.now is None or part.value >= min(part.now, 1000 if part is cpu else GIB)
    if of.jvm and told is None and not how.allow_jvm_cut and memory.value is not None and memory.now is not None:
        assert memory.value >= min(memory.now, GIB)
