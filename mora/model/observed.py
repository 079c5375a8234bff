"""Learning from a history that was watched, not driven: rolling origins over time, for a day and for an hour.

A recommendation stands for a hold, and which one is asked at `mora recommend`, not in training: a day and an hour are
always learnt (and whatever else the settings name). Each has a grid and a network of its own (forecasters/holds.py says
why); Prophet's curves, fitted by the hour, serve every hold. The first half of the time fits the network, the next
quarter chooses, the last scores (where it is too short for a network, what follows the first hold chooses already); at
every origin only what lies before it is used. Prophet is renewed once a week on the way, as it is where `mora train`
runs weekly, so that the weights know how a curve of some days ago does.

Replicas are not forecast: on observed data an autoscaler or a person chose them, and no load says how many were needed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from mora.backtest.policy import Series
from mora.backtest.traces import read_service
from mora.bounds.cpu import cpu_bounds
from mora.bounds.learning import UNMET_PRICE
from mora.coverage import needed_cpu_cores, needed_memory_bytes
from mora.domain import Reason, Target
from mora.errors import NotEnoughData
from mora.features import TARGET_COLUMNS, Floats, epoch_seconds
from mora.forecasters.horizon import (
    DAY_SECONDS,
    HOUR_SECONDS,
    PLAIN,
    HorizonGrid,
    curve_at,
    fit_curves,
    lay,
    plain_at,
    truth_at,
)
from mora.forecasters.horizon_lstm import SCALE_FREE_COLUMNS, HorizonLstm, fit_horizon_lstm
from mora.forecasters.prophet import ProphetForecaster
from mora.fusion import conformal_multiplier
from mora.model.calibration import Calibration, ValidationWindow, blend, calibrate, weights_of
from mora.model.report import Said, tabulate
from mora.model.settings import PRIOR_MULTIPLIER_OBSERVED, TrainSettings
from mora.quantities import format_duration
from mora.seams import Reporter

if TYPE_CHECKING:
    import pandas as pd

SIZED = (Target.CPU, Target.MEMORY)
# Holds that are learnt whatever the settings say: what a rollout is worth, and what a resize in place is.
HORIZONS_SECONDS = (HOUR_SECONDS, DAY_SECONDS)
# What comes before such a hold, and the hold itself, must be there for one of each part.
MIN_WINDOWS = 3
# Shares of the time: the network is fitted on the first, the next chooses, the rest scores.
_FIT, _CHOOSE = 0.5, 0.25
_MOST_ORIGINS = 20
PROPHET_RENEWED_SECONDS = 7 * DAY_SECONDS
# A bound follows what changes: after a week of daily holds one weighs half.
_HALF_LIFE_WINDOWS = 7.0


@dataclass(frozen=True, slots=True)
class History:
    """A watched history: its samples on their own grid.

    columns: name -> shape (n,), NaN where missing; those that enter a forecast. series: the same use, as the bounds and
    the replay take it.
    """

    series: Series
    columns: Mapping[str, Floats]

    @property
    def targets(self) -> tuple[Target, ...]:
        """CPU and memory, where they are known."""
        return tuple(target for target in SIZED if not bool(np.isnan(self.columns[TARGET_COLUMNS[target]]).all()))

    def grid(self, horizon_seconds: float) -> HorizonGrid:
        step, start = float(self.series.step_seconds), float(self.series.start)
        return lay(self.columns, sample_seconds=step, start_seconds=start, horizon_seconds=horizon_seconds)

    def before(self, sample: int) -> History:
        """The same history as it was known before a sample was taken."""
        return History(self.series.before(sample), {name: values[:sample] for name, values in self.columns.items()})

    def sample(self, grid: HorizonGrid, row: int) -> int:
        """The first sample of a row of a grid."""
        seconds = grid.start_seconds + row * grid.step_seconds - self.series.start
        return int(np.ceil(seconds / self.series.step_seconds - 1e-6))


def history_of(frame: pd.DataFrame, service: str) -> History:
    """The observed rows of a service; overlapping histories are joined as the backtest joins them."""
    series = read_service(frame, service)
    columns = {}
    rows = frame.sort_values("timestamp", kind="stable")
    slots = np.rint((epoch_seconds(rows) - series.start) / series.step_seconds).astype(np.int64)
    for name in SCALE_FREE_COLUMNS:
        laid = np.full(series.sample_count, np.nan)
        if name in rows:
            np.fmax.at(laid, slots, rows[name].to_numpy(dtype=np.float64))
        columns[name] = laid
    return History(series, columns)


def history_of_series(series: Series) -> History:
    """A series of a trace as a history."""
    unknown = np.full(series.sample_count, np.nan)
    columns = {
        TARGET_COLUMNS[Target.CPU]: unknown if series.cpu is None else series.cpu,
        TARGET_COLUMNS[Target.MEMORY]: unknown if series.mem is None else series.mem,
    }
    return History(series, columns)


@dataclass(frozen=True, slots=True)
class HorizonModel:
    """What was learnt of one hold: its network, and per target weights and held-out errors.

    errors: target -> the table of report.py. learnt_shares: what the weights would be with --learn-weights.
    bound_costs: what the hold's CPU bounds would have cost where they were held out, the replayed rule's ("mora") and
    split conformal prediction's around the fused forecast ("fused"), in cores reserved plus 20 x unmet per core used,
    and over how many "holds"; empty where nothing was held out.
    """

    horizon_seconds: float
    lstm: HorizonLstm | None
    calibrations: Mapping[Target, Calibration]
    errors: Mapping[str, Any]
    learnt_shares: Mapping[Target, Mapping[str, float]]
    bound_costs: Mapping[str, float]

    def parts(self, grid: HorizonGrid, target: Target, prophet: ProphetForecaster | None, row: int) -> dict[str, float]:
        """forecaster -> mean use of the hold that begins with a row."""
        said = _said(grid, [row], (target,), self.lstm, lambda _: prophet)
        return {name: value[0] for name, value in said[target][0].items()}


@dataclass(frozen=True, slots=True)
class ObservedLearning:
    """What training on observed data leaves behind; holds: seconds -> what was learnt of such holds."""

    prophet: ProphetForecaster
    windows: Mapping[int, HorizonModel]
    samples_filled: int
    reasons: tuple[Reason, ...]


def learn(history: History, settings: TrainSettings, reporter: Reporter) -> ObservedLearning:
    """Fit, hold out over time, calibrate. Raises NotEnoughData with what is needed."""
    reasons: list[Reason] = []
    spans = sorted({*HORIZONS_SECONDS, settings.horizon.total_seconds()})
    known = history.series.sample_count * history.series.step_seconds
    windows: dict[int, HorizonModel] = {}
    curves = _Curves(history, settings.seed)
    for seconds in spans:
        have = known / seconds
        if have < MIN_WINDOWS or history.series.step_seconds > seconds:
            text = (
                f"of {format_duration(seconds)} ahead nothing is learnt: that wants {MIN_WINDOWS} such holds of "
                f"history, in samples no coarser; there are {have:.1f}, a sample every "
                f"{format_duration(history.series.step_seconds)}"
            )
            reasons.append(Reason("hold-not-learnt", text))
            continue
        windows[round(seconds)] = _learn_horizon(history, seconds, curves, settings, reporter, reasons)
    if not windows:
        raise NotEnoughData(
            f"Not enough history to train {history.series.id!r}: {MIN_WINDOWS} holds of "
            f"{format_duration(spans[0])} are needed, there are {known / spans[0]:.1f}.",
            hint="Collect more with: mora collect --history 14d (or drive experiments: mora collect --plan quick)",
        )
    final = fit_curves(curves.grid, history.targets, seed=settings.seed)
    gaps = sum(int(np.isnan(curves.grid.means[TARGET_COLUMNS[target]]).sum()) for target in history.targets)
    return ObservedLearning(final, windows, gaps, (*final.reasons, *reasons))


def _learn_horizon(
    history: History,
    seconds: float,
    curves: _Curves,
    settings: TrainSettings,
    reporter: Reporter,
    reasons: list[Reason],
) -> HorizonModel:
    grid = history.grid(seconds)
    first, second = int(len(grid) * _FIT), int(len(grid) * (_FIT + _CHOOSE))
    lstm = _fit_lstm(grid, history.targets, first, second, settings, reporter, reasons)
    if lstm is None:
        # What no network was fitted on can choose.
        first = grid.steps
    roles = _origins(grid, first, second)
    rows = [row for row, _ in roles]
    oldest = grid.start_seconds + first * grid.step_seconds
    said = _said(grid, rows, history.targets, lstm, lambda row: curves.before(_moment(grid, row), oldest))
    reporter.advance("Held out", 1, 1, f"{format_duration(seconds)} ahead")
    calibrations: dict[Target, Calibration] = {}
    errors: dict[str, Any] = {}
    learnt: dict[Target, Mapping[str, float]] = {}
    costs: dict[str, float] = {}
    for target in history.targets:
        tables: dict[str, list[Said]] = {"choose": [], "score": []}
        windows: list[ValidationWindow] = []
        for (row, role), parts in zip(roles, said[target], strict=True):
            truth = truth_at(grid, TARGET_COLUMNS[target], row)
            if truth is not None:
                tables[role].append((f"{row}", parts, truth))
                windows.append(_validation_window(history, grid, target, row, role, parts, truth[0]))
        subject = f"{target.value} over the next {format_duration(seconds)}"
        failed = ("lstm",) if lstm is None else ()
        calibration, chosen = _calibrate(target, windows, settings, subject, failed=failed)
        learning = replace(settings, learn_weights=True)
        learnt[target] = weights_of(target, windows, learning, subject, failed=failed, plain=PLAIN).shares
        calibrations[target] = calibration
        # Why the weights are what they are is told once, of those that are used.
        silent = replace(chosen, reasons=())
        errors[target.value] = tabulate(target, tables["choose"], tables["score"], settings, weights=silent).to_dict()
        if target is Target.CPU:
            costs = _bound_costs(history, grid, windows, chosen.shares)
    return HorizonModel(seconds, lstm, calibrations, errors, learnt, costs)


def _calibrate(
    target: Target, windows: Sequence[ValidationWindow], settings: TrainSettings, subject: str, *, failed: Sequence[str]
) -> tuple[Calibration, Any]:
    """What is used from now on, its weights chosen by every hold; and the weights that those which choose alone chose.

    What the table of held-out errors says is of the second: nothing that scored had a say in them.
    """
    options: dict[str, Any] = {"failed": failed, "plain": PLAIN}
    choosing = [horizon for horizon in windows if horizon.role == "choose"]
    before = weights_of(target, choosing, settings, subject, **options)
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
    return replace(found, shares=dict(now.shares), reasons=now.reasons), before


class _Curves:
    """Prophet as it would have been at a moment, renewed once a week; by the hour, for every hold alike."""

    def __init__(self, history: History, seed: int) -> None:
        self.grid = history.grid(DAY_SECONDS)
        self._targets, self._seed = history.targets, seed
        self._fitted: dict[int, ProphetForecaster] = {}

    def before(self, moment: float, oldest: float) -> ProphetForecaster | None:
        """Fitted at `oldest` or a whole number of weeks after it, before `moment`; None with fewer than two steps."""
        edge = oldest + (moment - oldest) // PROPHET_RENEWED_SECONDS * PROPHET_RENEWED_SECONDS
        row = int((edge - self.grid.start_seconds) / self.grid.step_seconds + 1e-6)
        if row not in self._fitted:
            past = self.grid.before(max(row, 0))
            if any(int((~np.isnan(past.means[TARGET_COLUMNS[t]])).sum()) < 2 for t in self._targets):
                return None
            self._fitted[row] = fit_curves(past, self._targets, seed=self._seed)
        return self._fitted[row]


def _said(
    grid: HorizonGrid,
    rows: Sequence[int],
    targets: Sequence[Target],
    lstm: HorizonLstm | None,
    prophet_at: Any,
) -> dict[Target, list[dict[str, tuple[float, float]]]]:
    """target -> per row: forecaster -> mean and p95 of the hold that begins there."""
    able = [row for row in rows if lstm is not None and lstm.can_speak(grid, row)]
    networks = lstm.at(grid, able) if lstm is not None and able else {}
    place = {row: number for number, row in enumerate(able)}
    found: dict[Target, list[dict[str, tuple[float, float]]]] = {target: [] for target in targets}
    for target in targets:
        column = TARGET_COLUMNS[target]
        for row in rows:
            parts = plain_at(grid, column, row)
            prophet = prophet_at(row)
            if prophet is not None and target in prophet.curves:
                parts["prophet"] = curve_at(prophet.curves[target], grid, column, row)
            if row in place and target in networks:
                parts["lstm"] = networks[target][place[row]]
            found[target].append(parts)
    return found


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


def _origins(grid: HorizonGrid, first: int, second: int) -> list[tuple[int, str]]:
    """Rows at which held-out holds begin: those that choose end before row `second`, those that score come after it.

    Whole holds apart where a hold is short (the bounds learn at their edges), evenly over each part.
    """
    apart = 1 if grid.horizon_seconds > HOUR_SECONDS else grid.steps
    found: list[tuple[int, str]] = []
    for begin, end, role in ((first, second, "choose"), (second, len(grid), "score")):
        count = (end - grid.steps - begin) // apart + 1
        if count > 0:
            picks = np.unique(np.linspace(0, count - 1, min(count, _MOST_ORIGINS)).round().astype(int))
            found += [(begin + int(pick) * apart, role) for pick in picks]
    return found


def _fit_lstm(
    grid: HorizonGrid,
    targets: Sequence[Target],
    first: int,
    second: int,
    settings: TrainSettings,
    reporter: Reporter,
    reasons: list[Reason],
) -> HorizonLstm | None:
    try:
        return fit_horizon_lstm(
            grid, targets, first=first, second=second, settings=settings.lstm, seed=settings.seed, reporter=reporter
        )
    except NotEnoughData as failure:
        reasons.append(Reason("lstm-failed", f"{format_duration(grid.horizon_seconds)} ahead: {failure.message}"))
        return None


def _bound_costs(
    history: History, grid: HorizonGrid, windows: Sequence[ValidationWindow], shares: Mapping[str, float]
) -> dict[str, float]:
    """What the CPU bounds cost over the holds that score, each as it was known before it."""
    scoring = [horizon for horizon in windows if horizon.role == "score"]
    use = history.columns[TARGET_COLUMNS[Target.CPU]]
    begins = np.array([history.sample(grid, int(horizon.name)) for horizon in scoring], dtype=np.int64)
    if not len(begins):
        return {}
    ends = [history.sample(grid, int(horizon.name) + grid.steps) for horizon in scoring]
    step = float(history.series.step_seconds)
    replayed = cpu_bounds(use, step_seconds=step, decisions=begins, horizon_seconds=grid.horizon_seconds).requests
    fused = []
    for horizon in scoring:
        past = [other for other in windows if other.age >= horizon.age + 1.0 - 1e-9]
        point_forecasts = [blend(shares, other.parts) for other in past]
        factor, _ = conformal_multiplier(
            [other.needed for other in past], point_forecasts, prior=PRIOR_MULTIPLIER_OBSERVED[Target.CPU]
        )
        fused.append(factor * blend(shares, horizon.parts))
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
    return {**found, "holds": float(len(pieces))}


def _moment(grid: HorizonGrid, row: int) -> float:
    return grid.start_seconds + row * grid.step_seconds
