"""The health of one service as its samples come: each new row is judged once, as HealthModel.judge() would judge it.

A monitor keeps the rows that the next score depends on, and where the threshold stands. What it says of a row never
changes when later rows come. It reads no clock and no Prometheus: watch.py brings the rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING, Self

import numpy as np
from numpy.typing import NDArray

from mora.detectors.frames import TIMESTAMP
from mora.errors import BadInput
from mora.health.events import SAME_EVENT, Flags, Floats, State, states, weights
from mora.health.frames import REPLICAS

if TYPE_CHECKING:
    import pandas as pd

    from mora.health.model import HealthModel
    from mora.seams import Detector, Threshold

Moments = NDArray[np.int64]
"""Nanoseconds since 1970."""

# What carries a score is asked where the score says something: it costs as much as the score.
_TELLING = 0.5
_NOTHING = "No metric that it was trained on has a sample."
_TOO_LITTLE = "Too few of the samples are known that a score depends on."


@dataclass(frozen=True, slots=True)
class Reading:
    """The verdict on one sample. at: its moment. score and threshold: None where there is none.

    contributions: metric -> share of the score, largest first; empty where that is below half of its threshold. why: of
    `unknown`, the reason.
    """

    at: datetime
    state: State
    score: float | None = None
    threshold: float | None = None
    contributions: Mapping[str, float] = field(default_factory=dict)
    why: str = ""

    @property
    def ratio(self) -> float | None:
        """The score in thresholds: above 1 is abnormal. None without a score."""
        if self.score is None or self.threshold is None or self.threshold <= 0:
            return None
        return self.score / self.threshold


@dataclass(slots=True)
class Monitor:
    """Judges the samples of one service one after another.

    step: the time from one row to the next. start_up: for so long after a cold start there is no verdict.
    """

    detector: Detector
    threshold: Threshold
    step: timedelta
    start_up: timedelta = timedelta(0)
    last: Reading | None = field(init=False, default=None)
    since: datetime | None = field(init=False, default=None)
    """Since when the state of `last` holds."""
    alarms: int = field(init=False, default=0)
    """Events so far: runs of abnormal samples."""
    scores: Floats = field(init=False, default_factory=lambda: np.empty(0))
    """The scores of the rows that were fed last; NaN where there is none."""
    _values: Floats = field(init=False)
    _at: Moments = field(init=False, default_factory=lambda: np.empty(0, dtype=np.int64))
    _alarmed_at: int | None = field(init=False, default=None)
    _known_at: int = field(init=False, default=-1)
    _cold_at: int = field(init=False, default=-1)
    _replicas: float = field(init=False, default=np.nan)

    def __post_init__(self) -> None:
        if not self.detector.columns:
            raise BadInput(f"The detector {self.detector.name} is not trained.", hint="Train it: mora health train")
        self._values = np.empty((0, len(self.detector.columns)))

    @classmethod
    def of(cls, model: HealthModel) -> Self:
        """A monitor that begins with a model as it was trained."""
        return cls(model.detector, model.new_threshold(), model.step, model.start_up)

    @property
    def needs(self) -> int:
        """How many rows before a row its verdict depends on."""
        return self.detector.context + max(round(self.start_up / self.step), 1)

    def feed(self, frame: pd.DataFrame) -> int:
        """Take new rows, in the order of time; how many were new. Rows that were fed before are passed over.

        A metric that the frame lacks is not known. A gap in time is filled with rows of which nothing is known, up to
        what a verdict can depend on.
        """
        at = _moments_of(frame)
        if len(at) > 1 and (np.diff(at) <= 0).any():
            raise BadInput("The samples are not in the order of time.", hint="Sort them by their timestamp.")
        is_new = at > self._at[-1] if len(self._at) else np.ones(len(at), dtype=bool)
        count = int(is_new.sum())
        if count:
            values = np.column_stack([_column(frame, name) for name in (*self.detector.columns, REPLICAS)])[is_new]
            rows, filled = self._on_grid(at[is_new], np.where(np.isfinite(values), values, np.nan))
            self._take(rows, filled[:, :-1], filled[:, -1])
        return count

    def forget(self) -> None:
        """Begin anew, as after a gap: the threshold and the count of alarms stay."""
        self._values, self._at = self._values[:0], self._at[:0]
        self.last = self.since = None
        self._known_at = self._cold_at = -1
        self._replicas = np.nan

    def _on_grid(self, at: Moments, values: Floats) -> tuple[Moments, Floats]:
        """The rows with those that lack between them, and between them and the last that is known."""
        step = _nanoseconds(self.step)
        before = self._at[-1:] if len(self._at) else at[:1] - step
        steps = np.maximum(np.rint(np.diff(np.concatenate([before, at])) / step).astype(np.int64), 1)
        steps = np.minimum(steps, self.needs + 1)
        if (steps == 1).all():
            return at, values
        rows = np.cumsum(steps) - 1
        filled = np.full((int(rows[-1]) + 1, values.shape[1]), np.nan)
        filled[rows] = values
        back = np.arange(len(filled)) - np.repeat(rows, steps)
        return np.repeat(at, steps) + back * step, filled

    def _take(self, at: Moments, values: Floats, replicas: Floats) -> None:
        held = len(self._at)
        every_at, every = np.concatenate([self._at, at]), np.concatenate([self._values, values])
        frame = _frame(every_at, every, self.detector.columns)
        context = self.detector.context
        known = np.isfinite(every).mean(axis=1)
        scores = np.asarray(self.detector.score(frame), dtype=np.float64)[held:]
        starting = self._starting(at, known[held:] > 0, replicas)
        # What a start-up scores is no evidence of what is usual.
        levels = self.threshold.follow(np.where(starting, np.nan, scores))
        support = weights((known > 0).astype(np.float64), context)[held:]
        found = states(scores, levels, known[held:], starting, support)
        self._count(at, found == State.ABNORMAL)
        self._say(at, found, float(scores[-1]), float(levels[-1]), frame)
        self.scores = scores
        self._at, self._values = every_at[-max(context, 1) :].copy(), every[-max(context, 1) :].copy()

    def _starting(self, at: Moments, known: Flags, replicas: Floats) -> Flags:
        """Which rows lie in a start-up, by the rules of events.starting_rows()."""
        known_at = np.maximum.accumulate(np.where(known, at, self._known_at))
        before = np.concatenate([[self._known_at], known_at[:-1]])
        silent = np.rint((at - before) / _nanoseconds(self.step)) - 1
        cold = known & (before >= 0) & (silent >= max(round(self.start_up / self.step), 1))
        replicas_before = np.concatenate([[self._replicas], replicas[:-1]])
        cold |= (replicas > 0) & (replicas_before == 0)
        cold_at = np.maximum.accumulate(np.where(cold, at, self._cold_at))
        self._known_at, self._cold_at, self._replicas = int(known_at[-1]), int(cold_at[-1]), float(replicas[-1])
        return (cold_at >= 0) & (at - cold_at < _nanoseconds(self.start_up))

    def _count(self, at: Moments, abnormal: Flags) -> None:
        """Count the events that begin."""
        alarms = at[abnormal]
        if not len(alarms):
            return
        gaps = np.diff(alarms if self._alarmed_at is None else np.concatenate([[self._alarmed_at], alarms]))
        self.alarms += int((gaps > _nanoseconds(SAME_EVENT)).sum()) + (self._alarmed_at is None)
        self._alarmed_at = int(alarms[-1])

    def _say(self, at: Moments, found: NDArray[np.object_], score: float, level: float, frame: pd.DataFrame) -> None:
        """The last row's reading, and since when its state holds."""
        state = found[-1]
        changes = np.flatnonzero(found != state)
        if len(changes):
            self.since = _moment(at[changes[-1] + 1])
        elif self.last is None or self.last.state != state:
            self.since = _moment(at[0])
        if not (np.isfinite(score) and np.isfinite(level)):
            is_silent = not np.isfinite(frame.iloc[-1, 1:].to_numpy(dtype=np.float64)).any()
            why = "" if state != State.UNKNOWN else _NOTHING if is_silent else _TOO_LITTLE
            self.last = Reading(_moment(at[-1]), state, why=why)
            return
        contributions: Mapping[str, float] = {}
        if score >= _TELLING * level:
            shares = self.detector.contributions(frame.iloc[-(self.detector.context + 1) :]).to_numpy()[-1]
            named = zip(self.detector.columns, map(float, shares), strict=True)
            contributions = dict(sorted((one for one in named if one[1] > 0), key=lambda one: -one[1]))
        why = _TOO_LITTLE if state == State.UNKNOWN else ""
        self.last = Reading(_moment(at[-1]), state, score, level, contributions, why)


def _column(frame: pd.DataFrame, name: str) -> Floats:
    if name not in frame:
        return np.full(len(frame), np.nan)
    return frame[name].to_numpy(dtype=np.float64, na_value=np.nan)


def _nanoseconds(span: timedelta) -> int:
    return span // timedelta(microseconds=1) * 1000


def _moment(at: int) -> datetime:
    return datetime.fromtimestamp(int(at) // 1000 / 1e6, UTC)


def _moments_of(frame: pd.DataFrame) -> Moments:
    if TIMESTAMP not in frame:
        raise BadInput("The samples have no column `timestamp`.", hint="Give each sample its moment, in UTC.")
    found: Moments = frame[TIMESTAMP].to_numpy(dtype="datetime64[ns]").astype(np.int64)
    return found


def _frame(at: Moments, values: Floats, columns: tuple[str, ...]) -> pd.DataFrame:
    import pandas as pd

    # Numbered first and named at once: for so few rows, pandas' work on names takes longer than the scores.
    frame = pd.DataFrame(values, copy=False)
    frame.insert(0, -1, pd.DatetimeIndex(at.astype("datetime64[ns]"), tz="UTC"))
    frame.columns = _names(columns)
    return frame


@cache
def _names(columns: tuple[str, ...]) -> pd.Index:
    import pandas as pd

    return pd.Index([TIMESTAMP, *columns])
