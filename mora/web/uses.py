"""What containers needed since a change was applied, from their histories as they are read."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from mora.coverage import needed_cpu_cores, needed_memory_bytes
from mora.domain import ContainerHistory, WorkloadHistory
from mora.fleet.evidence import cpu_series
from mora.record.numbers import Use
from mora.record.store import InForce


@dataclass(slots=True)
class Watch:
    """Looks at every history for the containers whose recommendation was applied. found: episode -> use since."""

    applied: Iterable[InForce]
    found: dict[int, Use] = field(default_factory=dict)
    _by_workload: dict[tuple[str, str, str], list[InForce]] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        for one in self.applied:
            self._by_workload.setdefault((one.key.namespace, one.key.kind, one.key.workload), []).append(one)

    def look(self, history: WorkloadHistory) -> None:
        """Note what the containers of a workload needed."""
        workload = history.workload
        for one in self._by_workload.get((workload.namespace, workload.kind, workload.name), ()):
            container = history.containers.get(one.key.container)
            if container is not None:
                first = max(0, int(np.ceil((one.since - history.window.start.timestamp()) / _step(history))))
                self.found[one.episode] = use_since(
                    container, one.key.number, first, since=one.since, until=history.window.end.timestamp()
                )


def use_since(history: ContainerHistory, number: str, first: int, *, since: float, until: float) -> Use:
    """What a request needed to be from a sample on. first: its row; rows before it do not count."""
    if number == "cpu_request":
        parts = [use for series in cpu_series(history) if len(use := _known(series[first:]))]
        needed = max((needed_cpu_cores(part) * 1000 for part in parts), default=None)
        return Use(since, until, max(map(len, parts), default=0), needed)
    # The kernel gives page cache back before it kills.
    series = history.mem_bytes if history.mem_less_cache_bytes is None else history.mem_less_cache_bytes
    known = _known(series[first:])
    kills = sum(row >= first for row in history.oom_rows)
    return Use(since, until, len(known), needed_memory_bytes(known) if len(known) else None, oom_kills=kills)


def _step(history: WorkloadHistory) -> float:
    return history.window.step.total_seconds()


def _known(values: NDArray[np.float64]) -> NDArray[np.float64]:
    found: NDArray[np.float64] = values[~np.isnan(values)]
    return found
