"""Whether the bounds cover as many windows as they say: the share since the training against the stated confidence.

Windows follow each other without sharing samples. Those that exceeded come in runs, so as many independent windows
count as their correlation leaves (as in inputs.py), and the chance of so few covered ones is the binomial one of these.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime
from statistics import NormalDist

import numpy as np

from mora.backtest.history import History
from mora.bounds.cpu import cpu_bounds
from mora.bounds.memory import memory_bounds
from mora.coverage import needed_cpu_cores, needed_memory_bytes
from mora.domain import Target
from mora.domain.learning import DAY_SECONDS, Floats
from mora.drift.inputs import Comparison, effective_days
from mora.features import TARGET_COLUMNS

MIN_WINDOWS = 12
MOST_DAYS = 14
"""Days back from the last sample whose windows count."""


@dataclass(frozen=True, slots=True)
class Coverage:
    """Windows of one target and horizon since the training.

    seconds: when each began. covered: whether its use was. stated: the confidence that counts for it, 0..1. effective:
    how many independent windows these are worth. p: the chance of so few covered ones.
    """

    target: Target
    horizon_seconds: float
    seconds: Floats
    covered: np.ndarray
    stated: Floats
    effective: float
    p: float

    @property
    def share(self) -> float:
        """Covered windows of all, 0..1."""
        return float(self.covered.mean())

    def comparison(self) -> Comparison:
        """That the share is as stated, for the correction together with what else is compared."""
        score = -NormalDist().inv_cdf(min(max(self.p, 1e-15), 1 - 1e-15))
        return Comparison(self.target.value, "coverage", self.share, float(self.stated.mean()), score, self.p)

    @property
    def since(self) -> datetime:
        """When the worst run of windows began: where the sum of what lacks rose from."""
        lack = np.cumsum(self.stated - self.covered)
        end = int(np.argmax(lack))
        begin = int(np.argmin(np.concatenate([[0.0], lack])[: end + 1]))
        return datetime.fromtimestamp(float(self.seconds[begin]), UTC)


def coverage_of(
    history: History,
    target: Target,
    horizon_seconds: float,
    trained_until: float,
    *,
    most_days: float = MOST_DAYS,
) -> Coverage | None:
    """The windows of the last days that began after the training; None where they are too few to say anything."""
    series, use = history.series, history.columns[TARGET_COLUMNS[target]]
    step = float(series.step_seconds)
    size = round(horizon_seconds / step)
    if size < 1 or horizon_seconds % step:
        return None
    oldest = max(trained_until, series.start + len(use) * step - most_days * DAY_SECONDS)
    begins = np.arange(len(use) - size, 0, -size)[::-1]
    if len(begins) < MIN_WINDOWS:
        return None
    rule, needed = (cpu_bounds, needed_cpu_cores) if target is Target.CPU else (memory_bounds, needed_memory_bytes)
    found = rule(use, step_seconds=step, decisions=begins, horizon_seconds=horizon_seconds)
    is_known = [bool((~np.isnan(use[row : row + size])).mean() >= 0.5) for row in begins]
    is_new = series.start + begins * step >= oldest - 1e-6
    which = is_new & is_known & ~np.isnan(found.requests)
    if int(which.sum()) < MIN_WINDOWS:
        return None
    # A confidence learns from what is exceeded: after a change it soon states less, and is right again. What counts is
    # what it stated when the model was trained.
    at_training = ~is_new & is_known & ~np.isnan(found.confidence)
    at_training &= series.start + begins * step >= oldest - most_days * DAY_SECONDS
    begins, requests, stated = begins[which], found.requests[which], found.confidence[which]
    if int(at_training.sum()) >= MIN_WINDOWS:
        stated = np.full(len(begins), found.confidence[at_training].mean())
    covered = np.array(
        [
            request >= needed(use[row : row + size]) * (1 - 1e-9)
            for row, request in zip(begins.tolist(), requests, strict=True)
        ]
    )
    begun: Floats = np.asarray(series.start + begins * step, dtype=np.float64)
    return over(target, horizon_seconds, begun, covered, stated)


def over(target: Target, horizon_seconds: float, seconds: Floats, covered: np.ndarray, stated: Floats) -> Coverage:
    """What these windows say; the fields are Coverage's own."""
    effective = effective_days(covered.astype(np.float64))
    p = chance_of_so_few(int(covered.sum()), len(covered), float(stated.mean()), effective)
    return Coverage(target, horizon_seconds, seconds, covered, stated, effective, p)


def chance_of_so_few(covered: int, windows: int, stated: float, effective: float) -> float:
    """The chance that at most this share of independent windows is covered, where each is with the stated chance.

    >>> round(chance_of_so_few(18, 20, 0.95, 20.0), 3), chance_of_so_few(5, 20, 0.95, 20.0) < 1e-6
    (0.264, True)
    """
    count = max(1, round(effective))
    most = math.floor(covered / windows * count + 1e-9)
    stated = min(max(stated, 0.0), 1.0)
    return min(1.0, sum(math.comb(count, k) * stated**k * (1 - stated) ** (count - k) for k in range(most + 1)))
