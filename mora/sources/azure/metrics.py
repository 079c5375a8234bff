"""What Azure measures of a resource itself: the nodes of a cluster, and its databases."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping
from datetime import timedelta
from typing import Any

import numpy as np

from mora.domain import Window
from mora.errors import BadInput
from mora.sources.azure.client import AzureClient
from mora.sources.cloud.signals import Of, Series, Signal

NODES: Mapping[Signal, tuple[str, str]] = {
    Signal.NODE_CPU: ("node_cpu_usage_percentage", "Average"),
    Signal.NODE_MEMORY: ("node_memory_working_set_percentage", "Maximum"),
}
CLUSTERS = "Microsoft.ContainerService/managedClusters"
# Kind of database -> its name, and the version of the API that tells its region: each provider has its own.
_KINDS = {
    name.lower(): (name, version)
    for name, version in (
        ("Microsoft.DBforPostgreSQL/flexibleServers", "2022-12-01"),
        ("Microsoft.DBforMySQL/flexibleServers", "2023-12-30"),
    )
}
# Kind of database -> the metrics of its CPU, memory and connections. Azure SQL has connections by another name alone.
_DATABASES: Mapping[str, Mapping[Signal, tuple[str, str]]] = {
    kind: {
        Signal.DB_CPU: ("cpu_percent", "Average"),
        Signal.DB_MEMORY: ("memory_percent", "Maximum"),
        Signal.DB_CONNECTIONS: ("active_connections", "Maximum"),
    }
    for kind in _KINDS
}
# The grains that Azure has. https://learn.microsoft.com/azure/azure-monitor/essentials/metrics-aggregation-explained
_GRAINS = tuple(timedelta(minutes=minutes) for minutes in (1, 5, 15, 30, 60, 360, 720, 1440))
# One request answers for 30 days at most, and for 1,440 points of a series.
_POINTS_IN_AN_ANSWER = 1440


def kind_of(resource: str) -> str:
    """The type of a resource: provider and type, from its id."""
    parts = resource.split("/providers/")[-1].split("/")
    return "/".join(parts[:2])


def node_series(
    client: AzureClient, region: str, cluster: str, signals: Collection[Signal], window: Window
) -> Iterator[Series]:
    """The use of every node of a cluster."""
    for signal, (name, aggregation) in NODES.items():
        if signal in signals:
            for metric in _read(client, region, cluster, CLUSTERS, name, aggregation, window, by="node"):
                yield from _series(signal, metric, aggregation, window, by="node")


def database_series(
    client: AzureClient, region: str, database: str, signals: Collection[Signal], window: Window
) -> Iterator[Series]:
    """CPU, memory and connections of a database server."""
    kind = _known(database)
    for signal, (name, aggregation) in _DATABASES[kind].items():
        if signal in signals:
            for metric in _read(client, region, database, _KINDS[kind][0], name, aggregation, window):
                yield from _series(signal, metric, aggregation, window)


def api_of(database: str) -> str:
    """The version of the API that describes a database server."""
    return _KINDS[_known(database)][1]


def queries(database: str | None, signals: Collection[Signal]) -> dict[str, str]:
    """The metrics that database_series() asks for, by name; none without a database."""
    if database is None:
        return {}
    kind = _known(database)
    return {
        name: f"{aggregation} of {_KINDS[kind][0]}/{name} of {database}"
        for signal, (name, aggregation) in _DATABASES[kind].items()
        if signal in signals
    }


def _known(database: str) -> str:
    """The kind of a database, in small letters; BadInput for one that is not read."""
    kind = kind_of(database).lower()
    if kind not in _KINDS:
        raise BadInput(
            f"{kind_of(database)!r} is not a kind of database that is read.",
            hint=f"There are: {', '.join(name for name, _ in _KINDS.values())}.",
        )
    return kind


def grain_of(step: timedelta) -> timedelta:
    """The coarsest grain of Azure that divides a step."""
    return max(grain for grain in _GRAINS if not step % grain)


def _read(
    client: AzureClient,
    region: str,
    resource: str,
    space: str,
    name: str,
    aggregation: str,
    window: Window,
    *,
    by: str | None = None,
) -> Iterator[Any]:
    grain = grain_of(window.step)
    start, end = window.start - window.step, window.end
    pieces = max(1, math.ceil((end - start) / (grain * _POINTS_IN_AN_ANSWER)))
    for number in range(pieces):
        first = start + number * grain * _POINTS_IN_AN_ANSWER
        yield from client.metrics(
            region,
            resource,
            [name],
            space=space,
            start=first,
            end=min(end, first + grain * _POINTS_IN_AN_ANSWER),
            step=grain,
            aggregation=aggregation,
            by=by,
        )


def _series(
    signal: Signal, metric: Any, aggregation: str, window: Window, *, by: str | None = None
) -> Iterator[Series]:
    grain = grain_of(window.step).total_seconds()
    for one in metric.timeseries:
        told = [
            (at.timestamp.timestamp() + grain, value)
            for at in one.data
            if (value := getattr(at, aggregation.lower())) is not None
        ]
        if told:
            seconds, values = np.array(told, dtype=np.float64).T
            of = Of(node=str((one.metadata_values or {}).get(by, ""))) if by else Of()
            yield Series(signal, of, str(metric.unit), seconds, values)
