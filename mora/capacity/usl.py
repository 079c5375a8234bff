"""The Universal Scalability Law (Gunther 2007) of one pod, as a check.

X(N) = a N / (1 + s (N - 1) + k N (N - 1)): where it says that a pod's throughput has a maximum, no load above it is
extrapolated.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from mora.capacity.knee import Trial
from mora.quantities import significant

# With fewer loads the law has more parameters than points.
_MIN_USL_LOADS = 4


@dataclass(frozen=True, slots=True)
class Usl:
    """The Universal Scalability Law of one pod: rate = a n / (1 + s (n - 1) + k n (n - 1)) for n users.

    rate_per_user: a, what one user alone sends. contention: s. coherency: k. error: the largest relative error at a
    driven load.
    """

    rate_per_user: float
    contention: float
    coherency: float
    error: float

    def rate(self, users: float) -> float:
        """Requests per second of a pod with so many users."""
        return self.rate_per_user * users / (1 + (users - 1) * (self.contention + self.coherency * users))

    @property
    def peak_users(self) -> float:
        """The users beyond which a pod's throughput falls; infinite where it never does."""
        return math.sqrt(max(1 - self.contention, 0.0) / self.coherency) if self.coherency > 0 else math.inf

    @property
    def highest_rate(self) -> float:
        """The most requests per second that a pod can answer; infinite where the law sees no end."""
        if math.isfinite(self.peak_users):
            return self.rate(max(self.peak_users, 1.0))
        return self.rate_per_user / self.contention if self.contention > 0 else math.inf


def fit_usl(tried: Sequence[Trial]) -> Usl | None:
    """The law through the driven loads; None with fewer than four of them.

    Divided by users, the law is linear in its parameters: n / rate = (1 + s (n - 1) + k n (n - 1)) / a. They are fitted
    by least squares of relative errors, and none may be negative.
    """
    points = [(t.users_per_pod, t.rate_per_pod) for t in tried if t.rate_per_pod]
    if len({users for users, _ in points}) < _MIN_USL_LOADS:
        return None
    users = np.array([n for n, _ in points])
    rates = np.array([rate for _, rate in points], dtype=float)
    terms = np.column_stack([np.ones_like(users), users - 1, users * (users - 1)]) * (rates / users)[:, np.newaxis]
    weights = _without_negatives(terms)
    if weights is None or weights[0] <= 0:
        return None
    law = Usl(float(1 / weights[0]), float(weights[1] / weights[0]), float(weights[2] / weights[0]), 0.0)
    fitted = np.array([law.rate(n) for n in users])
    return Usl(law.rate_per_user, law.contention, law.coherency, float(np.max(np.abs(fitted / rates - 1))))


def _without_negatives(
    terms: np.ndarray[tuple[int, int], np.dtype[np.float64]],
) -> np.ndarray[tuple[int], np.dtype[np.float64]] | None:
    """The weights of three columns that sum to 1 in every row, by least squares; none is negative."""
    ones, best, least = np.ones(len(terms)), None, math.inf
    for size in (1, 2, 3):
        for chosen in combinations(range(3), size):
            if 0 not in chosen:
                continue
            solved, *_ = np.linalg.lstsq(terms[:, chosen], ones, rcond=None)
            error = float(np.sum((terms[:, chosen] @ solved - ones) ** 2))
            if (solved >= 0).all() and error < least * (1 - 1e-9):
                best, least = np.zeros(3), error
                best[list(chosen)] = solved
    return best


def describe_usl(law: Usl) -> str:
    """The law as a line: where it sees the end of a pod's throughput."""
    if not math.isfinite(law.highest_rate):
        return f"USL: {significant(law.rate_per_user)} requests/s a user, no end of a pod's throughput in sight."
    beyond = f", reached at {significant(law.peak_users, 4)} users" if math.isfinite(law.peak_users) else ""
    return (
        f"USL: a pod answers at most {significant(law.highest_rate)} requests/s{beyond} (fit within {law.error:.0%}); "
        "more is not extrapolated."
    )
