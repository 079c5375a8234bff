"""An end for every request: where an answer does not come to its end, its connection is closed.

A timeout counts from byte to byte, so a server that sends one byte a second never reaches it, not even within the
headers. Here each try of a request has a moment at which its socket is shut down, whatever is being read.
"""

from __future__ import annotations

import os
import socket
import threading
from contextlib import suppress
from typing import Any, Self

from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.response import BaseHTTPResponse
from urllib3.util import Retry

_HERE = threading.local()


class TakesTooLong(Exception):
    """A request was not answered to the end in time. No HTTP library's error, so that none tries it again."""


class Deadline:
    """The time that each try of the requests of this thread may take, as a context manager."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._timer: threading.Timer | None = None
        self._socket: socket.socket | None = None
        self._lock = threading.Lock()
        self.has_passed = False

    def __enter__(self) -> Self:
        """Watch the connections that this thread uses."""
        _HERE.deadline = self
        return self

    def __exit__(self, *raised: object) -> None:
        """Watch no longer."""
        _HERE.deadline = None
        self._forget()

    def begin(self) -> None:
        """A try begins. Raises TakesTooLong where one before it came to its deadline."""
        self.check()
        self._forget()
        self._timer = threading.Timer(self._seconds, self._pass)
        self._timer.daemon = True
        self._timer.start()

    def rest(self) -> None:
        """A try has failed, and the next one waits: no answer is late meanwhile."""
        self.check()
        self._forget()

    def hold(self, sock: socket.socket) -> None:
        """Know the socket of the try; a double of it, since the connection may let go of it before the answer ends."""
        with self._lock:
            if self._socket is not None:
                self._socket.close()
            self._socket = socket.socket(fileno=os.dup(sock.fileno()))

    def check(self) -> None:
        """Raise TakesTooLong where the deadline has passed: what was read since may be cut off."""
        if self.has_passed:
            raise TakesTooLong

    def _forget(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        with self._lock:
            if self._socket is not None:
                self._socket.close()
            self._socket = None

    def _pass(self) -> None:
        with self._lock, suppress(OSError):  # the other side may have ended it already
            self.has_passed = True
            if self._socket is not None:
                self._socket.shutdown(socket.SHUT_RDWR)  # whoever reads finds the end


def _current() -> Deadline | None:
    return getattr(_HERE, "deadline", None)


class _Watched(HTTPConnection):
    """Tells the deadline of its thread when a try begins, and on which socket."""

    def request(self, *args: Any, **options: Any) -> None:
        deadline = _current()
        if deadline is not None:
            deadline.begin()
            if self.sock is not None:  # from an earlier request
                deadline.hold(self.sock)
        super().request(*args, **options)

    def _new_conn(self) -> socket.socket:
        deadline = _current()
        sock = super()._new_conn()
        if deadline is not None:
            deadline.hold(sock)
        return sock


class _SecureConnection(_Watched, HTTPSConnection):
    def connect(self) -> None:
        deadline = _current()
        if deadline is not None:
            deadline.begin()  # the handshake, too, may never end
        super().connect()


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Watched


class _SecurePool(HTTPSConnectionPool):
    ConnectionCls = _SecureConnection


class Retries(Retry):
    """Tries again as urllib3 does; what is waited between two tries does not count for the Deadline of the thread."""

    def sleep(self, response: BaseHTTPResponse | None = None) -> None:
        """Wait before the next try, with no deadline."""
        deadline = _current()
        if deadline is not None:
            deadline.rest()
        super().sleep(response)


POOLS = {"http": _Pool, "https": _SecurePool}
"""For the `pool_classes_by_scheme` of a urllib3 PoolManager: connections that heed the Deadline of their thread."""
