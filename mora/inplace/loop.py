"""Pass after pass: look at the changes that are open, and, every interval, begin those that new numbers call for.

A look is cheap (the pods of the namespace, one or two queries) and comes every few seconds while a change is open; a
renewal reads history. A pass never ends the loop: what cannot be read or written now is logged, and tried again at the
next look. Every request is announced in the audit log before it is sent, so nothing is asked for twice and nothing is
forgotten, whatever kills the loop.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from mora.changes.rule import RULES, ChangeRule
from mora.domain import Recommendation, Resources, Workload
from mora.domain.pods import RunningPod
from mora.errors import MoraError
from mora.inplace.book import Book, Change, Stage
from mora.inplace.guards import GuardSettings
from mora.inplace.journal import Journal
from mora.policies import PolicySettings

_FIRST_WAIT_SECONDS, _LONGEST_WAIT_SECONDS = 2.0, 60.0
_BEAT_SECONDS = 5.0


class Pods(Protocol):
    """The running pods of one namespace: mora.clusters.pods.KubernetesPods, or the sandbox's."""

    namespace: str

    def identity(self) -> str:
        """What tells this namespace of this cluster from any other."""

    def version(self) -> tuple[int, int]:
        """Of the API server."""

    def pods(self) -> list[RunningPod]:
        """Every pod that runs now."""

    def resize(self, pod: RunningPod, wanted: Mapping[str, Resources], *, dry_run: bool = False) -> RunningPod:
        """Ask for other resources of a pod's containers."""


class Signals(Protocol):
    """What is known of pods beside their status (signals.py). SourceUnavailable where it is not known now."""

    def throttled(self) -> Mapping[tuple[str, str], float]:
        """(pod, container) -> share of its periods that were throttled lately."""

    def breach(self, workload: Workload) -> str | None:
        """What of its SLO is broken now; None where nothing is."""


class Leadership(Protocol):
    """Whether this instance may write; mora.serving.lease.Election."""

    def leads(self) -> bool:
        """Whether this instance may write now."""

    def wait(self, timeout: float) -> bool:
        """Wait until it may, at most `timeout` seconds; whether it may."""


class Log(Protocol):
    """Where the loop logs: a level, a fixed text, and the fields of the event."""

    def __call__(self, level: str, message: str, **about: object) -> None:
        """Write one log line."""


class Observer(Protocol):
    """What counts and watches the passes; mora.inplace.telemetry.Telemetry."""

    def beat(self) -> None:
        """The loop is alive."""

    def passed(self, report: PassReport, book: Book) -> None:
        """A pass has ended."""

    def noted(self, event: str, about: Mapping[str, Any]) -> None:
        """An event was written to the audit log."""


Advise = Callable[[], Iterable[Recommendation]]
"""The recommendations for every workload of the namespace, from history up to now."""


@dataclass(frozen=True, slots=True)
class LoopSettings:
    """interval: between renewals. look: between looks at open changes. at_once: how many workloads change at a time.

    is_dry: nothing is changed; the API server only checks what would be asked.
    """

    rule: ChangeRule = RULES["in-place"]
    guards: GuardSettings = field(default_factory=GuardSettings)
    policy: PolicySettings = field(default_factory=PolicySettings)
    interval: timedelta = timedelta(minutes=15)
    look: timedelta = timedelta(seconds=15)
    at_once: int = 5
    is_dry: bool = False


@dataclass(slots=True)
class PassReport:
    """What one pass did. stopped: why it ended early. notes: workload -> why it stays as it is."""

    seconds: float = 0.0
    is_renewal: bool = False
    workloads: int = 0
    asked: int = 0
    refused: int = 0
    put_back: int = 0
    begun: int = 0
    notes: dict[str, str] = field(default_factory=dict)
    plans: list[str] = field(default_factory=list)
    stopped: str | None = None


class Halt(Exception):
    """A pass cannot go on; the text says why."""


@dataclass(slots=True)
class Desk:
    """What the steps of a pass share: the pods as they are now, the book, and the one way to write an event."""

    pods: Pods
    signals: Signals
    journal: Journal
    book: Book
    settings: LoopSettings
    log: Log
    observer: Observer
    leadership: Leadership
    now: Callable[[], datetime]
    report: PassReport = field(default_factory=PassReport)
    seen: dict[str, RunningPod] = field(default_factory=dict)
    watched: dict[str, timedelta] = field(default_factory=dict)
    """Change -> how long its stage was really watched: time without a look does not count."""
    version: tuple[int, int] = (0, 0)

    def note(self, event: str, workload: Workload, level: str = "info", /, **about: Any) -> None:
        """Write an event to the audit log and the process's, and take it into the book."""
        fields = {"kind": workload.kind, "name": workload.name, **about}
        self.book.note(self.journal.append(event, now=self.now(), **fields))
        self.observer.noted(event, fields)
        self.log(level, event, **{name: value for name, value in fields.items() if not isinstance(value, dict)})

    def may_write(self) -> None:
        """Halt where another instance leads now."""
        if not self.leadership.leads():
            raise Halt("another instance resizes pods of this namespace now")

    def of(self, workload: Workload) -> list[RunningPod]:
        """The pods of a workload, by name."""
        return [pod for pod in self.seen.values() if pod.workload == workload]

    def state_of(self, change: Change) -> Change:
        """A change as the book has it now."""
        return self.book.open[change.workload]

    def stage(self, change: Change, stage: Stage, **about: Any) -> None:
        """A change goes on to a stage."""
        self.watched.pop(change.id, None)
        self.note("stage", change.workload, change=change.id, stage=stage.value, **about)


class Loop:
    """Resizes the pods of one namespace. Use it inside `with loop.opened():`, which takes the audit log."""

    def __init__(
        self,
        pods: Pods,
        advise: Advise,
        signals: Signals,
        journal: Journal,
        *,
        settings: LoopSettings,
        log: Log,
        observer: Observer,
        leadership: Leadership,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        self._advise, self._settings, self._log, self._observer = advise, settings, log, observer
        self._leadership, self._steady = leadership, steady
        book = Book(pods.namespace)
        self.desk = Desk(pods, signals, journal, book, settings, log, observer, leadership, now)
        self._looked_at: float | None = None

    def open_log(self, events: Iterable[Mapping[str, Any]]) -> None:
        """Take over what the audit log says. MoraError where it is of another cluster, or its time lies ahead."""
        desk = self.desk
        book = Book.of(desk.pods.namespace, events)
        identity = desk.pods.identity()
        if book.identity and book.identity != identity:
            raise MoraError(
                f"The audit log in {desk.journal.folder} is of another cluster, or of a namespace that was made anew.",
                hint="Give another folder (--state), or move this one away.",
            )
        ahead = None if book.last_at is None else book.last_at - desk.now()
        if ahead is not None and ahead > timedelta(minutes=5):
            self._log(
                "warning", "the clock was set back since the audit log was written", seconds=ahead.total_seconds()
            )
        desk.book = book
        if not book.identity and not self._settings.is_dry:
            book.note(desk.journal.append("opened", now=desk.now(), identity=identity))
        for change in book.open.values():
            self._log("info", "goes on with an open change", change=change.id, name=change.workload.name)

    def run(self, stop: threading.Event) -> None:
        """Pass after pass until `stop` is set."""
        failures, renewed_at = 0, None
        while not stop.is_set():
            self._observer.beat()
            if not self._leadership.wait(1.0):
                continue
            due = renewed_at is None or self._steady() - renewed_at >= self._settings.interval.total_seconds()
            report = self.run_pass(renew=due)
            if report.stopped is None:
                failures = 0
                renewed_at = self._steady() if due else renewed_at
                wait = self._settings.look.total_seconds()
                if not self.desk.book.open and renewed_at is not None:
                    wait = max(0.0, renewed_at + self._settings.interval.total_seconds() - self._steady())
            else:
                wait = min(_FIRST_WAIT_SECONDS * 2.0 ** min(failures, 10), _LONGEST_WAIT_SECONDS)
                failures += 1
            self._rest(stop, wait)

    def _rest(self, stop: threading.Event, seconds: float) -> None:
        until = self._steady() + seconds
        while (left := until - self._steady()) > 0 and not stop.wait(min(left, _BEAT_SECONDS)):
            self._observer.beat()

    def run_pass(self, *, renew: bool) -> PassReport:
        """One look, and with `renew` new numbers. It never raises for a problem of the API, or of Prometheus."""
        from mora.inplace.beginning import begin
        from mora.inplace.looking import look

        began = self._steady()
        desk = self.desk
        desk.report = report = PassReport(is_renewal=renew)
        try:
            self._read(began)
            look(desk)
            if renew:
                recommendations = list(self._advise())  # takes minutes where the namespace is large
                desk.seen = {pod.name: pod for pod in desk.pods.pods()}
                begin(desk, recommendations)
        except Halt as halt:
            report.stopped = str(halt)
        except MoraError as error:  # of the API, of Prometheus, or a full disk under the audit log
            report.stopped = error.message.rstrip(".")
        report.seconds = self._steady() - began
        self._observer.passed(report, desk.book)
        if renew or report.stopped:
            level = "info" if report.stopped is None else "warning"
            stopped = {"stopped": report.stopped} if report.stopped else {}
            counts = {"workloads": report.workloads, "begun": report.begun, "open": len(desk.book.open)}
            self._log(level, "pass ended", seconds=round(report.seconds, 3), **counts, **stopped)
        return report

    def _read(self, at: float) -> None:
        desk = self.desk
        desk.version = desk.version if desk.version != (0, 0) else desk.pods.version()
        desk.seen = {pod.name: pod for pod in desk.pods.pods()}
        # A look that comes late says nothing of the time before it but what pods remember.
        longest = 2 * self._settings.look.total_seconds()
        passed = 0.0 if self._looked_at is None else min(at - self._looked_at, longest)
        self._looked_at = at
        for change in desk.book.open.values():
            desk.watched[change.id] = desk.watched.get(change.id, timedelta(0)) + timedelta(seconds=passed)
