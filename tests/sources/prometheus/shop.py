"""A fleet's source on the shop of tests/fleet/rig.py, and what it reads of it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np

from mora.domain import (
    ContainerHistory,
    Window,
    WorkloadHistory,
    WorkloadState,
)
from mora.sources.prometheus.fleet import PrometheusFleet
from mora.sources.prometheus.observe import PrometheusSource
from tests.fleet import rig

MIB = 2**20
END = 1_790_000_040 // 60 * 60
FIVE_MINUTES = timedelta(minutes=5)
FLEET = rig.shop(END)
CONTAINERS = [
    (service.workload.name, box.name)
    for service in FLEET.services
    for box in service.pods[0].boxes
    if not np.isnan(box.cpu_cores).all()
]


def now() -> datetime:
    return datetime.fromtimestamp(END, UTC)


def days(count: float, step: timedelta = FIVE_MINUTES) -> Window:
    return Window(now() - timedelta(days=count), now(), step)


def fleet_at(url: str, cluster: str | None = None) -> PrometheusFleet:
    return PrometheusFleet(PrometheusSource(url, retries=0), now=now, cluster=cluster)


def read(
    fleet: PrometheusFleet, window: Window, states: list[WorkloadState] | None = None
) -> dict[str, WorkloadHistory]:
    found = fleet.histories(fleet.states() if states is None else states, window)
    return {history.workload.name: history for history in found}


def assert_same(one: ContainerHistory, other: ContainerHistory) -> None:
    for name in ContainerHistory.__dataclass_fields__:
        mine, theirs = getattr(one, name), getattr(other, name)
        if name == "by_pod":
            assert len(mine) == len(theirs)
            for pod, same in zip(mine, theirs, strict=True):
                np.testing.assert_array_equal(pod.cpu_cores, same.cpu_cores)
                np.testing.assert_array_equal(pod.throttled, same.throttled)
        elif isinstance(mine, np.ndarray):
            np.testing.assert_array_equal(mine, theirs)
        else:
            assert mine == theirs, name
