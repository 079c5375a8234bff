"""Requests, latency and errors of a service, as its mesh counts them (Istio's names), and columns of one's own PromQL.

Each query gives one series, which is one column. A mesh counts a request twice: where it was received and where it was
sent. What was received is taken where it is counted; the sandbox counts most calls where they were sent.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import numpy as np

from mora.domain import Window, Workload
from mora.errors import BadInput
from mora.sources.prometheus.frames import joined
from mora.sources.prometheus.grid import cut, index_of
from mora.sources.prometheus.promql import container_counters, duration, quoted
from mora.sources.prometheus.rates import find_rate_windows
from mora.sources.prometheus.wire import Wire

if TYPE_CHECKING:
    import pandas as pd

LATENCY_QUANTILE = 0.95
# A request that got no answer has code 0 in Istio.
FAILED = 'response_code=~"5..|0"'
# Where a history begins is looked for at so many moments of it.
_MOMENTS = 300
_FINE_ENOUGH = timedelta(minutes=1)


def mesh_queries(workload: Workload, rate_window: timedelta, cluster: str | None = None) -> dict[str, str]:
    """Column -> PromQL of the requests per second, the p95 of their duration, and the share that failed.

    cluster: whose, where one store has the metrics of several.

    >>> for text in mesh_queries(Workload("shop", "web"), timedelta(seconds=60)).values(): print(len(text) > 100)
    True
    True
    True
    """
    to = f"destination_workload={quoted(workload.name)},destination_workload_namespace={quoted(workload.namespace)}"
    to += of_cluster(cluster)
    over = f"[{duration(rate_window)}]"

    def summed(metric: str, by: str = "", more: str = "") -> str:
        return " or ".join(
            f'sum{by}(rate({metric}{{reporter="{reporter}",{to}{more}}}{over}))'
            for reporter in ("destination", "source")
        )

    requests = summed("istio_requests_total")
    buckets = summed("istio_request_duration_milliseconds_bucket", " by (le) ")
    failed = summed("istio_requests_total", more=f",{FAILED}")
    return {
        "requests_per_second": f"({requests})",
        "latency_p95_seconds": f"histogram_quantile({LATENCY_QUANTILE}, ({buckets})) / 1000",
        # No failed request has no series: that is a share of 0, where there are requests.
        "error_ratio": f"(({failed}) or (0 * ({requests}))) / ({requests})",
    }


def of_cluster(cluster: str | None) -> str:
    """The matcher of a cluster, behind others; "" where there is one cluster only."""
    return "" if cluster is None else f",cluster={quoted(cluster)}"


def own_query(text: str, workload: Workload, rate_window: timedelta) -> str:
    """A query of one's own, with $namespace, $service and $window in place.

    >>> own_query('sum(rate(jobs_total{app="$service"}[$window]))', Workload("shop", "web"), timedelta(minutes=1))
    'sum(rate(jobs_total{app="web"}[60s]))'
    """
    values = {"$namespace": workload.namespace, "$service": workload.name, "$window": duration(rate_window)}
    for name, value in values.items():
        text = text.replace(name, value)
    return text


def read_columns(wire: Wire, queries: Mapping[str, str], window: Window) -> pd.DataFrame:
    """The answers of queries as columns, indexed by the moments of the window; NaN where a query answers nothing.

    Raises BadInput for a query that gives several series.
    """
    import pandas as pd

    questions = [(name, text, piece) for piece in cut(window) for name, text in queries.items()]
    answers = joined(wire.ranges(questions), queries, window)
    columns = {}
    for name, series in answers.items():
        if len(series) > 1:
            raise BadInput(
                f"The query of {name} gives {len(series)} series, and a metric is one: {queries[name]}",
                hint="Sum them up: sum(...).",
            )
        columns[name] = series[0].values if series else np.full(window.sample_count, np.nan)
    return pd.DataFrame(columns, index=index_of(window))


def pace_of(wire: Wire, namespace: str, window: Window) -> tuple[timedelta | None, timedelta]:
    """The scrape interval of a namespace's containers (None where there is none to see), and what rates go over."""
    found = find_rate_windows(wire, namespace, window)
    return found.interval, found.container


def first_seen(wire: Wire, namespace: str, window: Window) -> datetime | None:
    """About when the namespace's containers were first seen within the window, to a minute; None where never."""
    query = {"seen": f"count({container_counters(namespace)})"}
    start, end = window.start, window.end
    while True:
        step = (end - start) / _MOMENTS
        # Counted back from the end, so that the youngest samples are looked at.
        moments = read_columns(wire, query, Window(end - _MOMENTS * step, end, step))["seen"]
        known = np.flatnonzero(moments.notna())
        if len(known) and known[0] == 0:
            return start
        before = moments.index[known[0] - 1 if len(known) else -2].to_pydatetime()
        if step <= _FINE_ENOUGH:
            return before if len(known) else None
        start, end = before, moments.index[known[0] if len(known) else -1].to_pydatetime()
