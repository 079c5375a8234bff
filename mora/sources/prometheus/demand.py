"""The demand of one workload as one series: the CPU of all its pods, or a query of one's own."""

from __future__ import annotations

from datetime import timedelta

import numpy as np

from mora.domain import TotalUse, Window, Workload
from mora.sources.prometheus import promql
from mora.sources.prometheus.mesh import own_query, pace_of, read_columns
from mora.sources.prometheus.wire import Wire

KINDS = ("Deployment", "StatefulSet")
"""Kinds whose pods PromQL finds by their owners, and whose replicas are a number to set."""


def read_total_use(wire: Wire, workload: Workload, window: Window, own: str | None) -> TotalUse:
    """The cores that a workload's pods used together, at each moment; or the answer of a query of one's own.

    own: PromQL of one series; $namespace, $service and $window (four scrapes) stand for the workload's.
    Raises BadInput for a query with several series.
    """
    rate_window: timedelta = pace_of(wire, workload.namespace, window)[1]
    if own is None:
        query = promql.queries(workload, rate_window=promql.duration(rate_window))["cpu_cores_total"]
    else:
        query = own_query(own, workload, rate_window)
    values = read_columns(wire, {"demand": query}, window)["demand"].to_numpy(dtype=np.float64, copy=True)
    values[~np.isfinite(values) | (values < 0)] = np.nan
    return TotalUse(query, values, wire.url)
