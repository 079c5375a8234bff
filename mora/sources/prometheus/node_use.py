"""What the fullest node of a namespace's pods did in a window, by node-exporter's counters and those of cAdvisor."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from mora.domain import Window
from mora.sources.prometheus.promql import duration, quoted
from mora.sources.prometheus.wire import Wire


@dataclass(frozen=True, slots=True)
class NodeUse:
    """CPU in cores over a window, on the node with the least idle CPU of those that run the namespace's pods.

    others_cores: in use by what is not of the namespace. pressure_ratio: share of the time in which some thread waited
    for a CPU. memory_bytes: in use. None: not known.
    """

    node: str
    cores: int
    idle_cores: float
    steal_cores: float
    others_cores: float
    target_cores: float
    pressure_ratio: float | None
    memory_bytes: int | None


def queries(namespace: str, span: timedelta) -> dict[str, str]:
    """What is asked, by name; the rates are over `span`."""
    over, pods = duration(span), f"namespace={quoted(namespace)}"
    used = f'rate(container_cpu_usage_seconds_total{{{pods},container!="",container!="POD"}}[{over}])'
    return {
        "pods": f'max by (pod, node) (kube_pod_info{{{pods},node!=""}})',
        "names": "max by (instance, nodename) (node_uname_info)",
        "cores": 'count by (instance) (node_cpu_seconds_total{mode="idle"})',
        "modes": f'sum by (instance, mode) (rate(node_cpu_seconds_total{{mode=~"idle|iowait|steal"}}[{over}]))',
        "pressure": f"max by (instance) (rate(node_pressure_cpu_waiting_seconds_total[{over}]))",
        "memory": "max by (instance) (node_memory_MemTotal_bytes) - max by (instance) (node_memory_MemAvailable_bytes)",
        "target": f"sum by (pod) (max by (pod, container) ({used}))",
    }


def fullest_node(wire: Wire, namespace: str, window: Window, *, least: timedelta) -> NodeUse | None:
    """The fullest of the nodes; None where node-exporter or kube-state-metrics does not say.

    least: the span that a rate needs, where the window is shorter.
    """
    span = max(window.end - window.start + window.step, least)
    answers = {name: wire.instant(query, window.end) for name, query in queries(namespace, span).items()}
    node_of = {row["metric"]["pod"]: row["metric"]["node"] for row in answers["pods"]}
    nodename = {row["metric"]["instance"]: row["metric"]["nodename"] for row in answers["names"]}
    cores, pressure, memory = (_by_instance(answers[name]) for name in ("cores", "pressure", "memory"))
    modes: dict[str, dict[str, float]] = defaultdict(dict)
    for row in answers["modes"]:
        modes[row["metric"]["instance"]][row["metric"]["mode"]] = float(row["value"][1])
    used: dict[str, float] = defaultdict(float)
    for row in answers["target"]:
        used[node_of.get(row["metric"]["pod"], "")] += float(row["value"][1])
    found = []
    for instance, node in nodename.items():
        if node not in node_of.values() or "idle" not in modes[instance] or instance not in cores:
            continue
        idle = modes[instance]["idle"] + modes[instance].get("iowait", 0.0)
        steal = modes[instance].get("steal", 0.0)
        amount = memory.get(instance)
        found.append(
            NodeUse(
                node=node,
                cores=round(cores[instance]),
                idle_cores=round(idle, 4),
                steal_cores=round(steal, 4),
                others_cores=round(max(0.0, cores[instance] - idle - steal - used[node]), 4),
                target_cores=round(used[node], 4),
                pressure_ratio=None if instance not in pressure else round(pressure[instance], 4),
                memory_bytes=None if amount is None else round(amount),
            )
        )
    return min(found, key=lambda one: (one.idle_cores / one.cores, one.node), default=None)


def _by_instance(rows: Iterable[Mapping[str, Any]]) -> dict[str, float]:
    return {row["metric"]["instance"]: float(row["value"][1]) for row in rows}
