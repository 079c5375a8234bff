"""Learning from load experiments: what is held out, and what each part says of a cell.

Two questions are asked of driven data, and each is calibrated on its own kind of held-out stretch:

- *a driven cell* (the default): scenario, replicas and users that were driven. One run of a cell is left out while its
  repeats stay: how well does the past of a cell tell its next run?
- *an undriven cell* (`--users 150`): the whole cell is left out, repeats included, since they are siblings and would
  tell each other's answer. How well do the other cells tell this one?

The network is fitted once, on cells that neither choose nor score. What is cheap (Prophet, the load response) is fitted
again without each fold.
"""

from __future__ import annotations

import math
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from mora.coverage import keeps, needed_cpu_cores, needed_memory_bytes
from mora.domain import Load, Reason, Target
from mora.errors import NotEnoughData
from mora.features import (
    HIGH_QUANTILE,
    HORIZON_STEPS,
    MIN_TARGET_STEPS,
    TARGET_COLUMNS,
    TARGETS,
    WINDOW_STEPS,
    Floats,
    Segment,
    grid_step,
    segments,
)
from mora.forecasters.lstm import LstmForecaster
from mora.forecasters.naive import last_window
from mora.forecasters.prophet import ProphetForecaster
from mora.fusion import NAIVE
from mora.model.calibration import Calibration, ValidationWindow, calibrate
from mora.model.report import tabulate
from mora.model.settings import PRIOR_MULTIPLIER_DRIVEN, PRIOR_RATE, TrainSettings
from mora.response import LoadResponse, Run
from mora.seams import Reporter

if TYPE_CHECKING:
    import pandas as pd

SIZED = (Target.CPU, Target.MEMORY)
LEAST_EXPERIMENTS = 3
LEAST_SAMPLES = WINDOW_STEPS + MIN_TARGET_STEPS
# With fewer cells nothing can be left out whole: every one of them is an edge that the others would have to guess.
LEAST_CELLS_TO_LEAVE_OUT = 9
_FOLDS = 5

Cell = tuple[str, int, int]


def cell_of(run: Run) -> Cell:
    """What repeats share: scenario, replicas, users."""
    return (run.scenario, run.replicas, run.users)


@dataclass(frozen=True, slots=True)
class Split:
    """Experiments by what they are for; all repeats of a cell are in one part."""

    fit: frozenset[str]
    choose: frozenset[str]
    score: frozenset[str]


def split_cells(runs: Sequence[Run], *, seed: int) -> Split:
    """Cells into fit, choose and score, about 4 : 3 : 2 within every scenario, drawn by the seed.

    With few cells one alone chooses when to stop the network, and none scores.
    """
    cells = sorted({cell_of(run) for run in runs})
    rng = np.random.default_rng(seed)
    choose: set[Cell] = set()
    score: set[Cell] = set()
    if len(cells) < LEAST_CELLS_TO_LEAVE_OUT:
        sizes = {cell[0]: sum(other[0] == cell[0] for other in cells) for cell in cells}
        largest = max(sorted(sizes), key=lambda scenario: sizes[scenario])
        candidates = [cell for cell in cells if cell[0] == largest]
        choose = {candidates[int(rng.integers(len(candidates)))]}
    else:
        for scenario in sorted({cell[0] for cell in cells}):
            own = [cell for cell in cells if cell[0] == scenario]
            order = [own[index] for index in rng.permutation(len(own))]
            choosing, scoring = round(len(own) / 3), round(len(own) * 2 / 9)
            choose |= set(order[:choosing])
            score |= set(order[choosing : choosing + scoring])
    part = {"fit": set[str](), "choose": set[str](), "score": set[str]()}
    for run in runs:
        cell = cell_of(run)
        part["choose" if cell in choose else "score" if cell in score else "fit"].add(run.experiment_id)
    return Split(frozenset(part["fit"]), frozenset(part["choose"]), frozenset(part["score"]))


Outlook = Mapping[str, Mapping[Target, float]]
"""forecaster (lstm, naive) -> target -> mean use that it expects of the steps after a window."""


def outlooks_of(pieces: Sequence[Segment], lstm: LstmForecaster | None) -> dict[str, Outlook]:
    """What the LSTM and the naive forecast expect after every segment's last window."""
    found: dict[str, dict[str, Mapping[Target, float]]] = {
        piece.name: {NAIVE: {target: last_window(piece.values[TARGET_COLUMNS[target]])[0] for target in TARGETS}}
        for piece in pieces
    }
    if lstm is not None:
        for piece, after in zip(pieces, lstm.after_all(pieces), strict=True):
            found[piece.name]["lstm"] = {target: said[0] for target, said in after.items()}
    return dict(found)


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts that speak of a cell: Prophet by its regressors, LSTM and naive forecast by the nearest runs."""

    prophet: ProphetForecaster | None
    response: LoadResponse
    outlooks: Mapping[str, Outlook]
    """experiment -> what is expected after a window of it."""

    def levels(self, target: Target, load: Load, replicas: int) -> dict[str, float]:
        """forecaster -> use per pod at the cell, without the parts that have nothing to say of it."""
        found: dict[str, float] = {}
        if self.prophet is not None and load.scenario in self.prophet.scenarios:
            found["prophet"] = self.prophet.at(target, load, replicas)
        nearest = nearest_runs(self.response, target, load, replicas, windowed=self.outlooks)
        outlooks = [(run, self.outlooks[run.experiment_id]) for run in nearest]
        if outlooks:
            found[NAIVE] = float(np.mean([outlook[NAIVE][target] for _, outlook in outlooks]))
        carried = [
            outlook["lstm"][target] * self._ratio(target, load, replicas, run)
            for run, outlook in outlooks
            if "lstm" in outlook
        ]
        if carried:
            found["lstm"] = float(np.mean(carried))
        return found

    def _ratio(self, target: Target, load: Load, replicas: int, run: Run) -> float:
        """Use at the asked cell over use at the run's cell, by the load response."""
        asked = self.response.use(target, load, replicas).value
        there = self.response.use(target, Load(run.scenario, run.users), run.replicas).value
        return asked / there if asked is not None and there else 1.0


def is_pinned(run: Run, target: Target) -> bool:
    return run.is_cpu_pinned if target is Target.CPU else run.is_memory_pinned


def nearest_runs(
    response: LoadResponse, target: Target, load: Load, replicas: int, *, windowed: Container[str]
) -> list[Run]:
    """The runs of the driven cell nearest to the asked one, in users per pod, then replicas, then users.

    windowed: experiments long enough to be looked at through a window; others are passed over. Runs that were held at
    a limit stand back where there are others: their level is the limit's.
    """
    own = [run for run in response.runs_of(load.scenario) if run.experiment_id in windowed]
    candidates = [run for run in own if not is_pinned(run, target)] or list(own)
    if not candidates:
        return []
    asked = load.users / max(replicas, 1)

    def distance(run: Run) -> tuple[float, int, int]:
        far = abs(math.log(max(run.users_per_pod, 1e-9) / max(asked, 1e-9)))
        return (round(far, 9), abs(run.replicas - replicas), abs(run.users - load.users))

    least = min(distance(run) for run in candidates)
    cell = cell_of(next(run for run in candidates if distance(run) == least))
    return [run for run in candidates if cell_of(run) == cell]


@dataclass(frozen=True, slots=True)
class DrivenLearning:
    """What training on driven data leaves behind."""

    prophet: ProphetForecaster
    lstm: LstmForecaster | None
    response: LoadResponse
    calibrations: Mapping[str, Mapping[Target, Calibration]]
    errors: Mapping[str, Mapping[str, Any]]
    windowed: tuple[str, ...]
    """Experiments that windows were cut from."""
    samples_filled: int
    reasons: tuple[Reason, ...]


@dataclass(frozen=True, slots=True)
class _Lesson:
    """What every step of the training needs at hand."""

    frame: pd.DataFrame
    cards: Mapping[str, Mapping[str, Any]]
    pieces: tuple[Segment, ...]
    response: LoadResponse
    split: Split
    settings: TrainSettings
    outlooks: Mapping[str, Outlook]

    def without(self, names: frozenset[str], *, targets: Sequence[Target] = SIZED) -> Parts:
        """All the parts, as if these experiments had never been run."""
        frame = self.frame[~self.frame["experiment_id"].isin(names)]
        response = LoadResponse.fit(frame, self.cards)
        prophet = ProphetForecaster(targets)
        kept = [piece for piece in self.pieces if piece.name not in names]
        prophet.fit_segments(kept, driven=True, seed=self.settings.seed, left_out=pinned_names(response))
        return Parts(prophet, response, self.outlooks)

    def ending(self, name: str, target: Target) -> Floats:
        """The last steps of a run, which are foretold."""
        piece = self.named[name]
        return piece.values[TARGET_COLUMNS[target]][origin_of(piece) :]

    @property
    def named(self) -> dict[str, Segment]:
        return {piece.name: piece for piece in self.pieces}

    @property
    def runs(self) -> dict[str, Run]:
        """The runs that windows are cut from; the response knows more, also those that were cut short."""
        return {run.experiment_id: run for run in self.response.runs if run.experiment_id in self.named}


def pinned_names(response: LoadResponse) -> dict[Target, frozenset[str]]:
    """Per target, the runs whose use is a limit and not a need."""
    return {target: frozenset(run.experiment_id for run in response.runs if is_pinned(run, target)) for target in SIZED}


def learn(
    frame: pd.DataFrame, cards: Mapping[str, Mapping[str, Any]], settings: TrainSettings, reporter: Reporter
) -> DrivenLearning:
    """Fit, hold out, calibrate. frame: driven rows of one service. Raises NotEnoughData with what is needed."""
    step = grid_step(frame)
    pieces = tuple(longest_pieces(segments(frame, step=step)))
    _check_enough(frame, pieces)
    # Runs too broken for a window (OOM kills tear them) still tell what a load does.
    response = LoadResponse.fit(frame, cards)
    names = {piece.name for piece in pieces}
    split = split_cells([run for run in response.runs if run.experiment_id in names], seed=settings.seed)
    lstm, reasons = _fit_lstm(pieces, split, settings, reporter)
    outlooks = outlooks_of([piece.cut(0, origin_of(piece)) for piece in pieces], lstm)
    lesson = _Lesson(frame, cards, pieces, response, split, settings, outlooks)
    prophet = ProphetForecaster()
    prophet.fit_segments(pieces, driven=True, seed=settings.seed, left_out=pinned_names(response))
    reporter.advance("Held out", 0, 3)
    if split.score:
        calibrations, errors, found = _hold_out_cells(lesson, lstm, reporter)
    else:
        calibrations, errors, found = _hold_out_endings(lesson, lstm)
    reporter.advance("Held out", 3, 3)
    filled = sum(piece.filled for piece in pieces)
    reasons = [*prophet.reasons, *reasons, *found]
    return DrivenLearning(prophet, lstm, response, calibrations, errors, tuple(sorted(names)), filled, tuple(reasons))


def longest_pieces(pieces: Sequence[Segment]) -> list[Segment]:
    """Of each experiment that a long gap cut, the longest piece."""
    best: dict[str, Segment] = {}
    for piece in pieces:
        if piece.name not in best or len(piece) > len(best[piece.name]):
            best[piece.name] = piece
    return [piece for piece in best.values() if len(piece) >= LEAST_SAMPLES]


def _check_enough(frame: pd.DataFrame, pieces: Sequence[Segment]) -> None:
    if len(pieces) < LEAST_EXPERIMENTS:
        service = str(frame["service"].iloc[0])
        raise NotEnoughData(
            f"Not enough experiments to train {service!r}: {LEAST_EXPERIMENTS} with {LEAST_SAMPLES} samples in one "
            f"piece are needed ({WINDOW_STEPS + HORIZON_STEPS} to be scored), {len(pieces)} of "
            f"{frame['experiment_id'].nunique()} have that many.",
            hint="Collect more with: mora collect --plan quick",
        )


def _fit_lstm(
    pieces: Sequence[Segment], split: Split, settings: TrainSettings, reporter: Reporter
) -> tuple[LstmForecaster | None, list[Reason]]:
    lstm = LstmForecaster(settings.lstm)
    fitting = [piece for piece in pieces if piece.name in split.fit]
    checking = [piece for piece in pieces if piece.name in split.choose]
    try:
        lstm.fit_segments(fitting, checking, driven=True, seed=settings.seed, reporter=reporter)
    except NotEnoughData as failure:
        return None, [Reason("lstm-failed", failure.message)]
    return lstm, list(lstm.reasons)


# --- cells left out --------------------------------------------------------------------------------------------------


def _hold_out_cells(
    lesson: _Lesson, lstm: LstmForecaster | None, reporter: Reporter
) -> tuple[dict[str, dict[Target, Calibration]], dict[str, Any], list[Reason]]:
    runs = lesson.runs
    held = sorted(lesson.split.choose | lesson.split.score)
    cells = sorted({cell_of(runs[name]) for name in held})
    undriven_parts: dict[str, Parts] = {}
    for fold in range(min(_FOLDS, len(cells))):
        out = cells[fold::_FOLDS]
        parts = lesson.without(
            frozenset(run.experiment_id for run in lesson.response.runs if cell_of(run) in out), targets=TARGETS
        )
        undriven_parts |= {name: parts for name in held if cell_of(runs[name]) in out}
    reporter.advance("Held out", 1, 3)
    # A repeat is left out beside its siblings only where it has some.
    siblings = {name: sorted(n for n in runs if cell_of(runs[n]) == cell_of(runs[name])) for name in held}
    driven_parts: dict[str, Parts] = {}
    for turn in range(max(len(own) for own in siblings.values())):
        names = frozenset(name for name in held if len(siblings[name]) > 1 and siblings[name].index(name) == turn)
        if names:
            driven_parts |= dict.fromkeys(names, lesson.without(names))
    reporter.advance("Held out", 2, 3)
    calibrations = {
        "undriven": _calibrate_cells(lesson, undriven_parts, lstm, "at a load never driven"),
        "driven": _calibrate_cells(lesson, driven_parts, lstm, "at a driven load"),
    }
    reasons: list[Reason] = []
    if not driven_parts:
        calibrations["driven"] = calibrations["undriven"]
        reasons.append(
            Reason("no-repeats", "no cell was driven twice: bounds and confidence are those of cells never driven")
        )
    errors = _next_steps(lesson, lstm, undriven_parts)
    return calibrations, errors, reasons


def _calibrate_cells(
    lesson: _Lesson, parts_without: Mapping[str, Parts], lstm: LstmForecaster | None, where: str
) -> dict[Target, Calibration]:
    failed = ("lstm",) if lstm is None else ()
    found = {
        target: calibrate(
            target,
            [
                horizon
                for name, parts in sorted(parts_without.items())
                if (horizon := _validation_window(lesson, name, target, parts)) is not None
            ],
            prior_multiplier=PRIOR_MULTIPLIER_DRIVEN[target],
            settings=lesson.settings,
            subject=f"{target.value} {where}",
            failed=failed,
        )
        for target in SIZED
    }
    found[Target.REPLICAS] = _calibrate_replicas(lesson, parts_without)
    return found


def _validation_window(lesson: _Lesson, name: str, target: Target, parts: Parts) -> ValidationWindow | None:
    """One left-out run as a held-out stretch; None where it was held at a limit, so that its need is not known."""
    run = lesson.runs[name]
    if is_pinned(run, target) or not parts.response.runs_of(run.scenario):
        return None
    load = Load(run.scenario, run.users)
    point = parts.response.use(target, load, run.replicas)
    floor = point.upper or 0.0
    if target is Target.MEMORY:
        floor = max(floor, memory_peak(parts.response, load, run.replicas))
    whole = lesson.named[name].values[TARGET_COLUMNS[target]]
    return ValidationWindow(
        name=name,
        role="choose" if name in lesson.split.choose else "score",
        parts=parts.levels(target, load, run.replicas),
        truth=float(lesson.ending(name, target).mean()),
        needed=needed_cpu_cores(whole) if target is Target.CPU else needed_memory_bytes(whole),
        floor=floor,
    )


def runs_up_to(response: LoadResponse, load: Load, replicas: int) -> list[Run]:
    """The runs of a scenario at up to the asked users per pod; the lowest ones where it lies below all."""
    own = response.runs_of(load.scenario)
    share = load.users / max(replicas, 1)
    upto = [run for run in own if run.users_per_pod <= share * (1 + 1e-9)]
    least = min(run.users_per_pod for run in own)
    return upto or [run for run in own if run.users_per_pod == least]


def memory_peak(response: LoadResponse, load: Load, replicas: int) -> float:
    """The highest memory use over driven runs at up to the asked users per pod."""
    return max(run.memory_peak_bytes for run in runs_up_to(response, load, replicas))


def _calibrate_replicas(lesson: _Lesson, parts_without: Mapping[str, Parts]) -> Calibration:
    """Whether the replicas that were chosen without a run kept the SLO in it.

    A run tells that where it had as many replicas as chosen; with fewer it tells only if the SLO was met all the same,
    with more only if it was not. Chosen as by default, with the usual target utilisation; the promise is the SLO.
    """
    kept = windows = 0
    for name in sorted(parts_without):
        run = lesson.runs[name]
        if name not in lesson.split.score or run.latency_p95_seconds is None or run.error_ratio is None:
            continue
        response = parts_without[name].response
        chosen = response.choose_replicas(Load(run.scenario, run.users), lesson.settings.slo).replicas
        if chosen is None:
            continue
        is_met = keeps(run.latency_p95_seconds, run.error_ratio, lesson.settings.slo)
        if run.replicas == chosen or (run.replicas < chosen and is_met) or (run.replicas > chosen and not is_met):
            kept += is_met
            windows += 1
    return Calibration(Target.REPLICAS, {}, 1.0, 0, False, kept, windows, PRIOR_RATE[Target.REPLICAS])


# --- too few cells: the end of every run is left out -----------------------------------------------------------------


def _hold_out_endings(
    lesson: _Lesson, lstm: LstmForecaster | None
) -> tuple[dict[str, dict[Target, Calibration]], dict[str, Any], list[Reason]]:
    """Bounds from the last part of every run, foretold from its first; nothing is left to score.

    The network has seen these endings, save those of the cell that stopped it: only there does it take part.
    """
    cells = {cell_of(run) for run in lesson.response.runs}
    heads = tuple(piece.cut(0, origin_of(piece)) for piece in lesson.pieces)
    prophet = ProphetForecaster()
    prophet.fit_segments(heads, driven=True, seed=lesson.settings.seed, left_out=pinned_names(lesson.response))
    found: dict[Target, Calibration] = {}
    for target in SIZED:
        windows = []
        for name, run in sorted(lesson.runs.items()):
            if is_pinned(run, target):
                continue
            parts = {
                NAIVE: lesson.outlooks[name][NAIVE][target],
                "prophet": prophet.at(target, Load(run.scenario, run.users), run.replicas),
            }
            if lstm is not None and name in lesson.split.choose:
                parts["lstm"] = lesson.outlooks[name]["lstm"][target]
            ahead = lesson.ending(name, target)
            need = needed_cpu_cores(ahead) if target is Target.CPU else needed_memory_bytes(ahead)
            windows.append(ValidationWindow(name, "choose", parts, float(ahead.mean()), need))
        found[target] = calibrate(
            target,
            windows,
            prior_multiplier=PRIOR_MULTIPLIER_DRIVEN[target],
            settings=lesson.settings,
            failed=("lstm",) if lstm is None else (),
        )
    found[Target.REPLICAS] = Calibration(Target.REPLICAS, {}, 1.0, 0, False, 0, 0, PRIOR_RATE[Target.REPLICAS])
    reason = Reason(
        "few-cells",
        f"{len(cells)} cells were driven, {LEAST_CELLS_TO_LEAVE_OUT} are needed to leave some out: bounds come from "
        "the last part of each run and from other services, confidence is that of other services",
    )
    return {"driven": found, "undriven": found}, _next_steps(lesson, lstm, {}, prophet=prophet), [reason]


def origin_of(piece: Segment) -> int:
    """Where a run is held out from: a horizon before its end, or later where a window would not fit before that."""
    return min(len(piece) - MIN_TARGET_STEPS, max(WINDOW_STEPS, len(piece) - HORIZON_STEPS))


# --- the errors of the next thirty steps -----------------------------------------------------------------------------


def _next_steps(
    lesson: _Lesson,
    lstm: LstmForecaster | None,
    parts_without: Mapping[str, Parts],
    *,
    prophet: ProphetForecaster | None = None,
) -> dict[str, Any]:
    """Errors of the mean and the p95 of the next 30 steps, of full horizons only, where the last window is known.

    Prophet speaks by its regressors alone, fitted without the cell; the LSTM and the naive forecast see the window.
    Weights for this question are chosen on the cells that choose, the table is of those that score (of the cell that
    stopped the network where none does).
    """
    scored = lesson.split.score or lesson.split.choose
    tables = {}
    for target in TARGETS:
        rows = {"choose": _rows(lesson, lstm, parts_without, prophet, target, lesson.split.choose)}
        rows["score"] = (
            rows["choose"] if not lesson.split.score else _rows(lesson, lstm, parts_without, prophet, target, scored)
        )
        tables[target.value] = tabulate(target, rows["choose"], rows["score"], lesson.settings).to_dict()
    return tables


def _rows(
    lesson: _Lesson,
    lstm: LstmForecaster | None,
    parts_without: Mapping[str, Parts],
    prophet: ProphetForecaster | None,
    target: Target,
    names: frozenset[str],
) -> list[tuple[str, dict[str, tuple[float, float]], tuple[float, float]]]:
    """(experiment, forecaster -> (mean, p95), truth) of every full horizon of the named experiments."""
    found = []
    column = TARGET_COLUMNS[target]
    for piece in lesson.pieces:
        # What was held at a limit is the limit's use: foretelling it is no merit, missing it no fault.
        if piece.name not in names or (target in SIZED and is_pinned(lesson.runs[piece.name], target)):
            continue
        curve = parts_without[piece.name].prophet if piece.name in parts_without else prophet
        for start in range(len(piece) - WINDOW_STEPS - HORIZON_STEPS + 1):
            window = piece.cut(start, start + WINDOW_STEPS)
            ahead = piece.values[column][start + WINDOW_STEPS : start + WINDOW_STEPS + HORIZON_STEPS]
            said = {NAIVE: last_window(window.values[column])}
            if lstm is not None:
                said["lstm"] = lstm.after(window)[target]
            if curve is not None and target in curve.curves:
                said["prophet"] = curve.level_and_high(target, window, HORIZON_STEPS, quantile=HIGH_QUANTILE)
            found.append((piece.name, said, last_window(ahead, HORIZON_STEPS)))
    return found
