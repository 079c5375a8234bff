"""Which abnormal times may be left out of sizing without a person: those that an independent witness speaks against.

A detector alone says that a time was unusual, and the unusual is what a request has to cover: leaving out all of it
makes advice worse. So a time is left out only where (a) a detector flags it, (b) a witness that the detector did not
ask says that no load explains it, (c) it is over, and (d) enough of the history remains. What recurs and what lasts
longer than a day stays: it will come again. Measured part by part by experiments/benchmarks/health_gate.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

import numpy as np
from numpy.typing import NDArray

from mora.health.histories import NEW_NORMAL

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
Rows = tuple[int, int]
"""First row, and the one after the last."""

# CPU for a unit of work, as a multiple of its own median, that load does not explain; and what counts as usual work.
_DEAR = 2.0
_USUAL_WORK = 0.95
# Rows on either side of those that a witness speaks against: a rate sees a fault a sample early or late.
_AROUND = 2
# Less work than this share of the median says nothing of what a unit of it costs: an idle service has its own costs.
_LEAST_WORK = 0.1
_REMAINING = timedelta(days=3)
# Events of other days that begin within an hour of the same time of day are the same event again.
_SAME_TIME = timedelta(hours=1)
_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Signs:
    """What a witness may know of a service, each of shape (rows,), NaN where not known; None where never.

    cpu: cores. work: requests or, where those are not known, network bytes a second. errors: error ratio. latency:
    seconds. kills: OOM kills and restarts at each sample.
    """

    cpu: Floats
    work: Floats | None = None
    errors: Floats | None = None
    latency: Floats | None = None
    kills: Floats | None = None


@dataclass(frozen=True, slots=True)
class Parts:
    """Which parts of the rule hold, for measuring what each is worth."""

    witness: bool = True
    ended: bool = True
    remaining: bool = True


def left_out(
    events: Sequence[Rows], signs: Signs, step: timedelta, *, of_memory: bool = False, parts: Parts | None = None
) -> Flags:
    """The rows that may be left out, shape (rows,). events: what a detector flagged, in order. Pure.

    of_memory: of what memory is sized from. There a kill is the only witness: what makes work dear in CPU says nothing
    against a peak of memory, and memory that lacks kills.
    """
    parts = parts or Parts()
    rows = len(signs.cpu)
    found = np.zeros(rows, dtype=np.bool_)
    against = _widened(_dear(signs) | _troubled(signs), _AROUND)
    for first, stop in events:
        if parts.ended and stop >= rows - max(1, round(timedelta(minutes=30) / step)):
            continue
        if (stop - first) * step > NEW_NORMAL or _recurs((first, stop), events, step):
            continue
        found[first:stop] = not parts.witness
        if parts.witness:
            found[first:stop] |= _before_kills(slice(first, stop), signs)
            if not of_memory:
                found[first:stop] |= against[first:stop]
    known = ~np.isnan(signs.cpu)
    left = int((known & ~found).sum())
    if parts.remaining and found.any() and left < min(_REMAINING / step, 0.5 * int(known.sum())):
        return np.zeros(rows, dtype=np.bool_)
    return found


def _before_kills(event: slice, signs: Signs) -> Flags:
    """The rows of an event up to its last kill: a leak that ends in one. Nothing without."""
    found = np.zeros(event.stop - event.start, dtype=np.bool_)
    if signs.kills is not None:
        killed = np.flatnonzero(np.nan_to_num(signs.kills[event]) > 0)
        found[: int(killed[-1]) + 1 if len(killed) else 0] = True
    return found


def _troubled(signs: Signs) -> Flags:
    """Where errors or latency are far up at no unusual work."""
    found = np.zeros(len(signs.cpu), dtype=np.bool_)
    for values in (signs.errors, signs.latency):
        if values is not None:
            found |= _far_up(values) & _is_usual(signs)
    return found


def _widened(flags: Flags, rows: int) -> Flags:
    """The flags, and so many rows on either side of each."""
    found = flags.copy()
    for shift in range(1, rows + 1):
        found[shift:] |= flags[:-shift]
        found[:-shift] |= flags[shift:]
    return found


def _dear(signs: Signs) -> Flags:
    """Where a unit of work takes more than twice the CPU that it usually does, at no unusual work."""
    if signs.work is None:
        return np.zeros(len(signs.cpu), dtype=np.bool_)
    known = signs.work[signs.work > 0]
    if not len(known):
        return np.zeros(len(signs.cpu), dtype=np.bool_)
    least = _LEAST_WORK * float(np.median(known))
    with np.errstate(invalid="ignore", divide="ignore"):
        each = signs.cpu / np.maximum(signs.work, least)
        usual = float(np.nanmedian(each)) if not np.isnan(each).all() else np.inf
        found: Flags = (each > _DEAR * usual) & _is_usual(signs)
    return found


def _is_usual(signs: Signs) -> Flags:
    """Where the work is no more than it is in 95 of 100 samples; everywhere, where it is not known."""
    if signs.work is None or np.isnan(signs.work).all():
        return np.ones(len(signs.cpu), dtype=np.bool_)
    with np.errstate(invalid="ignore"):
        found: Flags = signs.work <= float(np.nanquantile(signs.work, _USUAL_WORK))
    return found


def _far_up(values: Floats) -> Flags:
    """Above twice the level that 95 of 100 samples stay below."""
    if np.isnan(values).all():
        return np.zeros(len(values), dtype=np.bool_)
    with np.errstate(invalid="ignore"):
        found: Flags = values > _DEAR * float(np.nanquantile(values, _USUAL_WORK))
    return found


def _recurs(event: Rows, events: Sequence[Rows], step: timedelta) -> bool:
    """Whether another event of another day begins at about the same time of day."""
    per_day, near = _DAY / step, _SAME_TIME / step
    for other in events:
        apart = abs(other[0] - event[0])
        rest = apart % per_day
        if apart > per_day / 2 and min(rest, per_day - rest) <= near:
            return True
    return False
