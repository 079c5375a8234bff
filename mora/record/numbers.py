"""What the record keeps: numbers as an answer has them, what became of each, and totals of namespaces."""

from __future__ import annotations

from dataclasses import dataclass

NUMBERS = ("cpu_request", "cpu_limit", "memory_request", "memory_limit", "replicas")
"""The names of numbers: millicores, bytes or replicas."""


@dataclass(frozen=True, slots=True, order=True)
class Key:
    """One number of one container. container: empty for the replicas of a workload. cluster: empty for the only one."""

    cluster: str
    namespace: str
    kind: str
    workload: str
    container: str
    number: str


@dataclass(frozen=True, slots=True)
class Seen:
    """A number in an answer: what is set now, what is recommended, and what the last of several steps would set.

    Millicores, bytes or replicas. goal: the value itself where one step is enough. confidence: 0..1. replicas: how many
    pods have it, None where they do not run all the time, or their number is not known.
    """

    key: Key
    now: int | None
    value: int
    goal: int
    confidence: float | None = None
    replicas: int | None = None


@dataclass(frozen=True, slots=True)
class Use:
    """What a container needed from `since` until `until` (unix seconds), on the pods that needed most.

    samples: how many were known. needed: the smallest request that would have covered them (mora/coverage.py), in
    millicores or bytes; None without samples. oom_kills: those of the container in that time; None for CPU.
    """

    since: float
    until: float
    samples: int
    needed: float | None
    oom_kills: int | None = None


@dataclass(frozen=True, slots=True)
class Total:
    """What the workloads of a namespace reserve, and how far that is from what they need after all steps.

    waste_*: reserved beyond it, by workloads that reserve too much. lack_*: missing, at workloads that reserve too
    little. Cores and bytes, over all replicas. unsized: workloads without a number.
    """

    cluster: str
    namespace: str
    reserved_cores: float
    reserved_bytes: float
    waste_cores: float
    waste_bytes: float
    lack_cores: float
    lack_bytes: float
    workloads: int
    unsized: int
