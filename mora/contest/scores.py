"""What answers are worth: errors of the mean, intervals around it, and the forecast p95, over the windows of a series.

Of intervals there are two. `interval` is the same for everybody: split conformal prediction (Vovk et al. 2005; Lei et
al. 2018, "Distribution-free predictive inference for regression") on the entrant's own absolute errors in windows that
had ended before, so it says how sure one can be of a forecast, whatever its model says of itself. `high` is each
model's own p95 of the coming steps, which should lie above 95 % of them.

MAPE is shown because people ask for it. It misleads where use is near 0: an error of a millicore in an idle window is
worth as much as the whole of a busy one, and whoever forecasts too little is never off by more than 100 %.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from mora.contest.windows import Contest, Windows
from mora.domain.learning import Floats
from mora.features import HIGH_QUANTILE
from mora.fusion import BOUND_LEVEL, NAIVE

# An interval needs ceil((n + 1) * level) <= n windows: nine at 90 %.
_LEAST_CALIBRATING = math.ceil(BOUND_LEVEL / (1 - BOUND_LEVEL) - 1e-9)


@dataclass(frozen=True, slots=True)
class Score:
    """One entrant on the windows of one series, horizon and target. Amounts are in the target's unit.

    answered, windows: how many windows it had a forecast for, of how many. mae, rmse: of the mean. mape: of windows
    with any use, 1 = 100 %. relative: MAE over the series' mean use. skill: 1 - MAE / the naive forecast's on the same
    windows: above 0 is better than naive. covered, width: of the conformal 90 % interval, the share of windows inside
    it, and its mean width over the mean use; `interval_windows` of them had nine before. pinball: of the forecast p95
    at 0.95 over all steps, over the mean use. steps_covered: share of the steps that are at most the forecast p95.
    fit_seconds, ask_seconds: of CPU. bytes: memory added at most. NaN where not known. failures: why windows lack it.
    """

    entrant: str
    answered: int
    windows: int
    mae: float
    rmse: float
    mape: float
    relative: float
    skill: float
    covered: float
    width: float
    interval_windows: int
    pinball: float
    steps_covered: float
    fit_seconds: float
    ask_seconds: float
    bytes: float
    failures: tuple[str, ...] = ()


def scores(contest: Contest) -> dict[str, Score]:
    """entrant -> its score."""
    return {name: score(contest, name) for name in contest.answers}


def score(contest: Contest, entrant: str) -> Score:
    """One entrant's score."""
    windows, answers = contest.windows, contest.answers[entrant]
    errors, scale = contest.errors(entrant), windows.scale
    known = ~np.isnan(errors)
    low, high = interval(windows, answers.mean)
    bounded = ~np.isnan(low)
    # On its edge is inside, float noise or not: a constant series has intervals of width 0.
    noise = 1e-9 * scale
    inside = (windows.truth >= low - noise) & (windows.truth <= high + noise)
    busy = known & (windows.truth > 0)
    has_high = ~np.isnan(answers.high)
    steps = windows.steps[has_high]
    return Score(
        entrant=entrant,
        answered=int(known.sum()),
        windows=len(windows),
        mae=_mean(errors[known]),
        rmse=math.sqrt(_mean(errors[known] ** 2)) if known.any() else math.nan,
        mape=_mean(errors[busy] / windows.truth[busy]),
        relative=_over(_mean(errors[known]), scale),
        skill=skill(contest, entrant),
        covered=_mean(inside[bounded].astype(np.float64)),
        width=_over(_mean((high - low)[bounded]), scale),
        interval_windows=int(bounded.sum()),
        pinball=_over(_mean(_pinball(steps, answers.high[has_high])), scale),
        steps_covered=_mean(_below(steps, answers.high[has_high])),
        fit_seconds=answers.fit_seconds,
        ask_seconds=answers.ask_seconds,
        bytes=answers.bytes,
        failures=answers.failures,
    )


def skill(contest: Contest, entrant: str, reference: str = NAIVE) -> float:
    """1 - MAE / the reference's MAE on the windows that both answered; 0 where neither ever erred.

    NaN where there is no such window, -inf where the reference alone never erred.
    """
    own, other = contest.errors(entrant), contest.errors(reference)
    both = ~np.isnan(own) & ~np.isnan(other)
    return ratio_skill(float(own[both].sum()), float(other[both].sum())) if both.any() else math.nan


def ratio_skill(errors: float, reference: float) -> float:
    """1 - errors / the reference's.

    >>> ratio_skill(1.0, 2.0), ratio_skill(0.0, 0.0), ratio_skill(1.0, 0.0)
    (0.5, 0.0, -inf)
    """
    if reference > 0:
        return 1.0 - errors / reference
    return 0.0 if errors == 0 else -math.inf


def interval(windows: Windows, mean: Floats, *, level: float = BOUND_LEVEL) -> tuple[Floats, Floats]:
    """The conformal interval of every window, low and high, shape (n,); NaN where too few windows had ended before.

    An error counts for the windows that begin when its own has ended, or later. Never below 0.
    """
    errors = np.abs(mean - windows.truth)
    low, high = np.full(len(mean), np.nan), np.full(len(mean), np.nan)
    ends = windows.seconds + windows.horizon_seconds
    for number in np.flatnonzero(~np.isnan(mean)):
        past = errors[(ends <= windows.seconds[number] + 1e-6) & ~np.isnan(errors)]
        if len(past) < _LEAST_CALIBRATING:
            continue
        rank = min(math.ceil((len(past) + 1) * level - 1e-9), len(past))
        reach = float(np.partition(past, rank - 1)[rank - 1])
        low[number], high[number] = max(mean[number] - reach, 0.0), mean[number] + reach
    return low, high


def _pinball(steps: Floats, high: Floats) -> Floats:
    """The loss of a quantile forecast of the known steps: 0.95 for each unit below them, 0.05 above."""
    above = (steps - high[:, None])[~np.isnan(steps)]
    return np.maximum(HIGH_QUANTILE * above, (HIGH_QUANTILE - 1.0) * above)


def _below(steps: Floats, high: Floats) -> Floats:
    known = ~np.isnan(steps)
    found: Floats = (steps <= (high * (1 + 1e-9))[:, None])[known].astype(np.float64)
    return found


def _mean(values: Floats) -> float:
    return float(np.mean(values)) if len(values) else math.nan


def _over(value: float, scale: float) -> float:
    return value / scale if scale > 0 else math.nan
