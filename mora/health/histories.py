"""Whether a service is itself, told from the history that sizes it anyway: no detector was trained beforehand.

The history up to a day ago is what is usual; the day since is judged by it. So an incident is not learnt within its
first day, and what lasts longer is the new normal.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from mora import registry
from mora.domain import Window
from mora.errors import NotEnoughData

if TYPE_CHECKING:  # importing pandas takes longer than sizing a small fleet, most of which needs no detector
    import pandas as pd

    from mora.health.events import Event
    from mora.seams import Detector, Threshold

Floats = NDArray[np.float64]

NEW_NORMAL = timedelta(hours=24)
"""What lasts longer is how the service is now."""
_LEAST_PAST = timedelta(days=2)
_LEAST_SAMPLES = 100
# One sample beyond the threshold is an outlier; an event that goes on has more.
_LEAST_ALARMS = 2
# Of what is learnt from, the part at the end whose scores set the threshold.
_CALIBRATING = 0.25


@dataclass(frozen=True, slots=True)
class Condition:
    """What the history of a service says of it: its state at the end, and every event in it, in order."""

    state: Literal["healthy", "abnormal", "unknown"]
    events: tuple[Event, ...] = ()

    @property
    def current(self) -> Event | None:
        """The event that goes on at the end; None where none does."""
        return self.events[-1] if self.state == "abnormal" else None


UNKNOWN = Condition("unknown")


def frame_of(metrics: Mapping[str, Floats], window: Window) -> pd.DataFrame:
    """The frame that detectors take: one row a sample of the window; metrics that are never known are left out."""
    import pandas as pd

    from mora.detectors.frames import TIMESTAMP

    stamps = pd.date_range(window.start, periods=window.sample_count, freq=window.step)
    known = {name: values for name, values in metrics.items() if not np.isnan(values).all()}
    return pd.DataFrame({TIMESTAMP: stamps, **known})


def condition_of(
    metrics: Mapping[str, Floats], window: Window, *, detector: str | None = None, threshold: str | None = None
) -> Condition:
    """Whether a service is itself at the end of a window, and when it was not before. Pure.

    metrics: name -> samples, shape (window.sample_count,), NaN where not known. detector, threshold: registered names,
    the usual ones by default. "unknown" where less than two days or 100 samples are known, or none of the last half
    hour.
    """
    known = ~np.isnan(np.array(list(metrics.values()))).all(axis=0) if metrics else np.zeros(0, dtype=bool)
    rows = np.flatnonzero(known)
    if len(rows) < _LEAST_SAMPLES or (rows[-1] - rows[0]) * window.step < 0.98 * _LEAST_PAST:
        return UNKNOWN
    from mora.detectors.levels import paced
    from mora.health.events import SAME_EVENT, State, excess_of, find_events, known_share, states, weights
    from mora.health.model import USUAL_DETECTOR, USUAL_THRESHOLD

    frame = frame_of(metrics, window).iloc[rows[0] : rows[-1] + 1].reset_index(drop=True)
    judge = registry.load("detectors", detector or USUAL_DETECTOR)()
    bar = paced(registry.load("thresholds", threshold or USUAL_THRESHOLD)(), window.step.total_seconds())
    learnt = len(frame) - max(1, round(NEW_NORMAL / window.step))
    try:
        scores, levels = _scored(frame, learnt, judge, bar)
    except NotEnoughData:
        return UNKNOWN
    share = known_share(frame, judge.columns)
    support = weights((share > 0).astype(np.float64), judge.context)
    found = states(scores, levels, share, np.zeros(len(frame), dtype=bool), support)
    abnormal = np.asarray(found == State.ABNORMAL)
    events: tuple[Event, ...] = ()
    if abnormal.any():
        events = find_events(
            frame["timestamp"], abnormal, excess=excess_of(scores, levels), shares=judge.contributions(frame)
        )
    lately = max(1, round(SAME_EVENT / window.step))
    if window.sample_count - 1 - rows[-1] > lately or (found[-lately:] == State.UNKNOWN).all():
        return Condition("unknown", events)
    goes_on = bool(abnormal[-lately:].any())
    is_sick = goes_on and events[-1].samples >= _LEAST_ALARMS and events[-1].duration <= NEW_NORMAL
    return Condition("abnormal" if is_sick else "healthy", events)


def _scored(frame: pd.DataFrame, learnt: int, judge: Detector, bar: Threshold) -> tuple[Floats, Floats]:
    """The score of every row, and the threshold in force there; learnt: rows that are learnt from."""
    judge.fit(frame.iloc[:learnt])
    scores = judge.score(frame)
    bar.fit(scores[round((1 - _CALIBRATING) * learnt) : learnt])
    before = np.full(learnt, bar.level)
    return scores, np.concatenate([before, bar.follow(scores[learnt:])])
