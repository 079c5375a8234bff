"""Whether a better point forecast makes a better request: what requests around each forecast would have cost.

Two ways to make a request of a forecast are replayed over the windows, each with what was known before its window:

- *around*: the forecast times a factor from split conformal prediction (fusion.conformal_multiplier), calibrated on
  what the earlier windows needed of the same forecaster. Here everything rests on the forecast.
- *raised*: MOrA's own bound (mora/bounds, which forecasts nothing), raised to the forecast where it lies below it. So
  does `mora recommend`.

The cost is the backtest's: (reserved + 20 x unmet) / used (mora/backtest/scoring.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mora.backtest.scoring import UNMET_PRICE
from mora.contest.windows import Contest, Windows
from mora.coverage import needed_cpu_cores, needed_memory_bytes
from mora.domain import Target
from mora.domain.learning import Floats
from mora.fusion import BOUND_LEVEL, conformal_multiplier

# The conformal factor needs nine windows at 90 %.
_LEAST_WINDOWS = 9
# Errors, and costs, that differ by less are alike.
_ALIKE = 1e-6


@dataclass(frozen=True, slots=True)
class Cost:
    """What requests from one entrant's forecasts cost over the windows of one series; NaN where there are none.

    around, raised: see above. own: MOrA's bound alone, on the same windows. windows: how many.
    """

    around: float
    raised: float
    own: float
    windows: int


def cost(contest: Contest, entrant: str) -> Cost:
    """The cost of requests from one entrant's forecasts."""
    windows, mean = contest.windows, contest.answers[entrant].mean
    around = requests_around(windows, mean)
    known = np.flatnonzero(~np.isnan(around) & ~np.isnan(windows.bounds))
    raised = np.fmax(windows.bounds, mean)
    return Cost(
        _paid(windows, known, around), _paid(windows, known, raised), _paid(windows, known, windows.bounds), len(known)
    )


def requests_around(windows: Windows, mean: Floats) -> Floats:
    """The conformal request of every window, shape (n,); NaN where fewer than nine had ended before it."""
    rule = needed_cpu_cores if windows.target is Target.CPU else needed_memory_bytes
    needed = np.array([rule(piece) for piece in windows.samples])
    found = np.full(len(mean), np.nan)
    ends = windows.seconds + windows.horizon_seconds
    for number in np.flatnonzero(~np.isnan(mean)):
        past = np.flatnonzero((ends <= windows.seconds[number] + 1e-6) & (mean > 0))
        if len(past) >= _LEAST_WINDOWS:
            factor, _ = conformal_multiplier(needed[past].tolist(), mean[past].tolist(), level=BOUND_LEVEL, prior=1.0)
            found[number] = factor * mean[number]
    return found


def _paid(windows: Windows, which: np.ndarray, requests: Floats) -> float:
    paid = used = 0.0
    for number in which.tolist():
        piece, request = windows.samples[number], float(requests[number])
        paid += len(piece) * request + UNMET_PRICE * float(np.maximum(piece - request, 0.0).sum())
        used += float(piece.sum())
    return paid / used if used > 0 else float("nan")


@dataclass(frozen=True, slots=True)
class Agreement:
    """How often, of two forecasters, the one that errs less also makes the cheaper request.

    pairs: of forecasters on one series whose errors and costs both differ. share: of them, those that agree; 0.5 says
    that an error tells nothing of a cost. NaN without pairs.
    """

    pairs: int
    share: float


def agreement(errors: Sequence[float], costs: Sequence[float]) -> tuple[int, int]:
    """Of all pairs that differ in both: how many agree, and how many there are.

    >>> agreement([1.0, 2.0, 3.0], [5.0, 6.0, 5.5])
    (2, 3)
    """
    agree = pairs = 0
    for one in range(len(errors)):
        for other in range(one):
            first, second = _sign(errors[one], errors[other]), _sign(costs[one], costs[other])
            pairs += first * second != 0
            agree += first * second > 0
    return agree, pairs


def agreed(contests: Sequence[Contest], costs: Sequence[dict[str, float]], entrants: Sequence[str]) -> Agreement:
    """Over several series of one horizon and target. costs: of each, entrant -> cost."""
    agree = pairs = 0
    for contest, paid in zip(contests, costs, strict=True):
        known = [name for name in entrants if name in paid and np.isfinite(paid[name])]
        errors = [float(np.nanmean(contest.errors(name))) for name in known]
        found = agreement(errors, [paid[name] for name in known])
        agree, pairs = agree + found[0], pairs + found[1]
    return Agreement(pairs, agree / pairs if pairs else float("nan"))


def _sign(one: float, other: float) -> int:
    difference = one - other
    if abs(difference) <= _ALIKE * max(abs(one), abs(other)):
        return 0
    return 1 if difference > 0 else -1
