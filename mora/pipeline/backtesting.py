"""Backtesting: what rules would have reserved on recorded use, scored on what came next."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mora import registry
from mora.errors import BadInput
from mora.model.catalogue import DEFAULT_NAMESPACE
from mora.seams import Reporter

if TYPE_CHECKING:
    from mora.backtest.fronts import Fronts
    from mora.backtest.policy import Series
    from mora.backtest.run import Backtest, Task
    from mora.backtest.tables import Columns
    from mora.changes.rule import ChangeRule


# Decisions of KRR's rule that take about as long as it takes to start processes; below, one is faster.
_WORTH_PROCESSES = 30_000


def backtest(
    targets: str | Path | Sequence[str],
    *,
    policies: Sequence[str] = (),
    horizon: timedelta = timedelta(hours=24),
    warmup: timedelta = timedelta(days=7),
    series: str | None = None,
    with_minimums: bool = True,
    cpu_scale: float = 1.0,
    mem_scale: float = 1.0,
    time_column: str = "timestamp",
    series_column: str | None = None,
    value_columns: Sequence[str] = (),
    jobs: int = 1,
    data_dir: Path | str = "data",
    namespace: str = DEFAULT_NAMESPACE,
    include_flagged: bool = False,
    cache_dir: Path | str | None = None,
    reporter: Reporter | None = None,
    renew: timedelta | None = None,
    change_rule: ChangeRule | None = None,
    change_price: timedelta = timedelta(),
) -> Backtest:
    """Replay what rules would have reserved, window after window, and score it (mora/backtest/scoring.py).

    targets: trace files (parquet or CSV), folders of them (named with a slash), or services with observed data.
    policies: by default all, and the oracle. series: "20" for the first so many, or ids with commas. with_minimums,
    cpu_scale, mem_scale: for traces in other units. time_column, series_column, value_columns: for files with other
    columns (tables.Columns.of). cache_dir: where results are kept, so that a run that was stopped goes on. renew: how
    often numbers are renewed, by default once a horizon. change_rule: which of them are followed, by default all.
    change_price: what a change costs, in time of the mean use of the series that is changed.
    """
    from mora.backtest.renewing import Renewal
    from mora.backtest.run import ORACLE, BacktestSettings, Kept, one_by_one, run, run_task
    from mora.backtest.tables import Columns
    from mora.backtest.traces import choose_series
    from mora.changes.rule import FOLLOW_ALL

    for what, scale in (("CPU", cpu_scale), ("memory", mem_scale)):
        if not (math.isfinite(scale) and scale > 0):
            raise BadInput(f"The scale of {what} must be a positive number, not {scale}.")
    if horizon < timedelta(seconds=1):
        raise BadInput("The horizon must be at least 1s.")
    settings = BacktestSettings(
        tuple(dict.fromkeys(policies)) or (*registry.names("replay_policies"), ORACLE),
        horizon_seconds=round(horizon.total_seconds()),
        warmup_seconds=round(warmup.total_seconds()),
        with_minimums=with_minimums,
        renewal=Renewal(
            None if renew is None else round(renew.total_seconds()),
            FOLLOW_ALL if change_rule is None else change_rule,
            change_price.total_seconds(),
        ),
    )
    names = [str(targets)] if isinstance(targets, (str, Path)) else [str(target) for target in targets]
    found, unread = _series_of(
        names,
        cpu_scale=cpu_scale,
        mem_scale=mem_scale,
        columns=Columns.of(time=time_column, series=series_column, values=value_columns),
        data_dir=data_dir,
        namespace=namespace,
        include_flagged=include_flagged,
    )

    def processes(tasks: Sequence[Task]) -> Iterable[tuple[Task, Any]]:
        if jobs < 2 or len(tasks) < 2 or sum(task.weight for task in tasks) < _WORTH_PROCESSES:
            return one_by_one(tasks)
        return _in_processes(run_task, tasks, jobs)

    kept = None if cache_dir is None else Kept(Path(cache_dir))
    result = run(choose_series(found, series), settings, workers=processes, kept=kept, reporter=reporter)
    if kept is not None:
        kept.make_room()
    return replace(result, unread=unread)


def _in_processes(run_task: Any, tasks: Sequence[Task], jobs: int) -> Iterator[tuple[Task, Any]]:
    from mora import workers
    from mora.files import scratch_folder

    with scratch_folder("backtest") as folder:
        yield from workers.run(run_task, [(task,) for task in tasks], jobs=jobs, folder=folder)


def write_report(
    result: Backtest, path: Path, *, source: str, drawn: str | None = None, fronts: Fronts | None = None
) -> None:
    """A backtest as one HTML page, whole or not at all. source: what was replayed. drawn: ids, or some of all kinds.
    fronts: cost against changes (mora/backtest/fronts.py), to be drawn beside the scores."""
    from mora.backtest.report import render_report
    from mora.files import write_files

    write_files([(path, render_report(result, source=source, drawn=drawn, fronts=fronts))])


def cache_folder(what: str) -> Path:
    """Where results are kept that can be computed again: $XDG_CACHE_HOME/mora, in ~/.cache by default."""
    root = os.environ.get("XDG_CACHE_HOME")
    return (Path(root) if root else Path("~/.cache").expanduser()) / "mora" / what


def files_or_services(targets: Sequence[str], verb: str) -> tuple[list[str], list[str]]:
    """Trace files, or names of services; one of the two is empty. verb: what is done to them, for the error."""
    from mora.backtest.tables import SUFFIXES

    names = [file for target in targets for file in files_in(target, SUFFIXES)]
    files = [name for name in names if Path(name).suffix.lower() in SUFFIXES or Path(name).is_file()]
    if files and len(files) < len(names):
        raise BadInput(
            f"{files[0]} is a trace file: it is {verb} alone or with other trace files.",
            hint="Name only files, or only services.",
        )
    return files, [] if files else names


def files_in(name: str, suffixes: Sequence[str]) -> list[str]:
    """The trace files of a folder, sorted; a file, or a service, itself. The name of a service has no slash."""
    if "/" not in name or not Path(name).is_dir():
        return [name]
    found = sorted(str(path) for path in Path(name).iterdir() if path.suffix.lower() in suffixes)
    if not found:
        raise BadInput(f"{name} has no trace files.", hint=f"A trace file ends in {' or '.join(suffixes)}.")
    return found


def _series_of(
    names: Sequence[str],
    *,
    cpu_scale: float,
    mem_scale: float,
    columns: Columns,
    data_dir: Path | str,
    namespace: str,
    include_flagged: bool,
) -> tuple[list[Series], tuple[str, ...]]:
    """The series to replay, and remarks on those that could not be read."""
    from mora import dataset
    from mora.backtest.traces import read_service, read_traces

    files, names = files_or_services(names, "replayed")
    if files:
        trace = read_traces([Path(file) for file in files], cpu_scale=cpu_scale, mem_scale=mem_scale, columns=columns)
        return trace.series, tuple(trace.remarks())
    return [
        read_service(dataset.read_dataset(name, data_dir, namespace=namespace, include_flagged=include_flagged), name)
        for name in dict.fromkeys(names)
    ], ()
