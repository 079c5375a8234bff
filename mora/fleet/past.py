"""What a chart shows of a container's history: some hundred columns of time in place of thousands of samples."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from mora.domain import ContainerHistory, Demand, Past, Target, Window
from mora.fleet.evidence import Floats, cpu_series, moment

# A chart is some 500 pixels wide; 14 days are 337 columns of an hour.
MAX_COLUMNS = 340


def past_of(history: ContainerHistory, window: Window, demand: Demand | None) -> Past | None:
    """The history in at most MAX_COLUMNS columns, from its first known sample on; None without any.

    demand: what the numbers rest on, for its upper bounds; None where the container is not sized. CPU is that of the
    pods that a request is sized on, so a line above the recommendation is use that it does not cover.
    """
    cpu, memory = np.fmax.reduce(cpu_series(history)), history.mem_bytes
    known = np.flatnonzero(~(np.isnan(cpu) & np.isnan(memory)))
    if not len(known):
        return None
    first = int(known[0])
    width = math.ceil((window.sample_count - first) / MAX_COLUMNS)
    series = {Target.CPU: cpu, Target.MEMORY: memory}
    columns = {target: _columns(values[first:], width) for target, values in series.items()}
    throttled = None
    if history.throttled is not None and float(np.nan_to_num(history.throttled).max()) > 0:
        throttled = _highest(_columns(history.throttled[first:], width))
    demands = {} if demand is None else {Target.CPU: demand.cpu, Target.MEMORY: demand.memory}
    return Past(
        start=moment(window, first),
        step=width * window.step,
        highest={target: _highest(rows) for target, rows in columns.items()},
        mean={target: _mean(rows) for target, rows in columns.items()},
        throttled=throttled,
        oom_kills=tuple(moment(window, row) for row in history.oom_rows if row >= first),
        bounds={target: one.bound for target, one in demands.items() if one is not None},
    )


def _columns(values: Floats, width: int) -> Floats:
    """The samples as rows of `width`, the last one filled up with NaN; shape (columns, width)."""
    count = math.ceil(len(values) / width)
    padded = np.full(count * width, np.nan)
    padded[: len(values)] = values
    return padded.reshape(count, width)


def _highest(columns: Floats) -> NDArray[np.float32]:
    highest: NDArray[np.float32] = np.fmax.reduce(columns, axis=1).astype(np.float32)
    return highest


def _mean(columns: Floats) -> NDArray[np.float32]:
    is_known = ~np.isnan(columns)
    counts = is_known.sum(axis=1)
    sums = np.where(is_known, columns, 0.0).sum(axis=1)
    return np.where(counts > 0, sums / np.maximum(counts, 1), np.nan).astype(np.float32)
