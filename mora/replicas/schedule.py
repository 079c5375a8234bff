"""The fewest pods of each hour of a working day and of a weekend, from a past demand: what a cron trigger asks for."""

from __future__ import annotations

import math
from datetime import datetime, timedelta
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from mora.domain import Floor

Floats = NDArray[np.float64]

WORKING_DAYS, WEEKEND = (0, 1, 2, 3, 4), (5, 6)
_HOURS = 24
# Each span is a trigger of KEDA, for somebody to read.
_MOST_SPANS = 6
_DAY = 24 * 60


def levels(demand: Floats, start: datetime, step: timedelta, quantile: float) -> Floats:
    """A quantile of the demand in each hour, shape (2, 24): of working days, of weekends; NaN where nothing is known.

    demand: shape (n,), NaN where not known. start: of the first sample, UTC.
    """
    kind, hour = _slots(len(demand), start, step)
    found = np.full((2, _HOURS), np.nan)
    for row, column in np.ndindex(found.shape):
        values = demand[(kind == row) & (hour == column)]
        values = values[~np.isnan(values)]
        if len(values):
            found[row, column] = np.quantile(values, quantile)
    return found


def at_samples(level: Floats, count: int, start: datetime, step: timedelta, start_up: timedelta) -> Floats:
    """The pods that a schedule asks for at each of some samples, shape (count,), early by the start-up of a pod."""
    kind, hour = _slots(count, start + start_up, step)
    kind_now, hour_now = _slots(count, start, step)
    pods = _pods(level)
    found: Floats = np.maximum(pods[kind, hour], pods[kind_now, hour_now]).astype(np.float64)
    return found


def floors_of(level: Floats, start_up: timedelta, least: int) -> tuple[Floor, ...]:
    """The same schedule as spans of hours, the long ones whole: those that ask for more than `least`.

    Each begins early by the start-up of a pod, in whole minutes. One that would begin anew before it ends is a single
    span over its days: KEDA takes a start that comes before the next end for a pause until that start.
    """
    pods = _pods(level)
    early = math.ceil(start_up / timedelta(minutes=1))
    is_alike = bool((pods[0] == pods[1]).all())
    groups = [((*WORKING_DAYS, *WEEKEND), pods[0])] if is_alike else [(WORKING_DAYS, pods[0]), (WEEKEND, pods[1])]
    found = []
    for days, row in groups:
        edges = [0, *(int(at) + 1 for at in np.flatnonzero(np.diff(row))), _HOURS]
        for first, after in pairwise(edges):
            start, end = first * 60 - early, after * 60
            if row[first] <= least:
                continue
            if end - start < _DAY:
                found.append(Floor(days, start, end, int(row[first])))
            elif is_alike:
                # It never ends, and KEDA refuses a start at the minute of the end.
                found.append(Floor(days, end - _DAY + 1, end, int(row[first])))
            else:
                found.append(Floor(days[:1], start, end + (len(days) - 1) * _DAY, int(row[first])))
    return tuple(found)


def always(level: Floats) -> int:
    """The pods that the schedule asks for at every hour: a minimum, which takes no trigger."""
    return int(_pods(level).min())


def _pods(level: Floats) -> NDArray[np.int64]:
    """Whole pods of each hour, shape (2, 24), in few spans: hours that differ least get the more of both."""
    pods = np.ceil(np.round(np.nan_to_num(level), 9)).astype(np.int64)
    for row in pods:
        while len(edges := np.flatnonzero(np.diff(row)) + 1) >= _MOST_SPANS:
            starts, ends = [0, *edges], [*edges, _HOURS]
            # Joining a span with the next one raises the lower of them.
            added = [
                abs(int(row[start]) - int(row[end])) * (end - start if row[start] < row[end] else after - end)
                for start, end, after in zip(starts[:-1], ends[:-1], ends[1:], strict=True)
            ]
            at = int(np.argmin(added))
            here = slice(starts[at], ends[at + 1])
            row[here] = row[here].max()
    return pods


def _slots(count: int, start: datetime, step: timedelta) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """0 for a working day or 1 for a weekend, and the hour, of each sample."""
    seconds = start.timestamp() + np.arange(count) * step.total_seconds()
    minutes = (seconds // 60).astype(np.int64)
    weekday = (minutes // _DAY + 3) % 7  # 1 January 1970 was a Thursday
    return (weekday >= WEEKEND[0]).astype(np.int64), minutes // 60 % _HOURS
