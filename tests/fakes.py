"""Fakes for the edges of the house: a cluster, a source of metrics, a clock and a load, all of plain Python.

They stand where a test is about something else; the real ones have tests of their own.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd

from mora.domain import Allocation, Container, Observation, Resources, Window, Workload
from mora.errors import ClusterError, MoraError
from mora.harness.arrivals import Offered
from mora.harness.record import LOAD_COLUMNS, LoadRecord, Second
from mora.metrics import EXTRA_COLUMNS, METRIC_COLUMNS
from mora.quantities import MIB

SHOP = (Workload("default", "cartservice"), Workload("default", "frontend"))


class FakeClock:
    """A clock that only sleeping moves on."""

    def __init__(self, start: datetime = datetime(2026, 11, 1, 12, 0, 0, 250_000, tzinfo=UTC)) -> None:
        self.time = start

    def now(self) -> datetime:
        return self.time

    def sleep(self, seconds: float) -> None:
        self.time += timedelta(seconds=seconds)


class FakeCluster:
    """Workloads that are scaled and restarted at once; `calls` tells what was asked of it, in order."""

    def __init__(self, replicas: Mapping[str, int] | None = None) -> None:
        self.replicas = dict(replicas or {"cartservice": 1, "frontend": 2})
        self.calls: list[tuple[str, Any]] = []

    def allocation(self, workload: Workload) -> Allocation:
        if workload.name not in self.replicas:
            raise ClusterError(f"There is no {workload.name!r}.", hint=f"There are: {', '.join(self.replicas)}.")
        main = Container(workload.name, Resources(200, 400, 64 * MIB, 128 * MIB), image="shop:1", is_main=True)
        return Allocation(self.replicas[workload.name], (main,))

    def apply(self, workload: Workload, allocation: Allocation) -> None:
        self.calls.append(("apply", (workload.name, allocation.replicas)))
        if allocation.replicas is not None:
            self.replicas[workload.name] = allocation.replicas

    def restart(self, workloads: Sequence[Workload], timeout: timedelta) -> None:
        self.calls.append(("restart", [workload.name for workload in workloads]))

    def wait_ready(self, workloads: Sequence[Workload], timeout: timedelta) -> None:
        self.calls.append(("wait_ready", [workload.name for workload in workloads]))


class FakeSource:
    """Steady metrics, different for each service and column; gaps where `gaps` says."""

    def __init__(self, names: Sequence[str] = ("cartservice", "frontend"), *, gaps: float = 0.0) -> None:
        self.names = sorted(names)
        self.gaps = gaps
        self.asked: list[tuple[str, Window]] = []

    def services(self, namespace: str) -> list[str]:
        return self.names

    def queries(self, workload: Workload, window: Window) -> dict[str, str]:
        return {column: f'{column}{{service="{workload.name}"}}' for column in METRIC_COLUMNS}

    def observe(self, workload: Workload, window: Window) -> Observation:
        self.asked.append((workload.name, window))
        index = pd.date_range(window.start, periods=window.sample_count, freq=window.step, unit="us")
        columns = [c for c in (*METRIC_COLUMNS, *EXTRA_COLUMNS) if c not in LOAD_COLUMNS]
        service = 1 + (self.names.index(workload.name) if workload.name in self.names else 0)
        metrics = pd.DataFrame({c: 0.01 * service * (n + 1) for n, c in enumerate(columns)}, index=index)
        metrics["mem_bytes_value"] = float(service * 40 * MIB)
        metrics.iloc[: math.ceil(self.gaps * len(metrics)), :] = math.nan
        if workload.name not in self.names:
            metrics[:] = math.nan
        containers = pd.DataFrame(
            {
                "timestamp": index,
                "container": "sidecar",
                "cpu_cores": 0.01,
                "mem_bytes": 1e6,
                "cpu_request_cores": 0.01,
                "cpu_limit_cores": math.nan,
                "mem_request_bytes": 2e6,
                "mem_limit_bytes": math.nan,
            }
        )
        return Observation(
            workload=workload,
            window=window,
            metrics=metrics,
            containers=containers,
            main_container=workload.name,
            main_container_chosen_by="named like the workload",
            queries=self.queries(workload, window),
            warnings=(),
            rate_window=timedelta(seconds=10),
        )


class FakeLoad(AbstractContextManager["FakeLoad"]):
    """A load of ten requests a user and second, of which every `fails`-th fails; ends by itself after `dies_after`."""

    def __init__(self, clock: FakeClock, *, fails: int = 0, dies_after: float = math.inf) -> None:
        self.clock, self.fails, self.dies_after = clock, fails, dies_after
        self.is_running = False
        self.started: list[dict[str, Any]] = []

    def start(self, scenario_file: Path, url: str, **options: Any) -> FakeLoad:
        self.started.append({"scenario_file": scenario_file, "url": url, **options})
        self.since, self.users, self.is_running = self.clock.now(), options["users"], True
        return self

    def __exit__(self, *_: object) -> None:
        self.is_running = False

    def record(self) -> LoadRecord:
        passed = int((self.clock.now() - self.since).total_seconds())
        each = 10 * self.users
        return LoadRecord(
            [
                Second(
                    time=self.since.replace(microsecond=0).timestamp() + n,
                    users=self.users,
                    requests=each * n,
                    failures=each * n // self.fails if self.fails else 0,
                    milliseconds=Counter({20.0: each - 1, 300.0: 1}),
                )
                for n in range(passed + 1)
            ]
        )

    def spawned_at(self) -> datetime | None:
        spawned = self.since + timedelta(seconds=1)
        return spawned if self.clock.now() >= spawned else None

    def check_running(self) -> None:
        if (self.clock.now() - self.since).total_seconds() > self.dies_after:
            raise MoraError("Locust ended by itself (exit status 3).")

    def recent_error_ratio(self, now: datetime) -> float:
        return 1 / self.fails if self.fails else 0.0

    def offered(self, start: datetime, end: datetime) -> Offered | None:
        return None
