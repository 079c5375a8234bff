"""What Container insights writes into the logs of a cluster: the use of containers, and their restarts.

Azure's metrics of a cluster tell of nodes alone. The tables Perf and KubePodInventory have each container, a point a
minute. https://learn.microsoft.com/azure/azure-monitor/reference/tables/kubepodinventory
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mora.domain import Window, Workload, check_name
from mora.errors import SourceUnavailable
from mora.quantities import format_moment
from mora.sources.azure.client import Table
from mora.sources.cloud.owners import owner_by_name, owner_named
from mora.sources.cloud.signals import Of, Scope, Series, Signal

Floats = NDArray[np.float64]
Ask = Callable[[str], Table]
"""Sends a query."""

# Counter of Perf, without its unit -> what it is, and the column of an answer that is its value.
COUNTERS: dict[str, tuple[Signal, str]] = {
    "cpuUsage": (Signal.CPU, "Mean"),
    "memoryWorkingSet": (Signal.MEMORY, "Peak"),
    "cpuRequest": (Signal.CPU_REQUEST, "Peak"),
    "cpuLimit": (Signal.CPU_LIMIT, "Peak"),
    "memoryRequest": (Signal.MEMORY_REQUEST, "Peak"),
    "memoryLimit": (Signal.MEMORY_LIMIT, "Peak"),
}
USE = frozenset(signal for signal, _ in COUNTERS.values())
SIGNALS = USE | {Signal.RESTARTS, Signal.OOM_KILLS}
_COUNTER = re.compile(rf"({'|'.join(COUNTERS)})([A-Z][A-Za-z]*)")
_NODE_COUNTERS = ("cpuCapacity", "cpuAllocatable", "memoryCapacity", "memoryAllocatable")
# Azure answers at most 500,000 rows, or 100 MB. https://learn.microsoft.com/azure/azure-monitor/service-limits
ROWS_IN_AN_ANSWER = 100_000


def use_series(ask: Ask, signals: Collection[Signal], scope: Scope, window: Window) -> Iterator[Series]:
    """The use, requests and limits of containers, piece by piece of the window."""
    names = [name for name, (signal, _) in COUNTERS.items() if signal in signals]
    if not names:
        return
    found = rows_of(ask(counted(names, scope, window)), "Series")
    series = max((int(row[0] or 0) for row in found), default=0)
    if series == 0:
        return
    sizes = node_sizes(ask, window) if {Signal.CPU_LIMIT, Signal.MEMORY_LIMIT} & set(signals) else {}
    for piece in pieces(window, max(1, series)):
        for answer in _whole(ask, lambda part: perf(names, scope, part, window.step), piece):
            yield from _use(answer, signals, sizes, window.step)


def event_series(ask: Ask, signals: Collection[Signal], scope: Scope, window: Window) -> Iterator[Series]:
    """New restarts and OOM kills of containers."""
    wanted = {Signal.RESTARTS, Signal.OOM_KILLS} & set(signals)
    if not wanted:
        return
    columns = (
        "TimeGenerated",
        "Namespace",
        "Name",
        "ControllerKind",
        "ControllerName",
        "Container",
        "Restarts",
        "Reason",
    )
    counts: dict[Of, list[tuple[float, float, str]]] = {}
    for answer in _whole(ask, lambda part: inventory(scope, part, window.step), window):
        for at, namespace, pod, kind, controller, container, restarts, reason in rows_of(answer, *columns):
            of = _of(namespace, pod, kind, controller, container, "")
            end = _seconds(at) + window.step.total_seconds()
            counts.setdefault(of, []).append((end, float(restarts or 0), str(reason or "")))
    for of, told in counts.items():
        told.sort()
        seconds = np.array([at for at, _, _ in told])
        # The count begins again at 0 where a container is made anew.
        news = np.maximum(np.diff(np.array([count for _, count, _ in told]), prepend=told[0][1]), 0.0)
        killed = np.array([reason == "OOMKilled" for _, _, reason in told])
        if Signal.RESTARTS in wanted:
            yield Series(Signal.RESTARTS, of, "count", seconds, news)
        if Signal.OOM_KILLS in wanted:
            yield Series(Signal.OOM_KILLS, of, "count", seconds, np.where(killed, news, 0.0))


def node_sizes(ask: Ask, window: Window) -> dict[str, set[float]]:
    """What each node has, and what pods can have of it: the agent writes either as the limit of what has none."""
    found: dict[str, set[float]] = {}
    for node, value in rows_of(ask(nodes(window)), "Computer", "Size"):
        found.setdefault(str(node), set()).add(float(value))
    return found


# --- the queries -----------------------------------------------------------------------------------------------------


def _between(window: Window) -> str:
    """The span of a window whose points end on its rows."""
    start, end = ((at.astimezone(UTC)).isoformat() for at in (window.start - window.step, window.end))
    return f"TimeGenerated >= datetime({start}) and TimeGenerated < datetime({end})"


def _pods(scope: Scope, window: Window) -> str:
    lines = ["KubePodInventory", f"| where {_between(window)}"]
    if scope.namespace is not None:
        lines.append(f'| where Namespace == "{check_name(scope.namespace, "namespace")}"')
    if scope.workload is not None:
        name = check_name(scope.workload, "workload name")
        lines.append(f'| where ControllerName startswith_cs "{name}" or Name startswith_cs "{name}"')
    return "\n".join(lines)


def _perf(names: Sequence[str], scope: Scope, window: Window) -> str:
    owners = "summarize arg_max(TimeGenerated, ControllerKind, ControllerName) by PodUid, Namespace, Name"
    return "\n".join(
        [
            f"let pods = {_pods(scope, window)}",
            f"| {owners};",
            "Perf",
            f"| where {_between(window)}",
            f'| where ObjectName == "K8SContainer" and CounterName matches regex "^({"|".join(names)})[A-Z]"',
            '| extend Parts = split(InstanceName, "/")',
            "| extend PodUid = tostring(Parts[-2]), Container = tostring(Parts[-1])",
            "| join kind=inner (pods | project-away TimeGenerated) on PodUid",
        ]
    )


def counted(names: Sequence[str], scope: Scope, window: Window) -> str:
    """How many series perf() would answer."""
    return _perf(names, scope, window) + "\n| summarize Series = dcount(strcat(InstanceName, CounterName))"


def perf(names: Sequence[str], scope: Scope, window: Window, step: timedelta) -> str:
    """The query of use, requests and limits."""
    by = "Namespace, Name, ControllerKind, ControllerName, Container, Computer, CounterName"
    every = f"{round(step.total_seconds())}s"
    return (
        _perf(names, scope, window)
        + f"\n| summarize Mean = avg(CounterValue), Peak = max(CounterValue) by bin(TimeGenerated, {every}), {by}"
    )


def inventory(scope: Scope, window: Window, step: timedelta) -> str:
    """The query of restarts, and of why a container ended last."""
    every = f"{round(step.total_seconds())}s"
    return "\n".join(
        [
            _pods(scope, window),
            '| extend Container = tostring(split(ContainerName, "/")[-1])',
            "| extend Ended = tostring(parse_json(ContainerLastStatus).reason)",
            "| where isnotempty(Container)",
            "| summarize arg_max(TimeGenerated, ContainerRestartCount, Ended) by Bin = bin(TimeGenerated, "
            f"{every}), Namespace, Name, ControllerKind, ControllerName, Container",
            "| project TimeGenerated = Bin, Namespace, Name, ControllerKind, ControllerName, Container, "
            "Restarts = ContainerRestartCount, Reason = Ended",
        ]
    )


def nodes(window: Window) -> str:
    """The query of the sizes of nodes."""
    return "\n".join(
        [
            "Perf",
            f"| where {_between(window)}",
            f'| where ObjectName == "K8SNode" and CounterName matches regex "^({"|".join(_NODE_COUNTERS)})"',
            "| summarize by Computer, CounterName, Size = CounterValue",
        ]
    )


# --- the answers -----------------------------------------------------------------------------------------------------


def pieces(window: Window, series: int) -> Iterator[Window]:
    """A window in pieces whose answers stay small."""
    rows = max(1, ROWS_IN_AN_ANSWER // series)
    for first in range(0, window.sample_count, rows):
        last = min(first + rows, window.sample_count) - 1
        yield Window(window.start + first * window.step, window.start + last * window.step, window.step)


def _whole(ask: Ask, query: Callable[[Window], str], window: Window) -> Iterator[Table]:
    """The answers to a query over a window; of its halves where Azure answers a part of it alone."""
    answer = ask(query(window))
    if not answer.is_partial:
        yield answer
        return
    count = window.sample_count
    if count < 2:
        raise SourceUnavailable(
            f"Azure answers a part of the logs about {format_moment(window.start)} alone.",
            hint="Ask for one namespace (-n NAMESPACE), or for one workload.",
        )
    middle = window.start + (count // 2) * window.step
    yield from _whole(ask, query, Window(window.start, middle - window.step, window.step))
    yield from _whole(ask, query, Window(middle, window.end, window.step))


def rows_of(table: Table, *columns: str) -> Iterator[tuple[Any, ...]]:
    """Some columns of every row, by their names."""
    missing = [name for name in columns if name not in table.columns]
    if missing and table.rows:
        raise SourceUnavailable(f"The logs of Azure lack {', '.join(missing)} in an answer.")
    if missing:
        return
    at = [table.columns.index(name) for name in columns]
    for row in table.rows:
        yield tuple(row[index] for index in at)


def _use(answer: Table, signals: Collection[Signal], sizes: dict[str, set[float]], step: timedelta) -> Iterator[Series]:
    gathered: dict[tuple[Signal, Of, str], list[tuple[float, float]]] = {}
    columns = ("TimeGenerated", "Namespace", "Name", "ControllerKind", "ControllerName", "Container", "Computer")
    for at, namespace, pod, kind, controller, container, node, counter, mean, peak in rows_of(
        answer, *columns, "CounterName", "Mean", "Peak"
    ):
        match = _COUNTER.fullmatch(str(counter))
        if match is None or COUNTERS[match[1]][0] not in signals:
            continue
        signal, column = COUNTERS[match[1]]
        value = _number(mean if column == "Mean" else peak)
        is_limit = signal in (Signal.CPU_LIMIT, Signal.MEMORY_LIMIT)
        if is_limit and value in sizes.get(str(node), ()):
            continue
        of = _of(namespace, pod, kind, controller, container, str(node))
        end = _seconds(at) + step.total_seconds()
        gathered.setdefault((signal, of, match[2]), []).append((end, value))
    for (signal, of, unit), told in gathered.items():
        seconds, values = np.array(told, dtype=np.float64).T
        yield Series(signal, of, unit, seconds, values)


def _of(namespace: Any, pod: Any, kind: Any, controller: Any, container: Any, node: str) -> Of:
    return Of(_owner(str(namespace), str(pod), str(kind or ""), str(controller or "")), str(pod), str(container), node)


def _owner(namespace: str, pod: str, kind: str, controller: str) -> Workload | None:
    """Whose a pod is, by its controller: that of a ReplicaSet's pods is mostly a Deployment, of a Job's a CronJob."""
    by_name = owner_by_name(namespace, pod)
    if kind.lower() in ("replicaset", "job", "") and by_name is not None:
        of_kind = {"replicaset": "Deployment", "job": "CronJob", "": by_name.kind}[kind.lower()]
        if by_name.kind == of_kind:
            return by_name
    return owner_named(namespace, controller, kind) or by_name


def _seconds(at: Any) -> float:
    """Unix seconds of a moment as the logs write it."""
    try:
        moment = datetime.fromisoformat(str(at).replace("Z", "+00:00"))
    except ValueError as wrong:
        raise SourceUnavailable(f"The logs of Azure have a time that cannot be read: {str(at)[:40]!r}.") from wrong
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _number(value: Any) -> float:
    """A number; what is none, such as null, is not known."""
    try:
        return float(value)
    except (TypeError, ValueError):
        return float("nan")
