"""What a detector makes of a run: each fault detected or not, after how long, by which metric; and the false alarms.

The detector of a service learns from the healthy beginning of the run alone. An alarm is raised when a service has been
abnormal for `alarm_after` without a break, as an alert rule with `for` does; it lasts until the service is no longer
abnormal. It counts for a fault where it began after the fault's start, and is raised a few seconds after its end at the
latest. It is false where it began or was raised when no fault was in force anywhere, and none had just
ended.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import numpy as np

from mora.chaos.labels import Label
from mora.detectors.frames import TIMESTAMP
from mora.errors import NotEnoughData
from mora.health.events import State
from mora.health.frames import moment_of
from mora.health.model import USUAL_THRESHOLD, Judgement, train

if TYPE_CHECKING:
    import pandas as pd

    from mora.chaos.folder import RunPart

# A run has minutes to learn from, and not the days that the default of `mora health` is made for: of the same runs this
# one finds more faults, with fewer false alarms (docs/chaos.md).
DETECTOR = "robust-z"
# A rate over ten seconds shows the last seconds of a fault only after its end.
TAIL = timedelta(seconds=15)
# False alarms of one service no further apart are one: a person is called once.
_SAME_ALARM = timedelta(seconds=30)


@dataclass(frozen=True, slots=True)
class Alarm:
    """A service abnormal from `began` on, for which an alarm was raised at `raised`, until `ended`.

    peak: the largest score over its threshold. shares: metric -> its share of the scores, the largest first.
    """

    service: str
    began: datetime
    raised: datetime
    ended: datetime
    peak: float
    shares: Mapping[str, float]

    @property
    def metric(self) -> str:
        """The one with the largest share; empty where none has one."""
        return next(iter(self.shares), "")


@dataclass(frozen=True, slots=True)
class Seen:
    """What was made of one fault. own: the alarm at its own service; None where there was none.

    first: the first alarm at any service. blamed: of the services with an alarm, one that calls none of the others; the
    highest alarm where several do not.
    """

    label: Label
    own: Alarm | None
    first: Alarm | None
    blamed: str | None

    @property
    def delay(self) -> timedelta | None:
        """From the fault to the alarm at its own service."""
        return None if self.own is None else self.own.raised - self.label.start


@dataclass(frozen=True, slots=True)
class PartSeen:
    """One part: its faults, the false alarms, and how long no fault was in force after the detector had learnt.

    lingering: alarms that were raised by a fault and went on after its recovery. flagged_share: of the samples without
    a fault, those that are abnormal, over all services. judgements: service -> every sample's verdict.
    """

    number: int
    seen: tuple[Seen, ...]
    false_alarms: tuple[Alarm, ...]
    lingering: tuple[Alarm, ...]
    healthy: timedelta
    flagged_share: float
    judgements: Mapping[str, Judgement]
    alarms: tuple[Alarm, ...]


def judge_part(
    part: RunPart,
    *,
    recover: timedelta,
    alarm_after: timedelta,
    detector: str = DETECTOR,
    threshold: str = USUAL_THRESHOLD,
) -> PartSeen:
    """Train a detector for every service on the beginning of a part, and judge the rest. Raises NotEnoughData."""
    step = timedelta(seconds=part.step_seconds)
    judgements = {
        service: _judged(part, service, frame, detector, threshold, step)
        for service, frame in sorted(part.frames.items())
    }
    alarms = sorted(
        (
            alarm
            for service, judgement in judgements.items()
            for alarm in alarms_of(service, judgement, step=step, after=alarm_after, since=part.learnt_until)
        ),
        key=lambda alarm: (alarm.raised, alarm.service),
    )
    claimed = [(label.start, label.end + recover) for label in part.labels]
    false, lingering = _without_fault(alarms, claimed)
    return PartSeen(
        number=part.number,
        seen=tuple(see(label, alarms, part.calls) for label in part.labels),
        false_alarms=false,
        lingering=lingering,
        healthy=_free(part.learnt_until, part.ended, claimed),
        flagged_share=_flagged(judgements, part.learnt_until, claimed),
        judgements=judgements,
        alarms=tuple(alarms),
    )


def _judged(
    part: RunPart, service: str, frame: pd.DataFrame, detector: str, threshold: str, step: timedelta
) -> Judgement:
    beginning = frame[frame[TIMESTAMP] < part.learnt_until]
    if len(beginning) < 2:
        raise NotEnoughData(
            f"Nothing is known of {service!r} before the first fault of part {part.number}.",
            hint="Run the scenario again: mora chaos run",
        )
    model = train(
        beginning.reset_index(drop=True),
        service=service,
        namespace=part.namespace,
        detector=detector,
        threshold=threshold,
        step=step,
        now=part.ended,
    )
    return model.judge(frame, now=part.ended, fill_missing=True)


def alarms_of(service: str, judgement: Judgement, *, step: timedelta, after: timedelta, since: datetime) -> list[Alarm]:
    """The alarms of a service from a moment on, in the order of time."""
    frame = judgement.frame
    times = frame[TIMESTAMP]
    abnormal = ((frame["state"] == State.ABNORMAL) & (times >= since)).to_numpy()
    excess = np.divide(
        frame["score"].to_numpy(dtype=np.float64),
        frame["threshold"].to_numpy(dtype=np.float64),
        out=np.full(len(frame), np.inf),
        where=frame["threshold"].to_numpy(dtype=np.float64) > 0,
    )
    edges = np.flatnonzero(np.diff(np.concatenate([[0], abnormal.astype(np.int8), [0]])))
    least = math.ceil(after / step) + 1  # so many samples lie so far apart, as `for` counts
    runs = [(a, b) for a, b in zip(edges[::2], edges[1::2], strict=True) if b - a >= least]
    return [
        Alarm(
            service,
            began=moment_of(times.iloc[begin]),
            raised=moment_of(times.iloc[begin + least - 1]),
            ended=moment_of(times.iloc[end - 1]),
            peak=float(np.nanmax(excess[begin:end])),
            shares=_shares(judgement.shares.iloc[begin:end]),
        )
        for begin, end in runs
    ]


def _without_fault(
    alarms: Sequence[Alarm], claimed: Sequence[tuple[datetime, datetime]]
) -> tuple[tuple[Alarm, ...], tuple[Alarm, ...]]:
    """The false alarms, and those that are a fault's, and lasted or came again after its recovery."""
    false: list[Alarm] = []
    again: list[Alarm] = []
    lingering: list[Alarm] = []
    for one in alarms:
        spans = _claims(claimed, one.raised) if _claims(claimed, one.began) else []
        if spans:
            if one.ended > max(end for _, end in spans):
                lingering.append(one)
        elif any(_follows(one, other) for other in (*false, *again)):
            again.append(one)
        elif any(_follows(one, other) for other in alarms):
            lingering.append(one)
        else:
            false.append(one)
    return tuple(false), tuple(lingering)


def _follows(one: Alarm, other: Alarm) -> bool:
    """Whether one alarm is another's, again."""
    gap = one.began - other.ended
    return one.service == other.service and timedelta(0) < gap <= _SAME_ALARM


def _shares(shares: pd.DataFrame) -> dict[str, float]:
    found = {str(name): float(value) for name, value in shares.mean().items() if value > 0}
    return dict(sorted(found.items(), key=lambda one: (-one[1], one[0])))


def see(label: Label, alarms: Sequence[Alarm], calls: Collection[tuple[str, str]] = ()) -> Seen:
    """What alarms say of a fault. One that began before it says nothing of it, however long it lasts.

    calls: who called whom; who waits for a sick service is sick, too.
    """
    meant = [one for one in alarms if label.start <= one.began and one.raised <= label.end + TAIL]
    own = next((one for one in meant if one.service == label.service), None)
    sick = {one.service for one in meant}
    deepest = [one for one in meant if not (_called_by(one.service, calls) - {one.service}) & sick]
    blamed = max(deepest or meant, key=lambda one: one.peak, default=None)
    return Seen(label, own, meant[0] if meant else None, None if blamed is None else blamed.service)


def _claims(claimed: Sequence[tuple[datetime, datetime]], at: datetime) -> list[tuple[datetime, datetime]]:
    """The spans that a moment is in: each a fault with its recovery."""
    return [(start, end) for start, end in claimed if start <= at <= end]


def _called_by(service: str, calls: Collection[tuple[str, str]]) -> set[str]:
    """All that a service calls, directly or not."""
    found: set[str] = set()
    due = [service]
    while due:
        caller = due.pop()
        more = {called for one, called in calls if one == caller} - found
        found |= more
        due += more
    return found


def _free(start: datetime, end: datetime, claimed: Sequence[tuple[datetime, datetime]]) -> timedelta:
    """How much of a time range no span claims."""
    free, at = timedelta(0), start
    for begin, stop in sorted(claimed):
        free += max(min(begin, end) - at, timedelta(0))
        at = max(at, stop)
    return free + max(end - at, timedelta(0))


def _flagged(
    judgements: Mapping[str, Judgement], since: datetime, claimed: Sequence[tuple[datetime, datetime]]
) -> float:
    flagged = judged = 0
    for judgement in judgements.values():
        times, state = judgement.frame[TIMESTAMP], judgement.frame["state"]
        free = (times >= since).to_numpy()
        for start, end in claimed:
            free = free & ((times < start) | (times > end)).to_numpy()
        judged += int((free & state.isin([State.HEALTHY, State.ABNORMAL]).to_numpy()).sum())
        flagged += int((free & (state == State.ABNORMAL).to_numpy()).sum())
    return flagged / judged if judged else 0.0
