"""What an autoscaler would have run on a recorded demand: how many pods, for how long, and for how long too few.

The rule is that of the HorizontalPodAutoscaler: at every sync the metric over the target is the number of pods, rounded
up; within the tolerance nothing changes; of the numbers of the last minutes (scaleDown.stabilizationWindowSeconds) the
highest counts. A new pod serves only after its start-up, and is paid for from the start. KEDA hands its metrics to such
an autoscaler, and the highest of all triggers counts: a cron trigger is a floor.
Source: https://kubernetes.io/docs/tasks/run-application/horizontal-pod-autoscale/ (algorithm, tolerance, behavior).
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

TOLERANCE = 0.1
"""Kubernetes' default: --horizontal-pod-autoscaler-tolerance."""
# Pods that are throttled use a little less than their limit, and not all of them as much.
_NEAR_THE_LIMIT = 0.95
_EVEN = 9  # digits: 0.6 / 0.2 is three pods, not four


@dataclass(frozen=True, slots=True)
class Scaler:
    """What an autoscaler scales on: the mean of the last `over`, plus `spreads` of its standard deviations.

    target: the share of a pod's capacity that this may take. A plain HPA sees the last sample alone: there `over` is 0.
    stabilisation: behavior.scaleDown.stabilizationWindowSeconds; Kubernetes' default is five minutes.
    """

    target: float = 0.7
    over: timedelta = timedelta(0)
    spreads: float = 0.0
    stabilisation: timedelta = timedelta(minutes=5)

    @property
    def is_plain(self) -> bool:
        """Whether an HPA alone can do it, without a query of Prometheus."""
        return not self.over


PLAIN = Scaler()
"""The HPA that everybody has: 70 %."""


@dataclass(frozen=True, slots=True)
class Setting:
    """Where a scaler runs. step: between samples, and between syncs. start_up: of a pod, until it serves.

    least, most: minReplicas and maxReplicas; None for no maximum. limit: the most that a pod can be seen to use, over
    what it carries: its CPU limit over its request. Where pods are at it, a scaler has to see that they are too few.
    """

    step: timedelta
    start_up: timedelta = timedelta(minutes=1)
    least: int = 1
    most: int | None = None
    tolerance: float = TOLERANCE
    limit: float = math.inf

    def sees(self, scaler: Scaler) -> bool:
        """Whether the scaler adds a pod when all are at their limit, or nearly."""
        return scaler.target * (1 + self.tolerance) <= _NEAR_THE_LIMIT * self.limit


@dataclass(frozen=True, slots=True)
class Run:
    """What one scaler did: the pods that were paid for, and those that served, at each sample, shape (n,)."""

    pods: Floats
    serving: Floats

    def pod_hours(self, step: timedelta, counted: Bools | slice = slice(None)) -> float:
        """What was paid for, in the samples that count."""
        return float(self.pods[counted].sum()) * (step / timedelta(hours=1))

    def over(self, demand: Floats, counted: Bools | slice = slice(None)) -> int:
        """In how many samples the pods that served could not carry the demand; one that is not known counts as none."""
        return int(np.count_nonzero((demand > self.serving + 1e-9)[counted]))


def simulate(
    demand: Floats, scalers: Sequence[Scaler], setting: Setting, floors: Sequence[Floats | None] | None = None
) -> list[Run]:
    """One run for each scaler.

    demand: pods' worth of work at each sample, shape (n,), n >= 1, NaN where not known: there the last number stands.
    floors: of each scaler the fewest pods at each sample, shape (n,), by a schedule; None for none.

    >>> runs = simulate(np.full(10, 2.0), [PLAIN, Scaler(target=1.0)], Setting(timedelta(minutes=1)))
    >>> [float(run.pods[-1]) for run in runs]
    [3.0, 2.0]
    """
    least = np.full((len(scalers), len(demand)), float(setting.least))
    for row, floor in zip(least, floors or [], strict=floors is not None and len(floors) > 0):
        if floor is not None:
            np.maximum(row, floor, out=row)
    together: defaultdict[int, list[int]] = defaultdict(list)
    for number, one in enumerate(scalers):
        together[round(one.stabilisation / setting.step)].append(number)
    found: dict[int, Run] = {}
    for kept, numbers in together.items():
        # A sync sees the sample before.
        seen = np.array(
            [_lagged(metric_of(demand, one, setting.step) / one.target) for one in map(scalers.__getitem__, numbers)]
        )
        pods = _pods(seen.T, least[numbers].T, kept + 1, setting)
        serving = pods.copy()
        for back in range(1, min(-(-setting.start_up // setting.step), len(pods) - 1) + 1):
            np.minimum(serving[back:], pods[:-back], out=serving[back:])
        found |= {number: Run(pods[:, at], serving[:, at]) for at, number in enumerate(numbers)}
    return [found[number] for number in range(len(scalers))]


def _pods(seen: Floats, least: Floats, kept: int, setting: Setting) -> Floats:
    """seen: metric over target. All of shape (samples, scalers). kept: numbers of which the highest counts."""
    most = np.inf if setting.most is None else float(setting.most)
    low, high = 1 - setting.tolerance, 1 + setting.tolerance
    whole = np.ceil(np.round(seen, _EVEN))
    pods = np.empty_like(seen)
    now = np.minimum(np.maximum(np.nan_to_num(whole[0]), least[0]), most)
    asked = np.zeros((kept, seen.shape[1]))
    for row in range(len(seen)):
        ratio = seen[row] / now
        # NaN compares as false: an HPA without its metric changes nothing.
        wanted = np.where((ratio < low) | (ratio > high), whole[row], now)
        wanted = np.minimum(np.maximum(wanted, least[row]), most)
        asked[row % kept] = wanted
        now = np.maximum(wanted, np.minimum(now, asked.max(axis=0)))
        pods[row] = now
    return pods


def metric_of(demand: Floats, scaler: Scaler, step: timedelta) -> Floats:
    """What a scaler looks at, as PromQL's avg_over_time and stddev_over_time of a subquery give it; shape (n,)."""
    width = round(scaler.over / step)
    if width < 2:
        return demand
    known = ~np.isnan(demand)
    values = np.where(known, demand, 0.0)
    # Large means would cost digits of small spreads.
    around = values.sum() / max(known.sum(), 1)
    values = np.where(known, values - around, 0.0)
    counts, sums, squares = (_rolling(one, width) for one in (known.astype(np.float64), values, values**2))
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = sums / counts
        spread = np.sqrt(np.maximum(squares / counts - mean**2, 0.0))
    return np.where(counts > 0, around + mean + scaler.spreads * spread, np.nan)


def _rolling(values: Floats, width: int) -> Floats:
    total = np.concatenate([[0.0], np.cumsum(values)])
    ends = np.arange(1, len(values) + 1)
    found: Floats = total[ends] - total[np.maximum(ends - width, 0)]
    return found


def _lagged(values: Floats) -> Floats:
    return np.concatenate([values[:1], values[:-1]])
