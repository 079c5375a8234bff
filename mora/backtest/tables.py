"""The table of a trace file: whatever its columns are called, its series, times and use, checked.

A trace file is a table (parquet or CSV) with a row a sample: series_id, timestamp (epoch seconds or dates, UTC), cpu
(cores) and mem (bytes), of which one may be absent; other columns are ignored; Columns has other names. A file
without series_id is one series, and one with `timestamp,value` alone is of CPU.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mora.backtest.policy import Floats
from mora.errors import BadDataset, BadInput, NotEnoughData
from mora.extras import require
from mora.metrics import MOST, MOST_CORES

if TYPE_CHECKING:
    import pandas as pd

SUFFIXES = (".parquet", ".csv")


@dataclass(frozen=True, slots=True)
class Columns:
    """Which columns of a trace file have what.

    series: None, or a column that the file lacks, makes the file one series, named like the file. cpu, mem: at least
    one must be there; where neither is, the column `value` is read as CPU.
    """

    time: str = "timestamp"
    series: str | None = None
    cpu: str | None = "cpu"
    mem: str | None = "mem"

    @classmethod
    def of(cls, *, time: str = "timestamp", series: str | None = None, values: Sequence[str] = ()) -> Columns:
        """As a person names them: values "usage" or "cpu=usage" (in cores), "mem=usage" (in bytes).

        >>> Columns.of(values=["mem=rss"]).mem, Columns.of(values=["load"]).cpu
        ('rss', 'load')
        """
        named: dict[str, str] = {}
        for text in values:
            resource, separator, name = text.partition("=")
            if not separator or resource not in ("cpu", "mem"):
                resource, name = "cpu", text
            if resource in named or not name:
                raise BadInput(
                    f"--value-column {text!r} names no column of its own.",
                    hint="Name one for CPU in cores and one for memory in bytes: --value-column cpu=NAME "
                    "--value-column mem=NAME.",
                )
            named[resource] = name
        if not named:
            return cls(time, series)
        # What is not named is not looked for: `cpu` may be anything in a file whose use is in another column.
        return cls(time, series, named.get("cpu"), named.get("mem"))


AS_NAMED = Columns()


@dataclass(frozen=True, slots=True)
class Table:
    """The rows of a trace file.

    ids: of the series, sorted. numbers: a row's series, as its place among the ids. seconds: since the epoch. uses:
    "cpu" in cores, "mem" in bytes, NaN for a gap. columns: as they are in the file. assumed: what it does not say.
    """

    columns: Columns
    ids: list[str]
    numbers: np.ndarray
    seconds: np.ndarray
    uses: Mapping[str, Floats]
    assumed: tuple[str, ...]


def read_table(path: Path, columns: Columns, *, cpu_scale: float, mem_scale: float) -> Table:
    """The checked rows of a file, in any order; BadDataset naming column, series and value of what is wrong."""
    frame, columns, assumed = _read(path, columns)
    ids, numbers = _ids(path, frame, columns)
    uses = {
        resource: _amounts(path, frame[name], name, scale, ids, numbers, most=_most_of(resource, is_sure=not assumed))
        for resource, name, scale in (("cpu", columns.cpu, cpu_scale), ("mem", columns.mem, mem_scale))
        if name is not None and name in frame
    }
    seconds = _times(path, frame[columns.time], ids, numbers, columns.time)
    return Table(columns, ids, numbers, seconds, uses, assumed)


def _most_of(resource: str, *, is_sure: bool) -> float:
    """What no series can use: a cluster's, since a series may be of one; a machine's where CPU is only assumed."""
    if resource == "cpu":
        return MOST["cpu_cores_total"] if is_sure else MOST_CORES
    return MOST["mem_bytes_total"]


def _read(path: Path, columns: Columns) -> tuple[pd.DataFrame, Columns, tuple[str, ...]]:
    """The table, the columns as they are in it, and what was assumed of them."""
    import pandas as pd

    if path.suffix.lower() not in SUFFIXES:
        raise BadInput(f"{path} is neither a .parquet nor a .csv file.")
    if not path.is_file():
        raise BadInput(f"There is no file {path}.")
    try:
        if path.suffix.lower() == ".csv":
            there = [str(name) for name in pd.read_csv(path, nrows=0, skipinitialspace=True).columns]
        else:
            require("parquet", by="Reading a Parquet file")
            import pyarrow.parquet

            there = list(pyarrow.parquet.read_schema(path).names)
        columns, assumed = _columns_of(path, columns, there)
        wanted = [name for name in (columns.series, columns.time, columns.cpu, columns.mem) if name in there]
        if path.suffix.lower() == ".csv":
            text = {} if columns.series is None else {columns.series: str}
            frame = pd.read_csv(path, usecols=lambda name: name in wanted, dtype=text, skipinitialspace=True)
        else:
            frame = pd.read_parquet(path, columns=wanted, engine="pyarrow")
    except (ValueError, OSError) as broken:
        raise BadDataset(f"{path} cannot be read: {(str(broken).splitlines() or ['?'])[0]}") from broken
    if frame.empty:
        raise NotEnoughData(f"{path} has no rows.")
    return frame, columns, assumed


def _columns_of(path: Path, columns: Columns, there: Sequence[str]) -> tuple[Columns, tuple[str, ...]]:
    """The columns that a file has of those that are looked for, and what was assumed; BadDataset where one is missing.

    there: the names of the file's columns.
    """
    has = f"It has: {', '.join(map(repr, there[:12]))}" + (", ..." if len(there) > 12 else "") + "."
    if columns.series is not None and columns.series not in there:
        raise BadDataset(f"{path} has no column {columns.series!r}.", hint=f"{has} {_COLUMNS}")
    if columns.time not in there:
        raise BadDataset(
            f"{path} has no column {columns.time!r}.", hint=f"{has} Name the one with the time: --time-column NAME."
        )
    columns = replace(columns, series=columns.series or ("series_id" if "series_id" in there else None))
    if columns.cpu in there or columns.mem in there:
        return columns, ()
    if (columns.cpu, columns.mem) == ("cpu", "mem") and "value" in there:
        assumed = "The column value is read as CPU in cores. For memory in bytes: --value-column mem=value."
        return replace(columns, cpu="value"), (assumed,)
    names = [repr(name) for name in (columns.cpu, columns.mem) if name is not None]
    lacks = f"no column {names[0]}" if len(names) == 1 else f"neither a column {' nor '.join(names)}"
    raise BadDataset(f"{path} has {lacks}.", hint=f"{has} Name the one with the use: --value-column NAME.")


_COLUMNS = "A trace has the columns series_id, timestamp (epoch seconds, UTC), cpu (cores) and mem (bytes)."


def _ids(path: Path, frame: pd.DataFrame, columns: Columns) -> tuple[list[str], np.ndarray]:
    import pandas as pd

    if columns.series is None:
        return [path.stem], np.zeros(len(frame), dtype=np.int64)
    numbers, found = pd.factorize(frame[columns.series], sort=True)
    if (numbers < 0).any():
        raise BadDataset(f"{path}: row {int(np.argmax(numbers < 0)) + 1} has no {columns.series}.")
    return [str(name) for name in found], np.asarray(numbers)


def _times(path: Path, column: pd.Series, ids: list[str], numbers: np.ndarray, name: str) -> np.ndarray:
    dates = _dates(column)
    values = _numbers(path, column, name, ids, numbers) if dates is None else dates
    wrong = ~np.isfinite(values) | (values < 0) | (values > 1e11)
    if wrong.any():
        row = int(np.argmax(wrong))
        shown = f"{values[row]:g}" if dates is None else str(column.iloc[row])
        hint = "Times are epoch seconds in UTC, like 1375308300, or dates."
        if dates is not None:
            hint = "Is the clock right that wrote it?"
        elif values[row] > 1e11:
            hint = "Times are epoch seconds in UTC, not milliseconds: divide by 1000."
        raise BadDataset(f"{path}: series {ids[numbers[row]]!r} has a {name} of {shown}.", hint=hint)
    return np.round(values).astype(np.int64)


def _dates(column: pd.Series) -> Floats | None:
    """Epoch seconds of a column of dates (UTC where they say no zone); None where it has something else."""
    import pandas as pd

    if pd.api.types.is_numeric_dtype(column) or not column.map(lambda cell: isinstance(cell, (str, date))).all():
        return None
    dates = pd.to_datetime(column, format="ISO8601", utc=True, errors="coerce")
    if dates.isna().any():
        return None
    # Microseconds hold every year that a date can have, nanoseconds do not.
    return np.asarray(dates.dt.as_unit("us").astype("int64"), dtype=np.float64) / 1e6


def _amounts(
    path: Path, column: pd.Series, name: str, scale: float, ids: list[str], numbers: np.ndarray, *, most: float
) -> Floats:
    """The column in cores or bytes; BadDataset where one is negative or above `most`."""
    values = _numbers(path, column, name, ids, numbers)
    wrong = np.isinf(values) | (values < 0)
    if wrong.any():
        row = int(np.argmax(wrong))
        raise BadDataset(
            f"{path}: series {ids[numbers[row]]!r} has a {name} of {values[row]:g}.",
            hint="Use is at least 0; a missing sample is an empty cell (NaN).",
        )
    if (values * scale > most).any():
        row = int(np.argmax(values * scale > most))
        raise BadDataset(
            f"{path}: series {ids[numbers[row]]!r} has a {name} of {values[row]:g}, more than anything can use "
            f"({most:g}).",
            hint="Correct the sample. Is it in another unit? --cpu-scale and --mem-scale. Is it memory? "
            f"--value-column mem={name}.",
        )
    return scale * values


def _is_number(cell: object) -> bool:
    try:
        float(cell)  # type: ignore[arg-type]  # that is what is asked
    except (TypeError, ValueError, OverflowError):
        return False
    return True


def _numbers(path: Path, column: pd.Series, name: str, ids: list[str], numbers: np.ndarray) -> Floats:
    import pandas as pd

    if column.isna().all():
        return np.full(len(column), np.nan)
    if not pd.api.types.is_numeric_dtype(column) or pd.api.types.is_bool_dtype(column):
        wrong = (~column.map(_is_number) & column.notna()).to_numpy(dtype=bool)
        row = int(np.argmax(wrong)) if wrong.any() else 0
        seen = f"series {ids[numbers[row]]!r} has {column.iloc[row]!s}"
        raise BadDataset(f"{path}: the column {name!r} must contain numbers: {seen}.", hint=_COLUMNS)
    return np.asarray(column.to_numpy(dtype=np.float64, na_value=np.nan))
