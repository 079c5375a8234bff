"""Traces in, series out: a file of many services' use, or the observed CSVs of one of MOrA's own.

Each series of a trace file (mora/backtest/tables.py) is laid on a grid of its own step, 10 s to 1 h, the commonest
distance between its samples; missing samples are NaN.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mora.backtest.policy import Floats, Series
from mora.backtest.tables import AS_NAMED, Columns, read_table
from mora.errors import BadDataset, BadInput, MoraError, NotEnoughData
from mora.features import epoch_seconds
from mora.quantities import format_duration

if TYPE_CHECKING:
    import pandas as pd

MIN_STEP_SECONDS, MAX_STEP_SECONDS = 10, 3600
# Samples come a little early or late; more than a tenth of a step, in more than a twentieth of them, is no grid.
_MAX_JITTER, _MAX_OFF_GRID = 0.1, 0.05
# A clock that is set back leaves some moments with two samples; more of them are two series under one name.
_MAX_TWICE = 0.01
# A stray timestamp must not lay a grid over half a century: 30 years at five minutes.
_MAX_SAMPLES = 3_200_000
# Of skipped series, so many are named.
_MAX_NAMED = 5


@dataclass(frozen=True, slots=True)
class Trace:
    """A trace file: its series, sorted by id, and why others of its series could not be laid on a grid, id -> words.

    assumed: what is not said by the file, and was taken for granted.
    """

    series: list[Series]
    skipped: dict[str, str]
    assumed: tuple[str, ...] = ()

    def remarks(self) -> list[str]:
        """What was assumed, how many series are not replayed, and of the first few which and why."""
        if not self.skipped:
            return list(self.assumed)
        some = list(self.skipped.items())[:_MAX_NAMED]
        more = [f"{len(self.skipped) - len(some)} more"] if len(self.skipped) > len(some) else []
        return [
            *self.assumed,
            f"{len(self.skipped)} of {len(self.skipped) + len(self.series)} series are skipped: "
            f"{'; '.join([why for _, why in some] + more)}.",
        ]


def read_trace_file(
    path: Path, *, cpu_scale: float = 1.0, mem_scale: float = 1.0, time_column: str = "timestamp"
) -> list[Series]:
    """The series of read_trace()."""
    return read_trace(path, cpu_scale=cpu_scale, mem_scale=mem_scale, columns=Columns(time_column)).series


def read_traces(
    paths: Sequence[Path], *, cpu_scale: float = 1.0, mem_scale: float = 1.0, columns: Columns = AS_NAMED
) -> Trace:
    """The series of several files; a name that two of them have gets its file's before it, "b.csv/web".

    A file that cannot be read is skipped as a series is; where none can, what is wrong with the first is raised.
    """
    traces: dict[Path, Trace] = {}
    skipped: dict[str, str] = {}
    failures: list[MoraError] = []
    for path in dict.fromkeys(paths):
        try:
            traces[path] = read_trace(path, cpu_scale=cpu_scale, mem_scale=mem_scale, columns=columns)
        except (BadDataset, NotEnoughData) as wrong:
            failures.append(wrong)
            skipped[str(path)] = _one_line(wrong)
    if not traces:
        raise failures[0]
    times = Counter(one.id for trace in traces.values() for one in trace.series)
    series: list[Series] = []
    remarks: dict[str, None] = {}
    for path, trace in traces.items():
        skipped |= {f"{path.name}/{name}": why for name, why in trace.skipped.items()}
        remarks.update(dict.fromkeys(trace.assumed))
        series += [replace(one, id=f"{path.name}/{one.id}") if times[one.id] > 1 else one for one in trace.series]
    return Trace(sorted(series, key=lambda one: one.id), skipped, tuple(remarks))


def read_trace(path: Path, *, cpu_scale: float = 1.0, mem_scale: float = 1.0, columns: Columns = AS_NAMED) -> Trace:
    """Every series of a file; those of fewer than two rows, or without any value, are skipped.

    cpu_scale, mem_scale: what one unit of the columns of CPU and memory is in cores and in bytes. Raises BadInput where
    the file is no trace, BadDataset naming column, series and time of what is wrong with a value, and where no series
    has a constant step.
    """
    table = read_table(path, columns, cpu_scale=cpu_scale, mem_scale=mem_scale)
    ids, numbers, seconds, uses = table.ids, table.numbers, table.seconds, table.uses
    order = np.lexsort((seconds, numbers))
    numbers, seconds = numbers[order], seconds[order]
    uses = {name: values[order] for name, values in uses.items()}
    edges = np.searchsorted(numbers, np.arange(len(ids) + 1))
    series: list[Series] = []
    refused: dict[str, BadDataset] = {}
    for number, (begin, end) in enumerate(pairwise(edges)):
        if end - begin < 2:
            continue
        own = {name: values[begin:end] for name, values in uses.items()}
        try:
            series.append(lay_on_grid(ids[number], seconds[begin:end], own, place=str(path)))
        except BadDataset as wrong:
            refused[ids[number]] = wrong
    known = [one for one in series if one.sample_count]
    if refused and not known:
        raise _without_series(path, table.columns, next(iter(refused.values())))
    if not known:
        raise NotEnoughData(f"{path} has no series with at least two rows and a value of cpu or mem.")
    words = {name: _one_line(wrong).removeprefix(f"{path}: ") for name, wrong in refused.items()}
    return Trace(known, words, table.assumed)


def _one_line(wrong: MoraError) -> str:
    return wrong.message.partition("\n")[0].rstrip(".")


def _without_series(path: Path, columns: Columns, wrong: BadDataset) -> BadDataset:
    """What is wrong with the only series of a file; where its rows are of several, what to say about that."""
    if columns.series is not None or "moments with two samples" not in wrong.message:
        return wrong
    found = wrong.message.removeprefix(f"{path}: ")
    return BadDataset(
        f"{path} has no column 'series_id', so all its rows are one series: {found}",
        hint="Name the column that tells its series apart: --series-column NAME.",
    )


def read_service(frame: pd.DataFrame, service: str) -> Series:
    """One of MOrA's services from its observed rows (dataset.read_dataset); NotEnoughData where all were driven.

    Histories that overlap are joined; where two have a sample of one moment, the larger counts.
    """
    observed = frame[frame["scenario"] == "observed"]
    if len(observed) < 2:
        raise NotEnoughData(
            f"There is no history of {service!r} to replay: its {len(frame)} samples come from load experiments, "
            "which show loads and not days.",
            hint=f"Collect its history from Prometheus: mora collect --history 14d --services {service}",
        )
    rows = observed.groupby("timestamp", as_index=False)[["cpu_cores_value", "mem_bytes_value"]].max()
    return lay_on_grid(
        service,
        np.round(epoch_seconds(rows)).astype(np.int64),
        {
            "cpu": rows["cpu_cores_value"].to_numpy(dtype=np.float64),
            "mem": rows["mem_bytes_value"].to_numpy(dtype=np.float64),
        },
        place=f"the history of {service!r}",
    )


def lay_on_grid(name: str, seconds: np.ndarray, uses: dict[str, Floats], *, place: str) -> Series:
    """Samples in the order of time as a Series; two that fall on one slot leave the larger."""
    gaps = np.diff(seconds)
    twice = gaps == 0
    if twice.mean() > _MAX_TWICE:
        when = int(seconds[int(np.argmax(twice))])
        raise BadDataset(
            f"{place}: series {name!r} has {int(twice.sum())} moments with two samples, the first at {when}.",
            hint="Give each series its own id.",
        )
    gaps = gaps[~twice]
    distances, counts = np.unique(gaps, return_counts=True)
    step = int(distances[np.argmax(counts)])
    if not MIN_STEP_SECONDS <= step <= MAX_STEP_SECONDS:
        raise BadDataset(
            f"{place}: series {name!r} has a sample every {format_duration(step)}.",
            hint="The backtest needs a constant step between "
            f"{format_duration(MIN_STEP_SECONDS)} and {format_duration(MAX_STEP_SECONDS)}.",
        )
    off = np.abs(gaps - step * np.maximum(np.round(gaps / step), 1)) > _MAX_JITTER * step
    if off.mean() > _MAX_OFF_GRID:
        raise BadDataset(
            f"{place}: series {name!r} has no constant step: {off.mean():.0%} of its samples are not a multiple of "
            f"{format_duration(step)} after the one before.",
            hint="Resample it to one step, and leave out the samples that are missing.",
        )
    slots = np.round((seconds - seconds[0]) / step).astype(np.int64)
    count = int(slots[-1]) + 1
    if count > _MAX_SAMPLES:
        raise BadDataset(
            f"{place}: series {name!r} spans {count:,} samples, from {int(seconds[0])} to {int(seconds[-1])}.",
            hint="Is a timestamp wrong?",
        )
    return Series(
        name, step, int(seconds[0]), _on_slots(uses.get("cpu"), slots, count), _on_slots(uses.get("mem"), slots, count)
    )


def choose_series(series: Sequence[Series], asked: str | None) -> list[Series]:
    """All, the first so many ("20"), or those of some ids ("vm001,vm007"), as asked.

    >>> from mora.backtest.policy import Series
    >>> several = [Series(name, 60, 0, np.ones(2), None) for name in ("a", "b", "c")]
    >>> [one.id for one in choose_series(several, "2")], [one.id for one in choose_series(several, "c,a")]
    (['a', 'b'], ['c', 'a'])
    """
    if asked is None:
        return list(series)
    by_id = {one.id: one for one in series}
    if asked.isdecimal() and asked not in by_id and int(asked):
        return list(series[: int(asked)])
    ids = [name.strip() for name in asked.split(",") if name.strip()]
    missing = [name for name in ids if name not in by_id]
    if missing or not ids:
        some = ", ".join(list(by_id)[:8]) + (", ..." if len(by_id) > 8 else "")
        raise BadInput(
            f"There is no series {missing[0] if missing else asked!r}.", hint=f"There are {len(by_id)}: {some}."
        )
    return [by_id[name] for name in dict.fromkeys(ids)]


def _on_slots(values: Floats | None, slots: np.ndarray, count: int) -> Floats | None:
    if values is None or np.isnan(values).all():
        return None
    laid = np.full(count, np.nan)
    np.fmax.at(laid, slots, values)
    laid.setflags(write=False)
    return laid
