"""The use of a sandbox's services as history that is longer than it took: a second counts as five minutes."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from mora.domain import ContainerHistory, Window, WorkloadHistory, WorkloadState
from mora.sandbox.spec import CONTAINER
from mora.sources.prometheus.observe import PrometheusSource

FACTOR = 300
"""Seconds of history that a second of the sandbox counts as."""


def histories_of(
    source: PrometheusSource, states: Sequence[WorkloadState], start: datetime, end: datetime
) -> tuple[Window, list[WorkloadHistory]]:
    """The use of services, second by second, as histories in which a second lasts five minutes.

    Of each moment the pod that uses most counts, as for a request that all pods share.
    """
    real = Window(start, end, timedelta(seconds=1))
    count = real.sample_count
    window = Window(end - (count - 1) * timedelta(seconds=FACTOR), end, timedelta(seconds=FACTOR))
    inside = f'container="{CONTAINER}"'
    periods = f"container_cpu_cfs_periods_total{{{inside}}}[10s]"
    questions = {
        "cpu": f"sum by (pod) (rate(container_cpu_usage_seconds_total{{{inside}}}[5s]))",
        "memory": f"sum by (pod) (container_memory_working_set_bytes{{{inside}}})",
        "throttled": f"sum by (pod) (increase(container_cpu_cfs_throttled_periods_total{{{inside}}}[10s])) / "
        f"sum by (pod) (increase({periods}) > 0)",
        "cpu limit": 'sum by (pod) (kube_pod_container_resource_limits{resource="cpu"})',
        "memory limit": 'sum by (pod) (kube_pod_container_resource_limits{resource="memory"})',
    }
    found: dict[str, dict[str, NDArray[np.float64]]] = {name: {} for name in questions}
    with source.wire() as wire:
        for name, part, strips in wire.ranges((name, query, real) for name, query in questions.items()):
            offset = round((part.start - start).total_seconds())
            for strip in strips:
                service = strip.labels["pod"].rsplit("-", 2)[0]
                values = np.full(part.sample_count, np.nan)
                values[strip.rows] = strip.values
                whole = found[name].setdefault(service, np.full(count, np.nan))
                place = slice(offset, offset + part.sample_count)
                whole[place] = np.fmax(whole[place], values)
    nothing = np.full(count, np.nan)
    histories = []
    for state in states:
        of = {name: by_service.get(state.workload.name, nothing) for name, by_service in found.items()}
        history = ContainerHistory(
            CONTAINER,
            of["cpu"],
            of["memory"],
            throttled=of["throttled"],
            cpu_limit_cores=of["cpu limit"],
            mem_limit_bytes=of["memory limit"],
            pods=state.allocation.replicas or 0,
        )
        histories.append(WorkloadHistory(state.workload, window, {CONTAINER: history}))
    return window, histories
