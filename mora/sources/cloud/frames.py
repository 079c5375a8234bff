"""From placed series of one workload to an observation: its main container's metrics, its other containers beside."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mora.domain import Observation, Window, Workload, choose_main_container
from mora.sources.cloud.placing import Placed
from mora.sources.cloud.signals import OF_NODES, Of, Signal
from mora.sources.containers import containers_frame
from mora.sources.derived import with_derived

if TYPE_CHECKING:
    import pandas as pd

Floats = NDArray[np.float64]
# Column of the unified CSV -> the signal of the main container, the largest of its pods.
MAIN_COLUMNS: Mapping[str, Signal] = {
    "cpu_cores_value": Signal.CPU,
    "mem_bytes_value": Signal.MEMORY,
    "cpu_request_cores": Signal.CPU_REQUEST,
    "cpu_limit_cores": Signal.CPU_LIMIT,
    "mem_request_bytes": Signal.MEMORY_REQUEST,
    "mem_limit_bytes": Signal.MEMORY_LIMIT,
}
# Column -> the signal that is summed over all pods, or (nodes) the largest of those that run the workload.
SUMMED_COLUMNS: Mapping[str, Signal] = {"net_rx_bytes_value": Signal.RECEIVED, "net_tx_bytes_value": Signal.SENT}
NODE_COLUMNS: Mapping[str, Signal] = {"node_cpu_util_value": Signal.NODE_CPU, "node_mem_util_value": Signal.NODE_MEMORY}
TOTAL_COLUMNS: Mapping[str, Signal] = {"cpu_cores_total": Signal.CPU, "mem_bytes_total": Signal.MEMORY}
_HOUR_SECONDS = 3600


def observation(
    found: Placed, workload: Workload, window: Window, *, known: Collection[Signal], queries: Mapping[str, str]
) -> Observation:
    """What a cloud saw of a workload. found: its series, and those of nodes. known: what the cloud can know at all."""
    import pandas as pd

    index = index_of(window)
    names = container_names(found)
    main, chosen_by = None, "no container was seen"
    if names:
        main, chosen_by = choose_main_container(names, workload.name, order="by name")
    columns = {column: largest(found, signal, main, len(index)) for column, signal in MAIN_COLUMNS.items()}
    columns |= {column: _total(found.of(signal), len(index)) for column, signal in SUMMED_COLUMNS.items()}
    columns |= {column: _total(found.of(signal), len(index)) for column, signal in TOTAL_COLUMNS.items()}
    replicas = _replicas(found, len(index))
    columns["replica_count_value"] = replicas
    columns["pod_restarts_value"] = _per_hour(found.of(Signal.RESTARTS), replicas, window, Signal.RESTARTS in known)
    if Signal.OOM_KILLS in known:
        kills = {of: values for of, values in found.of(Signal.OOM_KILLS).items() if of.container == main}
        columns["oom_kills"] = _per_hour(kills, replicas, window, True)
    nodes = _nodes(found)
    columns |= {column: _fullest(found.of(signal), nodes, len(index)) for column, signal in NODE_COLUMNS.items()}
    frame = with_derived(pd.DataFrame(columns, index=index))
    return Observation(
        workload=workload,
        window=window,
        metrics=frame,
        containers=containers_frame(
            [name for name in names if name != main],
            lambda name, column: largest(found, MAIN_COLUMNS[column], name, len(index)),
            index,
        ),
        main_container=main,
        main_container_chosen_by=chosen_by,
        queries=queries,
        warnings=(*found.remarks, *_empty_words(frame, known)),
        rate_window=window.step,
    )


def index_of(window: Window) -> pd.DatetimeIndex:
    """The moments of a window as the index of a frame, in UTC."""
    import pandas as pd

    return pd.date_range(window.start, window.end, freq=window.step, name="timestamp").tz_convert("UTC").as_unit("us")


def container_names(found: Placed) -> list[str]:
    """The containers that used CPU or memory, sorted."""
    used = [*found.of(Signal.CPU), *found.of(Signal.MEMORY)]
    return sorted({of.container for of in used if of.container})


def largest(found: Placed, signal: Signal, container: str | None, count: int) -> Floats:
    """The largest value over the pods of a container, row by row; NaN where none is known."""
    return _highest((values for of, values in found.of(signal).items() if of.container == container), count)


def _highest(series: Iterable[Floats], count: int) -> Floats:
    rows = np.full(count, np.nan)
    for values in series:
        np.fmax(rows, values, out=rows)
    return rows


def _total(series: Mapping[Of, Floats], count: int) -> Floats:
    """The sum over all pods; NaN where none is known, and where the cloud tells of the hottest pod alone."""
    if not series or any(not of.pod for of in series):
        return np.full(count, np.nan)
    rows = np.vstack(list(series.values()))
    return np.where(np.isnan(rows).all(axis=0), np.nan, np.nansum(rows, axis=0))


def _replicas(found: Placed, count: int) -> Floats:
    """What the cloud says, else the pods that used CPU or memory; NaN where none is known."""
    if told := found.of(Signal.REPLICAS):
        return _highest(told.values(), count)
    pods: dict[str, NDArray[np.bool_]] = {}
    for signal in (Signal.CPU, Signal.MEMORY):
        for of, values in found.of(signal).items():
            if of.pod:
                pods[of.pod] = pods.get(of.pod, np.zeros(count, dtype=bool)) | ~np.isnan(values)
    if not pods:
        return np.full(count, np.nan)
    counts = np.sum(list(pods.values()), axis=0).astype(np.float64)
    return np.where(counts > 0, counts, np.nan)


def _per_hour(series: Mapping[Of, Floats], replicas: Floats, window: Window, is_known: bool) -> Floats:
    """What happened in the last hour, all pods; 0 where the workload is seen and nothing happened."""
    count = len(replicas)
    if not is_known:
        return np.full(count, np.nan)
    each = np.nansum(np.vstack(list(series.values())), axis=0) if series else np.zeros(count)
    rows = max(1, round(_HOUR_SECONDS / window.step.total_seconds()))
    sums = np.concatenate([[0.0], np.cumsum(each)])
    lately = sums[1:] - sums[np.maximum(np.arange(count) + 1 - rows, 0)]
    return np.where(np.isnan(replicas), np.nan, np.round(lately, 6))


def _nodes(found: Placed) -> frozenset[str]:
    return frozenset(of.node for signal in (Signal.CPU, Signal.MEMORY) for of in found.of(signal) if of.node)


def _fullest(series: Mapping[Of, Floats], nodes: Collection[str], count: int) -> Floats:
    return _highest((values for of, values in series.items() if of.node in nodes), count)


def _empty_words(frame: pd.DataFrame, known: Collection[Signal]) -> list[str]:
    silent = set(frame.columns[frame.isna().all()])
    words = []
    for column, signal in {**MAIN_COLUMNS, **SUMMED_COLUMNS, **NODE_COLUMNS}.items():
        if column not in silent:
            continue
        if signal not in known:
            words.append(f"{column} is empty: this cloud does not measure it.")
        elif column in ("cpu_request_cores", "cpu_limit_cores", "mem_request_bytes", "mem_limit_bytes"):
            words.append(f"{column} is empty: it is not set on the main container, or the cloud has no points of it.")
        else:
            nodes = " of its nodes" if signal in OF_NODES else ""
            words.append(f"{column} is empty: there are no points of {signal}{nodes} in this time range.")
    return words
