"""A long-running process: its identity, and a clean shutdown on SIGTERM and SIGINT."""

from __future__ import annotations

import signal
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class AskedToEnd(BaseException):
    """A signal asked the process to end. Not an Exception, so that no handler of errors takes it for one."""


def own_identity() -> str:
    """A name for this instance in the lease: the pod's name, and a part that differs at each start.

    >>> own_identity() != own_identity()
    True
    """
    return f"{socket.gethostname()}_{uuid.uuid4().hex[:8]}"


def deadline(seconds: float, act: Callable[[], None]) -> Callable[[], None]:
    """A function that starts a countdown, after which `act` is called in a thread of its own.

    It may be called in a signal handler. Starting a thread there may not: the signal may have interrupted the start of
    another thread, which holds the lock that the start needs, and the process would hang.
    """
    begun = threading.Event()

    def count_down() -> None:
        begun.wait()
        time.sleep(seconds)
        act()

    threading.Thread(target=count_down, name="mora-deadline", daemon=True).start()
    return begun.set


@contextmanager
def ended_by_signals(also: Callable[[], None] = lambda: None) -> Iterator[None]:
    """SIGTERM and SIGINT raise AskedToEnd, once, after `also`; later signals do not interrupt the shutdown."""
    asked = False

    def ask(number: int, frame: object) -> None:
        nonlocal asked
        if not asked:
            asked = True
            also()
            raise AskedToEnd(signal.Signals(number).name)

    before = {number: signal.signal(number, ask) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
