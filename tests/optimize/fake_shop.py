"""A shop by arithmetic: services with the latency of a queue, at any replicas and limits, on a clock that only sleeping
moves on. It stands in for a cluster, its Prometheus and Locust, so that whole runs take milliseconds."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd

from mora.domain import Allocation, Autoscaler, Container, Observation, Resources, Target, Window, Workload
from mora.errors import MoraError
from mora.harness.arrivals import Offered
from mora.harness.drive import Site
from mora.harness.host import HostUse
from mora.harness.record import LoadRecord, Second
from mora.metrics import EXTRA_COLUMNS, METRIC_COLUMNS
from mora.pipeline.collecting import Place
from mora.quantities import MIB
from tests.fakes import FakeClock


@dataclass(frozen=True)
class FakeService:
    """cores_per_user: by scenario. own_seconds: CPU seconds of a request, which a pod of one core takes so long for."""

    cores_per_user: Mapping[str, float]
    own_seconds: float = 0.004
    memory_bytes: int = 40 * MIB


WEB = {
    "frontend": FakeService({"browsing": 0.004, "checkout": 0.006}, 0.006),
    "catalog": FakeService({"browsing": 0.002, "checkout": 0.001}, 0.003),
    "payment": FakeService({"browsing": 0.0, "checkout": 0.002}, 0.008),
    "idle": FakeService({"browsing": 0.0, "checkout": 0.0}, 0.0),
}


@dataclass
class FakeShop:
    """Cluster, source and load in one. web: its services. base_seconds: p95 of every class when nothing is squeezed.

    fails: share of requests that fail. dies_at: the drive (counted from 1) at which the load ends by itself. busy_at:
    drives in which other work takes the CPU, and answers are ten times as late. together: what several services add
    beyond the sum of what each adds alone, as a share; 0 where delays are additive. most_rate: requests per second that
    the generator can send.
    """

    web: Mapping[str, FakeService] = field(default_factory=lambda: WEB)
    base_seconds: float = 0.03
    fails: float = 0.0
    silent: frozenset[str] = frozenset()
    dies_at: int | None = None
    together: float = 0.0
    busy_at: frozenset[int] = frozenset()
    most_rate: int = 1000
    has_autoscaler: bool = False
    clock: FakeClock = field(default_factory=FakeClock)
    drives: int = 0
    users: dict[str, int] = field(default_factory=dict)
    running: set[str] = field(default_factory=set)
    state: dict[str, Allocation] = field(default_factory=dict)
    applied: list[tuple[str, int | None, int | None]] = field(default_factory=list)

    def __post_init__(self) -> None:
        for name in self.web:
            resources = Resources(100, 400, 64 * MIB, 128 * MIB)
            self.state[name] = Allocation(2, (Container(name, resources, "shop:1", is_main=True),))

    @property
    def workloads(self) -> tuple[Workload, ...]:
        return tuple(Workload("default", name) for name in sorted(self.web))

    @property
    def place(self) -> Place:
        return Place(self, self, self.workloads, "frontend", "http://127.0.0.1:8080")

    @property
    def site(self) -> Site:
        return Site(
            self,
            self,
            self.workloads,
            "http://127.0.0.1:8080",
            clock=self.clock,
            start_load=self.start,
            host=BusyHost(self),
        )

    # --- the cluster ---

    def allocation(self, workload: Workload) -> Allocation:
        allocation = self.state[workload.name]
        if not self.has_autoscaler:
            return allocation
        return replace(allocation, autoscaler=Autoscaler("web", Target.CPU, True, 70, 1, 9))

    def apply(self, workload: Workload, allocation: Allocation) -> None:
        """As a cluster does: what is not named stays as it is."""
        wanted = {one.name: one.resources for one in allocation.containers}
        before = self.state[workload.name]
        containers = tuple(replace(one, resources=wanted.get(one.name, one.resources)) for one in before.containers)
        replicas = before.replicas if allocation.replicas is None else allocation.replicas
        self.state[workload.name] = replace(before, replicas=replicas, containers=containers)
        self.applied.append((workload.name, replicas, containers[0].resources.cpu_limit_millicores))

    def restart(self, workloads: Sequence[Workload], timeout: timedelta) -> None:
        raise AssertionError("no run of mora optimize restarts anything")

    def wait_ready(self, workloads: Sequence[Workload], timeout: timedelta) -> None:
        self.clock.sleep(2)

    # --- its queues ---

    def rho(self, name: str) -> float:
        limit = self.limit(name)
        return self.use(name) / (limit * (self.state[name].replicas or 1))

    def limit(self, name: str) -> float:
        main = self.state[name].main
        assert main is not None
        return (main.resources.cpu_limit_millicores or 1000) / 1000

    def use(self, name: str) -> float:
        service = self.web[name]
        return sum(service.cores_per_user.get(scenario, 0.0) * count for scenario, count in self.users.items())

    def delay(self, name: str, scenario: str) -> float:
        service = self.web[name]
        if not service.cores_per_user.get(scenario):
            return 0.0
        rho = min(self.rho(name), 0.99)
        return service.own_seconds / self.limit(name) * rho / (1 - rho)

    def p95(self, scenario: str) -> float:
        delays = [self.delay(name, scenario) for name in self.web]
        quiet = self.base_seconds + sum(delays) + self.together * (sum(delays) - max(delays))
        return quiet * (10 if self.drives in self.busy_at else 1)

    # --- the source ---

    def services(self, namespace: str) -> list[str]:
        return sorted(self.web)

    def queries(self, workload: Workload, window: Window) -> dict[str, str]:
        return {}

    def observe(self, workload: Workload, window: Window) -> Observation:
        index = pd.date_range(window.start, periods=window.sample_count, freq=window.step, unit="us")
        metrics = pd.DataFrame(dict.fromkeys((*METRIC_COLUMNS, *EXTRA_COLUMNS), 0.0), index=index)
        metrics["cpu_cores_total"] = min(
            self.use(workload.name), self.limit(workload.name) * (self.state[workload.name].replicas or 1)
        )
        metrics["mem_bytes_value"] = float(self.web[workload.name].memory_bytes)
        return Observation(workload, window, metrics, pd.DataFrame(), workload.name, "named like the workload", {})

    # --- the load ---

    def start(self, scenario_file: Path, url: str, *, users: int, **options: Any) -> FakeShopLoad:
        rate = options.get("requests_per_second")
        return FakeShopLoad(self, scenario_file.stem, users if rate is None else round(rate))


class BusyHost:
    """A machine whose hypervisor takes half of it in the drives in which the shop is busy."""

    def __init__(self, shop: FakeShop) -> None:
        self._shop = shop

    def watch(self) -> BusyHost:
        return self

    def tick(self) -> None:
        return None

    def end(self) -> None:
        return None

    def use(self, window: Window) -> HostUse:
        return HostUse(cores=2, steal_cores=1.0 if self._shop.drives in self._shop.busy_at else 0.0)


class FakeShopLoad(AbstractContextManager["FakeShopLoad"]):
    """One request a user and second."""

    def __init__(self, shop: FakeShop, scenario: str, users: int) -> None:
        self.shop, self.scenario, self.count = shop, scenario, users
        self.since = shop.clock.now()
        if not shop.running:
            shop.drives += 1
            shop.users = {}
        shop.running.add(scenario)
        shop.users[scenario] = users

    def __exit__(self, *_: object) -> None:
        # Metrics are read after the loads have ended: they are of when those ran.
        self.shop.running.discard(self.scenario)

    def record(self) -> LoadRecord:
        passed = int((self.shop.clock.now() - self.since).total_seconds())
        each = 0 if self.scenario in self.shop.silent else 20 * self.count
        slow = math.ceil(each * 0.06)
        milliseconds = Counter({1000 * self.shop.p95(self.scenario): slow, 5.0: each - slow} if each else {})
        return LoadRecord(
            [
                Second(
                    self.since.replace(microsecond=0).timestamp() + n,
                    self.count,
                    each * n,
                    round(each * n * self.shop.fails),
                    milliseconds,
                )
                for n in range(passed + 1)
            ]
        )

    def spawned_at(self) -> datetime | None:
        spawned = self.since + timedelta(seconds=1)
        return spawned if self.shop.clock.now() >= spawned else None

    def check_running(self) -> None:
        if self.shop.drives == self.shop.dies_at:
            raise MoraError("Locust ended by itself (exit status 3).")

    def recent_error_ratio(self, now: datetime) -> float:
        return self.shop.fails

    def offered(self, start: datetime, end: datetime) -> Offered | None:
        sent = min(self.count, self.shop.most_rate)
        return Offered(float(self.count), float(sent), 0.0, 1.0, self.count)
