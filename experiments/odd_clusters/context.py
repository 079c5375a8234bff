"""What the numbers alone do not say: crash loops, runtimes with a cap of their own, sidecars, throttling."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from experiments.odd_clusters.answer import Check, cpu, memory, no_confidence, not_cut, says
from experiments.odd_clusters.case import case
from experiments.odd_clusters.series import GIB, MIB, Box, Series


@case("own")
def crash_loop(series: Series) -> Sequence[Check]:
    """It crashes every few minutes with exit code 1 and never gets to work: nothing is cut, nothing is sure."""
    restarts = [(at, "Error") for at in range(10, series.count, 12)]
    box = Box("web", series.wave(0.02), series.steady(30 * MIB), (0.5, 512 * MIB), restarts=restarts)
    series.deployment("web", box)
    series.here(
        "kube_pod_container_status_waiting_reason", pod="web-7d4b9c-x0", container="web", reason="CrashLoopBackOff"
    )
    return not_cut("web", "cpu"), not_cut("web", "memory"), no_confidence("web", "memory"), says("crash|restart", "web")


@case("kubernetes/autoscaler#5029")
def jvm_by_its_own_metrics(series: Series) -> Sequence[Check]:
    """jvm_memory_max_bytes says that the heap may grow to 1.5 GiB; 600 MiB are used: no cut below the heap."""
    series.deployment(
        "api",
        Box("api", series.wave(0.2), series.steady(600 * MIB), (0.5, 2 * GIB), (None, 2 * GIB), "registry.local/api:3"),
    )
    labels = {"pod": "api-7d4b9c-x0", "container": "api", "area": "heap", "id": "G1 Old Gen"}
    series.here("jvm_memory_max_bytes", 1.5 * GIB, **labels)
    series.here("jvm_memory_used_bytes", series.steady(400 * MIB), **labels)
    return memory("api", 1536, 2300), says("jvm|heap|java", "api")


@case("own")
def jvm_by_its_image(series: Series) -> Sequence[Check]:
    """An OpenJDK image with no metrics of its own: the heap is sized from the limit, so a cut is not made."""
    image = "docker.io/library/eclipse-temurin:21-jre"
    series.deployment(
        "api", Box("api", series.wave(0.2), series.steady(600 * MIB), (0.5, 2 * GIB), (None, 2 * GIB), image)
    )
    return not_cut("api", "memory"), says("jvm|java|heap", "api")


@case("own")
def redis_with_maxmemory(series: Series) -> Sequence[Check]:
    """redis_memory_max_bytes is 1 GiB, 200 MiB are used today: no cut below what it may take."""
    series.stateful_set(
        "cache",
        Box("redis", series.wave(0.1), series.steady(200 * MIB), (0.3, 1536 * MIB), (None, 1536 * MIB), "redis:7"),
    )
    series.here("redis_memory_max_bytes", 1 * GIB, pod="cache-0", container="redis")
    series.here("redis_memory_used_bytes", series.steady(190 * MIB), pod="cache-0", container="redis")
    return memory("cache", 1024, 1700), says("redis|maxmemory", "cache")


@case("own")
def go_with_gomemlimit(series: Series) -> Sequence[Check]:
    """go_gc_gomemlimit_bytes is 800 MiB, 300 MiB are used: memory stays above what the runtime may take."""
    series.deployment("svc", Box("svc", series.wave(0.2), series.steady(300 * MIB), (0.5, 1 * GIB), (None, 1 * GIB)))
    series.here("go_gc_gomemlimit_bytes", 800 * MIB, pod="svc-7d4b9c-x0", container="svc")
    return memory("svc", 800, 1200), says("GOMEMLIMIT|Go", "svc")


@case("VictoriaMetrics/VictoriaMetrics#11148")
def go_without_a_limit(series: Series) -> Sequence[Check]:
    """A Go service whose GOMEMLIMIT is unset reports 2^63-1: that is no cap, and memory is sized on its use."""
    series.deployment("svc", Box("svc", series.wave(0.2), series.steady(300 * MIB), (0.5, 1 * GIB), (None, 1 * GIB)))
    series.here("go_gc_gomemlimit_bytes", 9.223372036854776e18, pod="svc-7d4b9c-x0", container="svc")
    return (memory("svc", 305, 760),)


@case("own")
def native_sidecar(series: Series) -> Sequence[Check]:
    """An init container with restartPolicy Always runs all the time: sized beside the main container."""
    side = Box("proxy", series.wave(0.05, seed=5), series.steady(60 * MIB), (0.5, 512 * MIB), role="sidecar")
    series.deployment("web", Box("web", series.wave(0.3), series.steady(300 * MIB), (0.6, 512 * MIB)), side)
    need = float(np.quantile(series.wave(0.3), 0.95)) * 1000
    return (cpu("web", need * 0.97, need * 1.35, container="web"),)


@case("own")
def native_sidecar_of_an_old_kube_state_metrics(series: Series) -> Sequence[Check]:
    """The same without the label restart_policy: a container that runs through the pod's life is no init container."""
    old = Box("proxy", None, None, (0.5, 512 * MIB), role="init")
    series.deployment("web", Box("web", series.wave(0.3), series.steady(300 * MIB), (0.6, 512 * MIB)), old)
    series.use("web-7d4b9c-x0", Box("proxy", series.wave(0.05, seed=5), series.steady(60 * MIB)))
    need = float(np.quantile(series.wave(0.3), 0.95)) * 1000
    return cpu("web", need * 0.97, need * 1.35, container="web"), says("proxy")


@case("own")
def throttled_at_its_limit(series: Series) -> Sequence[Check]:
    """Half of the CFS periods are throttled at a limit of 0.2 cores: the need is not known, but at least that."""
    periods = np.arange(series.count) * series.every * 10.0
    more = {"container_cpu_cfs_periods_total": periods, "container_cpu_cfs_throttled_periods_total": periods * 0.5}
    use = np.minimum(series.wave(0.25), 0.199)
    series.deployment("web", Box("web", use, series.steady(200 * MIB), (0.1, 512 * MIB), (0.2, 512 * MIB), more=more))
    return cpu("web", 200, 400), no_confidence("web", "cpu"), says("throttled|limit", "web")


@case("kubernetes/autoscaler#6705")
def memory_at_the_limit_without_a_kill(series: Series) -> Sequence[Check]:
    """Memory stands 1 % below the limit for days, without a kill and without cache figures: never a cut."""
    series.deployment("web", Box("web", series.wave(0.2), series.steady(506 * MIB, wobble=0.005), (0.5, 512 * MIB)))
    return (not_cut("web", "memory"), memory("web", 512, 800))
