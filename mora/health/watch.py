"""The watcher: reads what is new of every service, step by step, and keeps the board.

It keeps nothing on disk. What it needs to go on after a restart it reads from Prometheus again, so several watchers of
one Prometheus say the same. While Prometheus is away it tries on, and what was read last goes stale
on the board by itself.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Protocol

import numpy as np

from mora.domain import Window
from mora.errors import MoraError
from mora.health.board import Board, Status
from mora.health.events import State
from mora.health.monitor import Monitor, Reading
from mora.health.stored import Key
from mora.quantities import format_duration, format_moment

if TYPE_CHECKING:
    import pandas as pd

    from mora.health.model import HealthModel

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# Beside what scores depend on, so much is read at the start: a threshold that follows has to find its place.
_WARM_ROWS = 60
_MOST_SETTLING = timedelta(seconds=5)
_RELOAD = timedelta(minutes=5)
# Upper edges of the histogram of reconstruction errors: mean squared errors of scaled metrics lie between them.
ERROR_EDGES = (0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.2, 0.3, 1.0, 3.0, 10.0)
RECONSTRUCTING = ("autoencoder", "lstm-autoencoder", "pca")
"""Detectors whose score is an error of reconstruction."""


class Log(Protocol):
    """Where the watcher logs: a level (info, warning, error), a fixed text, and the fields of the event."""

    def __call__(self, level: str, message: str, **about: object) -> None:
        """Write one log line."""


class Models(Protocol):
    """The services that have a trained detector."""

    def versions(self) -> Mapping[Key, str]:
        """Service -> what changes when it is trained again."""

    def load(self, key: Key) -> HealthModel:
        """Its detector and threshold as they were stored; BadModel where they cannot be read."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What is read of a service: its metrics by name, and the PromQL of those that are its own."""

    metrics: tuple[str, ...]
    own: Mapping[str, str] = field(default_factory=dict)


Read = Callable[[Mapping[Key, Asked], Window], Iterator[tuple[Key, "pd.DataFrame"]]]
"""The metrics of services on a grid, service by service: frames as detectors take them. A service may be missing.

Raises SourceUnavailable where nothing answers, and after the others where some cannot be read.
"""


@dataclass(slots=True)
class _Watched:
    """One service. level: the threshold as learnt. next_at: the first moment that was not read. counts: of
    reconstruction errors up to each edge."""

    monitor: Monitor
    asked: Asked
    detector: str
    threshold_rule: str
    level: float
    trained_at: datetime
    version: str
    next_at: datetime
    problem: str | None = None
    counts: np.ndarray[tuple[int], np.dtype[np.int64]] = field(
        default_factory=lambda: np.zeros(len(ERROR_EDGES) + 1, dtype=np.int64)
    )
    sum: float = 0.0


class Watcher:
    """Watches the services of `models`, reading by `read`."""

    def __init__(
        self,
        models: Models,
        read: Read,
        board: Board,
        *,
        log: Log,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        reload: timedelta = _RELOAD,
    ) -> None:
        self._models, self._read, self._board = models, read, board
        self._log, self._now, self._reload = log, now, reload
        self._watched: dict[Key, _Watched] = {}
        self._unloaded: dict[Key, tuple[str, str]] = {}
        self._looked_at: datetime | None = None
        self._loaded_at: datetime | None = None
        self._is_away = False
        self.beat = time.monotonic()
        """When the loop last showed that it lives."""

    def run(self, is_over: threading.Event) -> None:
        """Look again and again, until is_over."""
        while not is_over.is_set():
            self.beat = time.monotonic()
            began = time.monotonic()
            try:
                self.tick()
            except Exception as error:
                # One bad look must not end the watch; what is known goes stale by itself.
                self._log("error", "a look failed: this is a bug in MOrA", error=f"{type(error).__name__}: {error}")
            took = time.monotonic() - began
            step = min((one.monitor.step for one in self._watched.values()), default=timedelta(seconds=15))
            if took > step.total_seconds() and self._watched:
                self._log(
                    "warning", "a look takes longer than a step", seconds=round(took, 1), services=len(self._watched)
                )
            is_over.wait(max(0.2, self._pause(step)))

    def tick(self) -> None:
        """Read and score what is new of every service, and put it on the board."""
        now = self._now()
        self._mind_the_clock(now)
        self._load(now)
        unread: dict[Key, str] = {}
        problem = None
        for (step, start), keys in self._due(now).items():
            self.beat = time.monotonic()
            end = _floor(now - min(step / 2, _MOST_SETTLING), step)
            try:
                self._take(keys, Window(start, end, step))
            except MoraError as error:
                # What is refused of some must not hold up the others.
                problem = _in_words(error)
                left = [key for key in keys if self._watched[key].next_at <= end]
                unread |= dict.fromkeys(left, problem)
                if not self._is_away:
                    about = {"error": error.message, "hint": error.hint or "", "services": len(left)}
                    self._log("error", "services cannot be read", **about)
                self._is_away = True
        if problem is None and self._is_away:
            self._is_away = False
            self._log("info", "all services can be read again")
        self._board.put(self._statuses(unread), now, problem)

    def _mind_the_clock(self, now: datetime) -> None:
        before, self._looked_at = self._looked_at, now
        if before is None or now >= before - timedelta(seconds=1):
            return
        back = format_duration(before - now)
        self._log("warning", "the clock went back: every service is read anew", by=back)
        for one in self._watched.values():
            one.monitor.forget()
            one.next_at = self._first(one.monitor, now)
        self._loaded_at = None

    def _load(self, now: datetime) -> None:
        """Take models that are new, forget those that are gone."""
        if self._loaded_at is not None and now - self._loaded_at < self._reload:
            return
        versions = self._models.versions()
        self._loaded_at = now
        for key in [key for key in self._watched if key not in versions]:
            del self._watched[key]
            self._log("info", "no longer watched: its detector is gone", namespace=key[0], service=key[1])
        self._unloaded = {key: one for key, one in self._unloaded.items() if key in versions}
        for key, version in versions.items():
            known = self._watched.get(key)
            if (known is not None and known.version == version) or self._unloaded.get(key, ("",))[0] == version:
                continue
            try:
                model = self._models.load(key)
            except MoraError as error:
                # What is watched stays watched with what was read before.
                self._unloaded[key] = (version, _in_words(error))
                about = {"namespace": key[0], "service": key[1], "error": error.message, "hint": error.hint or ""}
                self._log("error", "a model cannot be read", **about)
                continue
            self._unloaded.pop(key, None)
            monitor = Monitor.of(model)
            self._watched[key] = _Watched(
                monitor,
                Asked(monitor.detector.columns, dict(model.card.get("own") or {})),
                model.card["detector"],
                model.card["threshold"],
                monitor.threshold.level,
                model.trained_at,
                version,
                self._first(monitor, now),
            )

    def _first(self, monitor: Monitor, now: datetime) -> datetime:
        """The first moment that is read of a service that was not watched before."""
        return _floor(now, monitor.step) - (monitor.needs + _WARM_ROWS) * monitor.step

    def _due(self, now: datetime) -> dict[tuple[timedelta, datetime], list[Key]]:
        """The services that may have new samples, by their step and the first moment that lacks."""
        found: dict[tuple[timedelta, datetime], list[Key]] = {}
        for key, one in self._watched.items():
            monitor = one.monitor
            first = self._first(monitor, now)
            if one.next_at < first:  # away for longer than a score depends on
                monitor.forget()
                one.next_at = first
            if one.next_at <= _floor(now - min(monitor.step / 2, _MOST_SETTLING), monitor.step):
                found.setdefault((monitor.step, one.next_at), []).append(key)
        return found

    def _take(self, keys: Sequence[Key], window: Window) -> None:
        missing = set(keys)
        for key, frame in self._read({key: self._watched[key].asked for key in keys}, window):
            if key in missing:
                missing.discard(key)
                self._feed(key, frame, window)
            self.beat = time.monotonic()
        for key in sorted(missing):
            self._feed(key, _nothing(window), window)

    def _feed(self, key: Key, frame: pd.DataFrame, window: Window) -> None:
        one = self._watched[key]
        monitor, before = one.monitor, one.monitor.last
        try:
            monitor.feed(frame)
        except MoraError as error:
            one.problem = _in_words(error)
        except Exception as error:
            one.problem = f"This is a bug in MOrA: {type(error).__name__}: {error}"
            self._log("error", "a service cannot be scored", namespace=key[0], service=key[1], error=one.problem)
        else:
            one.problem = None
            if one.detector in RECONSTRUCTING:
                known = monitor.scores[np.isfinite(monitor.scores)]
                one.counts += np.bincount(np.searchsorted(ERROR_EDGES, known), minlength=len(ERROR_EDGES) + 1)
                one.sum += float(known.sum())
            self._tell(key, before, monitor)
        one.next_at = window.end + window.step

    def _tell(self, key: Key, before: Reading | None, monitor: Monitor) -> None:
        """A log line where a state changed."""
        after = monitor.last
        was = State.UNKNOWN if before is None else before.state
        if after is None or was == after.state or (before is None and after.state != State.ABNORMAL):
            return
        about: dict[str, object] = {"namespace": key[0], "service": key[1]}
        if after.state == State.ABNORMAL:
            assert after.score is not None  # noqa: S101  # abnormal is by a score
            assert after.threshold is not None  # noqa: S101
            metric = next(iter(after.contributions), "")
            about |= {"score": f"{after.score:.4g}", "threshold": f"{after.threshold:.4g}", "metric": metric}
            self._log("warning", "abnormal", **about, at=format_moment(after.at, "seconds"))
        elif State.ABNORMAL in (was, after.state) or State.UNKNOWN in (was, after.state):
            self._log("info", after.state, **about, at=format_moment(after.at, "seconds"))

    def _statuses(self, unread: Mapping[Key, str]) -> Iterator[Status]:
        for key, one in self._watched.items():
            monitor = one.monitor
            level = monitor.threshold.level
            last = monitor.last
            why = one.problem or unread.get(key) or (last.why if last is not None else "") or None
            reading = last if one.problem is None or last is None else Reading(last.at, State.UNKNOWN)
            yield Status(
                *key,
                detector=one.detector,
                threshold_rule=one.threshold_rule,
                step=monitor.step,
                trained_at=one.trained_at,
                reading=reading,
                since=monitor.since,
                alarms=monitor.alarms,
                drift=level / one.level if one.level > 0 and np.isfinite(level / one.level) else None,
                problem=why,
                errors=(tuple(int(n) for n in one.counts), one.sum) if one.detector in RECONSTRUCTING else None,
            )
        for key, (_, why) in self._unloaded.items():
            if key not in self._watched:
                yield Status(*key, detector="", threshold_rule="", step=timedelta(minutes=1), problem=why)

    def _pause(self, step: timedelta) -> float:
        """Seconds until the next moment of the grid is due."""
        now = self._now()
        settle = min(step / 2, _MOST_SETTLING)
        return (_floor(now - settle, step) + step + settle - now).total_seconds()


def _in_words(error: MoraError) -> str:
    return error.message if error.hint is None else f"{error.message} {error.hint}"


def _floor(at: datetime, step: timedelta) -> datetime:
    """The last moment of a grid, whose moments are multiples of the step, that is not after another."""
    return at - (at - _EPOCH) % step


def _nothing(window: Window) -> pd.DataFrame:
    """Rows of which nothing is known."""
    import pandas as pd

    start = pd.Timestamp(window.start)
    return pd.DataFrame({"timestamp": pd.date_range(start, periods=window.sample_count, freq=window.step)})
