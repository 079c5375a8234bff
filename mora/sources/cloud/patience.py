"""Trying again where a cloud limits the rate of requests, or is not there for a moment; its room says what is which."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
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
    """How often a request is tried, and what is waited between: backoff doubles up to longest, with as much jitter."""

    tries: int = 6
    backoff_seconds: float = 0.5
    longest_seconds: float = 20.0
    sleep: Callable[[float], None] = time.sleep

    def ask(
        self,
        send: Callable[[], Answer],
        *,
        meaning: Callable[[Exception], Failure],
        explained: Callable[[Exception], MoraError],
        renew: Callable[[], None] = lambda: None,
    ) -> Answer:
        """What `send` returns at the first try that is answered.

        meaning: of an exception of `send`. renew: makes the client read its credentials again. Raises what `explained`
        makes of the last exception; a MoraError of `send` itself is passed on.
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
                if what is not Failure.BUSY or tried >= self.tries:
                    raise explained(error) from error
            self.sleep(self._pause(tried))

    def _pause(self, tried: int) -> float:
        backoff: float = min(self.backoff_seconds * 2.0 ** (tried - 1), self.longest_seconds)
        # Many readers that were throttled together must not come back together.
        return backoff * (1 + random.random())  # noqa: S311 - no secret
