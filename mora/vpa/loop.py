"""Pass after pass over the VPA objects: list them, get numbers, write what changed.

One object never ends a pass early: its problem is logged, counted and, where the API allows, written as a condition. A
pass ends early where it cannot continue (the API server does not answer, another instance leads now). The next one then
starts after a wait that doubles, with jitter, so that many clients do not come back together.
"""

from __future__ import annotations

import random
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from mora.changes.rule import FOLLOW_ALL, ChangeRule
from mora.clusters.conflicts import ChangedMeanwhile, GoneMeanwhile
from mora.clusters.shapes import Unreadable
from mora.domain import Workload
from mora.errors import ClusterError, MoraError
from mora.vpa.advice import Adviser, Answer
from mora.vpa.following import Following
from mora.vpa.objects import Vpa, asks_for, read_vpa
from mora.vpa.status import PROVIDED, status_patch

# After this many failed writes in a row a pass ends: the API server is the problem, not the objects.
_FAILED_IN_A_ROW = 3
_FIRST_WAIT_SECONDS = 2.0
_LONGEST_WAIT_SECONDS = 300.0
# How often a wait reports to the health endpoint that the loop is alive.
_BEAT_SECONDS = 5.0


class Vpas(Protocol):
    """The VPA objects; mora.clusters.vpa.KubernetesVpas, in a cluster."""

    def list_vpas(self, namespace: str | None = None) -> list[dict[str, Any]]:
        """The manifests of a namespace (None: of all)."""

    def patch_status(self, namespace: str, name: str, status: Mapping[str, Any], *, version: str) -> None:
        """Merge into an object's status, if it still has that resourceVersion."""


class Leadership(Protocol):
    """Whether this instance may write; mora.serving.lease.Election, or Alone."""

    def leads(self) -> bool:
        """Whether this instance may write now."""

    def wait(self, timeout: float) -> bool:
        """Wait until this instance may write, at most `timeout` seconds; whether it may."""


class Alone:
    """Leadership without an election: one instance, or a single pass by hand."""

    def leads(self) -> bool:
        """Always."""
        return True

    def wait(self, timeout: float) -> bool:
        """Do not wait."""
        return True


class Log(Protocol):
    """Where the loop logs: a level (info, warning, error), a fixed text, and the fields of the event."""

    def __call__(self, level: str, message: str, **about: object) -> None:
        """Write one log line."""


class Observer(Protocol):
    """What counts and watches the passes; mora.vpa.telemetry.Telemetry."""

    def beat(self) -> None:
        """The loop is alive."""

    def passed(self, report: PassReport) -> None:
        """A pass has ended."""


@dataclass(slots=True)
class PassReport:
    """What one pass did. errors: kind -> count. stopped: why it ended early."""

    seconds: float = 0.0
    vpas: int = 0
    with_number: int = 0
    written: int = 0
    unchanged: int = 0
    errors: Counter[str] = field(default_factory=Counter)
    stopped: str | None = None

    @property
    def is_ok(self) -> bool:
        """Whether everything was done. A conflict is a write by another client; the next pass handles it."""
        return self.stopped is None and not any(count for kind, count in self.errors.items() if kind != "conflict")


class Backoff:
    """Waits that double from 2 s to 5 min, each shortened by up to a half at random.

    >>> import random
    >>> backoff = Backoff(random.Random(1))
    >>> [0.5 <= backoff.next() / 2.0**n <= 1.0 for n in range(1, 6)], backoff.reset(), backoff.next() <= 2.0
    ([True, True, True, True, True], None, True)
    """

    def __init__(self, chance: random.Random | None = None) -> None:
        self._chance = chance if chance is not None else random.Random()  # noqa: S311  # spreads load, hides nothing
        self._failures = 0

    def next(self) -> float:
        """Seconds to wait after one more failure."""
        # Far enough to reach the longest wait; more would only grow a number.
        longest = min(_FIRST_WAIT_SECONDS * 2.0 ** min(self._failures, 20), _LONGEST_WAIT_SECONDS)
        self._failures += 1
        return longest * self._chance.uniform(0.5, 1.0)

    def reset(self) -> None:
        """Start again with the shortest wait."""
        self._failures = 0


class _Stop(Exception):
    """The pass cannot continue; the text says why."""


class Recommender:
    """Writes numbers into the VPA objects that name it. on_write: called in place of writing, for a dry run.
    rule: which new numbers become targets."""

    def __init__(
        self,
        vpas: Vpas,
        adviser: Adviser,
        *,
        name: str,
        namespace: str | None,
        log: Log,
        observer: Observer,
        leadership: Leadership | None = None,
        on_write: Callable[[Vpa, dict[str, Any]], None] | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        rule: ChangeRule = FOLLOW_ALL,
    ) -> None:
        self._following = None if rule == FOLLOW_ALL else Following(rule, log=log)
        self._vpas = vpas
        self._adviser = adviser
        self._name = name
        self._namespace = namespace
        self._log = log
        self._observer = observer
        self._leadership: Leadership = leadership if leadership is not None else Alone()
        self._write_to = on_write
        self._clock = clock

    def run(self, stop: threading.Event, interval: timedelta, *, backoff: Backoff | None = None) -> None:
        """Pass after pass, a pass every `interval` while this instance leads, until `stop` is set."""
        backoff = backoff if backoff is not None else Backoff()
        while not stop.is_set():
            self._observer.beat()
            if not self._leadership.wait(min(_BEAT_SECONDS, 1.0)):
                continue
            report = self.run_pass()
            if report.stopped is None:
                # One object that fails must not delay the others.
                backoff.reset()
                wait = max(0.0, interval.total_seconds() - report.seconds)
            else:
                wait = backoff.next()
            self._rest(stop, wait)

    def _rest(self, stop: threading.Event, seconds: float) -> None:
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0 and not stop.wait(min(left, _BEAT_SECONDS)):
            self._observer.beat()

    def run_pass(self) -> PassReport:
        """One pass. It never raises for a problem of one object or of the API."""
        began = time.monotonic()
        report = PassReport()
        try:
            self._pass(report)
        except _Stop as stop:
            report.stopped = str(stop)
        report.seconds = time.monotonic() - began
        self._observer.passed(report)
        self._log(
            "info" if report.is_ok else "warning",
            "pass ended",
            seconds=round(report.seconds, 3),
            vpas=report.vpas,
            with_number=report.with_number,
            written=report.written,
            unchanged=report.unchanged,
            errors=report.errors.total(),
            **({"stopped": report.stopped} if report.stopped else {}),
        )
        return report

    def _pass(self, report: PassReport) -> None:
        try:
            listed = self._vpas.list_vpas(self._namespace)
        except MoraError as error:
            report.errors["list"] += 1
            self._log("error", "VPA objects cannot be listed", **_fields(error))
            raise _Stop("VPA objects cannot be listed") from error
        ours = list(self._read(listed, report))
        report.vpas = len(ours)
        self._adviser.forget(vpa.workload for vpa in ours if vpa.workload is not None)
        if self._following is not None:
            self._following.forget(ours)
        failed_in_a_row = 0
        for vpa, answer in self._answered(ours, report):
            self._observer.beat()
            is_written = self._treat(vpa, answer, report)
            failed_in_a_row = failed_in_a_row + 1 if is_written is False else 0
            if failed_in_a_row >= _FAILED_IN_A_ROW:
                raise _Stop(f"{failed_in_a_row} writes failed one after the other")

    def _read(self, listed: Sequence[Mapping[str, Any]], report: PassReport) -> Iterator[Vpa]:
        """The objects that name this recommender; what cannot be read is logged and counted."""
        for manifest in listed:
            if not asks_for(manifest, self._name):
                continue
            try:
                yield read_vpa(manifest)
            except Unreadable as error:
                report.errors["object"] += 1
                self._log("error", "a VPA object cannot be read", **_fields(error))

    def _answered(self, vpas: Sequence[Vpa], report: PassReport) -> Iterable[tuple[Vpa, Answer]]:
        """Each VPA with the answer for its target, namespace by namespace; those without a usable target first."""
        by_namespace: dict[str, list[tuple[Vpa, Workload]]] = defaultdict(list)
        for vpa in vpas:
            if vpa.workload is None:
                yield vpa, Answer(None)
            else:
                by_namespace[vpa.namespace].append((vpa, vpa.workload))
        unanswered = 0
        for namespace, group in sorted(by_namespace.items()):
            self._observer.beat()
            answers = self._ask(namespace, group, report)
            if answers is None:
                unanswered += 1
                continue
            for vpa, workload in group:
                yield vpa, answers[workload]
        if unanswered and unanswered == len(by_namespace):
            raise _Stop("there are no recommendations for any namespace")

    def _ask(
        self, namespace: str, group: Sequence[tuple[Vpa, Workload]], report: PassReport
    ) -> Mapping[Workload, Answer] | None:
        """The answers for a namespace; None where there are none now: its statuses then stay as they are."""
        try:
            return self._adviser.answers([workload for _, workload in group])
        except MoraError as error:
            report.errors["numbers"] += 1
            self._log(
                "error", "no recommendations for a namespace", namespace=namespace, vpas=len(group), **_fields(error)
            )
        except Exception as error:
            # A bug in one namespace must not stop the others; it is logged in full.
            report.errors["bug"] += 1
            self._log(
                "error", "no recommendations for a namespace: this is a bug in MOrA", namespace=namespace, **_bug(error)
            )
        return None

    def _treat(self, vpa: Vpa, answer: Answer, report: PassReport) -> bool | None:
        """Write what changed of one VPA; False where the write failed, None where there was nothing to write."""
        about = {"namespace": vpa.namespace, "vpa": vpa.name}
        try:
            now = self._clock()
            follow = None if self._following is None else self._following.chooser(vpa, now)
            patch = status_patch(vpa, answer.recommendation, now=now, refusal=answer.refusal, follow=follow)
            report.with_number += _is_provided(vpa, patch)
            if patch is None:
                report.unchanged += 1
                return None
            self._write(vpa, patch)
            if self._following is not None:
                self._following.written(vpa, now)
        except ChangedMeanwhile:
            report.errors["conflict"] += 1
            self._log("info", "the object changed since it was read; the next pass writes it", **about)
        except GoneMeanwhile:
            self._log("info", "the object was deleted since it was read", **about)
        except ClusterError as error:
            report.errors["write"] += 1
            self._log("error", "status cannot be written", **about, **_fields(error))
            return False
        except _Stop:
            raise
        except Exception as error:
            # One object must not stop the others; its problem is logged in full.
            report.errors["bug"] += 1
            self._log("error", "no status for a VPA object: this is a bug in MOrA", **about, **_bug(error))
        else:
            report.written += 1
            self._log(
                "info", "status written" if self._write_to is None else "would be written", **about, **_what(patch)
            )
            return True
        return None

    def _write(self, vpa: Vpa, patch: dict[str, Any]) -> None:
        if not self._leadership.leads():
            raise _Stop("another instance leads now")
        if self._write_to is not None:
            self._write_to(vpa, patch)
        else:
            self._vpas.patch_status(vpa.namespace, vpa.name, patch, version=vpa.version)


def _is_provided(vpa: Vpa, patch: Mapping[str, Any] | None) -> bool:
    conditions = (patch or {}).get("conditions") or vpa.status.get("conditions") or []
    return any(one.get("type") == PROVIDED and one.get("status") == "True" for one in conditions)


def _what(patch: Mapping[str, Any]) -> dict[str, object]:
    """What a patch changes, for a log line: targets and conditions."""
    what: dict[str, object] = {}
    for one in (patch.get("recommendation") or {}).get("containerRecommendations") or []:
        what[f"target.{one['containerName']}"] = ",".join(f"{name}={text}" for name, text in one["target"].items())
    if "conditions" in patch:
        what["conditions"] = ",".join(f"{one['type']}={one['status']}" for one in patch["conditions"])
    return what


def _fields(error: MoraError) -> dict[str, object]:
    return {"error": error.message, **({"hint": error.hint} if error.hint else {})}


def _bug(error: Exception) -> dict[str, object]:
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    at = "" if trace is None else f" ({trace.tb_frame.f_code.co_filename.rpartition('mora/')[2]}:{trace.tb_lineno})"
    return {"error": f"{type(error).__name__}: {error}{at}"}
