"""Learning from load experiments: what is kept out of training, and how the forecasters are weighed on it.

Two questions are asked of driven data, and each is calibrated on validation runs of its own kind:

- *a driven cell* (the default): scenario, replicas and users that were driven. One run of a cell is left out while its
  repeats stay: how well does the past of a cell predict its next run?
- *an undriven cell* (`--users 150`): the whole cell is left out, repeats included, since they are siblings and would
  give each other's answer away. How well do the other cells predict this one?

What is dear to fit (the network) is fitted once, on cells that neither choose nor score. What is cheap (Prophet, the
load response) is fitted again without each fold.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mora.coverage import keeps, needed_cpu_cores, needed_memory_bytes
from mora.domain import Load, Reason, Target
from mora.domain.learning import Experiments, Floats, Segment
from mora.errors import NotEnoughData
from mora.features import (
    HORIZON_STEPS,
    MIN_TARGET_STEPS,
    TARGET_COLUMNS,
    TARGETS,
    WINDOW_STEPS,
    grid_step,
    segments,
)
from mora.model import learners
from mora.model.calibration import Calibration, ValidationWindow, calibrate
from mora.model.cells import (
    MIN_CELLS_TO_LEAVE_OUT,
    SIZED,
    Split,
    cell_of,
    is_pinned,
    limit_bound_names,
    memory_peak,
    split_cells,
)
from mora.model.learners import Fitted
from mora.model.next_steps import next_step_errors
from mora.model.parts import Outlook, Parts, outlooks_of, window_readers
from mora.model.settings import PRIOR_MULTIPLIER_DRIVEN, PRIOR_RATE, TrainSettings
from mora.response import LoadResponse, Run
from mora.seams import Forecaster, Reporter, Silent

if TYPE_CHECKING:
    import pandas as pd

MIN_EXPERIMENTS = 3
MIN_SAMPLES = WINDOW_STEPS + MIN_TARGET_STEPS
_FOLDS = 5


@dataclass(frozen=True, slots=True)
class DrivenLearning:
    """The result of training on driven data.

    windowed: experiments that windows were cut from. samples_filled: how many samples stood in short gaps.
    """

    forecasters: Fitted
    response: LoadResponse
    calibrations: Mapping[str, Mapping[Target, Calibration]]
    errors: Mapping[str, Mapping[str, Any]]
    windowed: tuple[str, ...]
    samples_filled: int
    reasons: tuple[Reason, ...]


@dataclass(frozen=True, slots=True)
class _Lesson:
    """The data and the forecasters of one training.

    forecasters: those that are fitted again for each fold. once: the others, fitted. outlooks: what those expect after
    the first part of each run. failed: forecasters of the blend that could not be fitted.
    """

    pieces: tuple[Segment, ...]
    response: LoadResponse
    split: Split
    settings: TrainSettings
    forecasters: Mapping[str, Forecaster]
    once: Fitted
    outlooks: Mapping[str, Outlook]
    failed: tuple[str, ...]

    def without(self, names: frozenset[str], *, targets: Sequence[Target] = SIZED) -> Parts:
        """All the forecasters, as if these experiments had never been run."""
        response = self.response.without(names)
        kept = tuple(piece for piece in self.pieces if piece.name not in names)
        again = self._fitted_again(kept, response, targets)
        looking = {name: again[name] for name in window_readers(again, response)}
        own = outlooks_of(self.heads, looking)
        outlooks = {name: {**own[name], **self.outlooks[name]} for name in self.outlooks if name not in names}
        return Parts({**again, **self.once}, response, outlooks)

    def on_heads(self) -> Fitted:
        """The forecasters as they are without the last part of every run, all cells included."""
        return {**self._fitted_again(self.heads, self.response, TARGETS), **self.once}

    def _fitted_again(self, pieces: Sequence[Segment], response: LoadResponse, targets: Sequence[Target]) -> Fitted:
        data = Experiments(pieces, (), targets, limit_bound_names(response))
        return learners.fit_each(self.forecasters, data, seed=self.settings.seed, reporter=Silent())[0]

    @property
    def heads(self) -> tuple[Segment, ...]:
        """Every run without its last part, which is predicted."""
        return tuple(piece.cut(0, origin_of(piece)) for piece in self.pieces)

    def ending(self, name: str, target: Target) -> Floats:
        """The last steps of a run, which are predicted."""
        piece = self.named[name]
        return piece.values[TARGET_COLUMNS[target]][origin_of(piece) :]

    @property
    def named(self) -> dict[str, Segment]:
        return {piece.name: piece for piece in self.pieces}

    @property
    def runs(self) -> dict[str, Run]:
        """The runs that windows are cut from; the response knows more, also those that were cut short."""
        return {run.experiment_id: run for run in self.response.runs if run.experiment_id in self.named}


def learn(
    frame: pd.DataFrame, cards: Mapping[str, Mapping[str, Any]], settings: TrainSettings, reporter: Reporter
) -> DrivenLearning:
    """Fit, validate, calibrate. frame: driven rows of one service. Raises NotEnoughData with what is needed."""
    step = grid_step(frame)
    pieces = tuple(longest_pieces(segments(frame, step=step)))
    _check_enough(frame, pieces)
    # Runs too broken for a window (OOM kills tear them) still show what a load does.
    response = LoadResponse.fit(frame, cards)
    names = {piece.name for piece in pieces}
    split = split_cells([run for run in response.runs if run.experiment_id in names], seed=settings.seed)
    forecasters = learners.chosen(settings)
    once, failures = _fit_once(learners.fitted_once(forecasters), pieces, split, response, settings, reporter)
    again = learners.refitted(forecasters)
    data = Experiments(pieces, (), TARGETS, limit_bound_names(response))
    final, more = learners.fit_each(again, data, seed=settings.seed, reporter=reporter)
    fitted = {name: {**final, **once}[name] for name in forecasters if name in final or name in once}
    heads = [piece.cut(0, origin_of(piece)) for piece in pieces]
    failed = tuple(name for name in settings.weights if name not in fitted)
    lesson = _Lesson(
        pieces,
        response,
        split,
        settings,
        {name: forecaster for name, forecaster in again.items() if name in final},
        once,
        outlooks_of(heads, once),
        failed,
    )
    reporter.advance("Validation", 0, 3)
    if split.score:
        calibrations, errors, found = _validate_on_cells(lesson, reporter)
    else:
        calibrations, errors, found = _validate_on_endings(lesson)
    reporter.advance("Validation", 3, 3)
    filled = sum(piece.filled for piece in pieces)
    reasons = (*learners.reasons_of(fitted), *failures, *more, *found)
    return DrivenLearning(fitted, response, calibrations, errors, tuple(sorted(names)), filled, reasons)


def longest_pieces(pieces: Sequence[Segment]) -> list[Segment]:
    """Of each experiment that a long gap cut, the longest piece."""
    best: dict[str, Segment] = {}
    for piece in pieces:
        if piece.name not in best or len(piece) > len(best[piece.name]):
            best[piece.name] = piece
    return [piece for piece in best.values() if len(piece) >= MIN_SAMPLES]


def _check_enough(frame: pd.DataFrame, pieces: Sequence[Segment]) -> None:
    if len(pieces) < MIN_EXPERIMENTS:
        service = str(frame["service"].iloc[0])
        raise NotEnoughData(
            f"Not enough experiments to train {service!r}: {MIN_EXPERIMENTS} with {MIN_SAMPLES} samples in one "
            f"piece are needed ({WINDOW_STEPS + HORIZON_STEPS} to be scored), {len(pieces)} of "
            f"{frame['experiment_id'].nunique()} have that many.",
            hint="Collect more with: mora collect --plan quick",
        )


def _fit_once(
    forecasters: Mapping[str, Forecaster],
    pieces: Sequence[Segment],
    split: Split,
    response: LoadResponse,
    settings: TrainSettings,
    reporter: Reporter,
) -> tuple[Fitted, list[Reason]]:
    fitting = [piece for piece in pieces if piece.name in split.fit]
    checking = [piece for piece in pieces if piece.name in split.choose]
    data = Experiments(fitting, checking, TARGETS, limit_bound_names(response))
    return learners.fit_each(forecasters, data, seed=settings.seed, reporter=reporter)


# --- cells left out --------------------------------------------------------------------------------------------------


def _validate_on_cells(
    lesson: _Lesson, reporter: Reporter
) -> tuple[dict[str, dict[Target, Calibration]], dict[str, Any], list[Reason]]:
    runs = lesson.runs
    kept_out = sorted(lesson.split.choose | lesson.split.score)
    cells = sorted({cell_of(runs[name]) for name in kept_out})
    undriven_parts: dict[str, Parts] = {}
    for fold in range(min(_FOLDS, len(cells))):
        out = cells[fold::_FOLDS]
        parts = lesson.without(
            frozenset(run.experiment_id for run in lesson.response.runs if cell_of(run) in out), targets=TARGETS
        )
        undriven_parts |= {name: parts for name in kept_out if cell_of(runs[name]) in out}
    reporter.advance("Validation", 1, 3)
    # A repeat is left out beside its siblings only where it has some.
    siblings = {name: sorted(n for n in runs if cell_of(runs[n]) == cell_of(runs[name])) for name in kept_out}
    driven_parts: dict[str, Parts] = {}
    for turn in range(max(len(own) for own in siblings.values())):
        names = frozenset(name for name in kept_out if len(siblings[name]) > 1 and siblings[name].index(name) == turn)
        if names:
            driven_parts |= dict.fromkeys(names, lesson.without(names))
    reporter.advance("Validation", 2, 3)
    calibrations = {
        "undriven": _calibrate_cells(lesson, undriven_parts, "at a load never driven"),
        "driven": _calibrate_cells(lesson, driven_parts, "at a driven load"),
    }
    reasons: list[Reason] = []
    if not driven_parts:
        calibrations["driven"] = calibrations["undriven"]
        reasons.append(
            Reason("no-repeats", "no cell was driven twice: bounds and confidence are those of cells never driven")
        )
    errors = next_step_errors(
        lesson.pieces, runs, lesson.split, lesson.settings, lambda name: undriven_parts[name].forecasters
    )
    return calibrations, errors, reasons


def _calibrate_cells(lesson: _Lesson, parts_without: Mapping[str, Parts], where: str) -> dict[Target, Calibration]:
    found = {
        target: calibrate(
            target,
            [
                window
                for name, parts in sorted(parts_without.items())
                if (window := _validation_window(lesson, name, target, parts)) is not None
            ],
            prior_multiplier=PRIOR_MULTIPLIER_DRIVEN[target],
            settings=lesson.settings,
            subject=f"{target.value} {where}",
            failed=lesson.failed,
        )
        for target in SIZED
    }
    found[Target.REPLICAS] = _calibrate_replicas(lesson, parts_without)
    return found


def _validation_window(lesson: _Lesson, name: str, target: Target, parts: Parts) -> ValidationWindow | None:
    """One run that was left out; None where it was limit-bound, so that its need is not known."""
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


def _calibrate_replicas(lesson: _Lesson, parts_without: Mapping[str, Parts]) -> Calibration:
    """Whether the replicas that were chosen without a run met the SLO in it.

    A run shows that where it had as many replicas as chosen; with fewer it shows it only if the SLO was met all the
    same, with more only if it was not. Chosen as by default, with the usual target utilisation.
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


def _validate_on_endings(
    lesson: _Lesson,
) -> tuple[dict[str, dict[Target, Calibration]], dict[str, Any], list[Reason]]:
    """Bounds from the last part of every run, predicted from its first; nothing is left to score.

    What is fitted once has seen these endings, save those of the cell that stopped it: only there does it take part.
    """
    cells = {cell_of(run) for run in lesson.runs.values()}
    fitted = lesson.on_heads()
    outlooks = outlooks_of(lesson.heads, fitted)
    found: dict[Target, Calibration] = {}
    for target in SIZED:
        windows = []
        for name, run in sorted(lesson.runs.items()):
            if is_pinned(run, target):
                continue
            able = [n for n in fitted if n not in lesson.once or name in lesson.split.choose]
            at_load = Parts({n: fitted[n] for n in able}, lesson.response, {})
            parts = {n: outlooks[name][n][target] for n in able if target in outlooks[name][n]}
            parts |= at_load.levels(target, Load(run.scenario, run.users), run.replicas)
            ahead = lesson.ending(name, target)
            need = needed_cpu_cores(ahead) if target is Target.CPU else needed_memory_bytes(ahead)
            windows.append(ValidationWindow(name, "choose", parts, float(ahead.mean()), need))
        found[target] = calibrate(
            target,
            windows,
            prior_multiplier=PRIOR_MULTIPLIER_DRIVEN[target],
            settings=lesson.settings,
            failed=lesson.failed,
        )
    found[Target.REPLICAS] = Calibration(Target.REPLICAS, {}, 1.0, 0, False, 0, 0, PRIOR_RATE[Target.REPLICAS])
    reason = Reason(
        "few-cells",
        f"{len(cells)} cells were driven, {MIN_CELLS_TO_LEAVE_OUT} are needed to leave some out "
        f"(with {MIN_SAMPLES} samples or more): bounds come from the last part of each run and from other services, "
        "confidence is that of other services",
    )
    errors = next_step_errors(lesson.pieces, lesson.runs, lesson.split, lesson.settings, lambda _: fitted)
    return {"driven": found, "undriven": found}, errors, [reason]


def origin_of(piece: Segment) -> int:
    """Where the predicted part of a run begins: a horizon before its end, or later where no window would fit before."""
    return min(len(piece) - MIN_TARGET_STEPS, max(WINDOW_STEPS, len(piece) - HORIZON_STEPS))
