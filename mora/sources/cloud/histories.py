"""Many workloads from a cloud at once: what runs now (states) and what it used (histories), from placed series."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping

import numpy as np
from numpy.typing import NDArray

from mora.domain import (
    INJECTED_SIDECARS,
    Allocation,
    Container,
    ContainerHistory,
    Reason,
    Resources,
    Role,
    Target,
    Window,
    Workload,
    WorkloadHistory,
    WorkloadState,
    choose_main_container,
)
from mora.quantities import bytes_up, cores_to_millicores
from mora.sources.cloud.frames import container_names, largest
from mora.sources.cloud.placing import Placed
from mora.sources.cloud.signals import Of, Signal

Floats = NDArray[np.float64]
_AMOUNTS: Mapping[str, Signal] = {
    "cpu_request_millicores": Signal.CPU_REQUEST,
    "cpu_limit_millicores": Signal.CPU_LIMIT,
    "memory_request_bytes": Signal.MEMORY_REQUEST,
    "memory_limit_bytes": Signal.MEMORY_LIMIT,
}
_DESCRIBING = frozenset(_AMOUNTS.values())
# Fewer samples of one pod have no 95th percentile worth the name.
_LEAST_OF_A_POD = 20


def by_workload(found: Placed) -> dict[Workload, Placed]:
    """The series of each workload; without those of nodes and databases, which are of none."""
    rows: defaultdict[Workload, dict[Signal, dict[Of, Floats]]] = defaultdict(dict)
    for signal, series in found.rows.items():
        for of, values in series.items():
            if of.workload is not None:
                rows[of.workload].setdefault(signal, {})[of] = values
    return {workload: Placed(rows[workload]) for workload in sorted(rows)}


def state_of(workload: Workload, found: Placed, *, cloud: str, known: Collection[Signal]) -> WorkloadState:
    """A workload as its pods' last samples show it. known: what the cloud can know at all."""
    names = container_names(found)
    main = choose_main_container(names, workload.name, order="by name")[0] if names else None
    containers = tuple(
        Container(
            name,
            resources=Resources(**{amount: _last_amount(found, signal, name) for amount, signal in _AMOUNTS.items()}),
            is_main=name == main,
            role=Role.SIDECAR if name in INJECTED_SIDECARS and name != main else Role.APP,
            is_injected=name in INJECTED_SIDECARS and name != main,
            may_be_injected=True,
        )
        for name in names
    )
    is_described = set(known) >= _DESCRIBING
    what = "" if is_described else "; its requests and limits are not known"
    text = f"read from {cloud} alone: annotations, autoscalers, LimitRanges and quotas are not known{what}"
    return WorkloadState(
        workload,
        Allocation(_running(found), containers, is_described=is_described),
        known_by=cloud,
        reasons=(Reason("known-by-cloud", text),),
    )


def history_of(state: WorkloadState, found: Placed, window: Window, *, queries: Mapping[str, str]) -> WorkloadHistory:
    """The use of a workload's containers over a window, of the hottest pod at each sample."""
    containers = {name: _container(found, name, window) for name in container_names(found)}
    warnings = list(found.remarks)
    if not containers:
        warnings.append("The cloud has no samples of it in this time range.")
    return WorkloadHistory(
        state.workload,
        window,
        containers,
        replicas=_pods_running(found, window.sample_count),
        queries=queries,
        warnings=tuple(warnings),
    )


def _container(found: Placed, name: str, window: Window) -> ContainerHistory:
    count = window.sample_count
    cpu = {of: values for of, values in found.of(Signal.CPU).items() if of.container == name}
    memory = {of: values for of, values in found.of(Signal.MEMORY).items() if of.container == name}
    limits = {signal: largest(found, signal, name, count) for signal in (Signal.CPU_LIMIT, Signal.MEMORY_LIMIT)}
    pods = {of.pod for of in (*cpu, *memory) if of.pod}
    peaks = {Target.CPU: _peak_pod(cpu), Target.MEMORY: _peak_pod(memory)}
    levels = [float(np.quantile(v[~np.isnan(v)], 0.95)) for of, v in cpu.items() if of.pod and _is_told(v)]
    restarts = sum(
        float(np.nansum(values)) for of, values in found.of(Signal.RESTARTS).items() if of.container in ("", name)
    )
    kills, killed_at = _oom_kills(found, name, count)
    limit = limits[Signal.MEMORY_LIMIT][list(killed_at)]
    return ContainerHistory(
        name,
        largest(found, Signal.CPU, name, count),
        largest(found, Signal.MEMORY, name, count),
        cpu_limit_cores=_or_none(limits[Signal.CPU_LIMIT]),
        mem_limit_bytes=_or_none(limits[Signal.MEMORY_LIMIT]),
        oom_kills=kills,
        oom_limit_bytes=float(np.nanmax(limit)) if np.isfinite(limit).any() else None,
        oom_rows=killed_at,
        restarts=round(restarts),
        pods=len(pods),
        peak_pods={target: pod for target, pod in peaks.items() if pod},
        pod_p95_cores=max(levels, default=None),
    )


def _oom_kills(found: Placed, name: str, count: int) -> tuple[int, tuple[int, ...]]:
    """How often a container was OOM-killed, and the rows in which it was."""
    rows = np.zeros(count)
    for of, values in found.of(Signal.OOM_KILLS).items():
        if of.container == name:
            rows += np.nan_to_num(values)
    return round(float(rows.sum())), tuple(int(row) for row in np.flatnonzero(rows >= 1))


def _is_told(values: Floats) -> bool:
    return int(np.count_nonzero(~np.isnan(values))) >= _LEAST_OF_A_POD


def _or_none(values: Floats) -> Floats | None:
    return None if np.isnan(values).all() else values


def _peak_pod(series: Mapping[Of, Floats]) -> str:
    peaks = [(float(np.nanmax(values)), of.pod) for of, values in series.items() if not np.isnan(values).all()]
    return max(peaks, default=(0.0, ""))[1]


def _pods_running(found: Placed, count: int) -> Floats | None:
    told = found.of(Signal.REPLICAS)
    pods: dict[str, NDArray[np.bool_]] = {}
    for of, values in (*found.of(Signal.CPU).items(), *found.of(Signal.MEMORY).items()):
        if of.pod:
            pods[of.pod] = pods.get(of.pod, np.zeros(count, dtype=bool)) | ~np.isnan(values)
    if told:
        rows = np.full(count, np.nan)
        for values in told.values():
            np.fmax(rows, values, out=rows)
        return rows
    return np.sum(list(pods.values()), axis=0).astype(np.float64) if pods else None


def _running(found: Placed) -> int | None:
    """The pods of the last row in which any was seen."""
    counts = next(
        (_pods_running(found, len(values)) for series in found.rows.values() for values in series.values()), None
    )
    if counts is None:
        return None
    seen = counts[~np.isnan(counts) & (counts > 0)]
    return int(seen[-1]) if len(seen) else None


def _last_amount(found: Placed, signal: Signal, container: str) -> int | None:
    """A request or limit as it stood last, the largest of the pods that had it then."""
    rows = [values for of, values in found.of(signal).items() if of.container == container]
    if not rows:
        return None
    highest = largest(found, signal, container, len(rows[0]))
    known = highest[~np.isnan(highest)]
    if not len(known):
        return None
    amount = float(known[-1])
    return cores_to_millicores(amount) if signal in (Signal.CPU_REQUEST, Signal.CPU_LIMIT) else bytes_up(amount)
