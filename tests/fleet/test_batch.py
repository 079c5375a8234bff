"""Upper bounds of many containers at once are those of each alone."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import numpy as np

from mora.bounds.cpu import cpu_bounds
from mora.domain import (
    Target,
    Workload,
    WorkloadHistory,
    WorkloadState,
)
from mora.fleet.batch import AT_ONCE, bounds_of
from mora.fleet.settings import FleetSettings
from mora.fleet.stream import stream
from tests.fleet.making import WINDOW, container_history, history, state, steady, words


def workloads(*names: str) -> list[WorkloadState]:
    return [state(workload=Workload(*name.split("/"))) for name in names]


def histories(states: list[WorkloadState]) -> Iterator[WorkloadHistory]:
    for number, one in enumerate(states):
        yield history(container_history(cpu_cores=steady(0.1 + 0.01 * number)), workload=one.workload)


def test_many_at_once_get_the_numbers_that_each_gets_alone() -> None:
    states = workloads(*(f"n{number % 3}/w{number}" for number in range(AT_ONCE + 10)))
    given = {a.workload: a for a in stream(states, histories(states), WINDOW, FleetSettings())}
    for one in states[:: AT_ONCE // 2]:
        seen = next(h for h in histories(states) if h.workload == one.workload)
        use = seen.containers["server"].cpu_cores
        alone = cpu_bounds(use, step_seconds=300, decisions=np.array([len(use)]), horizon_seconds=86_400)
        together = bounds_of([seen], timedelta(hours=24))[0]["server"][Target.CPU].amount
        assert together == float(alone.requests[0])
        assert f"{1000 * together:.0f}m" in words(given[one.workload].main.cpu_request)
