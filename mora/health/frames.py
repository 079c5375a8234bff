"""Samples on the grid that detectors read: one row a step, in the order of time, NaN where nothing is known."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import pandas as pd

from mora.detectors.frames import TIMESTAMP, metrics_of
from mora.errors import BadInput, NotEnoughData
from mora.quantities import counted, format_duration, format_moment

LABELS = ("is_anomaly", "label")
"""Columns that say which samples were abnormal: 1 where one was."""
FLAG, SCORE = "predicted_anomaly", "anomaly_score"
"""The columns that `mora health predict` adds."""
NO_METRICS = (*LABELS, FLAG, SCORE)
HEALTH_COLUMNS: tuple[str, ...] = (
    "cpu_cores_value",
    "mem_bytes_value",
    "net_rx_bytes_value",
    "net_tx_bytes_value",
    "pod_restarts_value",
    "throttled_ratio",
    "requests_per_second",
    "latency_p95_seconds",
    "error_ratio",
)
"""The metrics of a service's health, where a frame has them."""

REPLICAS = "replica_count_value"
# Two months of samples every second.
_MOST_ROWS = 5_500_000
# Of a longer gap so many rows are kept: more than any detector looks back, and no row of it has a verdict anyhow.
_LONGEST_GAP_ROWS = 5_000
# Longer than this ahead of the clock is no difference between two clocks.
_CLOCKS_DIFFER = timedelta(minutes=5)
# A step that is this share off is the same step, of a clock that is read late.
_SAME_STEP = 0.1


@dataclass(frozen=True, slots=True)
class HealthFrame:
    """Samples on a grid. frame: `timestamp` (UTC) and metrics, a row a step. remarks: what was mended, a sentence each.

    A gap of more than 5,000 steps has 5,000 rows; nowhere else do two rows differ by more than one step.
    """

    frame: pd.DataFrame
    step: timedelta
    remarks: tuple[str, ...] = ()

    @property
    def metrics(self) -> tuple[str, ...]:
        """The columns of numbers."""
        return metrics_of(self.frame)

    @property
    def start(self) -> datetime:
        """The first row's moment."""
        return moment_of(self.frame[TIMESTAMP].iloc[0])

    @property
    def end(self) -> datetime:
        """The last row's moment."""
        return moment_of(self.frame[TIMESTAMP].iloc[-1])

    def without(self, windows: Iterable[tuple[datetime, datetime]]) -> HealthFrame:
        """The same with the samples from START to END of each window not known; the rows stay."""
        windows = list(windows)
        if not windows:
            return self
        inside = within(self.frame[TIMESTAMP], windows)
        frame = self.frame.copy()
        frame.loc[inside, list(self.metrics)] = np.nan
        return HealthFrame(frame, self.step, self.remarks)


def within(times: pd.Series, windows: Iterable[tuple[datetime, datetime]]) -> np.ndarray:
    """Which moments lie in any of the windows, both ends included; shape (n,)."""
    inside = np.zeros(len(times), dtype=bool)
    for start, end in windows:
        inside |= ((times >= start) & (times <= end)).to_numpy()
    return inside


def moment_of(at: object) -> datetime:
    """A cell of `timestamp` as an aware datetime."""
    return pd.Timestamp(at).to_pydatetime()  # type: ignore[arg-type]  # a cell is what pandas says it is


def health_columns(frame: pd.DataFrame) -> tuple[str, ...]:
    """The metrics of health that a frame knows something of; where it has none of those, all its columns of numbers.

    Labels and verdicts (NO_METRICS) are none.
    """
    known = [name for name in metrics_of(frame) if name not in NO_METRICS and frame[name].notna().any()]
    named = tuple(name for name in HEALTH_COLUMNS if name in known)
    return named or tuple(known)


def on_grid(
    samples: pd.DataFrame,
    *,
    step: timedelta | None = None,
    columns: Sequence[str] | None = None,
    now: datetime | None = None,
) -> HealthFrame:
    """Samples, in any order and with any gaps, as a HealthFrame.

    samples: `timestamp` (aware; UTC where no zone is given) and columns of numbers. step: of the grid; by default the
    commonest distance of two samples. Finer samples are averaged over each step, and stand at its end, so that no row
    knows what comes later. columns: those that are kept; by default all metrics. now: samples of later moments are
    dropped, unless all are. What is mended (order, moments that occur twice, infinite values) is named in `remarks`.
    Raises BadInput where the samples are coarser than the step, or a stray moment would lay the grid over decades;
    NotEnoughData where there are fewer than two.
    """
    remarks: list[str] = []
    frame = _in_order(samples, columns, now, remarks)
    if len(frame) < 2:
        raise NotEnoughData(
            f"There {'is' if len(frame) == 1 else 'are'} {counted(len(frame), 'sample')}, and two are the fewest that "
            "have a step.",
            hint="Give a longer history.",
        )
    found = step_of(frame[TIMESTAMP])
    step = found if step is None else step
    if found > step * (1 + _SAME_STEP):
        raise BadInput(
            f"The samples come every {format_duration(found)}, and every {format_duration(step)} is needed.",
            hint="Give samples of that step, or train on these: mora health train",
        )
    seconds, step_seconds = _seconds(frame[TIMESTAMP]), step.total_seconds()
    is_finer = found < step * (1 - _SAME_STEP)
    if is_finer:
        # (T - step, T] stands at T.
        slots = np.ceil((seconds - seconds[0]) / step_seconds - 1e-9).astype(np.int64)
        remarks.append(f"Samples every {format_duration(found)} are averaged to {format_duration(step)}.")
    else:
        slots = np.round((seconds - seconds[0]) / step_seconds).astype(np.int64)
    if slots[-1] > _MOST_ROWS and len(frame) < _MOST_ROWS / 100:
        first, last = (format_moment(moment_of(at)) for at in (frame[TIMESTAMP].iloc[0], frame[TIMESTAMP].iloc[-1]))
        raise BadInput(
            f"The samples span {first} to {last} at one every {format_duration(step)}.",
            hint="Is one of the times wrong? Correct it, or give only the samples of a shorter time range.",
        )
    metrics = list(metrics_of(frame))
    grouped = frame[metrics].groupby(slots, sort=True)
    values = grouped.mean() if is_finer else grouped.last()
    found_slots = values.index.to_numpy()
    count = 1 + int(np.minimum(np.diff(found_slots), _LONGEST_GAP_ROWS).sum())
    if count > max(_MOST_ROWS, 10 * len(frame)):
        raise BadInput(
            f"The samples have so many gaps that a row every {format_duration(step)} makes {count:,} rows.",
            hint="Give a coarser step (--step 5m), or a shorter time range.",
        )
    rows = _rows(found_slots)
    full = values.reindex(rows).reset_index(drop=True)
    start = pd.Timestamp(frame[TIMESTAMP].iloc[0])
    stamps = start + pd.to_timedelta(np.round(rows * step_seconds * 1e6).astype(np.int64), unit="us")
    full.insert(0, TIMESTAMP, pd.DatetimeIndex(stamps).as_unit("us"))
    return HealthFrame(full, step, tuple(remarks))


def step_of(times: pd.Series) -> timedelta:
    """The commonest distance of two moments that follow each other, to the millisecond; at least one."""
    steps = np.round(np.diff(_seconds(times)) * 1000).astype(np.int64)
    steps = steps[steps > 0]
    if not len(steps):
        return timedelta(seconds=1)
    found, counts = np.unique(steps, return_counts=True)
    commonest = int(found[counts.argmax()])
    # Scrapes a little early or late have no commonest distance; their middle is the step.
    middle = int(np.median(steps))
    return timedelta(milliseconds=commonest if counts.max() > len(steps) / 5 else middle)


def _rows(slots: np.ndarray) -> np.ndarray:
    """The slots of all rows, those of gaps included; the end of a gap that is too long is left out."""
    pieces, start = [], slots[0]
    for before in np.flatnonzero(np.diff(slots) > _LONGEST_GAP_ROWS):
        pieces.append(np.arange(start, slots[before] + _LONGEST_GAP_ROWS))
        start = slots[before + 1]
    return np.concatenate([*pieces, np.arange(start, slots[-1] + 1)])


def _seconds(times: pd.Series) -> np.ndarray:
    return np.asarray(times.dt.as_unit("us").astype("int64"), dtype=np.float64) / 1e6


def _in_order(
    samples: pd.DataFrame, columns: Sequence[str] | None, now: datetime | None, remarks: list[str]
) -> pd.DataFrame:
    if TIMESTAMP not in samples:
        raise BadInput(
            f"The samples have no column {TIMESTAMP!r}.", hint="Name the column with the time: --time-column NAME."
        )
    wanted = list(metrics_of(samples) if columns is None else columns)
    lacking = [name for name in wanted if name not in samples]
    if lacking:
        raise BadInput(f"The samples have no column {', '.join(map(repr, lacking))}.")
    if not wanted:
        raise BadInput("The samples have no column of numbers.", hint="Give at least one metric beside the time.")
    times = pd.to_datetime(samples[TIMESTAMP], utc=True, errors="coerce")
    values = samples[wanted].to_numpy(dtype=np.float64)
    if infinite := int(np.isinf(values).sum()):
        remarks.append(f"{counted(infinite, 'infinite value')} {'counts' if infinite == 1 else 'count'} as not known.")
    frame = pd.DataFrame(np.where(np.isfinite(values), values, np.nan), columns=wanted)
    frame.insert(0, TIMESTAMP, times.reset_index(drop=True).dt.as_unit("us"))
    if missing := int(frame[TIMESTAMP].isna().sum()):
        frame = frame[frame[TIMESTAMP].notna()]
        remarks.append(f"{counted(missing, 'row')} without a time {'is' if missing == 1 else 'are'} left out.")
    if now is not None and (later := int((frame[TIMESTAMP] > now + _CLOCKS_DIFFER).sum())):
        # Where all are, it may as well be this clock that is wrong, and none would be left.
        if later == len(frame):
            remarks.append("All samples are from the future: the clock of this machine or theirs is wrong.")
        else:
            frame = frame[frame[TIMESTAMP] <= now + _CLOCKS_DIFFER]
            remarks.append(f"{counted(later, 'sample')} from the future left out: a clock is wrong.")
    back = int((frame[TIMESTAMP].diff() < pd.Timedelta(0)).sum())
    if back:
        frame = frame.sort_values(TIMESTAMP, kind="stable")
        remarks.append(f"The times go back {counted(back, 'time')}: the samples are put in order.")
    twice = frame[TIMESTAMP].duplicated(keep="last")
    if twice.any():
        frame = frame[~twice]
        remarks.append(f"{counted(int(twice.sum()), 'moment')} with two samples: the later one is taken.")
    return frame.reset_index(drop=True)
