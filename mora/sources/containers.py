"""The containers of a workload beside its main one, as rows of one frame, whatever the source measured them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pandas as pd

COLUMNS: Mapping[str, str] = {
    "cpu_cores_value": "cpu_cores",
    "mem_bytes_value": "mem_bytes",
    "cpu_request_cores": "cpu_request_cores",
    "cpu_limit_cores": "cpu_limit_cores",
    "mem_request_bytes": "mem_request_bytes",
    "mem_limit_bytes": "mem_limit_bytes",
}
"""Column of the main container -> the column that has the same of another one."""


def containers_frame(
    names: Sequence[str], measured: Callable[[str, str], NDArray[np.float64]], index: pd.DatetimeIndex
) -> pd.DataFrame:
    """Rows of (timestamp, container) for the named containers, by time; without rows on which nothing is known.

    measured: of a container and a column of the main container, one value a moment of the index, NaN where unknown.
    """
    import pandas as pd

    frames = [
        pd.DataFrame(
            {"timestamp": index, "container": name, **{to: measured(name, column) for column, to in COLUMNS.items()}}
        )
        for name in names
    ]
    if not frames:
        empty = {"timestamp": index[:0], "container": pd.Series(dtype=str)}
        return pd.DataFrame({**empty, **{to: pd.Series(dtype=np.float64) for to in COLUMNS.values()}})
    rows = pd.concat(frames, ignore_index=True).dropna(how="all", subset=list(COLUMNS.values()))
    return rows.sort_values(["timestamp", "container"], ignore_index=True)
