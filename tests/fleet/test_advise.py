"""From a workload's history to advice: every container, and what must never happen."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

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
    Demand,
    Load,
    Quota,
    Reason,
    Resources,
    Role,
    TargetDemand,
    Workload,
    WorkloadHistory,
    WorkloadState,
)
from mora.fleet.advise import advise
from mora.fleet.evidence import Floats
from mora.fleet.settings import FleetSettings
from mora.fleet.spans import parse_span
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


def test_an_hours_hold_asks_the_rule_for_an_hour() -> None:
    busy_by_day = steady(0.2) * (1 + 3 * (np.arange(SAMPLES) % DAY > DAY / 2))
    seen = history(container_history(cpu_cores=busy_by_day))
    day, hour = advised(seen=seen), advised(seen=seen, settings=replace(AT_ONCE, horizon=timedelta(hours=1)))
    assert "24h" in words(day.main.cpu_request)
    assert "1h" in words(hour.main.cpu_request)
    assert day.main.cpu_request.value != hour.main.cpu_request.value


def test_replicas_stay_as_they_are_since_history_knows_of_no_promise() -> None:
    advice = advised(state(replicas=4))
    assert (advice.replicas.now, advice.replicas.value, codes(advice.replicas)) == (4, None, ["replicas-unchanged"])
    assert advice.target.replicas == 4


# --- use that was held back ------------------------------------------------------------------------------------------


def test_use_pinned_at_a_cpu_limit_is_no_demand() -> None:
    limit = np.full(SAMPLES, 0.2)
    pinned = container_history(cpu_cores=np.minimum(steady(0.25), limit), cpu_limit_cores=limit)
    now = state(container(cpu_request_millicores=100, cpu_limit_millicores=200))
    request = advised(now, history(pinned)).main.cpu_request
    assert request.value is not None
    assert 240 <= request.value < 250  # the limit x 1.2, or the bound above it
    assert request.confidence is None
    assert {"limit-bound", "raised-limit-bound", "no-confidence"} <= set(codes(request))


def test_use_pinned_at_a_limit_is_never_cut() -> None:
    limit = np.full(SAMPLES, 0.2)
    pinned = container_history(cpu_cores=np.minimum(steady(0.25), limit), cpu_limit_cores=limit)
    request = advised(state(container(cpu_request_millicores=900)), history(pinned)).main.cpu_request
    assert (request.value, codes(request)[-1]) == (900, "no-confidence")
    assert "kept-limit-bound" in codes(request)


def test_a_limit_that_was_taken_away_since_holds_nothing_back() -> None:
    limit = np.where(np.arange(SAMPLES) < SAMPLES - 3 * DAY, 0.2, np.nan)
    use = np.where(np.isnan(limit), 0.3, 0.2) * steady(1.0, seed=3)
    request = advised(seen=history(container_history(cpu_cores=use, cpu_limit_cores=limit))).main.cpu_request
    assert "raised-limit-bound" not in codes(request)
    assert request.confidence is not None


def test_a_limit_that_was_raised_an_hour_ago_still_counts() -> None:
    limit = np.where(np.arange(SAMPLES) < SAMPLES - 12, 0.2, 1.0)
    pinned = container_history(cpu_cores=np.minimum(steady(0.25), limit), cpu_limit_cores=limit)
    assert "raised-limit-bound" in codes(advised(seen=history(pinned)).main.cpu_request)


def test_throttling_when_it_is_busy_raises_the_number_and_takes_its_confidence() -> None:
    use = steady(0.2)
    busy = use >= np.quantile(use, 0.9)
    free = advised(seen=history(container_history(cpu_cores=use, throttled=np.zeros(SAMPLES))))
    held = advised(seen=history(container_history(cpu_cores=use, throttled=np.where(busy, 0.4, 0.0))))
    assert free.main.cpu_request.confidence is not None
    assert (held.main.cpu_request.value or 0) >= 1.2 * (free.main.cpu_request.value or 0) - 1
    assert (held.main.cpu_request.confidence, "CPU was throttled in" in words(held.main.cpu_request)) == (None, True)


def test_throttling_while_idle_is_no_sign_of_need() -> None:
    use = steady(0.2)
    idle = use < np.quantile(use, 0.2)
    advice = advised(seen=history(container_history(cpu_cores=use, throttled=np.where(idle, 0.9, 0.0))))
    assert "raised-limit-bound" not in codes(advice.main.cpu_request)


def test_memory_at_its_limit_is_raised_above_it() -> None:
    limit = np.full(SAMPLES, 200.0 * MIB)
    use = np.minimum(steady(195 * MIB), limit)
    request = advised(seen=history(container_history(mem_bytes=use, mem_limit_bytes=limit))).main.memory_request
    assert (request.value or 0) >= 240 * MIB
    assert (request.confidence, "raised-limit-bound" in codes(request)) == (None, True)


# --- start-up, kills -------------------------------------------------------------------------------------------------


def test_start_up_peaks_are_kept_apart_and_covered() -> None:
    seen = container_history(startup_cpu_cores=1.5, startup_mem_bytes=700.0 * MIB)
    advice = advised(seen=history(seen))
    assert (advice.main.cpu_request.value, advice.main.memory_request.value) == (1500, 700 * MIB)
    assert "start-up peak" in words(advice.main.cpu_request)
    assert "start-up peak" in words(advice.main.memory_request)


def test_a_start_up_that_is_like_any_other_minute_raises_nothing() -> None:
    use = steady(0.2)
    use[::50] = 0.6
    bare, started = (
        advised(seen=history(container_history(cpu_cores=use, startup_cpu_cores=peak))) for peak in (None, 0.55)
    )
    assert bare.main.cpu_request.value == started.main.cpu_request.value
    assert (bare.main.cpu_request.value or 0) < 550


def test_an_oom_kill_bumps_from_the_limit_that_it_happened_at() -> None:
    killed = container_history(oom_kills=2, oom_limit_bytes=1000.0 * MIB)
    advice = advised(seen=history(killed))
    assert advice.main.memory_request.value == 1200 * MIB
    assert "2 OOM kills at 1000Mi" in words(advice.main.memory_request)
    assert advice.main.memory_request.confidence is None
    small = container_history(oom_kills=1, oom_limit_bytes=256.0 * MIB)
    assert advised(state(container()), history(small)).main.memory_request.value == 356 * MIB
    held = advised(seen=history(small)).main.memory_request  # 512Mi by now, and no cut after a kill
    assert (held.value, "kept-limit-bound" in codes(held)) == (512 * MIB, True)


# --- too little ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("known", "words_of_it"),
    [
        (DAY - 10, "only 23.2h of CPU history (278 samples)"),
        (90, "only 7.5h of CPU history (90 samples)"),
        (0, "no CPU samples in the time range"),
    ],
)
def test_too_little_data_gives_a_reason_and_no_number(known: int, words_of_it: str) -> None:
    use = np.where(np.arange(SAMPLES) >= SAMPLES - known, 0.2, np.nan)
    advice = advised(seen=history(container_history(cpu_cores=use)))
    assert advice.main.cpu_request.value is None
    assert words_of_it in words(advice.main.cpu_request)
    assert advice.main.memory_request.value is not None  # which is known well enough


def test_few_samples_over_a_long_time_are_too_few() -> None:
    use = np.where(np.arange(SAMPLES) % 45 == 0, 0.2, np.nan)
    assert codes(advised(seen=history(container_history(cpu_cores=use))).main.cpu_request) == ["too-little-data"]


def test_a_workload_that_vanished_is_told_of_and_not_fatal() -> None:
    advice = advised(seen=WorkloadHistory(Workload("shop", "frontend"), WINDOW, {}))
    assert [part.value for part in (advice.main.cpu_request, advice.main.memory_request, advice.replicas)] == [None] * 3
    assert codes(advice.main.cpu_request) == ["no-history"]
    assert "it is gone, never ran, or is not scraped" in words(advice.main.cpu_request)
    assert advice.target == advice.current


def test_a_workload_at_no_replicas_says_so() -> None:
    advice = advised(state(replicas=0), WorkloadHistory(Workload("shop", "frontend"), WINDOW, {}))
    assert "it is scaled to 0 replicas" in words(advice.main.cpu_request)


def test_what_was_last_seen_days_ago_is_said_to_be() -> None:
    until = np.arange(SAMPLES) < SAMPLES - 3 * DAY
    gone = container_history(cpu_cores=np.where(until, 0.2, np.nan), mem_bytes=np.where(until, 2e8, np.nan))
    advice = advised(seen=history(gone))
    assert "last-seen" in codes(advice)
    assert advice.as_of == NOW - timedelta(days=3)
    assert advice.main.memory_request.value is not None


def test_retention_shorter_than_asked_is_told_with_the_effective_window() -> None:
    late = np.arange(SAMPLES) >= SAMPLES - 5 * DAY
    seen = container_history(cpu_cores=np.where(late, 0.2, np.nan), mem_bytes=np.where(late, 2e8, np.nan))
    advice = advised(seen=history(seen))
    assert "window-short" in codes(advice)
    assert "5d of the 14d" in words(advice)
    assert advice.main.evidence is not None
    assert (advice.main.evidence.start, advice.main.evidence.end) == (NOW - 5 * timedelta(days=1) + STEP, NOW)


def test_a_workload_that_was_scraped_once_is_told_to_be_young() -> None:
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


def test_every_container_is_sized_and_sidecars_are_named_and_left_alone() -> None:
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


def test_a_container_that_is_gone_is_told_of() -> None:
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


# --- left out --------------------------------------------------------------------------------------------------------


def test_an_excluded_window_is_left_out_and_told() -> None:
    use = steady(200 * MIB, seed=2)
    incident = slice(SAMPLES - 2 * DAY, SAMPLES - 2 * DAY + 12)
    use[incident] = 3 * GIB
    seen = history(container_history(mem_bytes=use))
    at = NOW - timedelta(days=2)
    span = parse_span(f"{at - STEP:%Y-%m-%dT%H:%M}/{at + timedelta(hours=1):%Y-%m-%dT%H:%M}")
    without, with_it = advised(seen=seen, settings=replace(AT_ONCE, excluded=(span,))), advised(seen=seen)
    assert (with_it.main.memory_request.value or 0) >= 3 * GIB
    assert (without.main.memory_request.value or 0) < 300 * MIB
    assert without.main.evidence is not None
    assert without.main.evidence.left_out == (f"{span}: 14 samples (--exclude)",)
    assert without.main.evidence.mem_peak_pod is None  # the pod that was named had the peak that is left out
    assert with_it.main.evidence is not None
    assert with_it.main.evidence.mem_peak_pod == "frontend-def"
    assert without.main.evidence.samples == without.main.evidence.expected == SAMPLES - 14


# --- jobs ------------------------------------------------------------------------------------------------------------


def a_nightly_job(runs: int) -> tuple[WorkloadState, WorkloadHistory]:
    workload = Workload("shop", "report", "CronJob")
    ran = np.zeros(SAMPLES, dtype=bool)
    for run in range(runs):
        ran[SAMPLES - (run + 1) * DAY : SAMPLES - (run + 1) * DAY + 6] = True
    cpu, memory = np.where(ran, 0.5, np.nan), np.where(ran, 300.0 * MIB, np.nan)
    cpu[SAMPLES - DAY] = 0.8
    seen = container_history(cpu_cores=cpu, mem_bytes=memory, pods=runs, startup_mem_bytes=350.0 * MIB)
    now = state(container(cpu_request_millicores=2000), replicas=None, workload=workload)
    return now, history(seen, workload=workload)


def test_a_cronjob_is_sized_on_the_peaks_of_its_runs() -> None:
    advice = advised(*a_nightly_job(9))
    assert advice.main.cpu_request.value == 800
    assert advice.main.memory_request.value == 403 * MIB  # 350 MiB x 1.15
    assert (advice.main.cpu_request.confidence, advice.main.cpu_request.windows) == (0.9, 9)
    assert codes(advice.replicas) == ["replicas-by-job"]
    assert advice.hpa_average_value_millicores is None
    assert "window-short" not in codes(advice)


def test_a_job_that_was_held_at_its_limit_is_raised_above_it() -> None:
    now, seen = a_nightly_job(9)
    ran = ~np.isnan(seen.containers["server"].cpu_cores)
    limited = replace(
        seen.containers["server"],
        cpu_cores=np.where(ran, 0.5, np.nan),
        cpu_limit_cores=np.where(ran, 0.5, np.nan),
    )
    advice = advised(now, replace(seen, containers={"server": limited}))
    assert (advice.main.cpu_request.value, advice.main.cpu_request.confidence) == (2000, None)  # not cut
    fresh = advised(
        replace(now, allocation=Allocation(None, (container(),))), replace(seen, containers={"server": limited})
    )
    assert (fresh.main.cpu_request.value, "raised-limit-bound" in codes(fresh.main.cpu_request)) == (600, True)


def test_a_day_that_lacks_its_first_minutes_is_a_day() -> None:
    use = np.where(np.arange(SAMPLES) >= SAMPLES - DAY + 2, steady(), np.nan)
    assert advised(seen=history(container_history(cpu_cores=use))).main.cpu_request.value is not None


def test_a_job_that_ran_twice_gets_no_number() -> None:
    advice = advised(*a_nightly_job(2))
    assert (advice.main.cpu_request.value, codes(advice.main.cpu_request)) == (None, ["too-little-data"])


# --- with a trained model --------------------------------------------------------------------------------------------


def a_model(cpu_cores: float, memory_bytes: float) -> Demand:
    def target(amount: float) -> TargetDemand:
        return TargetDemand(amount, amount, amount, 0.9, 8, reasons=(Reason("centre", "forecast"),))

    return Demand(
        Workload("shop", "frontend"), Load("browsing", 60), NOW, target(cpu_cores), target(memory_bytes), None
    )


def test_a_trained_model_sizes_the_main_container() -> None:
    advice = advised(model=a_model(0.5, GIB))
    assert (advice.basis, advice.load) == ("both", Load("browsing", 60))
    assert (advice.main.cpu_request.value, advice.main.cpu_request.confidence) == (600, 0.9)
    assert "centre" in codes(advice.main.cpu_request)


def test_a_model_never_falls_below_what_the_cluster_saw() -> None:
    advice = advised(model=a_model(0.01, 10 * MIB), seen=history(container_history(oom_kills=1, oom_limit_bytes=GIB)))
    alone = advised(seen=history(container_history(oom_kills=1, oom_limit_bytes=GIB)))
    assert (advice.main.cpu_request.value or 0) >= (alone.main.cpu_request.value or 0)
    assert advice.main.memory_request.value == alone.main.memory_request.value
    assert "history-above-model" in codes(advice.main.cpu_request)


def test_the_same_values_give_the_same_advice_twice() -> None:
    of, seen = a_full_pod()
    assert advise(of, seen, FleetSettings()) == advise(of, seen, FleetSettings())


def test_use_that_grew_lately_is_followed() -> None:
    grown = advised(seen=history(container_history(cpu_cores=a_ramp(0.8, days=4, before=0.1))))
    assert (grown.main.cpu_request.value or 0) > 600
