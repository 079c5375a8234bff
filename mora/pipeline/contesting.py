"""Comparing forecasters on histories: services with collected data, or series of trace files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from mora.errors import BadDataset, BadInput, ClusterError, MoraError, NotEnoughData
from mora.model.catalogue import DEFAULT_NAMESPACE
from mora.pipeline.backtesting import files_or_services
from mora.pipeline.comparing import Timed
from mora.seams import Reporter, Silent

if TYPE_CHECKING:
    from mora.backtest.history import History
    from mora.backtest.tables import Columns
    from mora.contest.run import Answered, Task, Workers
    from mora.contest.text import Comparison

HORIZONS = (timedelta(hours=1), timedelta(hours=24))


@dataclass(frozen=True, slots=True)
class ContestResult:
    """A comparison, and the histories that it is of."""

    comparison: Comparison
    histories: tuple[History, ...]


def compare_forecasters(
    targets: Sequence[str],
    *,
    models: Sequence[str] = (),
    horizons: Sequence[timedelta] = HORIZONS,
    folds: int | None = None,
    window: timedelta | None = None,
    series: str | None = None,
    last: timedelta | None = None,
    cpu_scale: float = 1.0,
    mem_scale: float = 1.0,
    time_column: str = "timestamp",
    series_column: str | None = None,
    value_columns: Sequence[str] = (),
    jobs: int = 1,
    scheduler: str | None = None,
    data_dir: Path | str = "data",
    namespace: str = DEFAULT_NAMESPACE,
    include_flagged: bool = False,
    cache_dir: Path | str | None = None,
    seed: int = 0,
    reporter: Reporter | None = None,
) -> ContestResult:
    """Every model on the same rolling origins of each history (mora/contest).

    targets: services with a collected history, or trace files (as `mora backtest` takes them). models: registered
    forecasters and ways of learning, with options as NAME:OPTION=VALUE; all by default. folds, window: how origins
    roll (contest.windows.plan). series: "20" for the first so many, or ids. last: only so much of each history's end.
    scheduler: a Dask scheduler, whose workers then do the work. cache_dir: where answers are kept, so that a contest
    that was stopped goes on. Raises BadInput, BadDataset, NotEnoughData, ClusterError.
    """
    from mora.backtest.tables import Columns
    from mora.contest import entrants, evaluate, kept
    from mora.contest.ranking import tables
    from mora.contest.text import Comparison
    from mora.contest.windows import FOLDS

    if not targets:
        raise BadInput("Compare on what?", hint="Name a service with a history, or a trace file.")
    count = FOLDS if folds is None else folds
    if count < 1:
        raise BadInput(f"{count} folds cannot be scored.", hint="Give --folds 1 or more.")
    for horizon in horizons:
        if horizon < timedelta(minutes=1):
            raise BadInput("A horizon is 1m or longer.", hint="Write --horizons 1h,24h.")
    who = entrants(list(dict.fromkeys(models)) or None)
    columns = Columns.of(time=time_column, series=series_column, values=value_columns)
    histories, skipped = _histories(
        targets, series, cpu_scale, mem_scale, columns, data_dir, namespace, include_flagged
    )
    if last is not None:
        histories = [_last(history, last) for history in histories]
    keeps = None if cache_dir is None else kept.Kept(Path(cache_dir))
    found = evaluate(
        histories,
        who,
        sorted({horizon.total_seconds() for horizon in horizons}),
        count,
        window_seconds=None if window is None else window.total_seconds(),
        groups={history.series.id: group_of(history.series.id) for history in histories},
        seed=seed,
        workers=_on_cluster(scheduler) if scheduler is not None else _workers(jobs),
        kept=keeps,
        reporter=Timed(reporter or Silent()),
        skipped=skipped,
    )
    if keeps is not None:
        keeps.make_room()
    comparison = Comparison(
        tables=tuple(tables(found)),
        models=tuple(one.text for one in who),
        skipped=tuple(skipped),
        folds=count,
        window_seconds=None if window is None else window.total_seconds(),
        seed=seed,
        source=", ".join(Path(target).name for target in targets),
        first=float(min(history.series.start for history in histories)),
        last=float(max(_end(history) for history in histories)),
        samples=sum(history.series.sample_count for history in histories),
    )
    return ContestResult(comparison, tuple(histories))


def group_of(series: str) -> str:
    """Series of one group are siblings (pods of one service, files of one folder): what stands before the last "/".

    >>> group_of("shop/web-0"), group_of("vm001")
    ('shop', 'vm001')
    """
    return series.rpartition("/")[0] or series


def write_contest(result: ContestResult, path: Path) -> None:
    """A contest as one HTML page, whole or not at all."""
    from mora.contest.page import render_page
    from mora.files import write_files

    write_files([(path, render_page(result.comparison))])


def write_artifacts(result: ContestResult, folder: Path, *, at: datetime | None = None) -> list[Path]:
    """The JSON files in Helios' shape, all of them or none; which were written."""
    from mora.contest.artifacts import artifacts
    from mora.files import write_files

    texts = artifacts(result.comparison, result.histories, at=at or datetime.now(UTC))
    write_files([(folder / name, text) for name, text in texts.items()])
    return [folder / name for name in texts]


def _histories(
    targets: Sequence[str],
    series: str | None,
    cpu_scale: float,
    mem_scale: float,
    columns: Columns,
    data_dir: Path | str,
    namespace: str,
    include_flagged: bool,
) -> tuple[list[History], list[str]]:
    """The histories to compare on, and remarks on those that could not be read."""
    from mora import dataset
    from mora.backtest.history import history_of, history_of_series
    from mora.backtest.traces import choose_series, read_traces

    files, names = files_or_services(targets, "compared on")
    if files:
        trace = read_traces([Path(file) for file in files], cpu_scale=cpu_scale, mem_scale=mem_scale, columns=columns)
        return [history_of_series(one) for one in choose_series(trace.series, series)], trace.remarks()
    found: list[History] = []
    refused: list[MoraError] = []
    for name in dict.fromkeys(names):
        try:
            frame = dataset.read_dataset(name, data_dir, namespace=namespace, include_flagged=include_flagged)
            found.append(history_of(frame, name))
        except (BadDataset, NotEnoughData) as wrong:
            refused.append(wrong)
    if not found:
        raise refused[0]
    return found, [wrong.message for wrong in refused]


def _last(history: History, span: timedelta) -> History:
    samples = max(round(span.total_seconds() / history.series.step_seconds), 1)
    return history.after(max(history.series.sample_count - samples, 0))


def _end(history: History) -> float:
    return history.series.start + history.series.sample_count * history.series.step_seconds


# --- who works -------------------------------------------------------------------------------------------------------


def _workers(jobs: int) -> Workers:
    from mora import workers
    from mora.contest.run import one_by_one, run_task
    from mora.files import scratch_folder

    def processes(tasks: Sequence[Task]) -> Iterator[tuple[Task, Answered]]:
        with scratch_folder("compare") as folder:
            yield from workers.run(run_task, [(task,) for task in tasks], jobs=jobs, folder=folder)

    def either(tasks: Sequence[Task]) -> Iterable[tuple[Task, Answered]]:
        return one_by_one(tasks) if jobs < 2 or len(tasks) < 2 else processes(tasks)

    return either


def _on_cluster(scheduler: str) -> Workers:
    def work(tasks: Sequence[Task]) -> Iterator[tuple[Task, Answered]]:
        from mora import scaleout
        from mora.contest.run import Answered

        if not tasks:
            return
        known = {str(number): task for number, task in enumerate(tasks)}
        with scaleout.connect(scheduler) as cluster:
            for name, outcome in cluster.run(_answer_on_worker, known.items()):
                # A task that takes every worker down is one model's failure; the others go on.
                yield (
                    known[name],
                    Answered({}, failure=outcome.message) if isinstance(outcome, ClusterError) else outcome,
                )

    return work


def _answer_on_worker(name: str, task: Task) -> Answered:
    from mora.contest.run import run_task
    from mora.pipeline.training import ON_WORKER

    # Seeds and TensorFlow's threads are a process's own.
    with ON_WORKER:
        return run_task(task)[1]
