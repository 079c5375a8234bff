"""OOM kills in every form in which they can be seen."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from experiments.odd_clusters.answer import Check, memory, no_confidence, not_cut, says
from experiments.odd_clusters.case import case
from experiments.odd_clusters.series import MIB, Box, Series

SMALL = (0.5, 512 * MIB)


@case("kubernetes/kubernetes#69676")
def killed_and_restarted(series: Series) -> Sequence[Check]:
    """The container was OOM-killed three times this week; its scraped peak is far below the limit."""
    kills = [(series.days_ago(days), "OOMKilled") for days in (5, 3, 1)]
    series.deployment(
        "web", Box("web", series.wave(0.2), series.steady(300 * MIB), SMALL, (None, 512 * MIB), restarts=kills)
    )
    return memory("web", 612, 1300), no_confidence("web", "memory"), says("OOM", "web")


@case("kubernetes/kubernetes#100483")
def a_worker_is_killed_and_the_container_lives(series: Series) -> Sequence[Check]:
    """Workers of a gunicorn are OOM-killed, PID 1 lives on: only container_oom_events_total rises."""
    events = np.cumsum((series.random().random(series.count) < 0.002).astype(float))
    box = Box("web", series.wave(0.2), series.steady(280 * MIB), SMALL, more={"container_oom_events_total": events})
    series.deployment("web", box)
    return memory("web", 612, 1300), says("OOM", "web")


@case("kubernetes/autoscaler#6236", every=30)
def runs_of_a_cron_job_are_killed(series: Series) -> Sequence[Check]:
    """A third of a CronJob's runs are OOM-killed; each run is a pod of its own that never restarts."""
    series.here("kube_cronjob_info", cronjob="report", schedule="0 * * * *")
    for number in range(7 * 24 - 1):
        first, is_killed = number * 120 + 20, number % 3 == 0
        series.job(f"report-{number}", "report", first=first, last=first + 360)
        ramp = np.linspace(150, 390, 12)[: 6 if is_killed else 12] * MIB
        box = Box("report", 0.3, ramp, SMALL)
        reason = "OOMKilled" if is_killed else "Completed"
        series.run(
            f"report-{number}-p", f"report-{number}", box, first=first, scrapes=len(ramp), kept=360, reason=reason
        )
    return memory("report", 612, 1300), says("OOM", "report")


@case("kubernetes/autoscaler#4279")
def exit_code_137_alone(series: Series) -> Sequence[Check]:
    """The reason is `Error`, the exit code 137, and memory stood at its limit: the kernel killed it."""
    usage = series.steady(300 * MIB)
    kills = [(series.days_ago(days), "Error") for days in (4, 2)]
    for at, _ in kills:
        usage[at - 5 : at] = 511.5 * MIB
    box = Box("web", series.wave(0.2), usage, SMALL, restarts=kills)
    series.deployment("web", box)
    for at, _ in kills:
        series.here("kube_pod_container_status_last_terminated_exitcode", 137.0, (at, at + 1000),
                    pod="web-7d4b9c-x0", container="web")  # fmt: skip
    return (not_cut("web", "memory"),)


@case("own")
def an_init_container_is_killed(series: Series) -> Sequence[Check]:
    """The main container is fine; its init container was OOM-killed at 64 MiB before it got through."""
    init = Box("migrate", None, None, (0.1, 64 * MIB), (None, 64 * MIB), role="init")
    series.deployment("web", Box("web", series.wave(0.2), series.steady(300 * MIB), SMALL), init)
    at = series.days_ago(1)
    labels = {"pod": "web-7d4b9c-x0", "container": "migrate"}
    restarts = (np.arange(series.count) >= at).astype(float)
    series.here("kube_pod_init_container_status_restarts_total", restarts, **labels)
    series.here("kube_pod_init_container_status_last_terminated_reason", 1.0, (at, None), **labels, reason="OOMKilled")
    return memory("web", 310, 420), says("migrate.*OOM|OOM.*migrate"), not_cut("web", "memory", container="migrate")


@case("own", days=14)
def a_kill_of_two_weeks_ago(series: Series) -> Sequence[Check]:
    """One kill twelve days ago, at half of today's request; the limit was raised since: nothing to raise now."""
    at = series.days_ago(12)
    requests = np.where(np.arange(series.count) < at + 60, 256 * MIB, 1024 * MIB)
    usage = series.steady(500 * MIB)
    usage[: at + 60] = 250 * MIB
    box = Box("web", series.wave(0.2), usage, (0.5, None), (None, None), restarts=[(at, "OOMKilled")])
    series.deployment("web", box)
    for side in ("requests", "limits"):
        labels = {"pod": "web-7d4b9c-x0", "container": "web", "resource": "memory", "unit": "byte", "node": series.node}
        series.here(f"kube_pod_container_resource_{side}", requests, **labels)
    return (memory("web", 520, 1024),)


@case("kubernetes/kube-state-metrics#2153")
def a_restart_for_another_reason_is_no_kill(series: Series) -> Sequence[Check]:
    """One restart of a node drain (`Completed`): memory may be cut."""
    restarts = [(series.days_ago(3), "Completed")]
    series.deployment(
        "web",
        Box(
            "web", series.wave(0.2), series.steady(200 * MIB), (0.5, 1024 * MIB), (None, 1024 * MIB), restarts=restarts
        ),
    )
    return (memory("web", 205, 760),)
