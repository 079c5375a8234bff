"""Memory that can be reclaimed, memory that is swapped, memory that grows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from experiments.odd_clusters.answer import Check, memory, not_cut, says
from experiments.odd_clusters.case import case
from experiments.odd_clusters.series import GIB, MIB, Box, Series


def _database(series: Series, limit: float, resident: float) -> None:
    rss = series.steady(resident, wobble=0.02)
    cache = np.minimum(limit - rss - 4 * MIB, 100 * MIB + np.arange(series.count) * 0.6 * MIB)
    more = {
        "container_memory_rss": rss,
        "container_memory_cache": cache + 100 * MIB,
        "container_memory_total_active_file_bytes": cache,
        "container_memory_total_inactive_file_bytes": np.full(series.count, 100 * MIB),
    }
    box = Box(
        "postgres",
        series.wave(0.4),
        rss + cache,
        (1.0, limit),
        (None, limit),
        "docker.io/library/postgres:16",
        more=more,
    )
    series.stateful_set("pg", box)


@case("kubernetes/autoscaler#4150", days=14)
def page_cache_fills_the_limit(series: Series) -> Sequence[Check]:
    """Page cache of a database fills its limit of 4 GiB; its own memory is 1.2 GiB: never a raise."""
    _database(series, 4 * GIB, 1200 * MIB)
    return memory("pg", 1200, 4096), says("cache", "pg")


@case("tigrisdata/tag#182", days=14)
def page_cache_fills_a_small_limit(series: Series) -> Sequence[Check]:
    """The same at a limit of 1 GiB with 300 MiB of its own."""
    _database(series, 1 * GIB, 300 * MIB)
    return memory("pg", 300, 1024), says("cache", "pg")


@case("own")
def own_memory_fills_the_limit(series: Series) -> Sequence[Check]:
    """Full of the process's own memory and no cache, no kill seen yet: raised, or at the least not cut."""
    rss = series.steady(1000 * MIB, wobble=0.02)
    more = {"container_memory_rss": rss, "container_memory_total_active_file_bytes": np.full(series.count, 1 * MIB)}
    series.deployment("web", Box("web", series.wave(0.2), rss, (0.5, 1024 * MIB), (None, 1024 * MIB), more=more))
    return (not_cut("web", "memory"),)


@case("own")
def swapped_memory_counts(series: Series) -> Sequence[Check]:
    """300 MiB resident, 500 MiB swapped out: 800 MiB are needed."""
    swap = series.steady(500 * MIB)
    more = {"container_memory_swap": swap, "container_memory_rss": series.steady(295 * MIB)}
    series.deployment(
        "web", Box("web", series.wave(0.2), series.steady(300 * MIB), (0.5, 1024 * MIB), (None, 1024 * MIB), more=more)
    )
    return memory("web", 800, 1200), says("swap", "web")


@case("own", days=14, options=["--allow-any-step"])
def memory_that_grows(series: Series) -> Sequence[Check]:
    """Memory grows by 30 MiB a day without a restart: the number is above today's use, with tomorrow's growth."""
    usage = 300 * MIB + np.arange(series.count) * series.every / 86_400 * 30 * MIB
    series.deployment("leaky", Box("leaky", series.wave(0.2), usage, (0.5, 2 * GIB), (None, 2 * GIB)))
    return (memory("leaky", 725, 1300),)


@case("claytono/infra#868")
def cache_below_the_limit(series: Series) -> Sequence[Check]:
    """Half of the working set is active file cache, far below the limit: sized at or below the working set's peak."""
    rss = series.steady(400 * MIB)
    more = {"container_memory_rss": rss, "container_memory_total_active_file_bytes": np.full(series.count, 400 * MIB)}
    series.deployment(
        "files", Box("files", series.wave(0.2), rss + 400 * MIB, (0.5, 2 * GIB), (None, 2 * GIB), more=more)
    )
    return (memory("files", 400, 1500),)


@case("kubernetes/autoscaler#4150", days=14)
def page_cache_where_only_resident_memory_is_known(series: Series) -> Sequence[Check]:
    """An older cAdvisor: `container_memory_rss` and `container_memory_cache` alone; the limit is full of cache."""
    limit = 2 * GIB
    rss = series.steady(600 * MIB, wobble=0.02)
    cache = np.minimum(limit - rss - 4 * MIB, 200 * MIB + np.arange(series.count) * 0.6 * MIB)
    more = {"container_memory_rss": rss, "container_memory_cache": cache}
    series.stateful_set("pg", Box("pg", series.wave(0.4), rss + cache, (1.0, limit), (None, limit), more=more))
    return memory("pg", 600, 2048), says("cache", "pg")


@case("own", days=14)
def page_cache_and_an_oom_kill(series: Series) -> Sequence[Check]:
    """Full of cache, and killed all the same two days ago: then it was not only cache, and memory is raised."""
    limit = 1 * GIB
    rss = series.steady(500 * MIB, wobble=0.02)
    cache = np.full(series.count, limit - 520 * MIB)
    more = {"container_memory_rss": rss, "container_memory_total_active_file_bytes": cache}
    kills = [(series.days_ago(2), "OOMKilled")]
    box = Box("pg", series.wave(0.4), rss + cache, (1.0, limit), (None, limit), more=more, restarts=kills)
    series.stateful_set("pg", box)
    return memory("pg", 1124, 1700), says("OOM", "pg")
