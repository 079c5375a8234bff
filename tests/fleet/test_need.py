"""What a container needs: limit-bound use, start-up, OOM kills, too little data, jobs, a trained model."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mora.domain import (
    Allocation,
    Demand,
    LeftOut,
    Load,
    PodUse,
    Reason,
    Target,
    TargetDemand,
    Workload,
    WorkloadHistory,
    WorkloadState,
)
from mora.quantities import GIB, MIB
from tests.fleet.making import (
    DAY,
    NOW,
    SAMPLES,
    advised,
    codes,
    container,
    container_history,
    history,
    state,
    steady,
    words,
)


def test_limit_bound_cpu_is_raised_above_its_limit() -> None:
    limit = np.full(SAMPLES, 0.2)
    pinned = container_history(cpu_cores=np.minimum(steady(0.25), limit), cpu_limit_cores=limit)
    now = state(container(cpu_request_millicores=100, cpu_limit_millicores=200))
    request = advised(now, history(pinned)).main.cpu_request
    assert request.value is not None
    assert 240 <= request.value < 250  # the limit x 1.2, or the bound above it
    assert request.confidence is None
    assert {"limit-bound", "raised-limit-bound", "no-confidence"} <= set(codes(request))


def test_limit_bound_cpu_is_never_cut() -> None:
    limit = np.full(SAMPLES, 0.2)
    pinned = container_history(cpu_cores=np.minimum(steady(0.25), limit), cpu_limit_cores=limit)
    request = advised(state(container(cpu_request_millicores=900)), history(pinned)).main.cpu_request
    assert (request.value, codes(request)[-1]) == (900, "no-confidence")
    assert "kept-limit-bound" in codes(request)


def test_a_limit_that_was_removed_three_days_ago_no_longer_counts() -> None:
    limit = np.where(np.arange(SAMPLES) < SAMPLES - 3 * DAY, 0.2, np.nan)
    use = np.where(np.isnan(limit), 0.3, 0.2) * steady(1.0, seed=3)
    request = advised(seen=history(container_history(cpu_cores=use, cpu_limit_cores=limit))).main.cpu_request
    assert "raised-limit-bound" not in codes(request)
    assert request.confidence is not None


def test_the_peak_of_the_last_week_and_that_of_the_whole_range_are_named_apart() -> None:
    use = np.full(SAMPLES, 200.0 * MIB)
    use[3 * DAY], use[-DAY] = 400 * MIB, 250 * MIB
    advice = advised(seen=history(container_history(mem_bytes=use)))
    assert "peak of the last 7d 250Mi" in words(advice.main.memory_request)
    assert advice.main.evidence is not None
    assert advice.main.evidence.mem_peak_bytes == 400 * MIB


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


@pytest.mark.parametrize(
    ("known", "words_of_it"),
    [
        (DAY - 10, "only 23.2h of CPU history (278 samples)"),
        (90, "only 7.5h of CPU history (90 samples)"),
        (1, "only 5m of CPU history (1 sample)"),
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


def test_parallel_pods_and_failed_tries_are_no_runs() -> None:
    now, seen = a_nightly_job(10)
    (report,) = seen.containers.values()
    one = advised(now, replace(seen, containers={report.container: replace(report, runs=1)})).main.cpu_request
    assert (one.value, codes(one)) == (None, ["too-little-data"])
    assert "only 1 run in the time range, 3 are needed" in words(one)
    none = replace(report, runs=0, failed_pods=6)
    why = words(advised(now, replace(seen, containers={report.container: none})).main.memory_request)
    assert "only 0 runs in the time range that did not fail (6 failed), 3 are needed" in why
    three = advised(now, replace(seen, containers={report.container: replace(report, runs=3)})).main.cpu_request
    assert (three.confidence, three.windows) == (0.75, 3)


def test_a_single_run_that_runs_on_is_sized_like_what_runs_all_the_time() -> None:
    training = state(workload=Workload("shop", "training", "PyTorchJob"), replicas=None)
    seen = history(replace(container_history(), runs=1), workload=training.workload)
    request = advised(training, seen).main.cpu_request
    assert request.value is not None
    assert "bound" in codes(request)
    assert "no-manifest" in codes(advised(training, seen))


def test_a_cronjob_is_sized_on_the_peaks_of_its_runs() -> None:
    advice = advised(*a_nightly_job(9))
    assert advice.main.cpu_request.value == 800
    assert advice.main.memory_request.value == 403 * MIB  # 350 MiB x 1.15
    assert (advice.main.cpu_request.confidence, advice.main.cpu_request.windows) == (0.9, 9)
    assert codes(advice.replicas) == ["replicas-by-job"]
    assert advice.hpa_average_value_millicores is None
    assert "window-short" not in codes(advice)


def test_a_limit_bound_job_is_raised_above_its_limit() -> None:
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


def test_the_cpu_of_a_model_of_the_hottest_pods_yields_to_what_single_pods_need() -> None:
    """A model of 60 pods' history predicts a core, since one of them is always in a burst; none needs it."""
    uses = tuple(PodUse(steady(0.1, seed=number)) for number in range(4))
    seen = history(container_history(cpu_cores=steady(1.0), by_pod=uses, pods=60))
    observed = replace(a_model(1.0, GIB), load=None)
    alone, both = advised(seen=seen), advised(seen=seen, model=observed)
    assert both.main.cpu_request.value == alone.main.cpu_request.value
    assert "model-of-hottest" in codes(both.main.cpu_request)
    assert both.main.memory_request.value == advised(seen=history(), model=observed).main.memory_request.value
    # Load experiments tell what a load needs that the history may not have had.
    assert advised(seen=seen, model=a_model(1.0, GIB)).main.cpu_request.value == 1200


def test_a_job_s_memory_is_the_largest_run_s_and_no_mean() -> None:
    of = Workload("shop", "report", "CronJob")
    request = advised(state(workload=of), history(container_history(runs=12, pods=12), workload=of)).main.memory_request
    assert request.summary.startswith("largest of 12 runs ")
    assert "mean use" not in words(request)


# --- samples that cannot be ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["Deployment", "CronJob"])
def test_what_was_left_out_is_counted_in_the_reasons(kind: str) -> None:
    of = Workload("shop", "frontend", kind)
    left_out = {Target.CPU: LeftOut(14, 8_640, "exceed the largest node's 4 cores")}
    request = advised(state(workload=of), history(container_history(left_out=left_out), workload=of)).main.cpu_request
    assert request.value is not None
    assert "14 of 8,640 CPU samples exceed the largest node's 4 cores: left out" in words(request)


@pytest.mark.parametrize("kind", ["Deployment", "CronJob"])
def test_where_too_much_was_left_out_there_is_a_reason_and_no_number(kind: str) -> None:
    of = Workload("shop", "frontend", kind)
    left_out = {Target.CPU: LeftOut(900, 8_640, "exceed the largest node's 4 cores")}
    main = advised(state(workload=of), history(container_history(left_out=left_out), workload=of)).main
    assert (main.cpu_request.value, codes(main.cpu_request)) == (None, ["samples-unbelievable"])
    assert "900 of 8,640 CPU samples exceed the largest node's 4 cores: too many (10%)" in words(main.cpu_request)
    assert main.memory_request.value is not None


@pytest.mark.parametrize("kind", ["Deployment", "CronJob", "Job"])
@pytest.mark.parametrize("pods", [0, 5])
def test_a_container_without_a_single_sample_has_a_reason_and_no_number(kind: str, pods: int) -> None:
    workload, nothing = Workload("shop", "frontend", kind), np.full(SAMPLES, np.nan)
    silent = container_history(cpu_cores=nothing, mem_bytes=nothing, pods=pods)
    advice = advised(state(workload=workload), history(silent, workload=workload)).main
    assert (advice.cpu_request.value, advice.memory_request.value) == (None, None)
    assert codes(advice.cpu_request) == codes(advice.memory_request) == ["no-history"]
