"""Calls of a workload that failed for the most part, as its mesh counts them (Istio's names): asked only where that may
explain an incident."""

from __future__ import annotations

from datetime import timedelta

from mora.domain import FailingCalls, Window, Workload, is_name
from mora.sources.prometheus.grid import cut
from mora.sources.prometheus.mesh import FAILED, mesh_queries, of_cluster, read_columns
from mora.sources.prometheus.promql import duration, quoted
from mora.sources.prometheus.wire import Wire

# A rate over less than this has too few samples where scrapes are a minute apart.
_LEAST_RATE = timedelta(minutes=5)
MOST_FAILED = 0.5
"""The share of its calls from which on a destination is looked at."""
_DESTINATION = ("destination_workload_namespace", "destination_workload")


def failed_share(workload: Workload, over: timedelta, to: str = "") -> str:
    """PromQL: the share of a workload's calls that failed, for each destination; no series where it made none.

    >>> print(failed_share(Workload("shop", "web"), timedelta(minutes=5))[:60])
    (sum by (destination_workload_namespace,destination_workload
    """
    calls = f'reporter="source",source_workload={quoted(workload.name)}'
    calls += f",source_workload_namespace={quoted(workload.namespace)}{to}"

    def summed(more: str = "") -> str:
        rate = f"rate(istio_requests_total{{{calls}{more}}}[{duration(over)}])"
        return f"sum by ({','.join(_DESTINATION)}) ({rate})"

    # No failed call has no series: that is a share of 0, where there are calls.
    return f"({summed(f',{FAILED}')} or (0 * ({summed()}))) / ({summed()} > 0)"


def read_failing_calls(
    wire: Wire, workload: Workload, window: Window, cluster: str | None = None
) -> tuple[FailingCalls, ...]:
    """The calls to every destination of which at least half failed at some moment; one query where there is none."""
    over = max(window.step, _LEAST_RATE)
    here = of_cluster(cluster)
    query = f"({failed_share(workload, over, here)}) >= {MOST_FAILED}"
    questions = [("failing calls", query, piece) for piece in cut(window)]
    found = set()
    for _, _, strips in wire.ranges(questions, in_time=True):
        for strip in strips:
            namespace, name = (strip.labels.get(label, "") for label in _DESTINATION)
            if not (is_name(name) and is_name(namespace)):
                wire.names.note("destination", f"{namespace}/{name}")
                continue
            found.add((namespace, name))
    if not found:
        return ()
    queries = {"requests": mesh_queries(workload, over, cluster)["requests_per_second"]}
    for namespace, name in found:
        to = f"{here},destination_workload_namespace={quoted(namespace)},destination_workload={quoted(name)}"
        queries[f"{namespace}/{name}"] = failed_share(workload, over, to)
    columns = read_columns(wire, queries, window)
    return tuple(
        FailingCalls(
            name if namespace == workload.namespace else f"{namespace}/{name}",
            columns[f"{namespace}/{name}"].to_numpy(dtype=float),
            columns["requests"].to_numpy(dtype=float),
        )
        for namespace, name in sorted(found)
    )
