"""Samples of a service from where they are: the unified CSVs, one table of any columns, a Prometheus."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from mora import dataset
from mora.dataset.layout import EXPERIMENT_ID
from mora.detectors.frames import TIMESTAMP
from mora.domain import Window, Workload
from mora.errors import BadDataset, BadInput, NotEnoughData
from mora.extras import require
from mora.health.frames import HEALTH_COLUMNS, REPLICAS
from mora.metrics import CORE_COLUMNS
from mora.quantities import format_duration

if TYPE_CHECKING:
    from mora.sources.prometheus.observe import PrometheusSource

SUFFIXES = (".csv", ".parquet")
_TIME_COLUMNS = ("timestamp", "time", "Time", "ts", "date", "datetime")
_MOST_BYTES = 2 * 2**30
_MOST_COLUMNS = 2_000
# The most samples of a history, as for recommending: two weeks at one a minute.
MOST_SAMPLES = 20_160
# What the samples of a namespace may take together.
_MOST_MEMORY = 512 * 2**20
# Ten days of seconds; a Prometheus takes minutes to give them.
_MOST_ASKED = 864_000
_STEPS_SECONDS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600)
# Epoch seconds, milliseconds, microseconds and nanoseconds of this century differ by their size.
_UNITS = ((1e11, "s"), (1e14, "ms"), (1e17, "us"), (np.inf, "ns"))


@dataclass(frozen=True, slots=True)
class Samples:
    """Samples of one service. frame: `timestamp` (UTC) and columns of numbers. source: where they are from.

    remarks: what a reader must know, a sentence each. queries: column -> PromQL as sent, of a Prometheus.
    """

    frame: pd.DataFrame
    source: str
    remarks: tuple[str, ...] = ()
    queries: Mapping[str, str] | None = None


def read_service(service: str, data_dir: Path | str, *, namespace: str, include_flagged: bool = True) -> Samples:
    """The unified CSVs of a service, in the order of time; raises BadDataset where there are none, or one is broken.

    include_flagged: experiments that failed their quality check, too: a fault is a reason to fail it.
    """
    read = dataset.read_samples(service, data_dir, namespace=namespace, include_flagged=include_flagged)
    folder = dataset.service_folder(data_dir, service, namespace=namespace)
    reasons = () if include_flagged else tuple(f"{reason.text}." for reason in read.reasons)
    return Samples(_health_of(read.frame), str(folder), reasons)


def read_file(path: Path, *, time_column: str | None = None) -> Samples:
    """A file: a unified CSV, or a table (CSV, Parquet) with a column of times and any columns of numbers, one a metric.

    time_column: by default the first of timestamp, time, ts, date. Times are dates (UTC where they have no zone) or a
    number since 1970. Columns that have no numbers are left out with a remark. Raises BadInput, BadDataset,
    NotEnoughData, and ToolMissing for Parquet without pyarrow.
    """
    _check_file(path)
    if path.suffix.lower() == ".csv" and time_column is None and _is_unified(path):
        return Samples(_health_of(dataset.read_experiment(path)), str(path))
    frame = read_table(path)
    name = _time_of(path, frame, time_column)
    if frame.empty:
        raise NotEnoughData(f"{path} has no rows.")
    times = _times(path, frame[name])
    numbers, left_out = _numbers(frame.drop(columns=name))
    if numbers.empty:
        raise BadDataset(f"{path} has no column of numbers beside {name!r}.", hint="A metric is a column of numbers.")
    numbers.insert(0, TIMESTAMP, times)
    remark = f"Left out, since they are no numbers: {', '.join(left_out[:8])}" + (", ..." if len(left_out) > 8 else "")
    return Samples(numbers, str(path), (f"{remark}.",) if left_out else ())


def _is_unified(path: Path) -> bool:
    with path.open("rb") as file:
        return file.readline(4096).decode("utf-8", "replace").startswith(",".join(CORE_COLUMNS[:4]))


def _health_of(frame: pd.DataFrame) -> pd.DataFrame:
    """The columns of health that are known, and the replicas, of the frame of a dataset, in the order of time."""
    known = [name for name in (*HEALTH_COLUMNS, REPLICAS) if name in frame and frame[name].notna().any()]
    return frame[[TIMESTAMP, *known]].sort_values(TIMESTAMP, kind="stable").reset_index(drop=True)


def _check_file(path: Path) -> None:
    if path.suffix.lower() not in SUFFIXES:
        raise BadInput(f"{path} is neither a .csv nor a .parquet file.")
    if not path.is_file():
        raise BadInput(f"There is no file {path}.")
    if path.stat().st_size > _MOST_BYTES:
        raise BadInput(f"{path} is larger than the 2 GiB that are read.", hint="Give a shorter time range.")


def read_table(path: Path) -> pd.DataFrame:
    """A CSV or Parquet file as it is: every column, in its order. Raises as read_file() does."""
    _check_file(path)
    if path.suffix.lower() == ".parquet":
        require("parquet", by="Reading a Parquet file")
    try:
        if path.suffix.lower() == ".parquet":
            frame = pd.read_parquet(path, engine="pyarrow")
            # pandas keeps an index, such as the time, as a column that it hides again when it reads.
            if frame.index.name is not None and frame.index.name not in frame:
                frame = frame.reset_index()
        else:
            with path.open(encoding="utf-8-sig", newline="") as file:
                names = next(csv.reader(file), [])
            if twice := sorted({name for name in names if names.count(name) > 1}):
                raise BadDataset(f"{path}, line 1: the column {twice[0]!r} stands twice.")
            frame = pd.read_csv(path, skipinitialspace=True, encoding="utf-8-sig")
    except (ValueError, OSError, csv.Error) as broken:
        raise BadDataset(f"{path} cannot be read: {(str(broken).splitlines() or ['?'])[0]}") from broken
    if len(frame.columns) > _MOST_COLUMNS:
        raise BadDataset(f"{path} has {len(frame.columns):,} columns; {_MOST_COLUMNS:,} are the most.")
    frame.columns = [str(name) for name in frame.columns]
    return frame


def _time_of(path: Path, frame: pd.DataFrame, wanted: str | None) -> str:
    names = (wanted,) if wanted is not None else _TIME_COLUMNS
    found = next((name for name in names if name in frame), None)
    if found is None:
        has = ", ".join(map(repr, frame.columns[:12])) + (", ..." if len(frame.columns) > 12 else "")
        raise BadDataset(
            f"{path} has no column {' or '.join(map(repr, names[:3]))}.",
            hint=f"It has: {has}. Name the one with the time: --time-column NAME.",
        )
    return found


def _times(path: Path, column: pd.Series) -> pd.Series:
    try:
        if pd.api.types.is_datetime64_any_dtype(column):
            found = column.dt.tz_localize("UTC") if column.dt.tz is None else column.dt.tz_convert("UTC")
        elif pd.api.types.is_numeric_dtype(column):
            numbers = column.to_numpy(dtype=np.float64)
            known = np.abs(numbers[np.isfinite(numbers)])
            largest = float(known.max()) if len(known) else 0.0
            column = column.where(np.isfinite(numbers))
            unit = next(unit for limit, unit in _UNITS if largest < limit)
            found = pd.to_datetime(column, unit=unit, utc=True, errors="coerce")  # type: ignore[call-overload]  # a unit
        else:
            found = pd.to_datetime(column, format="ISO8601", utc=True, errors="coerce")
    except (ValueError, OverflowError) as wrong:
        raise BadDataset(f"{path}: the column {column.name!r} has no times: {wrong}.") from wrong
    if found.isna().mean() > 0.5:
        shown = column[found.isna()].iloc[0]
        raise BadDataset(
            f"{path}: the column {column.name!r} has no times: {str(shown)[:40]!r}.",
            hint="Write ISO-8601, like 2026-01-31T12:00:00Z, or a number of seconds since 1970.",
        )
    return pd.Series(found)


def _numbers(frame: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """The columns that are mostly numbers, and the names of the others."""
    kept, left_out = {}, []
    for name in frame.columns:
        column = frame[name]
        values = pd.to_numeric(column, errors="coerce") if not pd.api.types.is_bool_dtype(column) else None
        if values is None or values.notna().sum() < max(column.notna().sum() / 2, 1):
            left_out.append(name)
        else:
            kept[name] = values.astype(np.float64)
    return pd.DataFrame(kept, index=frame.index), left_out


# --- a Prometheus ----------------------------------------------------------------------------------------------------


def read_prometheus(
    source: PrometheusSource,
    workload: Workload,
    *,
    span: timedelta,
    step: timedelta | None = None,
    own: Mapping[str, str] | None = None,
    now: datetime | None = None,
) -> Samples:
    """The metrics of a workload over the last `span`: its use, and requests, latency and errors where a mesh has them.

    step: by default the scrape interval, or coarser so that two weeks of minutes are the most samples. own: metrics of
    one's own, name -> PromQL with $namespace, $service and $window in it; each must give one series. Raises BadInput,
    SourceUnavailable where nothing answers, NotEnoughData where nothing is known.
    """
    from mora.sources.prometheus import mesh

    end = datetime.now(UTC) if now is None else now
    rough = Window(end - span, end, timedelta(seconds=15))
    with source.wire() as wire:
        interval, rate_window = mesh.pace_of(wire, workload.namespace, rough)
        if step is None or span / step > MOST_SAMPLES:
            first = mesh.first_seen(wire, workload.namespace, rough) or rough.start
            step = usual_step(end - first, interval) if step is None else step
            span = min(span, end - first + 2 * step)
        if span / step > _MOST_ASKED:
            raise BadInput(
                f"{format_duration(span)} at one sample every {format_duration(step)} are {span // step:,} samples; "
                f"{_MOST_ASKED:,} are the most.",
                hint="Ask for a shorter time range.",
            )
        window = _window(end, max(span, 2 * step), step)
        queries = mesh.mesh_queries(workload, rate_window)
        for name, text in (own or {}).items():
            queries[check_metric(name)] = mesh.own_query(text, workload, rate_window)
        more = mesh.read_columns(wire, queries, window)
    seen = source.observe(workload, window)
    kept = [name for name in (*HEALTH_COLUMNS, REPLICAS) if name in seen.metrics and name not in more]
    frame = pd.concat([seen.metrics[kept], more], axis=1)
    absent = [name for name in (own or {}) if frame[name].isna().all()]
    if absent:
        raise NotEnoughData(
            f"The query of {absent[0]} answers nothing in the last {format_duration(span)}: {queries[absent[0]]}",
            hint="Try it in Prometheus, and correct it.",
        )
    frame = frame.dropna(axis=1, how="all").rename_axis(TIMESTAMP).reset_index()
    known = frame.drop(columns=TIMESTAMP).notna().any(axis=1).to_numpy()
    if not known.any():
        raise NotEnoughData(
            f"Nothing is known of {workload.namespace}/{workload.name} in the last {format_duration(span)}.",
            hint="Is it running, and is it scraped? mora doctor",
        )
    frame = frame.iloc[int(np.argmax(known)) :].reset_index(drop=True)
    return Samples(frame, repr(source), (), queries)


def read_namespace(
    source: PrometheusSource,
    namespace: str,
    *,
    span: timedelta,
    step: timedelta | None = None,
    now: datetime | None = None,
) -> Iterator[tuple[str, Samples]]:
    """The metrics of every service of a namespace over the last `span`, as the watcher reads them: a query a column.

    step: as of read_prometheus(), or coarser so that all of them fit into memory, with a remark. Services of which
    nothing is known are not there. Raises SourceUnavailable, NotEnoughData where there is no service.
    """
    from mora.sources.prometheus import mesh
    from mora.sources.prometheus.grid import index_of
    from mora.sources.prometheus.services import COLUMNS, read_services

    end = datetime.now(UTC) if now is None else now
    remarks: tuple[str, ...] = ()
    rough = Window(end - span, end, timedelta(seconds=15))
    services = max(len(source.services(namespace)), 1)
    with source.wire() as wire:
        interval, rate_window = mesh.pace_of(wire, namespace, rough)
        first = mesh.first_seen(wire, namespace, rough) or rough.start
        span = min(span, end - first + timedelta(minutes=2))
        wanted = usual_step(span, interval) if step is None else step
        least = span * services * len(COLUMNS) * 8 / _MOST_MEMORY
        if step is None and least > wanted:
            step = usual_step(least * MOST_SAMPLES, least)
            remarks = (
                f"Samples are {format_duration(step)} apart, so that those of {services} services fit in memory.",
            )
        else:
            step = wanted
        window = _window(end, max(span, 2 * step), step)
        for (_, service), columns in read_services(wire, [namespace], COLUMNS, window, rate_window):
            frame = pd.DataFrame(columns, index=index_of(window)).dropna(axis=1, how="all")
            known = frame.notna().any(axis=1).to_numpy()
            if known.any():
                frame = frame.iloc[int(np.argmax(known)) :].rename_axis(TIMESTAMP).reset_index()
                yield service, Samples(frame, repr(source), remarks)


def usual_step(span: timedelta, interval: timedelta | None) -> timedelta:
    """The step that a history is read with: the scrape interval, or more so that it has two weeks of minutes at most.

    >>> print(usual_step(timedelta(days=14), timedelta(seconds=15)), usual_step(timedelta(hours=1), None))
    0:01:00 0:00:15
    """
    least = max((interval or timedelta(seconds=15)).total_seconds(), span.total_seconds() / MOST_SAMPLES)
    found = next((seconds for seconds in _STEPS_SECONDS if seconds >= least * 0.99), _STEPS_SECONDS[-1])
    return timedelta(seconds=found)


def check_metric(name: str) -> str:
    """The name of a metric of one's own: letters, digits, '_', '-' and '.'; else BadInput."""
    if EXPERIMENT_ID.fullmatch(name) is None or len(name) > 80:
        raise BadInput(
            f"{name!r} is not a name of a metric.", hint="Use letters, digits and '_', such as queue_length."
        )
    return name


def _window(end: datetime, span: timedelta, step: timedelta) -> Window:
    moment = end.timestamp()
    last = datetime.fromtimestamp(moment - moment % step.total_seconds(), UTC)
    return Window(last - (span // step) * step, last, step)
