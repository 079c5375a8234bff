"""States of a service at each moment, and its events: runs of abnormal samples. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mora.detectors.frames import TIMESTAMP, matrix_of
from mora.health.frames import REPLICAS, moment_of

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

SAME_EVENT = timedelta(minutes=30)
"""Alarms no further apart are one event: one page to the person on call."""
LONGEST_START_UP = timedelta(minutes=9)
"""The first `rate` window after a cold start, in the system that this rule comes from."""
# A window of an autoencoder: with short steps a start-up is as many samples, not nine minutes of them.
_START_UP_ROWS = 20
# A healthy verdict needs this share of the metrics, and any verdict this share of the rows that its score rests on: in
# the first rows of a frame, half of the scores of context-distance were false alarms.
_LEAST_KNOWN = 0.5
# More says nothing more; a metric that never moved before has scores without end.
_MOST_EXCESS = 1e6
_NOISE = 1e-3


class State(StrEnum):
    """The verdict on a service at a moment. Without data it is unknown, never healthy."""

    HEALTHY = "healthy"
    ABNORMAL = "abnormal"
    STARTING = "starting"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Event:
    """A run of abnormal samples.

    samples: those that are abnormal. peak: the largest score over its threshold, at `peak_at`. metrics: metric -> its
    share of the event's scores, the largest first. weight: the mean of its verdicts', 0..1.
    """

    start: datetime
    end: datetime
    samples: int
    peak: float
    peak_at: datetime
    metrics: Mapping[str, float] = field(default_factory=dict)
    weight: float = 1.0

    @property
    def duration(self) -> timedelta:
        """From its first abnormal sample to its last."""
        return self.end - self.start


def usual_start_up(step: timedelta) -> timedelta:
    """How long after a cold start there is no verdict, unless told: 20 samples, nine minutes at most.

    >>> print(usual_start_up(timedelta(seconds=1)), usual_start_up(timedelta(minutes=1)))
    0:00:20 0:09:00
    """
    return min(LONGEST_START_UP, _START_UP_ROWS * step)


def starting_rows(
    frame: pd.DataFrame,
    columns: Sequence[str],
    *,
    step: timedelta,
    start_up: timedelta,
    started: Sequence[datetime] = (),
) -> Flags:
    """Which rows lie in a start-up: from a cold start on, for `start_up`; shape (rows,).

    A cold start is where replicas rise from none; where something is known again after nothing was for as long as a
    start-up takes (a rate over that time then sees a part of it alone); and each moment of `started`. The first row of
    a frame is none: what was before it is not known.
    """
    times = frame[TIMESTAMP]
    if not start_up:
        return np.zeros(len(frame), dtype=bool)
    known = np.isfinite(matrix_of(frame, columns)).any(axis=1)
    rows = np.arange(len(frame))
    last_known = np.maximum.accumulate(np.where(known, rows, -1))
    before = np.concatenate([[-1], last_known[:-1]])
    cold = known & (before >= 0) & (rows - before - 1 >= max(round(start_up / step), 1))
    if REPLICAS in frame:
        replicas = frame[REPLICAS].to_numpy(dtype=np.float64)
        cold[1:] |= (replicas[1:] > 0) & (replicas[:-1] == 0)
    found = np.zeros(len(frame), dtype=bool)
    for at in (*times[cold], *started):
        found |= ((times >= at) & (times < at + start_up)).to_numpy()
    return found


def known_share(frame: pd.DataFrame, columns: Sequence[str]) -> Floats:
    """The share of the metrics that are known in each row, 0..1, shape (rows,)."""
    share: Floats = np.isfinite(matrix_of(frame, columns)).mean(axis=1)
    return share


def weights(known: Floats, context: int) -> Floats:
    """How much of what each row's score rests on is known: the mean share over the row and `context` rows before it.

    Rows before the first count as not known.

    >>> weights(np.array([1.0, 1.0, 0.5, 1.0]), 1)
    array([0.5 , 1.  , 0.75, 0.75])
    """
    total = np.concatenate([np.zeros(context + 1), np.cumsum(known)])
    found: Floats = (total[context + 1 :] - total[: len(known)]) / (context + 1)
    return np.clip(found, 0.0, 1.0)


def states(
    scores: Floats, thresholds: Floats, known: Floats, starting: Flags, support: Floats | None = None
) -> NDArray[np.object_]:
    """The State of each row, shape (rows,). A score above its threshold is abnormal.

    known: share of the metrics known in each row. Where less than half is, no row is healthy. support: share of the
    rows that each score rests on of which anything is known; where less than half is, there is no verdict.
    """
    found = np.full(len(scores), State.UNKNOWN, dtype=object)
    is_scored = np.isfinite(scores) & (known > 0)
    if support is not None:
        is_scored &= support >= _LEAST_KNOWN
    found[is_scored & (known >= _LEAST_KNOWN)] = State.HEALTHY
    found[is_scored & (scores > _above_noise(thresholds))] = State.ABNORMAL
    found[starting & (known > 0)] = State.STARTING
    return found


def find_events(
    times: pd.Series,
    abnormal: Flags,
    *,
    excess: Floats,
    shares: pd.DataFrame | None = None,
    weight: Floats | None = None,
    gap: timedelta = SAME_EVENT,
) -> tuple[Event, ...]:
    """The events of a series, in the order of time; abnormal samples no further apart than `gap` are one.

    excess: score over threshold, shape (rows,). shares: contributions, a column a metric. weight: of each verdict.
    """
    rows = np.flatnonzero(abnormal)
    if not len(rows):
        return ()
    at = times.iloc[rows].reset_index(drop=True)
    cuts = np.flatnonzero((at.diff() > gap).to_numpy())
    found = []
    for run in np.split(rows, cuts):
        peak = int(run[np.argmax(np.nan_to_num(excess[run], nan=-np.inf))])
        found.append(
            Event(
                start=moment_of(times.iloc[run[0]]),
                end=moment_of(times.iloc[run[-1]]),
                samples=len(run),
                peak=float(excess[peak]),
                peak_at=moment_of(times.iloc[peak]),
                metrics={} if shares is None else _metrics(shares.iloc[run], excess[run]),
                weight=1.0 if weight is None else float(weight[run].mean()),
            )
        )
    return tuple(found)


def excess_of(scores: Floats, thresholds: Floats) -> Floats:
    """Scores over their thresholds, shape (rows,), finite where the scores are, a million at most."""
    with np.errstate(over="ignore"):
        found: Floats = scores / _above_noise(thresholds)
    return np.where(np.isfinite(scores), np.clip(found, 0.0, _MOST_EXCESS), np.nan)


def _above_noise(thresholds: Floats) -> Floats:
    """The thresholds; where one is 0, since no metric ever moved, what rounding does not exceed."""
    found: Floats = np.where(thresholds > 0, thresholds, _NOISE)
    return found


def _metrics(shares: pd.DataFrame, excess: Floats) -> dict[str, float]:
    # A share of the largest, so that no sum is too large for a number.
    weight = np.nan_to_num(excess)
    total = (shares.to_numpy() * (weight / max(float(weight.max()), 1e-300))[:, None]).sum(axis=0)
    if not total.sum() > 0:
        return {}
    found = {str(name): float(share) for name, share in zip(shares.columns, total / total.sum(), strict=True)}
    return dict(sorted(found.items(), key=lambda one: (-one[1], one[0])))
