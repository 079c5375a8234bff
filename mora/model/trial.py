"""A challenger beside the champion: both forecast the windows that come, until one is better beyond doubt.

The windows are whole horizons, one after the other, from the moment on at which neither model had seen the data. Each
forecast rests on the samples before its window alone, so it is the same whenever it is made, and no run is needed at
every hour. What is compared is the error of the point forecast, |forecast - mean use|, in units of what the naive
forecast usually errs (an error above that counts as that: one outlier decides nothing), CPU and memory alike. For each
horizon the differences enter an always-valid test (mora/sequential.py); the chance that a challenger takes over that is
not better on average at any horizon is at most `alpha`, however often one looks.

models/frontend/ab.json has the forecasts and what came, so the decision can be checked by hand.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING

import numpy as np

from mora.backtest.history import History
from mora.domain import Target
from mora.errors import BadModel, NotEnoughData
from mora.features import TARGET_COLUMNS
from mora.forecasters.horizon import plain_at
from mora.fusion import NAIVE
from mora.model import folder as store
from mora.model.layout import short
from mora.model.trial_record import ALPHA, LONGEST_DAYS, Trial, Window
from mora.quantities import format_duration, format_moment
from mora.sequential import evidence

if TYPE_CHECKING:
    from mora.model.service import ServiceModel

# A challenger that is better somewhere may err so much more elsewhere, and no more.
TOLERANCE = 0.05
_LIMIT = f"{100 * TOLERANCE:g} %"

_DAY_SECONDS = 86_400.0
# An error that only one window of ten of the naive forecast exceeds, of so many windows before the test.
_USUAL_QUANTILE, _USUAL_WINDOWS = 0.9, 48
_LEAST_KNOWN = 0.5


@dataclass(frozen=True, slots=True)
class Side:
    """One horizon and target of a test: mean errors over its windows, in the target's unit."""

    horizon_seconds: int
    target: Target
    windows: int
    champion: float
    challenger: float


@dataclass(frozen=True, slots=True)
class Standing:
    """How a test stands. evidence: horizon -> for the challenger, against it; `needed` of it decides.

    outcome: "" as long as nothing is decided. why: its reason.
    """

    sides: tuple[Side, ...]
    evidence: Mapping[int, tuple[float, float]]
    needed: float
    outcome: str
    why: str


def begin(
    champion: ServiceModel,
    challenger: ServiceModel,
    history: History,
    *,
    at: datetime,
    begins: float,
    alpha: float = ALPHA,
    longest_days: float = LONGEST_DAYS,
) -> Trial:
    """A test of what both forecast of windows from `begins` (epoch seconds) on, none of them scored yet.

    history: of the service, from before `begins`: what the naive forecast usually errs is taken from it. Raises
    NotEnoughData where the two have no horizon in common, the challenger forecasts less than the champion does, or the
    history has no such window.
    """
    common = sorted(set(champion.horizons) & set(challenger.horizons))
    if not common:
        raise NotEnoughData(
            "The two versions have no horizon in common that both forecast from a history.",
            hint="Load experiments forecast no coming windows. Train both on a history: mora collect --history 14d",
        )
    lost = [
        _named(target, seconds)
        for seconds, learned in sorted(champion.horizons.items())
        for target in learned.calibrations
        if seconds not in common or target not in challenger.horizons[seconds].calibrations
    ]
    if lost:
        raise NotEnoughData(
            f"Version {short(challenger.digest)} cannot take over: it does not forecast {', '.join(lost)}, as the "
            f"champion {short(champion.digest)} does.",
            hint=f"Train a challenger on as much data as the champion had, or: mora ab stop {champion.workload.name}",
        )
    scales = {
        seconds: {
            target: scale
            for target, scale in _scales(history, seconds, begins).items()
            if target in champion.horizons[seconds].calibrations
        }
        for seconds in common
    }
    scales = {seconds: found for seconds, found in scales.items() if found}
    if not scales:
        raise NotEnoughData(
            f"The history before {format_moment(begins)} is shorter than {format_duration(2 * common[0])}, so how much "
            "the naive forecast errs is not known.",
            hint="Collect more: mora collect --history 14d",
        )
    return Trial(champion.digest, challenger.digest, at, begins, scales, alpha, longest_days)


def advance(trial: Trial, champion: ServiceModel, challenger: ServiceModel, history: History) -> Trial:
    """The same test with every window that has ended in `history` since; windows that are not known are left out."""
    found = list(trial.windows)
    for seconds in sorted(trial.scales):
        known = [window for window in trial.windows if window.horizon_seconds == seconds]
        at = max((window.begins + seconds for window in known), default=trial.begins)
        # Windows keep to their own grid, also past those that were not known.
        at = trial.begins + np.ceil((at - trial.begins) / seconds - 1e-9) * seconds
        while at + seconds <= _end(history) + 1e-6:
            found += _scored(trial, champion, challenger, history, seconds, float(at))
            at += seconds
    order = sorted(found, key=lambda window: (window.begins + window.horizon_seconds, window.horizon_seconds))
    return replace(trial, windows=tuple(order))


def standing(trial: Trial, *, known_until: float | None = None) -> Standing:
    """How a test stands. known_until: when the data ends, epoch seconds; that of the last window by default."""
    sides, found, decided = [], {}, {}
    for seconds, scales in sorted(trial.scales.items()):
        windows = [window for window in trial.windows if window.horizon_seconds == seconds]
        sides += [_side(windows, seconds, target) for target in scales]
        differences = _differences(windows, scales)
        better, worse = evidence(differences), evidence(-differences)
        found[seconds] = float(better[-1]), float(worse[-1])
        decided[seconds] = bool((better >= trial.needed).any()), bool((worse >= trial.needed).any())
    ahead = [seconds for seconds, (better, _) in decided.items() if better]
    behind = [seconds for seconds, (_, worse) in decided.items() if worse]
    harmed = [side for side in sides if side.windows and side.challenger > side.champion * (1 + TOLERANCE)]
    unseen = [side for side in sides if not side.windows]
    outcome, why = "", ""
    if ahead and not harmed and not unseen and not behind:
        outcome, why = "takeover", f"it forecasts better {_ahead(ahead)}, and nowhere more than {_LIMIT} worse"
    elif behind and not ahead:
        outcome, why = "kept", f"the challenger forecasts worse {_ahead(behind)}"
    elif (max(known_until or 0.0, trial.seen_until) - trial.begins) / _DAY_SECONDS >= trial.longest_days:
        days = f"{trial.longest_days:g} days"
        outcome, why = "undecided", f"after {days} of coming data neither is better beyond doubt"
        if ahead:
            why = f"after {days} the challenger is better {_ahead(ahead)}, but {_but(harmed, unseen, behind)}"
    elif ahead:
        why = f"it is better {_ahead(ahead)}, but does not take over: {_but(harmed, unseen, behind)}"
    return Standing(tuple(sides), found, trial.needed, outcome, why)


def _side(windows: Sequence[Window], seconds: int, target: Target) -> Side:
    own = [window for window in windows if window.target is target]
    errors = [
        float(np.mean([abs(getattr(window, side) - window.truth) for window in own])) if own else 0.0
        for side in ("champion", "challenger")
    ]
    return Side(seconds, target, len(own), *errors)


def _differences(windows: Sequence[Window], scales: Mapping[Target, float]) -> np.ndarray:
    """How much less the challenger erred in each window of a horizon, the mean of the targets; in [-1, 1]."""
    by_start: dict[float, list[float]] = {}
    for window in windows:
        scale = scales[window.target]
        champion, challenger = (
            min(abs(value - window.truth) / scale, 1.0) for value in (window.champion, window.challenger)
        )
        by_start.setdefault(window.begins, []).append(champion - challenger)
    return np.array([np.mean(by_start[start]) for start in sorted(by_start)])


def _scored(
    trial: Trial, champion: ServiceModel, challenger: ServiceModel, history: History, seconds: int, begins: float
) -> list[Window]:
    """The targets of one window, as far as they are known; both models see the samples before it alone."""
    first, last = _sample(history, begins), _sample(history, begins + seconds)
    if first <= 0:
        return []
    before = history.before(first)
    truths = {target: _mean(history, target, first, last) for target in trial.scales[seconds]}
    if all(truth is None for truth in truths.values()):
        return []
    try:
        one, other = forecast(champion, before, seconds), forecast(challenger, before, seconds)
    except NotEnoughData:
        return []
    return [
        Window(seconds, begins, target, one[target], other[target], truth)
        for target, truth in truths.items()
        if truth is not None and target in one and target in other
    ]


def forecast(model: ServiceModel, history: History, seconds: int) -> dict[Target, float]:
    """Mean use of the horizon that begins where a history ends, as the model's weights blend it; never below 0.

    Raises NotEnoughData where the history is shorter than a horizon, BadModel where the model breaks down on it.
    """
    learned = model.horizons[seconds]
    grid = history.grid(seconds)
    if len(grid) < grid.steps:
        raise NotEnoughData(f"The history is shorter than {format_duration(seconds)}.")
    try:
        found = {
            target: max(calibration.point_forecast(learned.parts(grid, target, model.forecasters, len(grid))), 0.0)
            for target, calibration in learned.calibrations.items()
            if TARGET_COLUMNS[target] in grid.means
        }
    except store.UNREADABLE as failure:
        raise _broken(model, store.in_words(failure)) from failure
    if not all(math.isfinite(mean) for mean in found.values()):
        raise _broken(model, "it gives what is no amount")
    return found


def _broken(model: ServiceModel, why: str) -> BadModel:
    return BadModel(
        f"Version {short(model.digest)} cannot forecast: {why}.", hint=f"Train again: mora train {model.workload.name}"
    )


def _scales(history: History, seconds: int, begins: float) -> dict[Target, float]:
    """Per target what the naive forecast usually errs before a moment; without those that are not known."""
    found: dict[Target, float] = {}
    first = _sample(history, begins)
    if first <= 0:
        return found
    grid = history.before(min(first, history.series.sample_count)).grid(seconds)
    rows = range(len(grid) - grid.steps, grid.steps - 1, -grid.steps)[:_USUAL_WINDOWS]
    for target in history.targets:
        column = TARGET_COLUMNS[target]
        if column not in grid.means:
            continue
        truths = {row: grid.means[column][row : row + grid.steps] for row in rows}
        errors = [
            abs(plain_at(grid, column, row)[NAIVE][0] - float(np.nanmean(truth)))
            for row, truth in truths.items()
            if float(np.isnan(truth).mean()) <= 1 - _LEAST_KNOWN
        ]
        level = float(np.nanmean(grid.means[column]))
        if errors:
            # A series that hardly moves must not make every rounding a whole error.
            found[target] = max(float(np.quantile(errors, _USUAL_QUANTILE)), 1e-3 * level, 1e-9)
    return found


def _mean(history: History, target: Target, first: int, last: int) -> float | None:
    piece = history.columns[TARGET_COLUMNS[target]][first:last]
    known = piece[~np.isnan(piece)]
    return float(known.mean()) if len(known) and len(known) >= _LEAST_KNOWN * len(piece) else None


def _sample(history: History, moment: float) -> int:
    return round((moment - history.series.start) / history.series.step_seconds)


def _end(history: History) -> float:
    return float(history.series.start + history.series.sample_count * history.series.step_seconds)


def _ahead(seconds: Sequence[int]) -> str:
    return " and ".join(format_duration(one) for one in seconds) + " ahead"


def _named(target: Target, seconds: int) -> str:
    return f"{target.value} {format_duration(seconds)} ahead"


def _but(harmed: Sequence[Side], unseen: Sequence[Side], behind: Sequence[int]) -> str:
    """What is against a challenger that is better somewhere."""
    if harmed:
        return f"its error is higher at {_named(harmed[0].target, harmed[0].horizon_seconds)}"
    if unseen:
        return f"no window of {_named(unseen[0].target, unseen[0].horizon_seconds)} is known yet"
    return f"it was worse {_ahead(behind)}"
