"""Answers to record, made in a line each."""

from __future__ import annotations

from mora.quantities import GIB
from mora.record.numbers import Key, Seen, Total

DAY = 86_400.0
START = 1_790_000_000.0
"""A moment in unix seconds, in the year 2026."""


def key(workload: str = "web", number: str = "cpu_request", **more: str) -> Key:
    parts = {"cluster": "", "namespace": "shop", "kind": "Deployment", "container": "server", **more}
    return Key(workload=workload, number=number, **parts)


def seen(now: int | None, value: int, goal: int | None = None, workload: str = "web", **more: str) -> Seen:
    return Seen(key(workload, **more), now, value, value if goal is None else goal, 0.95)


def total(namespace: str = "shop", cluster: str = "", **more: float) -> Total:
    figures = {
        "reserved_cores": 10.0,
        "reserved_bytes": 10.0 * GIB,
        "waste_cores": 4.0,
        "waste_bytes": 2.0 * GIB,
        "lack_cores": 1.0,
        "lack_bytes": 0.0,
        **more,
    }
    return Total(cluster, namespace, workloads=1, unsized=0, **figures)
