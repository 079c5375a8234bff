"""What squeezing one service costs each class: from experiments, and for loads that were not driven.

Every service was squeezed alone, the others ample; the p95 of a class, less what it is when nothing is squeezed, is the
service's part. A pod of speed q (cores) at utilisation rho delays by f(rho) / q: with half the speed and half the load
everything takes twice as long (time is scaled, the queue is the same). So what was measured at one load speaks for
others: f is kept, isotonic in rho, with an upper bound; between two measured points it is a straight line, which lies
above the curve of any queue. More replicas of the same speed at the same utilisation wait less (their queue is shared),
so f of the measured replica count is an upper bound for more.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mora.extras import require
from mora.harness.record import percentile_seconds

# One-sided 95 %.
_DEVIATIONS = 1.645
# Requests of one second share a queue: so many count as one independent measurement.
_REQUESTS_AS_ONE = 4


def p95_bounds(milliseconds: Counter[float]) -> tuple[float, float, float] | None:
    """Lower bound, estimate and upper bound of the p95, each side at 95 %; None without requests.

    Order statistics: the number of requests below the true p95 is binomial.

    >>> p95_bounds(Counter({10.0: 950, 200.0: 50}))
    (0.01, 0.01, 0.2)
    """
    count = milliseconds.total()
    middle = percentile_seconds(milliseconds, 0.95)
    if not count or middle is None:
        return None
    spread = _DEVIATIONS * math.sqrt(0.95 * 0.05 / max(count / _REQUESTS_AS_ONE, 1.0))
    low, high = (percentile_seconds(milliseconds, level) for level in (max(0.95 - spread, 0.0), min(0.95 + spread, 1)))
    return (middle if low is None else low, middle, middle if high is None else high)


@dataclass(frozen=True, slots=True)
class Step:
    """One service squeezed alone at the learnt load: what each class (by scenario) took then.

    utilisation: CPU use at that load, of what its pods may take. cores: what each pod may take. p95_seconds,
    p95_upper_seconds, error_ratio: None where a class got no answer at all.
    """

    utilisation: float
    cores: float
    p95_seconds: Mapping[str, float | None]
    p95_upper_seconds: Mapping[str, float | None]
    error_ratio: Mapping[str, float | None]
    is_broken: bool


@dataclass(frozen=True, slots=True)
class Curve:
    """A monotone function of utilisation, in seconds x cores; 0 below its first knot, not known beyond its last.

    >>> curve = Curve((0.2, 0.6), (0.0, 4.0))
    >>> curve.at(0.1), curve.at(0.4), curve.at(0.7)
    (0.0, 2.0, None)
    """

    utilisation: tuple[float, ...]
    level: tuple[float, ...]

    def at(self, utilisation: float) -> float | None:
        """The level, on a straight line between two knots."""
        if utilisation <= self.utilisation[0]:
            return self.level[0]
        if utilisation > self.utilisation[-1] + 1e-9:
            return None
        last = max(min(bisect_left(self.utilisation, utilisation), len(self.utilisation) - 1), 1)
        (x0, x1), (y0, y1) = self.utilisation[last - 1 : last + 1], self.level[last - 1 : last + 1]
        share = 1.0 if x1 <= x0 else min((utilisation - x0) / (x1 - x0), 1.0)
        # Rounded, so that the same points give the same answer on every machine.
        return round(y0 + share * (y1 - y0), 12)


def fit(points: Sequence[tuple[float, float]]) -> Curve:
    """The isotonic curve through (utilisation, level), at least 0, in any order; points of one place are averaged.

    Source: Barlow, Bartholomew, Bremner & Brunk (1972), pooling adjacent violators.

    >>> fit([(0.2, 0.0), (0.5, 3.0), (0.7, 1.0)]).level
    (0.0, 2.0, 2.0)
    """
    require("optimize", by="mora optimize")
    from scipy.optimize import isotonic_regression

    places = sorted({utilisation for utilisation, _ in points})
    weights = [sum(1 for at, _ in points if at == place) for place in places]
    means = [
        sum(level for at, level in points if at == place) / weight
        for place, weight in zip(places, weights, strict=True)
    ]
    levels = isotonic_regression(means, weights=weights).x
    return Curve(tuple(places), tuple(max(0.0, float(level)) for level in levels))


@dataclass(frozen=True, slots=True)
class ServiceCurves:
    """What is known of one service: what a user of each class costs it, and what squeezing it costs each class.

    replicas: of the experiments. ample_cores: what each pod might take in the baseline. cores_per_user: by scenario;
    idle_cores: of each pod without any. memory_bytes: the most that a pod used. most_utilisation: the highest at which
    no class broke its SLO. delay, delay_upper (seconds x cores), errors: by scenario.
    """

    service: str
    replicas: int
    ample_cores: float
    cores_per_user: Mapping[str, float]
    idle_cores: float
    memory_bytes: int
    most_utilisation: float
    delay: Mapping[str, Curve]
    delay_upper: Mapping[str, Curve]
    errors: Mapping[str, Curve]

    def cores(self, users: Mapping[str, float], replicas: int | None = None) -> float:
        """What all pods use at a load: scenario -> users."""
        busy = sum(self.cores_per_user.get(scenario, 0.0) * count for scenario, count in users.items())
        return busy + self.idle_cores * (self.replicas if replicas is None else replicas)


def fit_service(
    service: str,
    *,
    replicas: int,
    ample_cores: float,
    ample_utilisation: float,
    cores_per_user: Mapping[str, float],
    idle_cores: float,
    memory_bytes: int,
    baseline_p95: Mapping[str, float],
    baseline_errors: Mapping[str, float],
    steps: Sequence[Step],
) -> ServiceCurves:
    """The curves of a service from its steps; the baseline is the point where it adds nothing."""
    delay, upper, errors = {}, {}, {}
    kept = [step for step in steps if not step.is_broken]
    for scenario, base in baseline_p95.items():
        start = (ample_utilisation, 0.0)
        means, uppers, failed = [start], [start], [start]
        for step in steps:
            p95, high, ratio = (of[scenario] for of in (step.p95_seconds, step.p95_upper_seconds, step.error_ratio))
            if p95 is not None and high is not None:
                means.append((step.utilisation, max(0.0, p95 - base) * step.cores))
                uppers.append((step.utilisation, max(0.0, high - base) * step.cores))
            if ratio is not None:
                failed.append((step.utilisation, max(0.0, ratio - baseline_errors[scenario])))
        delay[scenario], errors[scenario] = fit(means), fit(failed)
        upper[scenario] = _above(fit(uppers), delay[scenario])
    return ServiceCurves(
        service,
        replicas,
        ample_cores,
        cores_per_user,
        idle_cores,
        memory_bytes,
        max((step.utilisation for step in kept), default=ample_utilisation),
        delay,
        upper,
        errors,
    )


def _above(upper: Curve, mean: Curve) -> Curve:
    """The upper curve, nowhere below the mean one; both have the same knots."""
    return Curve(upper.utilisation, tuple(map(max, upper.level, mean.level)))


def split_use(
    runs: Sequence[tuple[Mapping[str, int], float]], scenarios: Sequence[str], replicas: int
) -> tuple[dict[str, float], float]:
    """What a user of each scenario costs a service, and what an idle pod does, in cores; from (users, cores used).

    Non-negative least squares on relative errors. A service without any use costs nothing.

    >>> split_use([({"a": 10}, 0.12), ({"b": 10}, 0.22), ({"a": 20, "b": 10}, 0.42)], ["a", "b"], 2)
    ({'a': 0.01, 'b': 0.02}, 0.01)
    """
    import numpy as np
    from scipy.optimize import nnls

    used = [(users, cores) for users, cores in runs if cores > 0]
    if not used:
        return dict.fromkeys(scenarios, 0.0), 0.0
    rows = np.array([[users.get(name, 0) / cores for name in scenarios] + [replicas / cores] for users, cores in used])
    found, _ = nnls(rows, np.ones(len(used)))
    costs = [round(float(value), 9) for value in found]
    return dict(zip(scenarios, costs[:-1], strict=True)), costs[-1]
