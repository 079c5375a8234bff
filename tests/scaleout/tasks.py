"""What the tests let workers do."""

from __future__ import annotations

import os
import time
from pathlib import Path


def where(name: str, seconds: float) -> int:
    """The process that did it, after a while."""
    time.sleep(seconds)
    return os.getpid()


def once_touched(name: str, touched: str, awaited: str) -> int:
    """Touch a file, wait for another one."""
    Path(touched).touch()
    while not Path(awaited).exists():
        time.sleep(0.01)
    return os.getpid()


def deadly(name: str) -> str:
    """Take the process down, if so named; not at once, since a nanny gives up on a worker that dies while it starts."""
    if name == "deadly":
        time.sleep(2)
        os._exit(1)
    return name


def faulty(name: str) -> None:
    raise ZeroDivisionError(name)
