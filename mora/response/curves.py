"""Monotone curves over users per pod: fitted with scikit-learn's isotonic regression, kept as knots, read by numpy."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mora.extras import require
from mora.response.runs import Run

_CURVES = ("cpu", "cpu_upper", "memory", "memory_upper", "utilisation", "latency", "errors")


@dataclass(frozen=True, slots=True)
class Curve:
    """A monotone function of users per pod: knots, a slope beyond the last, and from where it says "at least".

    >>> curve = Curve((10.0, 20.0), (1.0, 3.0), slope=0.2, limit_bound_from=None)
    >>> [curve.at(users) for users in (5, 15, 30)]
    [1.0, 2.0, 5.0]
    """

    users_per_pod: tuple[float, ...]
    level: tuple[float, ...]
    slope: float
    limit_bound_from: float | None

    def at(self, users_per_pod: float) -> float:
        """The level; the first knot's below it, a straight line beyond the last."""
        beyond = max(users_per_pod - self.users_per_pod[-1], 0.0)
        return float(np.interp(users_per_pod, self.users_per_pod, self.level)) + self.slope * beyond

    def is_at_least(self, users_per_pod: float) -> bool:
        """From `limit_bound_from` on, and past the knot before it, where the level leans on a limit-bound run."""
        if self.limit_bound_from is None:
            return False
        before = [knot for knot in self.users_per_pod if knot < self.limit_bound_from]
        return users_per_pod >= self.limit_bound_from or bool(before and users_per_pod > before[-1])


def fit_scenario(runs: Sequence[Run]) -> dict[str, Curve]:
    """The curves of one scenario, by their names."""
    require("train", by="Fitting a load response")

    def at_least_cpu(run: Run, level: float) -> float:
        return max(level, run.cpu_limit_cores or 0.0) if run.is_cpu_limit_bound else level

    def at_least_memory(run: Run, level: float) -> float:
        # A killed container starts again from nothing: the mean over its sawtooth is not the need, the limit is.
        return max(level, run.memory_limit_bytes or 0.0) if run.is_memory_limit_bound else level

    shares = np.array([run.users_per_pod for run in runs])
    is_cpu_limit_bound = np.array([run.is_cpu_limit_bound for run in runs])
    is_memory_limit_bound = np.array([run.is_memory_limit_bound for run in runs])
    cpu_upper = np.array([at_least_cpu(run, run.cpu_p95_cores) for run in runs])
    memory_mean = np.array([at_least_memory(run, run.memory_mean_bytes) for run in runs])
    memory_peak = np.array([at_least_memory(run, run.memory_peak_bytes) for run in runs])
    # A throttled run still has a mean, kept down by its quota: it stays as measured, and is flagged as "at least".
    curves = {
        "cpu": _fit(shares, np.array([run.cpu_mean_cores for run in runs]), is_cpu_limit_bound),
        "cpu_upper": _fit(shares, cpu_upper, is_cpu_limit_bound),
        "memory": _fit(shares, memory_mean, is_memory_limit_bound),
        "memory_upper": _fit(shares, memory_peak, is_memory_limit_bound, is_envelope=True),
    }
    tested = [run for run in runs if run.latency_p95_seconds is not None and run.error_ratio is not None]
    limited = [run for run in runs if run.cpu_limit_cores]
    for name, part, level in (
        ("latency", tested, [run.latency_p95_seconds for run in tested]),
        ("errors", tested, [run.error_ratio for run in tested]),
        ("utilisation", limited, [run.cpu_mean_cores / (run.cpu_limit_cores or 1.0) for run in limited]),
    ):
        if part:
            shares = np.array([run.users_per_pod for run in part])
            curves[name] = _fit(shares, np.array(level, dtype=float), np.zeros(len(part), dtype=bool))
    return {name: curves[name] for name in _CURVES if name in curves}


def _fit(
    shares: np.ndarray[Any, Any],
    levels: np.ndarray[Any, Any],
    is_bound: np.ndarray[Any, Any],
    *,
    is_envelope: bool = False,
) -> Curve:
    """A monotone curve through the runs: isotonic regression, or the highest so far where `is_envelope` (peaks).

    shares, levels, is_bound: shape (runs,). A limit-bound run is a bound: the curve never passes below it.
    """
    knots = np.unique(shares)
    if is_envelope:
        fitted = np.array([levels[shares <= knot].max() for knot in knots])
    else:
        from sklearn.isotonic import IsotonicRegression

        # What is limit-bound bounds the curve from below; averaged in, it would pull down what ran freely.
        own = ~is_bound if not is_bound.all() else is_bound
        fitted = IsotonicRegression(out_of_bounds="clip").fit(shares[own], levels[own]).predict(knots)
        for share, level in zip(shares[is_bound], levels[is_bound], strict=True):
            fitted = np.where(knots >= share, np.maximum(fitted, level), fitted)
    free = ~is_bound
    # A bound that a freely running, more loaded run has overtaken is no longer the end of what is known.
    last_free = shares[free].max() if free.any() else -math.inf
    binding = shares[is_bound & (shares >= last_free)]
    return Curve(
        users_per_pod=tuple(map(float, knots)),
        level=tuple(map(float, fitted)),
        slope=_slope(shares[free], levels[free], fallback=float(fitted[-1] / knots[-1])),
        limit_bound_from=float(binding.min()) if binding.size else None,
    )


def _slope(shares: np.ndarray[Any, Any], levels: np.ndarray[Any, Any], *, fallback: float) -> float:
    """Growth per user and pod over the runs that ran freely, at least 0; through the origin where they are too few."""
    if np.unique(shares).size < 2:
        return fallback
    centred = shares - shares.mean()
    return max(float(centred @ (levels - levels.mean()) / (centred @ centred)), 0.0)
