"""The flat frame of Helios: one service beside its database, six metrics, a row a step."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mora.domain import Window, choose_main_container
from mora.errors import BadInput
from mora.sources.cloud.frames import container_names, index_of, largest
from mora.sources.cloud.placing import Placed
from mora.sources.cloud.signals import Of, Signal

if TYPE_CHECKING:
    import pandas as pd

Floats = NDArray[np.float64]
OF_SERVICE = (
    Signal.CPU,
    Signal.MEMORY,
    Signal.CPU_LIMIT,
    Signal.MEMORY_LIMIT,
    Signal.CPU_SHARE,
    Signal.MEMORY_SHARE,
)
"""What is read of the service."""
_DATABASE: Mapping[str, Signal] = {
    "db_cpu": Signal.DB_CPU,
    "db_memory": Signal.DB_MEMORY,
    "db_connections": Signal.DB_CONNECTIONS,
}
COLUMNS = ("timestamp", "memory_bytes", "cpu_utilization", "memory_utilization", *_DATABASE)


def flat_frame(service: Placed, database: Placed, name: str, window: Window) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """The columns of COLUMNS, and what a reader must know of them. What is not known is NaN.

    service: the series of one workload. cpu_utilization, memory_utilization: share of the limit, of the main
    container's hottest pod, 0..1. database: the series of one database; several raise BadInput that names them.
    """
    import pandas as pd

    count = window.sample_count
    names = container_names(service)
    main, chosen_by = choose_main_container(names, name, order="by name") if names else (None, "no container was seen")
    remarks = [*service.remarks, *database.remarks]
    if len(names) > 1:
        remarks.append(f"The frame is of the container {main}: {chosen_by}.")
    used = {signal: largest(service, signal, main, count) for signal in OF_SERVICE}
    columns = {
        "memory_bytes": used[Signal.MEMORY],
        "cpu_utilization": _share(used[Signal.CPU_SHARE], used[Signal.CPU], used[Signal.CPU_LIMIT]),
        "memory_utilization": _share(used[Signal.MEMORY_SHARE], used[Signal.MEMORY], used[Signal.MEMORY_LIMIT]),
    }
    _check_one(of for signal in _DATABASE.values() for of in database.of(signal))
    for column, signal in _DATABASE.items():
        columns[column] = next(iter(database.of(signal).values()), np.full(count, np.nan))
    frame = pd.DataFrame(columns, index=index_of(window)).reset_index(names="timestamp")[list(COLUMNS)]
    silent = [column for column in COLUMNS[1:] if frame[column].isna().all()]
    if "cpu_utilization" in silent or "memory_utilization" in silent:
        remarks.append("A utilization is the share of a limit, and the container has none, or its points are missing.")
    if silent:
        remarks.append(f"These columns are empty: {', '.join(silent)}.")
    return frame, tuple(remarks)


def _share(measured: Floats, used: Floats, limit: Floats) -> Floats:
    """What the cloud measured, else use over limit."""
    computed = np.full(len(used), np.nan)
    np.divide(used, limit, out=computed, where=limit > 0)
    return np.where(np.isnan(measured), computed, measured)


def _check_one(found: Iterable[Of]) -> None:
    names = sorted({of.node for of in found})
    if len(names) > 1:
        raise BadInput(f"There are several databases: {', '.join(names)}.", hint="Name one: --database NAME.")
