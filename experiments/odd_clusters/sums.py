"""Sums: what a pod reserves in all, what a run of a Job is, series that add up and series that do not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from experiments.odd_clusters.answer import Check, cpu, frees, memory, never_says, not_cut, says
from experiments.odd_clusters.case import case
from experiments.odd_clusters.series import GIB, MIB, Box, Series


@case("kubernetes/kubernetes#119547")
def an_init_container_that_dominates(series: Series) -> Sequence[Check]:
    """The init container requests 2 cores, the main one 2 and uses 0.16: cutting the main one alone frees nothing."""
    init = Box("restore", None, None, (2.0, 2 * GIB), (2.0, 2 * GIB), role="init")
    series.deployment(
        "web", Box("web", series.wave(0.16), series.steady(300 * MIB), (2.0, 512 * MIB)), init, replicas=10
    )
    return frees(0.0), says("restore|init container")


@case("own")
def freed_by_two_replicas(series: Series) -> Sequence[Check]:
    """What is freed is per replica times replicas, for every container."""
    series.deployment("web", Box("web", 0.2, series.steady(200 * MIB), (0.5, 256 * MIB)), replicas=4)
    return frees(4 * (0.5 - 0.25), 0.16), cpu("web", 200, 300)


@case("robusta-dev/krr#478")
def ten_parallel_pods_are_one_run(series: Series) -> Sequence[Check]:
    """A CronJob's only run had ten pods: one run is too little to size it on with confidence."""
    first = series.days_ago(1)
    series.here("kube_cronjob_info", cronjob="fan", schedule="0 3 * * *")
    series.job("fan-1", "fan", first=first)
    for number in range(10):
        series.run(
            f"fan-1-p{number}",
            "fan-1",
            Box("fan", np.full(40, 0.4), np.full(40, 200 * MIB)),
            first=first,
            scrapes=40,
            kept=series.count,
        )
    return never_says("10 runs", "fan"), never_says('"confidence": 0\\.9', "fan")


@case("own")
def failed_tries_tell_nothing(series: Series) -> Sequence[Check]:
    """Six tries of one Job failed early at 60 MiB: what a whole run needs is not known, memory is not cut."""
    series.here("kube_cronjob_info", cronjob="flaky", schedule="0 3 * * *")
    first = series.days_ago(1)
    series.job("flaky-1", "flaky", first=first)
    for number in range(6):
        box = Box("flaky", np.full(8, 0.1), np.full(8, 60 * MIB))
        series.run(
            f"flaky-1-p{number}",
            "flaky-1",
            box,
            first=first + 60 * number,
            scrapes=8,
            kept=series.count,
            reason="Error",
        )
    return not_cut("flaky", "memory"), never_says("6 runs", "flaky")


@case("own", every=30)
def an_ordinary_cron_job(series: Series) -> Sequence[Check]:
    """A week of hourly runs that all complete: sized on the largest of them."""
    series.here("kube_cronjob_info", cronjob="sync", schedule="0 * * * *")
    for number in range(7 * 24 - 1):
        first = number * 120 + 20
        series.job(f"sync-{number}", "sync", first=first, last=first + 360)
        peak = 300 + 60 * series.random(number).random()
        box = Box("sync", np.full(12, 0.3), np.linspace(150, peak, 12) * MIB, (1.0, 1 * GIB), (None, 1 * GIB))
        series.run(f"sync-{number}-p", f"sync-{number}", box, first=first, scrapes=12, kept=360)
    return memory("sync", 355, 720), cpu("sync", 280, 520)


@case("robusta-dev/krr#478", every=30)
def one_off_jobs_of_one_stem(series: Series) -> Sequence[Check]:
    """A scheduler outside makes a Job etl-1, etl-2, ... each hour: they are one workload's runs."""
    for number in range(60):
        first = number * 240 + 20
        series.job(f"etl-{number}", None, first=first, last=first + 600)
        box = Box("etl", np.full(12, 0.4), np.full(12, 350 * MIB), (1.0, 1 * GIB), (None, 1 * GIB))
        series.run(f"etl-{number}-p", f"etl-{number}", box, first=first, scrapes=12, kept=600)
    return (says("etl"), never_says("3 are the least"))


def _per_core(series: Series, cores: float, shares: Mapping[str, float]) -> Sequence[Check]:
    """One container whose CPU counter is split by the label `cpu`, and that its use is counted once."""
    box = Box("web", None, None, (1.0, 512 * MIB))
    series.deployment("web", box)
    labels = series.cadvisor("web-7d4b9c-x0", box)
    for core, share in shares.items():
        counter = np.cumsum(series.wave(cores) * share * series.every)
        series.add("container_cpu_usage_seconds_total", counter, **labels, cpu=core)
    series.add("container_memory_working_set_bytes", series.steady(300 * MIB), **labels)
    need = float(np.quantile(series.wave(cores), 0.95)) * 1000
    return (cpu("web", need * 0.97, need * 1.35),)


@case("own")
def per_core_counters_add_up(series: Series) -> Sequence[Check]:
    """An old cAdvisor has a counter per core (`cpu="cpu00"`): their sum is the use."""
    return _per_core(series, 0.6, {"cpu00": 0.5, "cpu01": 0.3, "cpu02": 0.2})


@case("own")
def per_core_counters_beside_their_total(series: Series) -> Sequence[Check]:
    """Counters per core and their total (`cpu="total"`) side by side: counted once."""
    return _per_core(series, 0.5, {"cpu00": 0.6, "cpu01": 0.4, "total": 1.0})


@case("own", every=30)
def a_cron_job_that_retries_once(series: Series) -> Sequence[Check]:
    """Every third run fails early and is tried again with success: sized on the runs that went well."""
    series.here("kube_cronjob_info", cronjob="sync", schedule="0 * * * *")
    for number in range(7 * 24 - 1):
        first = number * 120 + 20
        series.job(f"sync-{number}", "sync", first=first, last=first + 240)
        if number % 3 == 0:
            series.run(
                f"sync-{number}-a",
                f"sync-{number}",
                Box("sync", np.full(4, 0.1), np.full(4, 60 * MIB), (1.0, 1 * GIB), (None, 1 * GIB)),
                first=first,
                scrapes=4,
                kept=240,
                reason="Error",
            )
        box = Box("sync", np.full(16, 0.4), np.full(16, 420 * MIB), (1.0, 1 * GIB), (None, 1 * GIB))
        series.run(f"sync-{number}-b", f"sync-{number}", box, first=first + 10, scrapes=16, kept=230)
    return memory("sync", 420, 760), cpu("sync", 380, 620)
