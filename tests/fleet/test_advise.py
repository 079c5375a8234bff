"""From a workload's history to advice: every container, and what must never happen."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mora.bounds.cpu import cpu_bounds
from mora.bounds.memory import memory_bounds
from mora.domain import (
    Allocation,
    AmountRange,
    Container,
    CrashLoop,
    Quota,
    Reason,
    Resources,
    Role,
    Workload,
    WorkloadHistory,
    WorkloadState,
)
from mora.domain.runtimes import Runtime
from mora.fleet.advise import advise
from mora.fleet.evidence import Floats
from mora.fleet.settings import FleetSettings
from mora.quantities import GIB, MIB, cores_to_millicores, memory_request
from tests.fleet.making import (
    AT_ONCE,
    DAY,
    NOW,
    SAMPLES,
    STEP,
    WINDOW,
    advised,
    codes,
    container,
    container_history,
    history,
    part,
    state,
    steady,
    words,
)


def a_ramp(level: float, *, days: float, before: float) -> Floats:
    """`before`, and for the last `days` `level`."""
    return np.where(np.arange(SAMPLES) >= SAMPLES - round(days * DAY), level, before) * steady(1.0, seed=5)


# --- the numbers -----------------------------------------------------------------------------------------------------


def test_the_numbers_are_those_that_the_backtest_scores() -> None:
    seen = container_history()
    advice = advised(seen=history(seen))
    end = np.array([SAMPLES])
    cpu = cpu_bounds(seen.cpu_cores, step_seconds=300, decisions=end, horizon_seconds=86_400)
    memory = memory_bounds(seen.mem_bytes, step_seconds=300, decisions=end, horizon_seconds=86_400)
    assert advice.main.cpu_request.value == cores_to_millicores(float(cpu.requests[0]))
    assert advice.main.memory_request.value == memory_request(float(memory.requests[0]))
    assert advice.main.cpu_request.confidence == pytest.approx(float(cpu.confidence[0]))
    assert advice.main.memory_request.confidence == pytest.approx(float(memory.confidence[0]))
    assert (advice.main.cpu_request.windows, advice.basis) == (14, "history")
    assert advice.main.memory_limit.value == advice.main.memory_request.value
    assert advice.main.cpu_limit.is_unset


@settings(max_examples=15, deadline=None)
@given(peak=st.floats(1.0, 50.0), day=st.integers(1, 6), seed=st.integers(0, 99))
def test_memory_is_never_below_the_peak_of_the_last_seven_days(peak: float, day: int, seed: int) -> None:
    use = steady(100 * MIB, seed=seed)
    use[SAMPLES - day * DAY] = peak * 100 * MIB
    advice = advised(seen=history(container_history(mem_bytes=use)))
    assert (advice.main.memory_request.value or 0) >= use[SAMPLES - 7 * DAY :].max()


def test_a_container_whose_use_is_doubled_gets_about_twice_as_much() -> None:
    once = advised(seen=history(container_history(cpu_cores=steady(0.2))))
    twice = advised(seen=history(container_history(cpu_cores=steady(0.4))))
    assert twice.main.cpu_request.value == pytest.approx(2 * (once.main.cpu_request.value or 0), abs=2)


def test_a_horizon_of_an_hour_asks_the_rule_for_an_hour() -> None:
    busy_by_day = steady(0.2) * (1 + 3 * (np.arange(SAMPLES) % DAY > DAY / 2))
    seen = history(container_history(cpu_cores=busy_by_day))
    day, hour = advised(seen=seen), advised(seen=seen, settings=replace(AT_ONCE, horizon=timedelta(hours=1)))
    assert "24h" in words(day.main.cpu_request)
    assert "1h" in words(hour.main.cpu_request)
    assert day.main.cpu_request.value != hour.main.cpu_request.value


def test_replicas_are_unchanged_since_history_holds_no_response_times() -> None:
    advice = advised(state(replicas=4))
    assert (advice.replicas.now, advice.replicas.value, codes(advice.replicas)) == (4, None, ["replicas-unchanged"])
    assert advice.target.replicas == 4


# --- too little ------------------------------------------------------------------------------------------------------


def test_a_workload_that_is_gone_gets_a_reason_and_no_error() -> None:
    advice = advised(seen=WorkloadHistory(Workload("shop", "frontend"), WINDOW, {}))
    assert [part.value for part in (advice.main.cpu_request, advice.main.memory_request, advice.replicas)] == [None] * 3
    assert codes(advice.main.cpu_request) == ["no-history"]
    assert "it is gone, never ran, or is not scraped" in words(advice.main.cpu_request)
    assert advice.target == advice.current


def test_a_workload_that_cannot_be_read_gets_the_reason_and_no_number_whatever_its_history() -> None:
    odd = WorkloadState(
        Workload("shop", "frontend"), Allocation(), problem=Reason("unreadable", "spec.replicas is text")
    )
    advice = advised(odd, history(container_history()))
    numbers = (advice.main.cpu_request, advice.main.memory_request, advice.main.cpu_limit, advice.main.memory_limit)
    assert [part.value for part in (*numbers, advice.replicas)] == [None] * 5
    assert {code for part in numbers for code in codes(part)} == {"unreadable"}
    assert advice.main.cpu_request.summary == "no recommendation: spec.replicas is text"
    assert advice.target == advice.current


def test_a_workload_without_replicas_gets_that_as_a_reason() -> None:
    advice = advised(state(replicas=0), WorkloadHistory(Workload("shop", "frontend"), WINDOW, {}))
    assert "it is scaled to 0 replicas" in words(advice.main.cpu_request)


def test_a_workload_last_seen_days_ago_gets_that_as_a_reason() -> None:
    until = np.arange(SAMPLES) < SAMPLES - 3 * DAY
    gone = container_history(cpu_cores=np.where(until, 0.2, np.nan), mem_bytes=np.where(until, 2e8, np.nan))
    advice = advised(seen=history(gone))
    assert "last-seen" in codes(advice)
    assert advice.as_of == NOW - timedelta(days=3)
    assert advice.main.memory_request.value is not None


def test_a_history_shorter_than_asked_for_names_its_time_range() -> None:
    late = np.arange(SAMPLES) >= SAMPLES - 5 * DAY
    seen = container_history(cpu_cores=np.where(late, 0.2, np.nan), mem_bytes=np.where(late, 2e8, np.nan))
    advice = advised(seen=history(seen))
    assert "window-short" in codes(advice)
    assert "5d of the 14d" in words(advice)
    assert advice.main.evidence is not None
    assert (advice.main.evidence.start, advice.main.evidence.end) == (NOW - 5 * timedelta(days=1) + STEP, NOW)


def test_a_workload_that_was_scraped_once_is_too_young_for_a_number() -> None:
    once = np.arange(SAMPLES) == SAMPLES - 1
    use = container_history(cpu_cores=np.where(once, 0.2, np.nan), mem_bytes=np.where(once, 2e8, np.nan))
    advice = advised(seen=history(use))
    assert "5m of the 14d" in words(advice)
    assert codes(advice.main.cpu_request) == ["too-little-data"]


# --- every container -------------------------------------------------------------------------------------------------


SIDECAR = Container("istio-proxy", Resources(100, None, 128 * MIB), role=Role.SIDECAR, is_injected=True)
NATIVE = Container("log-agent", Resources(50), role=Role.NATIVE_SIDECAR)
INIT = Container("migrate", Resources(1000), role=Role.INIT)


def a_full_pod() -> tuple[WorkloadState, WorkloadHistory]:
    own = container(cpu_request_millicores=500)
    cache = Container("cache", Resources(100, None, 64 * MIB))
    seen = [container_history(name, cpu_cores=steady(0.1 * n)) for n, name in enumerate(("server", "cache"), 1)]
    seen += [container_history(name, cpu_cores=steady(0.05)) for name in ("istio-proxy", "log-agent")]
    return state(own, cache, SIDECAR, NATIVE, INIT), history(*seen)


def test_every_container_is_sized_and_sidecars_are_named_and_skipped() -> None:
    advice = advised(*a_full_pod())
    assert [one.container for one in advice.containers] == ["server", "cache", "istio-proxy", "log-agent", "migrate"]
    assert (advice.main.cpu_request.value or 0) < (part(advice, "cache").cpu_request.value or 0)
    for name, code in (
        ("istio-proxy", "sidecar-skipped"),
        ("log-agent", "native-sidecar-skipped"),
        ("migrate", "init-skipped"),
    ):
        left = part(advice, name)
        assert [one.value for one in (left.cpu_request, left.memory_request)] == [None, None]
        assert codes(left.cpu_request) == [code]
        assert name in words(left.cpu_request)
        assert left.resources == next(c.resources for c in advice.current.containers if c.name == name)
    assert part(advice, "istio-proxy").evidence is not None  # seen, though left alone


def test_sidecars_are_sized_on_request_and_init_containers_never() -> None:
    advice = advised(*a_full_pod(), settings=replace(AT_ONCE, include_sidecars=True))
    assert part(advice, "istio-proxy").cpu_request.value is not None
    assert codes(part(advice, "istio-proxy")) == ["injected"]  # no patch of the template can set it
    assert part(advice, "log-agent").cpu_request.value is not None
    assert codes(part(advice, "migrate").cpu_request) == ["init-skipped"]


def test_a_container_that_is_gone_is_named() -> None:
    advice = advised(seen=history(container_history(), container_history("old-agent")))
    assert "container-gone" in codes(advice)
    assert "old-agent" in words(advice)


def test_containers_come_from_the_history_where_no_template_is_known() -> None:
    bare = replace(state(), allocation=Allocation(2), known_by="prometheus")
    advice = advised(bare, history(container_history("server"), container_history("frontend")))
    assert advice.main.container == "frontend"
    assert {"containers-from-history", "known-by-prometheus"} <= set(codes(advice))


# --- what bounds the numbers -----------------------------------------------------------------------------------------


def test_memory_of_a_java_virtual_machine_is_not_cut_without_a_flag() -> None:
    java = state(jvm=frozenset({"server"}))
    kept = advised(java)
    assert (kept.main.memory_request.value, kept.main.memory_limit.value) == (512 * MIB, 512 * MIB)
    assert "kept-jvm" in codes(kept.main.memory_request)
    assert (kept.main.cpu_request.value or 0) < 500
    cut = advised(java, settings=replace(AT_ONCE, allow_jvm_cut=True))
    assert (cut.main.memory_request.value or 0) < 512 * MIB


def test_a_limit_range_bounds_every_container() -> None:
    narrow = AmountRange(Resources(memory_request_bytes=GIB), Resources(cpu_request_millicores=100))
    advice = advised(state(limit_range=narrow))
    assert (advice.main.cpu_request.value, advice.main.memory_request.value) == (100, GIB)
    assert "limit-range" in codes(advice.main.cpu_request)


def test_a_quota_on_cpu_limits_keeps_the_limit() -> None:
    quota = Quota("compute", Resources(cpu_limit_millicores=4000), Resources(cpu_limit_millicores=1000))
    now = state(container(cpu_request_millicores=500, cpu_limit_millicores=1000), quotas=(quota,))
    advice = advised(now)
    assert (advice.main.cpu_limit.value, advice.main.cpu_limit.is_unset) == (1000, False)
    assert codes(advice.main.cpu_limit)[-1] == "quota-needs-limit"


# --- repeatable and up to date ----------------------------------------------------------------------------------------


def test_the_same_values_give_the_same_advice_twice() -> None:
    of, seen = a_full_pod()
    assert advise(of, seen, FleetSettings()) == advise(of, seen, FleetSettings())


def test_use_that_grew_lately_is_followed() -> None:
    grown = advised(seen=history(container_history(cpu_cores=a_ramp(0.8, days=4, before=0.1))))
    assert (grown.main.cpu_request.value or 0) > 600


# --- init containers that ran out of memory ---------------------------------------------------------------------------


def test_an_init_container_that_was_oom_killed_gets_more_memory_and_nothing_else() -> None:
    given = container("migrate", Role.INIT, memory_request_bytes=256 * MIB, memory_limit_bytes=256 * MIB)
    plain = container(cpu_request_millicores=500, memory_request_bytes=512 * MIB, memory_limit_bytes=512 * MIB)
    nothing = np.full(SAMPLES, np.nan)
    killed = container_history("migrate", cpu_cores=nothing, mem_bytes=nothing, pods=0, oom_kills=5)
    advice = advised(state(plain, given), history(container_history(), killed)).others[0]
    assert (advice.memory_request.value, advice.memory_limit.value) == (356 * MIB, 356 * MIB)
    assert advice.memory_request.confidence is None
    assert "5 OOM kills at 256Mi" in advice.memory_request.summary
    assert (advice.cpu_request.value, advice.cpu_limit.value) == (None, None)
    calm = advised(state(plain, given), history()).others[0]
    assert (calm.memory_request.value, codes(calm)) == (None, [])


def test_an_init_container_that_is_excluded_stays_so_after_a_kill() -> None:
    given = container("migrate", Role.INIT, memory_request_bytes=256 * MIB, memory_limit_bytes=256 * MIB)
    plain = container(cpu_request_millicores=500, memory_request_bytes=512 * MIB, memory_limit_bytes=512 * MIB)
    excluded = {"mora.dev/exclude-containers": "migrate"}
    killed = history(container_history(), container_history("migrate", oom_kills=5))
    advice = advised(state(plain, given, annotations=excluded), killed).others[0]
    assert advice.memory_request.value is None


# --- crash loops ------------------------------------------------------------------------------------------------------


def test_a_workload_that_keeps_crashing_is_not_cut_and_has_no_confidence() -> None:
    loop = CrashLoop("frontend-abc", "server", 130, timedelta(days=1))
    plain = container(cpu_request_millicores=500, memory_request_bytes=512 * MIB, memory_limit_bytes=512 * MIB)
    proxy = container("proxy", cpu_request_millicores=500, memory_request_bytes=512 * MIB)
    seen = history(container_history(crash_loop=loop), container_history("proxy"))
    advice = advised(state(plain, proxy), seen)
    for one in advice.containers:  # what serves nothing keeps its proxy idle, too
        assert (one.cpu_request.value, one.memory_request.value) == (500, 512 * MIB)
        assert (one.cpu_request.confidence, one.memory_request.confidence) == (None, None)
    (told,) = [reason.text for reason in advice.reasons if reason.code == "crash-loop"]
    assert "130 times in 24h" in told
    assert "kubectl logs --previous -n shop -c server frontend-abc" in told


# --- runtimes that may take more memory than they do ------------------------------------------------------------------

XMX = Runtime("Java", 400 * MIB, "-Xmx400m in JAVA_OPTS")


def of_runtime(runtime: Runtime | None = None, limit: int = GIB, **fields: Any) -> WorkloadState:
    given = container(cpu_request_millicores=500, memory_request_bytes=limit, memory_limit_bytes=limit)
    return state(replace(given, runtime=runtime), **fields)


def test_memory_is_cut_down_to_what_a_runtime_may_take_and_no_further() -> None:
    java = frozenset({"server"})
    advice = advised(of_runtime(XMX, jvm=java)).main
    assert (advice.memory_request.value, advice.memory_limit.value) == (500 * MIB, 500 * MIB)
    assert advice.memory_request.summary == "Java may take 400 MiB"
    # The same from the metrics of the runtime itself.
    told = history(container_history(runtime=Runtime("Go", 500 * MIB, "go_gc_gomemlimit_bytes")))
    assert advised(of_runtime(), told).main.memory_request.value == 525 * MIB


def test_a_heap_that_only_its_metrics_show_is_not_cut() -> None:
    seen = history(container_history(runtime=Runtime("Java", None, "jvm_memory_max_bytes")))
    assert advised(of_runtime(), seen).main.memory_request.value == GIB
    assert (advised(of_runtime()).main.memory_request.value or 0) < 300 * MIB


@pytest.mark.parametrize(
    ("annotation", "expected"),
    [
        ("java", GIB),
        ("java:400Mi", 500 * MIB),
        ("server=redis:400Mi", 500 * MIB),
        ("sidecar=java", None),
        ("none", None),
    ],
)
def test_an_annotation_says_what_runs_where_nothing_else_can(annotation: str, expected: int | None) -> None:
    advice = advised(of_runtime(annotations={"mora.dev/runtime": annotation})).main.memory_request
    assert advice.value is not None
    assert advice.value == expected if expected is not None else advice.value < 300 * MIB
    # "none" also takes back what an image or a flag seems to say.
    wrong = of_runtime(XMX, jvm=frozenset({"server"}), annotations={"mora.dev/runtime": "none"})
    assert (advised(wrong).main.memory_request.value or 0) < 300 * MIB


def test_a_runtime_that_may_take_more_than_its_limit_is_named() -> None:
    advice = advised(of_runtime(XMX, limit=300 * MIB)).main
    assert advice.memory_request.value == 300 * MIB
    (told,) = [reason.text for reason in advice.reasons if reason.code == "runtime-above-limit"]
    assert "400 MiB, more than the memory limit of 300 MiB" in told


@pytest.mark.parametrize(("killed", "limit", "is_kept"), [(2, 250 * MIB, True), (2, GIB, False), (0, 250 * MIB, False)])
def test_memory_of_what_was_killed_near_its_limit_is_not_cut(killed: int, limit: int, is_kept: bool) -> None:
    small = history(container_history(mem_bytes=steady(200 * MIB, seed=2), killed=killed))
    now = container(cpu_request_millicores=500, memory_request_bytes=limit, memory_limit_bytes=limit)
    request = advised(state(now), small).main.memory_request
    assert (request.value == limit) == is_kept
    assert ("killed" in codes(request)) == is_kept
