"""Comparing detectors on labelled series."""

from __future__ import annotations

import fnmatch
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mora import registry
from mora.errors import BadInput
from mora.quantities import format_duration
from mora.seams import Reporter, Silent

if TYPE_CHECKING:
    from mora.health.contest import Scores, Task, Workers
    from mora.health.labelled import LabelledSeries
    from mora.health.ranking import Comparison

# Detectors that take minutes of CPU for each series: by default they are fitted on some series of each set.
SLOW = {"lstm-autoencoder": 3, "autoencoder": 3}
REFERENCE = "context-distance"


def compare_detectors(
    files: Sequence[str | Path] = (),
    *,
    sets: Sequence[str] = (),
    detectors: Sequence[str] = (),
    thresholds: Sequence[str] = (),
    only: Sequence[str] = (),
    train_share: float | None = None,
    window: int | None = None,
    reference: str | None = None,
    jobs: int = 1,
    cache_dir: Path | str | None = None,
    traces: Path | str | None = None,
    reporter: Reporter | None = None,
) -> Comparison:
    """Fit detectors on the first part of labelled series, and measure them on the rest (mora/health/measures.py).

    files: labelled CSV or Parquet files (labelled.read_file); without them, the recorded sets that `sets` names, all by
    default. detectors, thresholds: names, NAME:OPTION=VALUE, and NAME@N for N series of each set; by default all
    detectors, slow ones on some series. only: patterns of SET/SERIES. reference: the detector that others are compared
    with. cache_dir: where scores are kept, so that a comparison that was stopped goes on. traces: the folder of the
    recorded sets. Raises BadInput, BadDataset, NotEnoughData.
    """
    from mora.health import contest, kept, labelled
    from mora.health.model import USUAL_THRESHOLD
    from mora.health.ranking import Comparison

    entrants = [contest.entrant(text, "detectors") for text in dict.fromkeys(detectors or _all_detectors())]
    judges = [contest.entrant(text, "thresholds") for text in dict.fromkeys(thresholds or (USUAL_THRESHOLD,))]
    if len({one.text for one in entrants}) < len(entrants):
        raise BadInput("A detector is named twice.", hint="Name each once, with one number of series.")
    for one in entrants:
        one.detector()
    for judge in judges:
        if judge.name != contest.OWN:
            judge.threshold()
    named = reference or (REFERENCE if any(one.text == REFERENCE for one in entrants) else entrants[0].text)
    if named not in [one.text for one in entrants]:
        raise BadInput(
            f"The reference {named!r} is not among the detectors.",
            hint=f"Compared are {', '.join(one.text for one in entrants)}.",
        )
    if files and sets:
        raise BadInput("Files and recorded sets are compared apart.", hint="Name files, or --sets.")
    for name in sets:
        labelled.check_set(name)
    folder = labelled.traces_folder() if traces is None else Path(traces)
    share = labelled.TRAIN_SHARE if train_share is None else train_share
    size = labelled.WINDOW if window is None else window
    series = [one for file in files for one in labelled.read_file(Path(file), train_share=share, window=size)]
    if not files:
        series = [one for name in (sets or tuple(labelled.SETS)) for one in labelled.read_set(name, folder)]
    _check_names(series)
    results = contest.run(
        _matching(series, only),
        entrants,
        judges,
        workers=_workers(jobs),
        kept=None if cache_dir is None else kept.Kept(Path(cache_dir)),
        reporter=Timed(reporter or Silent()),
    )
    return Comparison(tuple(results), tuple(judge.text for judge in judges), named)


def write_comparison(comparison: Comparison, path: Path) -> None:
    """A comparison as one HTML page, whole or not at all."""
    from mora.files import write_files
    from mora.health.compare_page import render_page

    write_files([(path, render_page(comparison))])


def _all_detectors() -> list[str]:
    return [f"{name}@{SLOW[name]}" if name in SLOW else name for name in registry.names("detectors")]


def _check_names(series: Sequence[LabelledSeries]) -> None:
    twice = [name for name, count in Counter(one.name for one in series).items() if count > 1]
    if twice:
        raise BadInput(f"Two files have a series {twice[0]}.", hint="Rename one of the files.")


def _matching(series: Sequence[LabelledSeries], only: Sequence[str]) -> list[LabelledSeries]:
    if not only:
        return list(series)
    found = [one for one in series if any(fnmatch.fnmatchcase(one.name, pattern) for pattern in only)]
    if not found:
        raise BadInput(
            f"No series is named {' or '.join(only)}.",
            hint=f"Series are named SET/SERIES, e.g. {series[0].name}; * stands for anything.",
        )
    return found


def _workers(jobs: int) -> Workers:
    from mora import workers
    from mora.files import scratch_folder
    from mora.health.contest import one_by_one, run_task

    def processes(tasks: Sequence[Task]) -> Iterator[tuple[Task, Scores]]:
        with scratch_folder("compare") as folder:
            yield from workers.run(run_task, [(task,) for task in tasks], jobs=jobs, folder=folder)

    def either(tasks: Sequence[Task]) -> Iterable[tuple[Task, Scores]]:
        return one_by_one(tasks) if jobs < 2 or len(tasks) < 2 else processes(tasks)

    return either


class Timed:
    """A reporter that says how long it still takes, by the time for each task so far."""

    def __init__(self, reporter: Reporter, clock: Callable[[], float] = time.monotonic) -> None:
        self._reporter, self._clock = reporter, clock
        self._began: tuple[float, float] | None = None

    def advance(self, task: str, done: float, total: float, note: str = "") -> None:
        """As Reporter.advance."""
        now = self._clock()
        if self._began is None:
            self._began = (now, done)
        began, before = self._began
        if note and done > before:
            left_seconds = (now - began) * (total - done) / (done - before)
            note = f"{note}, {format_duration(left_seconds, about=True)} left"
        self._reporter.advance(task, done, total, note)
