"""How an autoscaler is set by a workload's own past: what it scales on, between which counts, and a schedule."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Floor:
    """The fewest pods in a span of some days. days: 0 is Monday. start, end: minutes of the day, UTC.

    A start below 0 is on the evening before, an end above 1,440 on a later day.
    """

    days: tuple[int, ...]
    start: int
    end: int
    pods: int


@dataclass(frozen=True, slots=True)
class ScalingRule:
    """What an autoscaler scales on, and how that did on a past demand.

    target: the share of what a pod carries. over, spreads: the metric is the mean of the last `over` plus so many
    standard deviations; without `over`, the demand itself. stabilisation: before pods are taken away. floors: the
    schedule. least, usual, most: pods that it ran in the past: fewest, nine tenths of the time at most, ever.
    pod_hours: over those of an HPA at 70 %, in the time `tested`, which took no part in the choice. minutes_over,
    plain_minutes_over: minutes of it with more demand than pods could carry, by this rule and by that HPA. is_rejected:
    no other setting did better there, so this is that HPA itself.
    """

    target: float
    over: timedelta
    spreads: float
    stabilisation: timedelta
    floors: tuple[Floor, ...]
    least: int
    usual: int
    most: int
    pod_hours: float
    minutes_over: float
    plain_minutes_over: float
    tested: timedelta
    is_rejected: bool = False

    @property
    def is_plain(self) -> bool:
        """Whether an HPA alone can do it, without a query of Prometheus."""
        return not self.over


@dataclass(frozen=True, slots=True)
class Scaling:
    """What `--replicas history` found for one workload.

    query: the PromQL of the demand. is_cpu: it is the CPU of all its pods, in cores. per_pod: how much of it one pod
    carries: its CPU request in cores, or what the question says. step: between the samples of the demand. server: the
    Prometheus, without credentials. rule: the best, for KEDA. by_hpa: the best of an HPA alone; None where the demand
    is not CPU, which an HPA cannot see by itself.
    """

    query: str
    is_cpu: bool
    per_pod: float
    step: timedelta
    server: str
    rule: ScalingRule
    by_hpa: ScalingRule | None = None


@dataclass(frozen=True, slots=True)
class TotalUse:
    """What all pods of a workload used together, or a demand of its own. query: as it was asked.

    values: shape (window.sample_count,), NaN where not known. server: who answered, with whatever its address has.
    """

    query: str
    values: NDArray[np.float64]
    server: str
