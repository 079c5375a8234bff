"""Who calls whom in a namespace: from a service mesh (Istio, Linkerd), or from traces (Tempo's service graph).

These tell which services a load touches. Whether a service waits for two others at once or in turn only the sandbox
tells, which sees each request; elsewhere calls are taken to be in turn, which never promises too much.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from mora.domain import check_name, is_name
from mora.sources.prometheus.wire import Wire

# Of the calls that could overlap, so many did: the rest are retries and requests at the edge of the window.
_AT_ONCE_SHARE = 0.9


@dataclass(frozen=True, slots=True)
class CallGraph:
    """Calls in a time range. calls: (caller, called) -> how many; at_once: (caller, one, other) -> how many overlapped.

    known_by: the mesh or the tracing that tells; empty where nothing does.
    """

    known_by: str = ""
    calls: Mapping[tuple[str, str], float] = field(default_factory=dict)
    at_once: Mapping[tuple[str, str, str], float] = field(default_factory=dict)

    def reached(self, entry: str) -> frozenset[str] | None:
        """The services that requests to `entry` lead to, itself included; None where no graph is known."""
        if not self.calls:
            return None
        found, waiting = {entry}, [entry]
        while waiting:
            caller = waiting.pop()
            for one, called in self.calls:
                if one == caller and called not in found:
                    found.add(called)
                    waiting.append(called)
        return frozenset(found)

    def together(self) -> tuple[frozenset[str], ...]:
        """Groups of services whose callers wait for all of a group at once; of services that call no others.

        >>> calls = {("web", "cart"): 10.0, ("web", "list"): 10.0}
        >>> [sorted(group) for group in CallGraph("x", calls, {("web", "cart", "list"): 10.0}).together()]
        [['cart', 'list']]
        >>> in_turn = {**calls, ("pay", "cart"): 5.0, ("pay", "list"): 5.0}
        >>> CallGraph("x", in_turn, {("web", "cart", "list"): 10.0}).together()
        ()
        """
        callers = {caller for caller, _ in self.calls}
        leaves = sorted({called for _, called in self.calls} - callers)
        groups: list[set[str]] = []
        for service in leaves:
            home = next((group for group in groups if all(self._always_at_once(service, one) for one in group)), None)
            if home is None:
                groups.append({service})
            else:
                home.add(service)
        return tuple(frozenset(group) for group in groups if len(group) > 1)

    def _always_at_once(self, one: str, other: str) -> bool:
        """Whether every service that calls both does it at the same time, and one at least does."""
        both = [c for c in {caller for caller, _ in self.calls} if (c, one) in self.calls and (c, other) in self.calls]
        return bool(both) and all(
            max(self.at_once.get((caller, one, other), 0.0), self.at_once.get((caller, other, one), 0.0))
            >= _AT_ONCE_SHARE * min(self.calls[caller, one], self.calls[caller, other])
            for caller in both
        )


def queries(namespace: str, seconds: int) -> dict[str, tuple[str, tuple[str, str]]]:
    """What is asked, in this order, until something answers: who tells it -> query, labels of caller and called."""
    check_name(namespace, "namespace")
    return {
        "Istio": (
            "sum by (source_workload, destination_workload) (increase(istio_requests_total"
            f'{{reporter="source",source_workload_namespace="{namespace}"}}[{seconds}s])) > 0',
            ("source_workload", "destination_workload"),
        ),
        "Linkerd": (
            "sum by (deployment, dst_deployment) (increase(response_total"
            f'{{direction="outbound",namespace="{namespace}",dst_namespace="{namespace}"}}[{seconds}s])) > 0',
            ("deployment", "dst_deployment"),
        ),
        "Tempo": (
            f"sum by (client, server) (increase(traces_service_graph_request_total[{seconds}s])) > 0",
            ("client", "server"),
        ),
    }


def read_calls(wire: Wire, namespace: str, start: datetime, end: datetime) -> CallGraph:
    """The calls between the workloads of a namespace in a time range; empty where nothing tells."""
    seconds = max(int((end - start).total_seconds()), 1)
    for known_by, (query, labels) in queries(namespace, seconds).items():
        calls = _counts(wire.instant(query, end), labels)
        if calls:
            overlaps = (
                "sum by (source_workload, destination_workload, parallel_to) "
                f'(increase(mora_sandbox_parallel_calls_total{{namespace="{namespace}"}}[{seconds}s])) > 0'
            )
            three = ("source_workload", "destination_workload", "parallel_to")
            at_once = _counts(wire.instant(overlaps, end), three) if known_by == "Istio" else {}
            return CallGraph(
                known_by,
                {(caller, called): count for (caller, called), count in calls.items()},
                {(caller, one, other): count for (caller, one, other), count in at_once.items()},
            )
    return CallGraph()


def _counts(rows: Sequence[Mapping[str, Any]], labels: Sequence[str]) -> dict[tuple[str, ...], float]:
    """Labels -> the value; rows with a label that is no name are a server's mistake, and left out."""
    found: dict[tuple[str, ...], float] = {}
    for row in rows:
        names = tuple(str(row["metric"].get(label, "")) for label in labels)
        if all(is_name(name) for name in names):
            found[names] = float(row["value"][1])
    return found
