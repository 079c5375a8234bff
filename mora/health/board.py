"""What is known of the health of every service now: written by the watcher, read by whoever answers."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from types import MappingProxyType

from mora.health.events import State
from mora.health.monitor import Reading
from mora.health.stored import Key
from mora.quantities import format_moment

# A sample may be late by a scrape or two; after three steps without one, nothing is known of now.
STALE_AFTER_STEPS = 3


@dataclass(frozen=True, slots=True)
class Status:
    """One service. since: from when on its state holds. alarms: events since the watcher began.

    drift: the threshold now over the one that was learnt; 1 where it stands still. problem: why nothing is known, in a
    sentence. errors: for detectors that reconstruct, how many of their errors were at most so large, and their sum.
    """

    namespace: str
    service: str
    detector: str
    threshold_rule: str
    step: timedelta
    trained_at: datetime | None = None
    reading: Reading | None = None
    since: datetime | None = None
    alarms: int = 0
    drift: float | None = None
    problem: str | None = None
    errors: tuple[tuple[int, ...], float] | None = None

    @property
    def key(self) -> Key:
        """What it is found by."""
        return self.namespace, self.service

    @property
    def state(self) -> State:
        """healthy, abnormal, starting, or unknown."""
        return State.UNKNOWN if self.reading is None else self.reading.state

    def as_of(self, now: datetime) -> Status:
        """The same at a later moment: a verdict on a sample that is old says nothing of now."""
        if self.reading is None or self.is_current(now):
            return self
        last = self.reading.at
        why = self.problem or f"There is no sample since {format_moment(last)}."
        since = self.since if self.state == State.UNKNOWN else last + self.step
        return replace(self, reading=Reading(last, State.UNKNOWN), since=since, problem=why)

    def is_current(self, now: datetime) -> bool:
        """Whether its last sample is new enough to speak of now. A sample from the future is of another clock."""
        return self.reading is not None and abs(now - self.reading.at) <= STALE_AFTER_STEPS * self.step

    @property
    def stale_at(self) -> datetime:
        """After which moment its last sample no longer speaks of now."""
        assert self.reading is not None  # noqa: S101  # asked of what has one
        return self.reading.at + STALE_AFTER_STEPS * self.step


@dataclass(frozen=True, slots=True)
class Shown:
    """All services at one moment. version: rises with every change. at: when the watcher last looked; None before.

    problem: why it could not read, since when.
    """

    version: int = 0
    at: datetime | None = None
    statuses: Mapping[Key, Status] = field(default_factory=lambda: MappingProxyType({}))
    problem: str | None = None
    problem_since: datetime | None = None

    def find(self, *, namespace: str | None = None, state: str | None = None, now: datetime) -> list[Status]:
        """The services that match, by name, as they are known at a moment."""
        found = (one.as_of(now) for key, one in sorted(self.statuses.items()) if namespace in (None, key[0]))
        return [one for one in found if state in (None, one.state)]


class Board:
    """The latest Shown; a reader gets one whole state, never half of a change.

    changed: called after each change, by who made it: what is made for readers is made before they come.
    """

    def __init__(self) -> None:
        self.changed: Callable[[], object] = lambda: None
        self._lock = threading.Lock()
        self._shown = Shown()

    def shown(self) -> Shown:
        """What is known now."""
        return self._shown

    def put(self, statuses: Iterable[Status], at: datetime, problem: str | None = None) -> Shown:
        """Replace all of it. problem: why not everything could be read just now."""
        with self._lock:
            before = self._shown
            since = None if problem is None else before.problem_since or at
            mapped = MappingProxyType({one.key: one for one in statuses})
            shown = self._shown = Shown(before.version + 1, at, mapped, problem, since)
        self.changed()
        return shown
