"""The volume of a replica: a small folder of its own, to which it writes what it is about to change.

As with a write-ahead log, a change that cannot be written down is not made: on a full volume, requests that change
something fail, and others go on. The volume has a size, as an emptyDir with a sizeLimit; it is never larger.
"""

from __future__ import annotations

import errno
import os
import time
from pathlib import Path

from mora.sandbox.shop.wire import Handler, HttpFailure, Request, Response

VOLUME_BYTES = 8 * 2**20
"""The size of a replica's volume."""
_JOURNAL = "journal"
# The journal begins anew at this size; it is never replayed.
_MOST_JOURNAL_BYTES = 128 * 1024
_LOOK_AGAIN_SECONDS = 0.1
_INSUFFICIENT_STORAGE = 507


def used_bytes(volume: Path) -> int:
    """How much of a volume is used; 0 where there is none."""
    try:
        with os.scandir(volume) as entries:
            return sum(entry.stat(follow_symlinks=False).st_size for entry in entries)
    except FileNotFoundError:
        return 0


class Journal:
    """The journal of one replica, in its volume."""

    def __init__(self, volume: Path) -> None:
        volume.mkdir(exist_ok=True)
        self._volume = volume
        self._file = os.open(volume / _JOURNAL, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        self._written = 0
        self._looked_at, self._used = float("-inf"), 0

    def write(self, line: bytes) -> None:
        """Write a line; OSError (ENOSPC) where the volume is full."""
        if self._written + len(line) > _MOST_JOURNAL_BYTES:
            os.ftruncate(self._file, 0)
            os.lseek(self._file, 0, os.SEEK_SET)
            self._written = 0
        now = time.monotonic()
        if now - self._looked_at >= _LOOK_AGAIN_SECONDS:
            self._looked_at, self._used = now, used_bytes(self._volume)
        if self._used + len(line) > VOLUME_BYTES:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self._written += os.write(self._file, line)

    def wrap(self, handler: Handler) -> Handler:
        """The handler, with every request that changes something written down first."""

        async def handle(request: Request) -> Response:
            if request.method != "GET":
                try:
                    self.write(f"{request.method} {request.path} {len(request.body)}\n".encode())
                except OSError as error:
                    raise HttpFailure(
                        f"the volume cannot be written: {error.strerror}", _INSUFFICIENT_STORAGE
                    ) from error
            return await handler(request)

        return handle
