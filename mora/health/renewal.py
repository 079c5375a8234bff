"""When a detector is due to be trained again, and what it must not learn then: an incident that goes on."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import pandas as pd

from mora.detectors.frames import TIMESTAMP
from mora.errors import MoraError
from mora.health.events import State
from mora.health.frames import moment_of
from mora.health.known import Known
from mora.health.model import HealthModel, Judgement
from mora.quantities import format_duration

DUE_AT = 1.5
"""Scores of a day that are this many times the usual show a new usual. Growth of 0.3 % a day takes nine days to it."""
OLD = timedelta(days=30)
"""A detector that has seen nothing since is due in any case."""
# An incident shorter than half of this does not move its median.
_DAY = timedelta(hours=24)
# What began within it may be an incident, however the day before it was.
_HOUR = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Renewal:
    """Whether a detector is due. why: a sentence. incidents: events of the last day.

    unlearnt: what must not be learnt from: those, and the last hour, in which an incident may have begun.
    """

    is_due: bool
    why: str
    incidents: tuple[Known, ...] = ()
    unlearnt: tuple[Known, ...] = ()


def drift_of(model: HealthModel, judged: Judgement) -> float | None:
    """The median score of the last day over that of training; None where less than half a day has verdicts."""
    times = judged.frame[TIMESTAMP]
    of_day = judged.frame[times > times.iloc[-1] - _DAY]
    scores = of_day["score"][of_day["state"].isin([State.HEALTHY, State.ABNORMAL])].to_numpy(dtype=np.float64)
    usual = float(model.card["usual_score"])
    if len(scores) * model.step < _DAY / 2 or usual <= 0:
        return None
    return float(np.median(scores) / usual)


def renewal_of(model: HealthModel, samples: pd.DataFrame, *, now: datetime | None = None) -> Renewal:
    """Whether the samples since ask for a new training of a detector. What it cannot judge does."""
    try:
        judged = model.judge(samples, now=now)
    except MoraError as failure:
        last = moment_of(samples[TIMESTAMP].max())
        return Renewal(True, failure.message, unlearnt=(Known(last - _HOUR, last, "the last hour"),))
    end = moment_of(judged.frame[TIMESTAMP].iloc[-1])
    incidents = tuple(
        Known(event.start, event.end, "abnormal")
        for event in judged.events
        if event.end > end - _DAY and event.duration < _DAY
    )
    unlearnt = (*incidents, Known(end - _HOUR, end, "the last hour"))
    age, drift = end - model.trained_on[1], drift_of(model, judged)
    if drift is not None and drift >= DUE_AT:
        return Renewal(True, f"The scores of the last day are {drift:.1f} times the usual ones.", incidents, unlearnt)
    if age > OLD:
        return Renewal(True, f"It has seen nothing for {format_duration(age, about=True)}.", incidents, unlearnt)
    known = "not known yet" if drift is None else f"{drift:.1f} times the usual"
    return Renewal(False, f"It is not due: the scores of the last day are {known}.", incidents, unlearnt)
