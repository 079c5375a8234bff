"""An observation without the samples that cannot be: `mora collect` believes of a container what the fleet does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from mora.domain import LeftOut, Target
from mora.sources.prometheus.believable import Ceiling, Nodes, Sieve, cpu_ceiling, memory_ceiling

if TYPE_CHECKING:
    import pandas as pd

# Column of a frame -> the sum over all pods and containers that is wrong where a sample of it is.
_MAIN: Mapping[Target, tuple[str, str]] = {
    Target.CPU: ("cpu_cores_value", "cpu_cores_total"),
    Target.MEMORY: ("mem_bytes_value", "mem_bytes_total"),
}
_OTHERS: Mapping[Target, str] = {Target.CPU: "cpu_cores", Target.MEMORY: "mem_bytes"}
WORDS: Mapping[Target, str] = {Target.CPU: "CPU", Target.MEMORY: "memory"}


def believed(
    metrics: pd.DataFrame, containers: pd.DataFrame, nodes: Nodes, *, has_quota: bool
) -> tuple[pd.DataFrame, pd.DataFrame, dict[Target, LeftOut]]:
    """The frames of an observation with what cannot be as not known, and what was left out of the main container.

    has_quota: whether CFS counters show that the main container's CPU limit is enforced.
    """
    metrics, containers = metrics.copy(), containers.copy()
    found: dict[Target, LeftOut] = {}
    for target, (column, total) in _MAIN.items():
        limit = _highest(metrics, "cpu_limit_cores")
        ceiling = _ceiling(target, nodes, limit, has_quota=has_quota)
        sieve, before = Sieve(target), metrics[column].to_numpy(dtype=np.float64)
        after = sieve.sift_odd(sieve.sift(before, ceiling), nodes)
        wrong = np.isnan(after) & ~np.isnan(before)
        metrics[column] = after
        wrong_at = set(metrics.index[wrong]) | _without_others(containers, target, nodes)
        if total in metrics and wrong_at:
            metrics.loc[metrics.index.isin(list(wrong_at)), total] = np.nan
        if (left_out := sieve.left_out()) is not None:
            found[target] = left_out
    return metrics, containers, found


def _without_others(containers: pd.DataFrame, target: Target, nodes: Nodes) -> set[pd.Timestamp]:
    """Leave out what cannot be of the other containers, in place; the moments at which something was."""
    column, moments = _OTHERS[target], set()
    for name in containers["container"].unique():
        rows = containers["container"] == name
        limit = _highest(containers[rows], "cpu_limit_cores")
        before = containers.loc[rows, column].to_numpy(dtype=np.float64)
        sieve = Sieve(target)
        after = sieve.sift_odd(sieve.sift(before, _ceiling(target, nodes, limit, has_quota=False)), nodes)
        moments |= set(containers.loc[rows, "timestamp"][np.isnan(after) & ~np.isnan(before)])
        containers.loc[rows, column] = after
    return moments


def _ceiling(target: Target, nodes: Nodes, limit: float | None, *, has_quota: bool) -> Ceiling:
    return cpu_ceiling(nodes, limit, has_quota=has_quota) if target is Target.CPU else memory_ceiling(nodes)


def _highest(frame: pd.DataFrame, column: str) -> float | None:
    known = frame[column].dropna() if column in frame else ()
    return float(max(known)) if len(known) else None
