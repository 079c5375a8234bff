"""Traces in, series out: a file of many services' use, or the observed CSVs of one of MOrA's own.

A trace file is a table (parquet or CSV) with a row a sample: series_id, timestamp (epoch seconds, UTC), cpu (cores) and
mem (bytes), of which one may be absent; other columns are ignored. Each series is laid on a grid of its own step,
10 s to 1 h, the commonest distance between its samples; missing samples are NaN.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mora.backtest.policy import Floats, Series
from mora.errors import BadDataset, BadInput, NotEnoughData
from mora.extras import require
from mora.features import epoch_seconds
from mora.quantities import format_duration

if TYPE_CHECKING:
    import pandas as pd

SUFFIXES = (".parquet", ".csv")
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
    """A trace file: its series, sorted by id, and why others of its series could not be laid on a grid, id -> words."""

    series: list[Series]
    skipped: dict[str, str]

    def remarks(self) -> list[str]:
        """How many series are not replayed, and of the first few which and why."""
        if not self.skipped:
            return []
        some = list(self.skipped.items())[:_MAX_NAMED]
        more = [f"{len(self.skipped) - len(some)} more"] if len(self.skipped) > len(some) else []
        return [
            f"{len(self.skipped)} of {len(self.skipped) + len(self.series)} series are skipped: "
            f"{'; '.join([why for _, why in some] + more)}."
        ]


def read_trace_file(
    path: Path, *, cpu_scale: float = 1.0, mem_scale: float = 1.0, time_column: str = "timestamp"
) -> list[Series]:
    """The series of read_trace()."""
    return read_trace(path, cpu_scale=cpu_scale, mem_scale=mem_scale, time_column=time_column).series


def read_trace(path: Path, *, cpu_scale: float = 1.0, mem_scale: float = 1.0, time_column: str = "timestamp") -> Trace:
    """Every series of a file; those of fewer than two rows, or without any value, are skipped.

    cpu_scale, mem_scale: what one unit of the columns `cpu` and `mem` is in cores and in bytes. time_column: where
    another column than `timestamp` has the time. Raises BadInput where the file is no trace, BadDataset naming
    column, series and time of what is wrong with a value, and where no series has a constant step.
    """
    frame = _read(path, time_column)
    ids, numbers = _ids(path, frame)
    seconds = _times(path, frame[time_column], ids, numbers, time_column)
    uses = {
        name: scale * _amounts(path, frame[name], name, ids, numbers)
        for name, scale in (("cpu", cpu_scale), ("mem", mem_scale))
        if name in frame
    }
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
        raise next(iter(refused.values()))
    if not known:
        raise NotEnoughData(f"{path} has no series with at least two rows and a value of cpu or mem.")
    words = {
        name: str(wrong).removeprefix(f"{path}: ").partition("\n")[0].rstrip(".") for name, wrong in refused.items()
    }
    return Trace(known, words)


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


def _read(path: Path, time_column: str) -> pd.DataFrame:
    import pandas as pd

    if path.suffix.lower() not in SUFFIXES:
        raise BadInput(f"{path} is neither a .parquet nor a .csv file.")
    if not path.is_file():
        raise BadInput(f"There is no file {path}.")
    wanted = ["series_id", time_column, "cpu", "mem"]
    try:
        if path.suffix.lower() == ".csv":
            frame = pd.read_csv(path, usecols=lambda name: name in wanted, dtype={"series_id": str})
        else:
            require("parquet", by="Reading a Parquet file")
            import pyarrow.parquet

            there = set(pyarrow.parquet.read_schema(path).names)
            frame = pd.read_parquet(path, columns=[name for name in wanted if name in there], engine="pyarrow")
    except (ValueError, OSError) as broken:
        raise BadDataset(f"{path} cannot be read: {str(broken).splitlines()[0]}") from broken
    missing_columns = [name for name in ("series_id", time_column) if name not in frame]
    if missing_columns:
        raise BadDataset(f"{path} has no column {missing_columns[0]!r}.", hint=_COLUMNS)
    if "cpu" not in frame and "mem" not in frame:
        raise BadDataset(f"{path} has neither a column 'cpu' nor 'mem'.", hint=_COLUMNS)
    if frame.empty:
        raise NotEnoughData(f"{path} has no rows.")
    return frame


_COLUMNS = "A trace has the columns series_id, timestamp (epoch seconds, UTC), cpu (cores) and mem (bytes)."


def _ids(path: Path, frame: pd.DataFrame) -> tuple[list[str], np.ndarray]:
    import pandas as pd

    numbers, found = pd.factorize(frame["series_id"], sort=True)
    if (numbers < 0).any():
        raise BadDataset(f"{path}: row {int(np.argmax(numbers < 0)) + 1} has no series_id.")
    return [str(name) for name in found], np.asarray(numbers)


def _times(path: Path, column: pd.Series, ids: list[str], numbers: np.ndarray, name: str) -> np.ndarray:
    values = _numbers(path, column, name, ids, numbers)
    wrong = ~np.isfinite(values) | (values < 0) | (values > 1e11)
    if wrong.any():
        row = int(np.argmax(wrong))
        raise BadDataset(
            f"{path}: series {ids[numbers[row]]!r} has a {name} of {values[row]:g}.",
            hint="Times are epoch seconds in UTC"
            + (", not milliseconds: divide by 1000." if values[row] > 1e11 else ", like 1375308300."),
        )
    return np.round(values).astype(np.int64)


def _amounts(path: Path, column: pd.Series, name: str, ids: list[str], numbers: np.ndarray) -> Floats:
    values = _numbers(path, column, name, ids, numbers)
    wrong = np.isinf(values) | (values < 0)
    if wrong.any():
        row = int(np.argmax(wrong))
        raise BadDataset(
            f"{path}: series {ids[numbers[row]]!r} has a {name} of {values[row]:g}.",
            hint="Use is at least 0; a missing sample is an empty cell (NaN).",
        )
    return values


def _numbers(path: Path, column: pd.Series, name: str, ids: list[str], numbers: np.ndarray) -> Floats:
    import pandas as pd

    if column.isna().all():
        return np.full(len(column), np.nan)
    if not pd.api.types.is_numeric_dtype(column) or pd.api.types.is_bool_dtype(column):
        as_numbers = pd.to_numeric(column, errors="coerce")
        wrong = (as_numbers.isna() & column.notna()).to_numpy(dtype=bool)
        row = int(np.argmax(wrong)) if wrong.any() else 0
        seen = f"series {ids[numbers[row]]!r} has {column.iloc[row]!s}"
        raise BadDataset(f"{path}: the column {name!r} must contain numbers: {seen}.", hint=_COLUMNS)
    return np.asarray(column.to_numpy(dtype=np.float64, na_value=np.nan))


def _on_slots(values: Floats | None, slots: np.ndarray, count: int) -> Floats | None:
    if values is None or np.isnan(values).all():
        return None
    laid = np.full(count, np.nan)
    np.fmax.at(laid, slots, values)
    laid.setflags(write=False)
    return laid
