"""Detectors beside each other on labelled series: each is fitted, calibrated and scored on each, alone.

What a detector scored is kept in a folder (kept.py), so that a comparison that was stopped goes on, and one with a
detector more computes only that one. Thresholds and measures are computed anew each time: they take milliseconds.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mora import registry
from mora.detectors.frames import step_of
from mora.detectors.levels import paced
from mora.errors import BadInput, MoraError
from mora.health.labelled import LabelledSeries
from mora.health.measures import Events, auc_pr, count_events, range_f1, vus_pr
from mora.seams import Detector, Reporter, Silent, Threshold

Floats = NDArray[np.float64]

OWN = "own"
"""The threshold that is each detector's own rule; a detector without one has no alarms under it."""
# The rules of the documents that detectors come from; "xgboost-residual" scores as "helios" does.
_OWN_RULES = {
    "lstm-autoencoder": "quantile:quantile=0.95",
    "autoencoder": "fixed:level=0.1998",
    "helios": "fixed:level=2.5",
    "xgboost-residual": "fixed:level=2.5",
    "isolation-forest": "quantile:quantile=0.95",
    "grafana-robust": "fixed:level=1.0",
    "grafana-adaptive": "fixed:level=1.0",
}


@dataclass(frozen=True, slots=True)
class Entrant:
    """A detector or a threshold of the comparison: a registered name, and options where it takes some.

    text: as it was asked for, and as it is named in every table. at_most: how many series of each set it is fitted on,
    spread over the set; all by default.
    """

    text: str
    name: str
    options: Mapping[str, float | bool | str]
    at_most: int | None = None

    def detector(self) -> Detector:
        """A new detector. Raises BadInput for an option that it does not take."""
        made: Detector = self._made("detectors")
        return made

    def threshold(self) -> Threshold:
        """A new threshold. Raises BadInput for an option that it does not take."""
        made: Threshold = self._made("thresholds")
        return made

    def _made(self, seam: str) -> Any:
        return registry.make(seam, self.name, self.options)


def entrant(text: str, seam: str) -> Entrant:
    """A detector or threshold as a person writes it: NAME, NAME:OPTION=VALUE;OPTION=VALUE, each with @N at its end.

    >>> dict(entrant("quantile:quantile=0.95", "thresholds").options)
    {'quantile': 0.95}
    >>> entrant("robust-z@4", "detectors").at_most
    4
    """
    text, at, most = text.partition("@")
    if at and not (most.isascii() and most.isdigit() and int(most) > 0):
        raise BadInput(f"{text}@{most} does not end in a number of series.", hint=f"Write {text}@4, say.")
    name, options = (text, {}) if (seam, text) == ("thresholds", OWN) else registry.named(seam, text)
    return Entrant(text, name, options, int(most) if at else None)


@dataclass(frozen=True, slots=True)
class Scores:
    """What a detector gave for one series.

    calibrate, judge: its scores of these parts; empty where it failed. fit_seconds, score_seconds: of CPU. failure: why
    there are none; empty where there are.
    """

    calibrate: Floats
    judge: Floats
    fit_seconds: float
    score_seconds: float
    failure: str = ""


@dataclass(frozen=True, slots=True)
class Task:
    """One detector on one series."""

    detector: Entrant
    series: LabelledSeries


Workers = Callable[[Sequence[Task]], Iterable[tuple[Task, Scores]]]


def run_task(task: Task) -> tuple[Task, Scores]:
    """Fit on the first part, score the rest; a MoraError of the detector becomes the failure."""
    series, detector = task.series, task.detector.detector()
    empty = np.empty(0)
    try:
        begin = time.process_time()
        detector.fit(series.frame.iloc[series.fit].reset_index(drop=True))
        fitted = time.process_time()
        # In one piece, so that each row has the rows before it that its score depends on.
        scores = np.asarray(detector.score(series.frame), dtype=np.float64)
        ended = time.process_time()
    except MoraError as failure:
        return task, Scores(empty, empty, 0.0, 0.0, str(failure))
    # A plug-in's own error ends that plug-in's part, not hours of the others'.
    except Exception as failure:
        return task, Scores(empty, empty, 0.0, 0.0, f"{type(failure).__name__}: {failure}")
    if scores.shape != (len(series.frame),):
        return task, Scores(empty, empty, 0.0, 0.0, f"it gave scores of shape {scores.shape}")
    return task, Scores(scores[series.calibrate], scores[series.judge], fitted - begin, ended - fitted)


def one_by_one(tasks: Sequence[Task]) -> Iterator[tuple[Task, Scores]]:
    """The workers of a single process."""
    return map(run_task, tasks)


@dataclass(frozen=True, slots=True)
class Result:
    """One detector on one series, measured. events, range_f1: of each threshold, by its text.

    vus_pr, auc_pr: NaN where the detector failed. failure: why; empty where it did not.
    """

    detector: str
    set_name: str
    series: str
    vus_pr: float
    auc_pr: float
    events: Mapping[str, Events]
    range_f1: Mapping[str, float]
    fit_seconds: float
    score_seconds: float
    failure: str = ""


def measure(task: Task, scores: Scores, thresholds: Sequence[Entrant]) -> Result:
    """Scores against labels. A threshold is fitted on the calibrating part alone, and follows the judged one."""
    series = task.series
    name = (task.detector.text, series.set_name, series.id)
    failed = Result(*name, np.nan, np.nan, {}, {}, scores.fit_seconds, scores.score_seconds, scores.failure)
    if scores.failure:
        return failed
    labels, seconds = series.labels[series.judge], series.seconds[series.judge]
    events: dict[str, Events] = {}
    ranges: dict[str, float] = {}
    failure = ""
    for one in thresholds:
        rule = _rule(one, task.detector)
        if rule is None:
            continue
        threshold = paced(rule.threshold(), step_of(seconds))
        try:
            threshold.fit(scores.calibrate)
        except MoraError as refused:
            failure = f"threshold {one.text}: {refused}"
            continue
        with np.errstate(invalid="ignore"):
            alarms = scores.judge > threshold.follow(scores.judge)
        events[one.text] = count_events(seconds, labels, alarms)
        ranges[one.text] = range_f1(labels, alarms)
    return Result(
        *name,
        vus_pr(labels, scores.judge, series.window),
        auc_pr(labels, scores.judge),
        events,
        ranges,
        scores.fit_seconds,
        scores.score_seconds,
        failure,
    )


def _rule(threshold: Entrant, detector: Entrant) -> Entrant | None:
    if threshold.name != OWN:
        return threshold
    own = _OWN_RULES.get(detector.name)
    return None if own is None else entrant(own, "thresholds")


class Keeps:
    """Keeps nothing; kept.Kept keeps scores in a folder."""

    def load(self, task: Task) -> Scores | None:
        """The scores of a task that was finished before; None where there are none."""
        return None

    def save(self, task: Task, scores: Scores) -> None:
        """Keep them."""
        return None


def run(
    series: Sequence[LabelledSeries],
    detectors: Sequence[Entrant],
    thresholds: Sequence[Entrant],
    *,
    workers: Workers = one_by_one,
    kept: Keeps | None = None,
    reporter: Reporter | None = None,
) -> list[Result]:
    """Every detector on every series, in that order. workers: run tasks, in any order."""
    reporter, kept = reporter or Silent(), kept or Keeps()
    tasks = [Task(detector, one) for detector in detectors for one in _chosen(series, detector.at_most)]
    found: dict[tuple[str, str], Result] = {}
    missing = []
    for task in tasks:
        scores = kept.load(task)
        if scores is None:
            missing.append(task)
        else:
            found[_key(task)] = measure(task, scores, thresholds)
    done = len(tasks) - len(missing)
    reporter.advance("compare", done, len(tasks))
    for task, scores in workers(missing):
        if not scores.failure:  # it may be an extra that is not installed yet
            kept.save(task, scores)
        found[_key(task)] = measure(task, scores, thresholds)
        done += 1
        reporter.advance("compare", done, len(tasks), f"{task.detector.text} on {task.series.name}")
    return [found[_key(task)] for task in tasks]


def _chosen(series: Sequence[LabelledSeries], at_most: int | None) -> list[LabelledSeries]:
    """All of them, or so many of each set, at equal distances."""
    if at_most is None:
        return list(series)
    found = []
    for name in dict.fromkeys(one.set_name for one in series):
        own = [one for one in series if one.set_name == name]
        places = np.linspace(0, len(own) - 1, min(at_most, len(own))).round().astype(int)
        found += [own[place] for place in places]
    return found


def _key(task: Task) -> tuple[str, str]:
    return task.detector.text, task.series.name
