"""The time, and waiting for it: a run asks a Clock, so that tests need not wait."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """Tells the time and waits."""

    def now(self) -> datetime:
        """The current time in UTC, with its time zone."""

    def sleep(self, seconds: float) -> None:
        """Return after `seconds`."""


class SystemClock:
    """The clock of this machine."""

    def now(self) -> datetime:
        """The current time in UTC, with its time zone."""
        return datetime.now(UTC)

    def sleep(self, seconds: float) -> None:
        """Return after `seconds`."""
        time.sleep(seconds)
