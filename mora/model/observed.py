"""Learning from a history that was observed, not driven: rolling origins over time, for a day and for an hour.

A recommendation is for a horizon, and which one is asked at `mora recommend`, not in training: a day and an hour are
always learned (and whatever else the settings name). Each has a grid and a network of its own (why: see
forecasters/horizon.py); Prophet's curves, fitted by the hour, serve every horizon. The first half of the time fits the
network, the next quarter chooses, the last scores (where it is too short for a network, what follows the first horizon
chooses already); at every origin only what lies before it is used. What is cheap to fit (Prophet) is renewed once a
week on the way, as it is where `mora train` runs weekly, so that the weights know how a curve of some days ago does.

Replicas are not forecast: on observed data an autoscaler or a person chose them, and no load shows how many were
needed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from mora.backtest.history import History
from mora.bounds.cpu import cpu_bounds
from mora.bounds.learning import UNMET_PRICE
from mora.coverage import needed_cpu_cores, needed_memory_bytes
from mora.domain import Reason, Target
from mora.domain.learning import DAY_SECONDS, HorizonGrid, Level, Past
from mora.errors import NotEnoughData
from mora.features import TARGET_COLUMNS
from mora.forecasters.horizon import HOUR_SECONDS, PLAIN, truth_at
from mora.fusion import NAIVE, Weights, conformal_multiplier
from mora.model import learners
from mora.model.calibration import (
    Calibration,
    ValidationWindow,
    blend,
    calibrate,
    near,
    reach_of,
    weights_of,
)
from mora.model.learners import Fitted
from mora.model.renewing import Renewed, forecasts_at, moment_of, origins_of
from mora.model.report import Row, tabulate
from mora.model.settings import PRIOR_MULTIPLIER_OBSERVED, TrainSettings
from mora.quantities import format_duration
from mora.seams import Forecaster, Reporter

# Horizons that are always learned: that of a rollout, and that of a resize in place.
HORIZONS_SECONDS = (HOUR_SECONDS, DAY_SECONDS)
# What comes before such a horizon, and the horizon itself, must be there for one of each part.
MIN_WINDOWS = 3
# Shares of the time: the network is fitted on the first, the next chooses, the rest scores.
_FIT, _CHOOSE = 0.5, 0.25
# A bound follows what changes: after a week of daily windows one weighs half.
_HALF_LIFE_WINDOWS = 7.0


@dataclass(frozen=True, slots=True)
class HorizonModel:
    """The result of training for one horizon: its own forecasters, and per target weights and validation errors.

    forecasters: those that were fitted for this horizon alone; the others serve every horizon. errors: target -> the
    table of report.py. learned_shares: what the weights would be with --learn-weights. bound_costs: what CPU bounds
    would have cost over the validation windows that score, the replayed rule's ("mora") and split conformal
    prediction's around the blend ("fused"), in cores reserved plus 20 x unmet per core used, and over how many
    "windows"; empty where there are none. selections: forecaster -> target -> what was chosen of its inputs, of every
    one that was trained and chooses.
    """

    horizon_seconds: float
    forecasters: Fitted
    calibrations: Mapping[Target, Calibration]
    errors: Mapping[str, Any]
    learned_shares: Mapping[Target, Mapping[str, float]]
    bound_costs: Mapping[str, float]
    selections: Mapping[str, Any] = field(default_factory=dict)

    def parts(self, grid: HorizonGrid, target: Target, others: Fitted, row: int) -> dict[str, float]:
        """forecaster -> mean use of the horizon that begins with a row. others: those that serve every horizon."""
        return {name: level[0] for name, level in self.levels(grid, target, others, row).items()}

    def levels(self, grid: HorizonGrid, target: Target, others: Fitted, row: int) -> dict[str, Level]:
        """forecaster -> mean and p95 of the horizon that begins with a row, as parts(), within their reach."""
        found = forecasts_at(grid, [row], (target,), self.forecasters, lambda _: others)[target][0]
        calibration = self.calibrations.get(target)
        return near(found, None if calibration is None else calibration.reach)


@dataclass(frozen=True, slots=True)
class ObservedLearning:
    """The result of training on observed data.

    forecasters: those that serve every horizon. horizons: seconds -> what was learned of such horizons.
    """

    forecasters: Fitted
    horizons: Mapping[int, HorizonModel]
    samples_filled: int
    reasons: tuple[Reason, ...]


def learn(
    history: History, settings: TrainSettings, reporter: Reporter, *, spans: Sequence[float] | None = None
) -> ObservedLearning:
    """Fit, validate over time, calibrate. Raises NotEnoughData with what is needed.

    spans: the horizons to learn, in seconds; an hour, a day and that of the settings by default.
    """
    reasons: list[Reason] = []
    spans = sorted({*HORIZONS_SECONDS, settings.horizon.total_seconds()}) if spans is None else spans
    known = history.series.sample_count * history.series.step_seconds
    forecasters = {**learners.chosen(settings), **learners.candidates(settings)}
    optional = frozenset(forecasters) - {*settings.weights, NAIVE}
    horizons: dict[int, HorizonModel] = {}
    cheap = learners.refitted(forecasters)
    renewed = Renewed(history.grid(DAY_SECONDS), history.targets, cheap, settings.seed, optional)
    for seconds in spans:
        have = known / seconds
        if have < MIN_WINDOWS or history.series.step_seconds > seconds:
            text = (
                f"no forecast of {format_duration(seconds)} is learned: it needs a history of {MIN_WINDOWS} times "
                f"that, in samples no coarser; there are {have:.1f}, a sample every "
                f"{format_duration(history.series.step_seconds)}"
            )
            reasons.append(Reason("horizon-not-learned", text))
            continue
        once = learners.fitted_once(forecasters)
        horizons[round(seconds)] = _learn_horizon(
            history, seconds, once, renewed, settings, reporter, reasons, optional
        )
    if not horizons:
        raise NotEnoughData(
            f"Not enough history to train {history.series.id!r}: {MIN_WINDOWS} windows of "
            f"{format_duration(spans[0])} are needed, there are {known / spans[0]:.1f}.",
            hint="Collect more with: mora collect --history 14d (or drive experiments: mora collect --plan quick)",
        )
    final, failures = renewed.now()
    used = {name for horizon in horizons.values() for name in _used(horizon.calibrations)}
    final = {name: fitted for name, fitted in final.items() if name not in optional or name in used}
    gaps = sum(int(np.isnan(renewed.grid.means[TARGET_COLUMNS[target]]).sum()) for target in history.targets)
    told = dict.fromkeys((*learners.reasons_of(final), *failures, *reasons))
    return ObservedLearning(final, horizons, gaps, tuple(told))


def _learn_horizon(
    history: History,
    seconds: float,
    once: Mapping[str, Forecaster],
    renewed: Renewed,
    settings: TrainSettings,
    reporter: Reporter,
    reasons: list[Reason],
    optional: frozenset[str],
) -> HorizonModel:
    grid = history.grid(seconds)
    first, second = int(len(grid) * _FIT), int(len(grid) * (_FIT + _CHOOSE))
    data, where = Past(grid, history.targets, first, second), f"{format_duration(seconds)} ahead: "
    options: dict[str, Any] = {"seed": settings.seed, "reporter": reporter, "where": where, "optional": optional}
    fitted, failures = learners.fit_each(once, data, **options)
    reasons += failures
    if not fitted:
        # What nothing was fitted on can choose.
        first = grid.steps
    roles = origins_of(grid, first, second)
    rows = [row for row, _ in roles]
    oldest = grid.start_seconds + first * grid.step_seconds
    forecasts = forecasts_at(
        grid,
        rows,
        history.targets,
        fitted,
        lambda row: renewed.before(moment_of(grid, row), oldest),
        optional=optional,
        reasons=reasons,
    )
    reporter.advance("Validation", 1, 1, f"{format_duration(seconds)} ahead")
    calibrations: dict[Target, Calibration] = {}
    errors: dict[str, Any] = {}
    learned: dict[Target, Mapping[str, float]] = {}
    costs: dict[str, float] = {}
    serving = renewed.now()[0]
    failed = tuple(name for name in settings.weights if name not in fitted and name not in serving)
    for target in history.targets:
        tables: dict[str, list[Row]] = {"choose": [], "score": []}
        windows: list[ValidationWindow] = []
        for (row, role), parts in zip(roles, forecasts[target], strict=True):
            truth = truth_at(grid, TARGET_COLUMNS[target], row)
            if truth is not None:
                tables[role].append((f"{row}", parts, truth))
                windows.append(_validation_window(history, grid, target, row, role, parts, truth[0]))
        subject = f"{target.value} over the next {format_duration(seconds)}"
        calibration, chosen, default = _calibrate(target, windows, settings, subject, failed=failed)
        learning = replace(settings, learn_weights=True)
        learned[target] = weights_of(target, windows, learning, subject, failed=failed, plain=PLAIN).shares
        calibrations[target] = calibration
        # The reasons for weights are reported once, of those that are used.
        silent = replace(default, reasons=())
        errors[target.value] = tabulate(
            target, tables["choose"], tables["score"], settings, weights=silent, chosen=chosen
        ).to_dict()
        if target is Target.CPU:
            costs = _bound_costs(history, grid, windows, chosen.shares)
    used = _used(calibrations)
    again = {name: once[name] for name in fitted if name in optional and name in used}
    # What was chosen by what it forecast from half of the history learns the other half, too.
    whole = Past(grid, history.targets, len(grid), len(grid))
    newest, _ = learners.fit_each(again, whole, **options)
    reasons += [_not_renewed(name, where) for name in again if name not in newest]
    kept = {name: one for name, one in fitted.items() if name not in optional or name in used}
    final = {**kept, **newest}
    reasons += learners.reasons_of(final)
    selections = learners.selections_of({**fitted, **newest})
    return HorizonModel(seconds, final, calibrations, errors, learned, costs, selections)


def _used(calibrations: Mapping[Target, Calibration]) -> set[str]:
    """The forecasters that have a share in any target."""
    return {name for found in calibrations.values() for name, share in found.shares.items() if share > 0}


def _not_renewed(name: str, where: str) -> Reason:
    text = (
        f"{where}{name} cannot be fitted on the whole history; it forecasts as it was validated, fitted on half of it"
    )
    return Reason("not-renewed", text)


def _calibrate(
    target: Target, windows: Sequence[ValidationWindow], settings: TrainSettings, subject: str, *, failed: Sequence[str]
) -> tuple[Calibration, Weights, Weights]:
    """What is used from now on, chosen by every window; what the choosing ones alone chose; and their blend.

    The table of validation errors is of the latter two: nothing that is scored took part in them.
    """
    options: dict[str, Any] = {"failed": failed, "plain": PLAIN}
    choosing = [window for window in windows if window.role == "choose"]
    before = weights_of(target, choosing, settings, subject, **options)
    blended = weights_of(target, choosing, replace(settings, candidates=(), model=None), subject, **options)
    now = weights_of(target, windows, settings, subject, **options)
    found = calibrate(
        target,
        windows,
        prior_multiplier=PRIOR_MULTIPLIER_OBSERVED[target],
        settings=settings,
        subject=subject,
        half_life_windows=_HALF_LIFE_WINDOWS,
        **options,
    )
    # A model that was asked for by name forecasts as it does.
    reach = reach_of(windows) if settings.model is None else None
    return replace(found, shares=dict(now.shares), reasons=now.reasons, model=now.model, reach=reach), before, blended


def _validation_window(
    history: History,
    grid: HorizonGrid,
    target: Target,
    row: int,
    role: str,
    parts: Mapping[str, tuple[float, float]],
    truth: float,
) -> ValidationWindow:
    use = history.columns[TARGET_COLUMNS[target]]
    begin, end = history.sample(grid, row), history.sample(grid, row + grid.steps)
    floor = 0.0
    if target is Target.MEMORY:
        week = use[max(begin - round(7 * DAY_SECONDS / history.series.step_seconds), 0) : begin]
        floor = float(np.nan_to_num(week).max(initial=0.0))
    raw = use[begin:end]
    return ValidationWindow(
        name=f"{row}",
        role="choose" if role == "choose" else "score",
        parts={name: value[0] for name, value in parts.items()},
        truth=truth,
        needed=needed_cpu_cores(raw) if target is Target.CPU else needed_memory_bytes(raw),
        floor=floor,
        age=(len(grid) - row) / grid.steps,
    )


def _bound_costs(
    history: History, grid: HorizonGrid, windows: Sequence[ValidationWindow], shares: Mapping[str, float]
) -> dict[str, float]:
    """What the CPU bounds cost over the windows that score, each as it was known before it."""
    scoring = [window for window in windows if window.role == "score"]
    use = history.columns[TARGET_COLUMNS[Target.CPU]]
    begins = np.array([history.sample(grid, int(window.name)) for window in scoring], dtype=np.int64)
    if not len(begins):
        return {}
    ends = [history.sample(grid, int(window.name) + grid.steps) for window in scoring]
    step = float(history.series.step_seconds)
    replayed = cpu_bounds(use, step_seconds=step, decisions=begins, horizon_seconds=grid.horizon_seconds).requests
    fused = []
    for window in scoring:
        past = [other for other in windows if other.age >= window.age + 1.0 - 1e-9]
        point_forecasts = [blend(shares, other.parts) for other in past]
        factor, _ = conformal_multiplier(
            [other.needed for other in past], point_forecasts, prior=PRIOR_MULTIPLIER_OBSERVED[Target.CPU]
        )
        fused.append(factor * blend(shares, window.parts))
    pieces = [use[begin:end][~np.isnan(use[begin:end])] for begin, end in zip(begins, ends, strict=True)]
    used = sum(float(piece.sum()) for piece in pieces)
    if used <= 0:
        return {}
    found = {}
    for name, requests in (("mora", replayed), ("fused", np.array(fused))):
        paid = sum(
            len(piece) * request + UNMET_PRICE * float(np.maximum(piece - request, 0.0).sum())
            for piece, request in zip(pieces, requests.tolist(), strict=True)
        )
        found[name] = paid / used
    return {**found, "windows": float(len(pieces))}
