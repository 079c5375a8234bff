"""Whether a model errs more than it did when it was validated: two tests of river on the stream of its errors.

The stream is of the shortest horizon, one forecast after the other, so that errors follow each other without sharing
samples. The errors of the weeks before the training are the yardstick. Some of the forecasters know those weeks (curves
are fitted to all of them), so their errors there are too small: they are scaled up to the error of the validation
windows that the model's card has.

Two things must agree. The last day's errors must be beyond those of the days before the training, by the same frame as
the inputs (inputs.py: effective days, Student's t, Holm's correction together with them): that bounds the false alarms.
And one of river's tests must find a change on the stream: that says that it is one of the stream, and since when.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np

from mora.backtest.history import History
from mora.domain import Target
from mora.domain.learning import DAY_SECONDS, Floats
from mora.drift.inputs import Comparison, blocks_of, compare_days
from mora.extras import require
from mora.features import TARGET_COLUMNS
from mora.forecasters.horizon import truth_at
from mora.fusion import NAIVE
from mora.model import ServiceModel
from mora.model.choice import BLEND
from mora.model.renewing import forecasts_at
from mora.model.report import CHOSEN

# Days of errors before the training that are the yardstick, and the newest days after it, which are looked at.
_BEFORE_DAYS, _AFTER_DAYS = 28, 28
MIN_BEFORE, MIN_AFTER = 24, 6
"""Errors before and after the training, at least."""
# ADWIN's chance of a false cut (river's own default), and how many standard deviations of errors Page and Hinkley's sum
# must gain, of which it loses some at each error. Neither bounds false alarms where errors follow each other closely;
# compare_errors() does.
ADWIN_DELTA = 2e-3
PAGE_THRESHOLD, PAGE_DELTA = 10.0, 0.5
# An error that is this many deviations above the usual counts as that: one error alone is no drift.
_MOST = 4.0


@dataclass(frozen=True, slots=True)
class Errors:
    """What a model was off by, horizon after horizon.

    seconds: when each of them began, epoch seconds, shape (n,). forecast, truth: mean use. scale: the error of the
    validation windows, > 0. before: how many of them had begun before the training's data ended.
    """

    target: Target
    horizon_seconds: float
    seconds: Floats
    forecast: Floats
    truth: Floats
    scale: float
    before: int


@dataclass(frozen=True, slots=True)
class Change:
    """A stream of errors that changed. test: ADWIN or Page-Hinkley. times: errors since then over those before."""

    test: str
    since: datetime
    times: float


def errors_of(model: ServiceModel, history: History, target: Target, trained_until: float) -> Errors | None:
    """The model's errors of its shortest horizon over a history; None where it has no forecast of the target.

    trained_until: epoch seconds.
    """
    learned = next((one for _, one in sorted(model.horizons.items()) if target in one.calibrations), None)
    if learned is None or target not in history.targets:
        return None
    grid, column = history.grid(learned.horizon_seconds), TARGET_COLUMNS[target]
    first = max(trained_until - _BEFORE_DAYS * DAY_SECONDS, grid.start_seconds + DAY_SECONDS)
    # The newest horizon ends with the last sample; the others are counted back from it.
    rows = np.arange(len(grid) - grid.steps, 0, -grid.steps)[::-1]
    begins = grid.start_seconds + rows * grid.step_seconds
    newest = grid.start_seconds + len(grid) * grid.step_seconds - _AFTER_DAYS * DAY_SECONDS
    rows = rows[(begins >= first) & ((begins < trained_until) | (begins >= newest))]
    known = [(row, truth[0]) for row in rows.tolist() if (truth := truth_at(grid, column, row)) is not None]
    said = forecasts_at(grid, [row for row, _ in known], (target,), learned.forecasters, lambda _: model.forecasters)[
        target
    ]
    found: list[tuple[float, float, float]] = []
    for (row, came), levels in zip(known, said, strict=True):
        forecast = learned.calibrations[target].point_forecast({name: level[0] for name, level in levels.items()})
        # What is no number says nothing of how far off it was.
        if np.isfinite(forecast):
            found.append((grid.start_seconds + row * grid.step_seconds, forecast, came))
    if not found:
        return None
    seconds, forecasts, truths = (np.array(values) for values in zip(*found, strict=True))
    before = int((seconds < trained_until).sum())
    own = np.abs(truths[:before] - forecasts[:before])
    return Errors(
        target, learned.horizon_seconds, seconds, forecasts, truths, _validated(learned.errors, target, own), before
    )


def _validated(tables: object, target: Target, own: Floats) -> float:
    """The mean error of the validation windows; that of the stream before the training where no window scored."""
    table = tables.get(target.value, {}) if isinstance(tables, dict) else {}
    errors = table.get("errors", {})
    name = next((name for name in (CHOSEN, BLEND, NAIVE) if name in errors), None)
    level = 0.0 if name is None else errors[name].get("mean", 0.0)
    return float(level) or float(own.mean() if len(own) else 0.0)


def compare_errors(errors: Errors) -> Comparison | None:
    """The errors of the last day against those of the days before the training; None where these are too few."""
    place = np.rint((errors.seconds - errors.seconds[0]) / errors.horizon_seconds).astype(int)
    laid = np.full(place[-1] + 1, np.nan)
    laid[place] = _logarithms(errors)
    trained = int(place[errors.before]) if errors.before < len(place) else len(laid)
    blocks = blocks_of(laid, trained=trained, step_seconds=errors.horizon_seconds)
    if blocks is None:
        return None
    usual = np.nanmean(blocks.days, axis=1)
    return compare_days(errors.target.value, "errors", float(np.nanmean(blocks.last)), usual, blocks.ago)


def change_of(errors: Errors) -> Change | None:
    """The change that is still there, of the errors since the training; None where there is none, or too few are known.

    That there is none by chance, compare_errors() says.
    """
    require("drift", by="Looking for a change of errors")
    from river import drift

    usual, later = deviates(errors)
    if len(usual) < MIN_BEFORE or len(later) < MIN_AFTER:
        return None
    # river has no types.
    adwin: Any = drift.ADWIN(delta=ADWIN_DELTA, clock=1)  # type: ignore[no-untyped-call]
    page: Any = drift.PageHinkley(min_instances=1, threshold=PAGE_THRESHOLD, delta=PAGE_DELTA, mode="up")
    found: tuple[str, int] | None = None
    for number, value in enumerate([*usual, *later]):
        adwin.update(float(value))
        page.update(float(value))
        since = number - len(usual)
        if since < 0 or found is not None:
            continue
        if page.drift_detected:
            found = ("Page-Hinkley", _begin(later[: since + 1]))
        elif adwin.drift_detected and float(np.mean(later[max(since - MIN_AFTER, 0) : since + 1])) > 0:
            found = ("ADWIN", _begin(later[: since + 1]))
    # What was off for a while and is as it was needs no other model.
    if found is None or float(later[-MIN_AFTER:].mean()) <= 0.5:
        return None
    test, begin = found
    off = np.abs(errors.truth - errors.forecast)[errors.before + begin :]
    moment = datetime.fromtimestamp(float(errors.seconds[errors.before + begin]), UTC)
    return Change(test, moment, float(off.mean()) / errors.scale if errors.scale > 0 else float("inf"))


def deviates(errors: Errors) -> tuple[Floats, Floats]:
    """The errors before and after the training, as standard deviations from the mean of those before."""
    values = _logarithms(errors)
    usual = values[: errors.before]
    middle = float(usual.mean()) if len(usual) else 0.0
    spread = max(float(usual.std()) if len(usual) else 0.0, 0.2)
    scaled = np.clip((values - middle) / spread, -_MOST, _MOST)
    return scaled[: errors.before], scaled[errors.before :]


def _logarithms(errors: Errors) -> Floats:
    """log(1 + error / validation error), so that an error that is huge does not stand for many."""
    off = np.abs(errors.truth - errors.forecast)
    little = max(errors.scale, 1e-3 * float(np.abs(errors.truth).mean()), 1e-12)
    own = float(off[: errors.before].mean()) if errors.before else 0.0
    stretched = off / little
    # Curves that were fitted to these weeks err less on them than they do ahead.
    stretched[: errors.before] *= max(little / own, 1.0) if own > 0 else 1.0
    found: Floats = np.log1p(stretched)
    return found


def _begin(later: Floats) -> int:
    """Where the sum of what is above the usual began to rise for the last time."""
    return int(np.argmin(np.concatenate([[0.0], np.cumsum(later - PAGE_DELTA)])[:-1]))
