"""What one pod needs: many replicas, uneven ones, pods that come and go."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from experiments.odd_clusters.answer import Check, cpu, memory, says
from experiments.odd_clusters.case import case
from experiments.odd_clusters.series import MIB, Box, Series


def _bursty(series: Series, seed: int, share: float = 0.02) -> np.ndarray:
    chance = series.random(seed)
    cores = 0.1 * np.exp(0.1 * chance.standard_normal(series.count))
    cores[chance.random(series.count) < share] = 1.0
    return cores


def _fleet(series: Series, count: int) -> Sequence[Check]:
    pods = {
        f"p{number:02d}": [
            Box("web", _bursty(series, number), series.steady(300 * MIB, seed=number), (0.25, 512 * MIB))
        ]
        for number in range(count)
    }
    series.deployment("web", pods=pods)
    # Each pod's p95 is about 121 millicores, and 98 % of its minutes stay below 150.
    return cpu("web", 110, 200), memory("web", 305, 420)


@case("robusta-dev/krr#385")
def one_pod_with_bursts(series: Series) -> Sequence[Check]:
    """One pod: 2 % of its minutes at a core, the others at a tenth."""
    return _fleet(series, 1)


@case("robusta-dev/krr#135")
def five_pods_with_bursts_of_their_own(series: Series) -> Sequence[Check]:
    """Five pods, each with 2 % of its minutes at a core: each needs what one alone needs."""
    return _fleet(series, 5)


@case("robusta-dev/krr#135")
def forty_pods_with_bursts_of_their_own(series: Series) -> Sequence[Check]:
    """At any moment one of forty pods is in a burst; no pod is in one for longer than 2 % of its minutes."""
    return _fleet(series, 40)


@case("kubernetes/autoscaler#8956")
def one_hot_shard(series: Series) -> Sequence[Check]:
    """One of eight shards uses 2 cores, the others 0.15: sized for the hot one, and a note says so."""
    pods = {
        f"s{number}": [
            Box(
                "shard",
                series.wave(2.0 if number == 3 else 0.15, seed=number),
                series.steady(400 * MIB),
                (2.5, 700 * MIB),
            )
        ]
        for number in range(8)
    }
    series.deployment("index", pods=pods)
    return cpu("index", 2000, 3600), says("median", "index")


@case("kubernetes/autoscaler#6608")
def bursts_that_come_together(series: Series) -> Sequence[Check]:
    """Ten pods, all busy for the same two hours of every day: each pod needs the busy level."""
    at = series.start + np.arange(series.count) * series.every
    busy = (at % 86_400) < 7_200
    pods = {
        f"p{number}": [
            Box(
                "web",
                np.where(busy, 0.8, 0.1) * np.exp(0.05 * series.random(number).standard_normal(series.count)),
                series.steady(300 * MIB),
                (1.0, 512 * MIB),
            )
        ]
        for number in range(10)
    }
    series.deployment("web", pods=pods)
    return (cpu("web", 0.97 * 800, 1150),)


@case("kubernetes/autoscaler#6730")
def a_new_replica_set_every_day(series: Series) -> Sequence[Check]:
    """Deployed daily; memory peaked on one of the days: the peak of a pod that is gone counts."""
    day = 86_400 // series.every
    series.here("kube_deployment_spec_replicas", deployment="web")
    for number in range(7):
        first, last = number * day, (number + 1) * day + (number == 6)
        usage = np.full(last - first, (900 if number == 3 else 300) * MIB)
        name = f"web-{number}c"
        series.replica_set(name, "Deployment", "web", replicas=float(number == 6), first=first)
        box = Box("web", series.wave(0.2)[first:last], usage, (0.5, 1200 * MIB), (None, 1200 * MIB))
        series.pod(f"{name}-x", ("ReplicaSet", name), [box], first=first, last=last)
    return memory("web", 900, 1200), cpu("web", 200, 420)


@case("own")
def a_pod_that_just_started(series: Series) -> Sequence[Check]:
    """A second replica was added ten minutes ago and is still starting: it changes little."""
    box = Box("web", series.wave(0.3), series.steady(300 * MIB), (0.6, 512 * MIB))
    series.deployment("web", box)
    first = series.count - 10
    late = Box("web", np.full(10, 0.35), np.full(10, 250 * MIB), (0.6, 512 * MIB))
    series.pod("web-7d4b9c-new", ("ReplicaSet", "web-7d4b9c"), [late], first=first)
    need = float(np.quantile(series.wave(0.3), 0.95)) * 1000
    return (cpu("web", need * 0.97, need * 1.35),)


@case("kubernetes/autoscaler#7942", every=120)
def pods_of_an_hpa_that_come_and_go(series: Series) -> Sequence[Check]:
    """An HPA runs six to twelve pods; each lives about six hours and has 2 % of its minutes at a core."""
    series.here("kube_deployment_spec_replicas", 9.0, deployment="web")
    series.replica_set("web-7d4b9c", "Deployment", "web", replicas=9)
    life = 6 * 3_600 // series.every
    for slot in range(9):
        for number, first in enumerate(range(-slot * life // 9, series.count, life)):
            begin, last = max(first, 0), min(first + life, series.count)
            if last - begin < 10 or (slot > 5 and number % 3 == 0):
                continue
            cores = _bursty(series, 1000 * slot + number)[begin:last]
            box = Box("web", cores, series.steady(300 * MIB)[begin:last], (0.5, 512 * MIB))
            series.pod(f"web-7d4b9c-{slot}{number:03d}", ("ReplicaSet", "web-7d4b9c"), [box], first=begin, last=last)
    return cpu("web", 105, 300), memory("web", 305, 420)


@case("robusta-dev/krr#135")
def a_leader_that_moves(series: Series) -> Sequence[Check]:
    """One of three replicas leads and uses six times as much; each leads for a day: each must be able to."""
    day = np.arange(series.count) * series.every // 86_400
    pods = {
        f"p{number}": [
            Box(
                "etcd",
                np.where(day % 3 == number, 0.6, 0.1)
                * np.exp(0.05 * series.random(number).standard_normal(series.count)),
                series.steady(300 * MIB),
                (1.0, 512 * MIB),
            )
        ]
        for number in range(3)
    }
    series.deployment("etcd", pods=pods)
    return (cpu("etcd", 570, 900),)
