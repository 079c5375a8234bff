"""Trying again where a cloud limits the rate of requests, or is not there for a moment; its room says what is which."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import Enum, auto
from typing import TypeVar

from mora.errors import MoraError

Answer = TypeVar("Answer")


class Failure(Enum):
    """What an error of a client means for the next try.

    BUSY: throttled, or a server that is not there for a moment. EXPIRED: credentials that are renewed once, then tried
    again. FINAL: no try would help.
    """

    BUSY = auto()
    EXPIRED = auto()
    FINAL = auto()


@dataclass(frozen=True, slots=True)
class Patience:
    """How often a request is tried, and what is waited between: backoff doubles up to longest, with as much jitter.

    longest_asked_seconds: a server that asks for a longer wait than that is not waited for.
    """

    tries: int = 6
    backoff_seconds: float = 0.5
    longest_seconds: float = 20.0
    longest_asked_seconds: float = 120.0
    sleep: Callable[[float], None] = time.sleep

    def ask(
        self,
        send: Callable[[], Answer],
        *,
        meaning: Callable[[Exception], Failure],
        explained: Callable[[Exception], MoraError],
        renew: Callable[[], None] = lambda: None,
        asked_wait: Callable[[Exception], float | None] = lambda _: None,
    ) -> Answer:
        """What `send` returns at the first try that is answered.

        meaning: of an exception of `send`. renew: makes the client read its credentials again. asked_wait: the seconds
        that a server asks to wait for, None where it names none. Raises what `explained` makes of the last exception; a
        MoraError of `send` itself is passed on.
        """
        is_renewed, tried = False, 0
        while True:
            try:
                return send()
            except MoraError:
                raise
            except Exception as error:  # clients have no base class in common
                what = meaning(error)
                if what is Failure.EXPIRED and not is_renewed:
                    is_renewed = True
                    renew()
                    continue
                tried += 1
                wait = asked_wait(error) or 0.0
                if what is not Failure.BUSY or tried >= self.tries or wait > self.longest_asked_seconds:
                    raise explained(error) from error
            self.sleep(max(self._pause(tried), wait))

    def _pause(self, tried: int) -> float:
        backoff: float = min(self.backoff_seconds * 2.0 ** (tried - 1), self.longest_seconds)
        # Many readers that were throttled together must not come back together.
        return backoff * (1 + random.random())  # noqa: S311 - no secret


def retry_after(headers: Mapping[str, str], now: datetime) -> float | None:
    """The seconds that an answer's header Retry-After asks to wait for (RFC 9110, 10.2.3); None without a readable one.

    >>> retry_after({"Retry-After": "30"}, datetime(2026, 11, 1, tzinfo=UTC))
    30.0
    >>> retry_after({"Retry-After": "Sun, 01 Nov 2026 00:00:20 GMT"}, datetime(2026, 11, 1, tzinfo=UTC))
    20.0
    """
    text = headers.get("Retry-After", "").strip()
    if text.isascii() and text.isdigit() and len(text) < 10:
        return float(text)
    try:
        at = parsedate_to_datetime(text)
    except ValueError:
        return None
    return max((at.replace(tzinfo=at.tzinfo or UTC) - now).total_seconds(), 0.0)
