"""Upper bounds of many containers at once are those of each alone."""

from __future__ import annotations

from datetime import timedelta

import numpy as np

from mora.bounds.cpu import cpu_bounds
from mora.domain import (
    Target,
)
from mora.fleet.batch import AT_ONCE, bounds_of
from mora.fleet.settings import FleetSettings
from mora.fleet.stream import stream
from tests.fleet.making import WINDOW, histories, words, workloads


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
