"""Refreshing: for each cluster a thread that renews its answer, records it, and outlives whatever goes wrong.

The order matters. An answer is served before it is recorded: where the disk is full, people see the new numbers, and
that they are not recorded. What the record has at the start is served until the first refresh ends.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from mora.errors import MoraError
from mora.record.numbers import Use
from mora.record.store import InForce, Record
from mora.web.answer import read_answer
from mora.web.live import Live

# A cluster that is away is tried again after a minute, not only with the next refresh.
_TRY_AGAIN_SECONDS = 60.0


class Log(Protocol):
    """Where a server logs: a level (info, warning, error), a fixed text, and the fields of the event."""

    def __call__(self, level: str, message: str, **about: object) -> None:
        """Write one log line."""


class Counts(Protocol):
    """What counts refreshes (mora.web.metrics.Telemetry)."""

    def refreshed(self, cluster: str, seconds: float, *, is_ok: bool) -> None:
        """A refresh has ended."""


Compute = Callable[[Iterable[InForce]], dict[str, Any]]
"""Gives the answer of a cluster (compute.run), given what was applied there; raises MoraError."""


@dataclass(slots=True)
class Refresher:
    """Renews the answer of one cluster. interval: seconds between the ends of two refreshes."""

    name: str
    compute: Compute
    live: Live
    record: Record
    interval: float
    log: Log
    counts: Counts
    is_over: threading.Event

    def restore(self) -> None:
        """Serve the last answer that the record has."""
        found = self.record.last_answer(self.name)
        answer = None if found is None else read_answer(_object(found[1]))
        if answer is not None:
            self.live.answered(self.name, answer)
            self.live.recorded(self.name, self.record.in_force(self.name))
            self.log("info", "serving the last answer of the record", **self._about, workloads=len(answer.entries))

    def run(self) -> None:
        """Refresh until is_over."""
        while not self.is_over.is_set():
            try:
                is_ok = self.refresh()
            except Exception as error:
                is_ok = False
                self._failed(_as_mora_error(error), 0.0)
            self.is_over.wait(self.interval if is_ok else min(self.interval, _TRY_AGAIN_SECONDS))

    def refresh(self) -> bool:
        """Renew the answer once; whether there is a new one."""
        began = time.monotonic()
        try:
            applied = self._applied()
            found = self.compute(applied)
            answer = read_answer(found)
            if answer is None:
                raise MoraError("The answer cannot be read.", hint="This is a bug in MOrA: please report it.")  # noqa: TRY301
        except Exception as error:
            if self.is_over.is_set():
                return False
            self._failed(_as_mora_error(error), time.monotonic() - began)
            return False
        seconds = time.monotonic() - began
        self.live.answered(self.name, answer)
        self.counts.refreshed(self.name, seconds, is_ok=True)
        uses = {int(episode): Use(**use) for episode, use in found.pop("uses", {}).items()}
        is_recorded = self._recorded(
            lambda: self.record.take(
                self.name,
                answer.made_at,
                answer.seen(self.name),
                answer.totals(self.name),
                seconds=seconds,
                uses=uses,
                answer=json.dumps(found).encode(),
            )
        )
        self.log(
            "info",
            "refreshed",
            **self._about,
            workloads=len(answer.entries),
            without_number=sum(not entry.has_number for entry in answer.entries),
            seconds=round(seconds, 1),
            recorded="yes" if is_recorded else "no",
        )
        return True

    def _applied(self) -> list[InForce]:
        """What was applied; nothing where the record cannot be read, which the next write reports."""
        try:
            return self.record.in_force(self.name)
        except MoraError:
            return []

    def _failed(self, error: MoraError, seconds: float) -> None:
        self.live.failed(self.name, error)
        self.counts.refreshed(self.name, seconds, is_ok=False)
        hint = {"hint": error.hint} if error.hint else {}
        self.log("error", "refresh failed", **self._about, error=error.message, **hint)
        # Whether the record has the last answer does not depend on it.
        try:
            self.record.failed(self.name, time.time(), error.message, seconds=seconds)
        except Exception as unwritten:
            self._log_unrecorded(_as_mora_error(unwritten))

    def _recorded(self, write: Callable[[], None]) -> bool:
        """Write the answer to the record; where that fails, serve on and report it."""
        try:
            write()
            applied = self.record.in_force(self.name)
        except Exception as error:
            told = _as_mora_error(error)
            self.live.unrecorded(self.name, told)
            self._log_unrecorded(told)
            return False
        self.live.recorded(self.name, applied)
        return True

    def _log_unrecorded(self, error: MoraError) -> None:
        self.log("error", "not recorded", **self._about, error=error.message, hint=error.hint or "")

    @property
    def _about(self) -> dict[str, object]:
        return {"cluster": self.name} if self.name else {}


def _object(text: bytes) -> Mapping[str, Any]:
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _as_mora_error(error: Exception) -> MoraError:
    """Whatever was raised, as something to report: a thread that dies silently would serve old numbers for ever."""
    if isinstance(error, MoraError):
        return error
    return MoraError(f"This is a bug in MOrA: {type(error).__name__}: {error}", hint="Please report it.")
