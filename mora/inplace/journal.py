"""The audit log: what was asked of which pod, when, why, and what came of it; one JSON line an event.

    DIR/NAMESPACE/2026-11.jsonl

A line is on the disk before the request that it announces is sent, so a loop that is killed knows at its next start
what it had asked for. Lines are only ever appended. A last line without its end was being written when the machine
stopped: what it announced was not sent, so it is left out, which the log itself then says. Any other line that cannot
be read is an error: a log that was edited proves nothing.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from mora import documents
from mora.domain import check_name
from mora.errors import BadInput, MoraError
from mora.files import folder_lock, read_regular, sync_folder, write_error
from mora.quantities import format_moment

VERSION = 1
# A year of a busy namespace has some 100 MB; a month is read at a start.
_MOST_BYTES = 512 * 2**20
_LINE = documents.fields({"v": documents.whole(1), "at": documents.moment, "event": documents.text})
Event = Mapping[str, Any]


class Journal:
    """The audit log of one namespace, open for writing; no other process can have it open at the same time."""

    def __init__(self, folder: Path, namespace: str) -> None:
        self.folder = folder / check_name(namespace, "namespace")

    @contextmanager
    def opened(self) -> Iterator[list[Event]]:
        """Take the log; its events so far, oldest first. MoraError where another process has it."""
        try:
            with folder_lock(self.folder, wait_seconds=0.0):
                yield self._events_so_far()
        except MoraError as error:
            if error.message.startswith("Another process is writing"):
                raise MoraError(
                    f"Another process resizes pods by the audit log in {self.folder}.",
                    hint="One loop a namespace: end that one first, or look at what it does: mora apply log",
                ) from error
            raise

    def append(self, event: str, *, now: datetime, **about: Any) -> Event:
        """Write one event; it is on the disk when this returns."""
        made = {"v": VERSION, "at": format_moment(now, "milliseconds"), "event": event, **about}
        months = [f"{now.astimezone(UTC):%Y-%m}.jsonl", *(one.name for one in self.folder.glob("*.jsonl"))]
        path = self.folder / max(months)  # also where the clock was set back by a month: files are read in their order
        # A server's words may hold half a surrogate pair, which is no UTF-8.
        line = json.dumps(made, ensure_ascii=False).encode(errors="replace") + b"\n"
        try:
            is_new = not path.exists()
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW, 0o640)
            try:
                _write(descriptor, line)
            finally:
                os.close(descriptor)
            if is_new:
                sync_folder(self.folder)
        except OSError as error:
            raise write_error(path, error) from error
        return made

    def _events_so_far(self) -> list[Event]:
        for path in sorted(self.folder.glob("*.jsonl")):
            _mend(path)
        return list(read_log(self.folder))


def read_log(folder: Path) -> Iterator[Event]:
    """The events of a namespace's log, oldest first; also while a loop writes it.

    BadInput where there is none, or a line of it cannot be read.
    """
    paths = sorted(folder.glob("*.jsonl"))
    for path in paths:
        try:
            lines = read_regular(path, _MOST_BYTES).split(b"\n")
        except OSError as error:
            raise BadInput(f"The audit log {path} cannot be read: {error.strerror}.") from error
        for number, line in enumerate(lines[:-1], start=1):  # behind the last end of a line is what is being written
            yield _event(line, f"{path}, line {number}")


def _event(line: bytes, where: str) -> Event:
    try:
        event = documents.parse(line)
        documents.check(event, _LINE)
    except documents.Misfit as error:
        raise BadInput(
            f"The audit log cannot be read: {where}: {error}.",
            hint="It was edited, or is of another program. Move the folder away to begin a new one; changes that were "
            "open then stay as they are.",
        ) from error
    if event["v"] > VERSION:
        raise BadInput(f"The audit log was written by a newer MOrA: {where}.", hint="Use that version, or a new one.")
    found: Event = event
    return found


def _mend(path: Path) -> None:
    """Take a half-written last line away: what it announced was never sent."""
    try:
        with path.open("r+b") as file:
            data = file.read()
            whole = data.rfind(b"\n") + 1
            if whole < len(data):
                file.truncate(whole)
                os.fsync(file.fileno())
    except OSError as error:
        raise write_error(path, error) from error


def _write(descriptor: int, data: bytes) -> None:
    """Append and flush; a full disk leaves the file as it was, since the next line must not join half of this one."""
    size = os.fstat(descriptor).st_size
    try:
        while data:
            data = data[os.write(descriptor, data) :]
        os.fsync(descriptor)
    except OSError:
        os.ftruncate(descriptor, size)
        raise
