"""Learning from a history that was watched, not driven: rolling origins over time.

A recommendation stands for a hold (a day, by default). The history is laid on a grid of thirty steps a hold, so that a
window of the LSTM is the last hold and its horizon the next one; what a hold needed is measured on the raw samples,
whose peaks a grid of means would hide. The first part of the time fits the network, the next chooses, the last scores;
at every origin only what lies before it is used.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import numpy as np

from mora.backtest import needed_cpu_cores, needed_memory_bytes
from mora.domain import Reason, Reporter, Target
from mora.errors import NotEnoughData
from mora.features import (
    HIGH_QUANTILE,
    HORIZON_STEPS,
    TARGET_COLUMNS,
    TARGETS,
    WINDOW_STEPS,
    Floats,
    Segment,
    epoch_seconds,
    grid_step,
    segments,
)
from mora.forecasters.lstm import LstmForecaster
from mora.forecasters.prophet import ProphetForecaster
from mora.fusion import NAIVE
from mora.metrics import METRIC_COLUMNS
from mora.model.calibration import Calibration, Hold, calibrate
from mora.model.driven import SIZED
from mora.model.report import Said, tabulate
from mora.model.settings import PRIOR_MULTIPLIER_OBSERVED, TrainSettings

if TYPE_CHECKING:
    import pandas as pd

LEAST_HOLDS = 3
# Shares of the time: the network is fitted on the first, the next chooses, the rest scores.
_FIT, _CHOOSE = 0.4, 0.25
_MOST_ORIGINS = 12
# A bound follows what changes: after a week of daily holds one weighs half.
_HALF_LIFE_HOLDS = 7.0


@dataclass(frozen=True, slots=True)
class Steps:
    """A history on the grid of its holds, and its raw samples.

    pieces: stretches without a long gap, on the grid. seconds, raw: the samples themselves, by time.
    """

    pieces: tuple[Segment, ...]
    step: timedelta
    seconds: Floats
    raw: Mapping[Target, Floats]

    def between(self, target: Target, start: float, stop: float) -> Floats:
        """The known raw samples of a target from `start` up to `stop` (excluded), epoch seconds."""
        first, last = np.searchsorted(self.seconds, [start, stop])
        values = self.raw[target][first:last]
        return values[~np.isnan(values)]


def steps_of(frame: pd.DataFrame, hold: timedelta) -> Steps:
    """Lay observed rows on thirty steps a hold: means of the known samples of each step, from the first sample on."""
    import pandas as pd

    step_seconds = hold.total_seconds() / HORIZON_STEPS
    raw_step = grid_step(frame).total_seconds()
    if raw_step > step_seconds * (1 + 1e-6):
        raise NotEnoughData(
            f"Samples every {raw_step:g} s are too coarse: a hold of {hold} is cut into {HORIZON_STEPS} steps.",
            hint=f"Collect with a step of {step_seconds:g} s or less.",
        )
    rows = frame.sort_values("timestamp", kind="stable").drop_duplicates("timestamp")
    seconds = epoch_seconds(rows)
    slots = np.floor((seconds - seconds[0]) / step_seconds + 1e-9).astype(np.int64)
    columns = [column for column in METRIC_COLUMNS if column in rows]
    means = rows[columns].groupby(slots).mean()
    at = pd.to_datetime(
        ((seconds[0] + means.index.to_numpy() * step_seconds) * 1e6).astype("int64"), unit="us", utc=True
    )
    gridded = means.reset_index(drop=True).assign(
        timestamp=at, experiment_id="observed", scenario=str(rows["scenario"].iloc[0])
    )
    step = timedelta(seconds=step_seconds)
    return Steps(
        tuple(segments(gridded, step=step)),
        step,
        seconds,
        {target: rows[TARGET_COLUMNS[target]].to_numpy(dtype=np.float64) for target in TARGETS},
    )


def parts_after(
    piece: Segment, target: Target, prophet: ProphetForecaster | None, lstm: LstmForecaster | None, hold: timedelta
) -> dict[str, float]:
    """forecaster -> mean use of the hold that follows a piece."""
    return {name: said[0] for name, said in _said_after(piece, target, prophet, lstm, hold).items()}


def _said_after(
    piece: Segment, target: Target, prophet: ProphetForecaster | None, lstm: LstmForecaster | None, hold: timedelta
) -> dict[str, tuple[float, float]]:
    tail = piece.values[TARGET_COLUMNS[target]][-WINDOW_STEPS:]
    found = {NAIVE: (float(tail.mean()), float(np.quantile(tail, HIGH_QUANTILE)))}
    if prophet is not None and target in prophet.curves:
        found["prophet"] = prophet.level_and_high(target, piece, HORIZON_STEPS, quantile=HIGH_QUANTILE)
    if lstm is not None:
        found["lstm"] = lstm.after(piece)[target]
    return found


@dataclass(frozen=True, slots=True)
class ObservedLearning:
    """What training on observed data leaves behind."""

    prophet: ProphetForecaster
    lstm: LstmForecaster | None
    calibrations: Mapping[Target, Calibration]
    errors: Mapping[str, Any]
    samples_filled: int
    reasons: tuple[Reason, ...]


def learn(frame: pd.DataFrame, settings: TrainSettings, reporter: Reporter) -> ObservedLearning:
    """Fit, hold out over time, calibrate. Raises NotEnoughData with what is needed."""
    steps = steps_of(frame, settings.hold)
    whole = max(steps.pieces, key=len) if steps.pieces else None
    if whole is None or len(whole) < LEAST_HOLDS * HORIZON_STEPS:
        have = 0.0 if whole is None else len(whole) / HORIZON_STEPS
        raise NotEnoughData(
            f"Not enough history to train {frame['service'].iloc[0]!r}: {LEAST_HOLDS} holds of {settings.hold} without "
            f"a long gap are needed, the longest stretch has {have:.1f}.",
            hint="Collect more with: mora collect --history 14d (or drive experiments: mora collect --plan quick)",
        )
    reasons: list[Reason] = []
    if len(steps.pieces) > 1:
        text = f"the history is cut by long gaps into {len(steps.pieces)} stretches; the longest is held out on"
        reasons.append(Reason("history-cut", text))
    first = int(len(whole) * _FIT)
    second = int(len(whole) * (_FIT + _CHOOSE))
    lstm = _fit_lstm(whole, first, second, settings, reporter, reasons)
    origins = _origins(len(whole), first, second)
    said: dict[Target, dict[str, list[Said]]] = {target: {"choose": [], "score": []} for target in TARGETS}
    holds: dict[Target, list[Hold]] = {target: [] for target in SIZED}
    for done, (row, role) in enumerate(origins):
        before = whole.cut(0, row)
        prophet = ProphetForecaster()
        prophet.fit_segments([before], driven=False, seed=settings.seed)
        start = float(whole.seconds[row])
        for target in TARGETS:
            ahead = whole.values[TARGET_COLUMNS[target]][row : row + HORIZON_STEPS]
            parts = _said_after(before, target, prophet, lstm, settings.hold)
            truth = (float(ahead.mean()), float(np.quantile(ahead, HIGH_QUANTILE)))
            said[target][role].append((f"{row}", parts, truth))
            raw = steps.between(target, start, start + settings.hold.total_seconds())
            if target in holds and len(raw):
                holds[target].append(_hold(steps, target, row, role, parts, truth[0], raw, start, whole))
        reporter.advance("Held out", done + 1, len(origins))
    failed = ("lstm",) if lstm is None else ()
    calibrations = {
        target: calibrate(
            target,
            holds[target],
            prior_multiplier=PRIOR_MULTIPLIER_OBSERVED[target],
            settings=settings,
            failed=failed,
            half_life_holds=_HALF_LIFE_HOLDS,
        )
        for target in SIZED
    }
    errors = {
        target.value: tabulate(target, said[target]["choose"], said[target]["score"], settings).to_dict()
        for target in TARGETS
    }
    final = ProphetForecaster()
    final.fit_segments(steps.pieces, driven=False, seed=settings.seed)
    filled = sum(piece.filled for piece in steps.pieces)
    return ObservedLearning(final, lstm, calibrations, errors, filled, (*final.reasons, *reasons))


def _hold(
    steps: Steps,
    target: Target,
    row: int,
    role: str,
    parts: Mapping[str, tuple[float, float]],
    truth: float,
    raw: Floats,
    start: float,
    whole: Segment,
) -> Hold:
    floor = 0.0
    if target is Target.MEMORY:
        floor = float(steps.between(target, start - timedelta(days=7).total_seconds(), start).max(initial=0.0))
    return Hold(
        name=f"{row}",
        role="choose" if role == "choose" else "score",
        parts={name: value[0] for name, value in parts.items()},
        truth=truth,
        needed=needed_cpu_cores(raw) if target is Target.CPU else needed_memory_bytes(raw),
        floor=floor,
        age=(len(whole) - row) / HORIZON_STEPS,
    )


def _origins(length: int, first: int, second: int) -> list[tuple[int, str]]:
    """Rows at which holds begin: overlapping ones choose (no further than `second`), whole ones score, one by one."""
    last_choosing = second - HORIZON_STEPS
    choosing: Sequence[int] = []
    if last_choosing >= first:
        count = min(_MOST_ORIGINS, last_choosing - first + 1)
        choosing = np.unique(np.linspace(first, last_choosing, count).round().astype(int)).tolist()
    scoring = list(range(max(second, WINDOW_STEPS), length - HORIZON_STEPS + 1, HORIZON_STEPS))[-_MOST_ORIGINS:]
    return [(max(row, WINDOW_STEPS), "choose") for row in choosing] + [(row, "score") for row in scoring]


def _fit_lstm(
    whole: Segment, first: int, second: int, settings: TrainSettings, reporter: Reporter, reasons: list[Reason]
) -> LstmForecaster | None:
    lstm = LstmForecaster(settings.lstm)
    # The windows that are checked may look back into the first part; what they are asked for lies behind it.
    checking = whole.cut(max(first - WINDOW_STEPS, 0), second)
    try:
        lstm.fit_segments([whole.cut(0, first)], [checking], driven=False, seed=settings.seed, reporter=reporter)
    except NotEnoughData as failure:
        reasons.append(Reason("lstm-failed", failure.message))
        return None
    reasons.extend(lstm.reasons)
    return lstm
