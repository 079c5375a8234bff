"""Scrape intervals that change, gaps, short histories, pods that live minutes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from experiments.odd_clusters.answer import Check, cpu, memory, never_says, says
from experiments.odd_clusters.case import case
from experiments.odd_clusters.series import MIB, Box, Series

WEB = Box("web", None, None, (1.5, 1024 * MIB), (None, 1024 * MIB))


def _thinned(series: Series, until: int, every: int) -> np.ndarray:
    """Which scrapes are kept where the first `until` were scraped only every so many seconds."""
    at = np.arange(series.count)
    return (at >= until) | (at % (every // series.every) == 0)


def _week_with_quiet_end(series: Series, keep: np.ndarray) -> float:
    """Busy for five days, quiet for two, week after week; quiet now. Returns the busy days' p95 in millicores."""
    days_back = (series.count - 1 - np.arange(series.count)) * series.every / 86_400
    cores = series.wave(1.0, swing=0.3) * np.where(days_back % 7 < 2, 0.25, 1.0)
    counter, usage = np.cumsum(cores * series.every), series.steady(300 * MIB)
    counter[~keep], usage[~keep] = np.nan, np.nan
    labels = series.cadvisor("web-7d4b9c-x0", WEB)
    series.deployment("web", WEB)
    series.add("container_cpu_usage_seconds_total", counter, **labels)
    series.add("container_memory_working_set_bytes", usage, **labels)
    return float(np.quantile(cores[days_back % 7 >= 2], 0.95)) * 1000


@case("thanos-io/thanos#813", days=14, options=["--allow-any-step"])
def old_part_downsampled(series: Series) -> Sequence[Check]:
    """Twelve days at five minutes, as a store downsamples them, two at one: all of it is history."""
    busy = _week_with_quiet_end(series, _thinned(series, series.days_ago(2), 300))
    return cpu("web", busy * 0.7, busy * 1.4), never_says("younger", "web")


@case("grafana/grafana#30662", days=14, every=15, options=["--allow-any-step"])
def scrape_interval_shortened(series: Series) -> Sequence[Check]:
    """The interval went from 60 s to 15 s two days ago: the CPU of the days before is not lost."""
    busy = _week_with_quiet_end(series, _thinned(series, series.days_ago(2), 60))
    return cpu("web", busy * 0.7, busy * 1.4), never_says("not one sample", "web")


@case("own", days=14, every=15, options=["--allow-any-step"])
def scrape_interval_lengthened(series: Series) -> Sequence[Check]:
    """The interval went from 15 s to two minutes three days ago, to save money."""
    at = np.arange(series.count)
    keep = (at < series.days_ago(3)) | (at % 8 == 0)
    busy = _week_with_quiet_end(series, keep)
    return (cpu("web", busy * 0.7, busy * 1.4),)


@case("own", days=7)
def scraped_every_five_minutes(series: Series) -> Sequence[Check]:
    """A frugal Prometheus scrapes every five minutes from the beginning."""
    keep = _thinned(series, series.count, 300)
    busy = _week_with_quiet_end(series, keep)
    return (cpu("web", busy * 0.5, busy * 1.4),)


@case("own")
def a_gap_of_a_day(series: Series) -> Sequence[Check]:
    """Prometheus was down for a day; the counter went on, so the jump over the gap is no burst."""
    keep = np.ones(series.count, dtype=bool)
    keep[series.days_ago(4) : series.days_ago(3)] = False
    cores = series.wave(0.3)
    counter, usage = np.cumsum(cores * series.every), series.steady(300 * MIB)
    counter[~keep], usage[~keep] = np.nan, np.nan
    series.deployment("web", WEB)
    labels = series.cadvisor("web-7d4b9c-x0", WEB)
    series.add("container_cpu_usage_seconds_total", counter, **labels)
    series.add("container_memory_working_set_bytes", usage, **labels)
    need = float(np.quantile(cores, 0.95)) * 1000
    return cpu("web", max(need * 0.97, 750), max(need * 1.35, 750)), never_says("confidence of 100")


@case("own", days=3, every=30)
def pods_that_live_eight_minutes(series: Series) -> Sequence[Check]:
    """Spot nodes: every pod lives eight minutes, for three days: its start is its use."""
    series.here("kube_deployment_spec_replicas", deployment="web")
    series.replica_set("web-7d4b9c", "Deployment", "web")
    life = 16
    for first in range(0, series.count - life, life):
        cores = np.full(life, 0.4)
        cores[:3] = 1.2
        last = first + life if first + 2 * life < series.count else series.count
        box = Box("web", np.resize(cores, last - first), 300 * MIB, (0.5, 512 * MIB))
        series.pod(f"web-7d4b9c-{first:05d}", ("ReplicaSet", "web-7d4b9c"), [box], first=first, last=last)
    return cpu("web", 400, 1700), never_says("2 samples over 10 min", "web")


@case("own", days=0.04)
def one_hour_of_history(series: Series) -> Sequence[Check]:
    """Deployed an hour ago: too little data is a reason, not a number with a confidence."""
    series.deployment("web", Box("web", series.wave(0.2), series.steady(200 * MIB)))
    return never_says('"confidence": 0\\.9', "web"), says("too (few|little|short)|history", "web")


@case("kubernetes/autoscaler#5029", days=7)
def startup_burst_each_day(series: Series) -> Sequence[Check]:
    """A JVM-like start: two cores for three minutes after each daily restart, then a tenth."""
    day = 86_400 // series.every
    series.here("kube_deployment_spec_replicas", deployment="api")
    for number in range(7):
        first, last = number * day, (number + 1) * day + (number == 6)
        cores = np.full(last - first, 0.12)
        cores[:3] = 2.0
        name = f"api-{number}c"
        series.replica_set(name, "Deployment", "api", replicas=float(number == 6), first=first)
        box = Box("api", cores, 300 * MIB, (2.0, 512 * MIB))
        series.pod(f"{name}-x", ("ReplicaSet", name), [box], first=first, last=last)
    return cpu("api", 120, 2200), memory("api", 305, 420)


@case("thanos-io/thanos#1115", days=14, every=30, options=["--allow-any-step"])
def interval_changed_three_times(series: Series) -> Sequence[Check]:
    """Five minutes, then one, then two, then 30 s: the busy days are of the first ones."""
    at = np.arange(series.count)
    keep = np.ones(series.count, dtype=bool)
    for begin, end, every in ((14, 9, 300), (9, 6, 60), (6, 2.5, 120)):
        inside = (at >= series.days_ago(begin)) & (at < series.days_ago(end))
        keep &= ~inside | (at % (every // series.every) == 0)
    busy = _week_with_quiet_end(series, keep)
    return cpu("web", busy * 0.7, busy * 1.4), never_says("younger", "web")


@case("own", days=14, options=["--allow-any-step"])
def a_gap_of_three_days_and_short_ones(series: Series) -> Sequence[Check]:
    """Prometheus was down for three days of busy use, and for five minutes every hour."""
    at = np.arange(series.count)
    keep = at % 60 >= 5
    keep[series.days_ago(6) : series.days_ago(3)] = False
    busy = _week_with_quiet_end(series, keep)
    return (cpu("web", busy * 0.6, busy * 1.4),)


@case("own", days=3, every=15)
def jittered_scrapes(series: Series) -> Sequence[Check]:
    """A tenth of the scrapes fails, at random: neither gaps nor jumps are use."""
    keep = series.random(9).random(series.count) > 0.1
    cores = series.wave(0.5)
    counter, usage = np.cumsum(cores * series.every), series.steady(300 * MIB)
    counter[~keep], usage[~keep] = np.nan, np.nan
    box = Box("web", None, None, (0.5, 512 * MIB))
    series.deployment("web", box)
    labels = series.cadvisor("web-7d4b9c-x0", box)
    series.add("container_cpu_usage_seconds_total", counter, **labels)
    series.add("container_memory_working_set_bytes", usage, **labels)
    need = float(np.quantile(cores, 0.95)) * 1000
    return cpu("web", need * 0.95, need * 1.4), memory("web", 305, 420)
