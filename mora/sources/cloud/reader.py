"""What a cloud's own room must be able to do; the rest of a source is made from it (CloudSource)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from mora.domain import Window
from mora.sources.cloud.signals import Remark, Scope, Series, Signal


@dataclass(frozen=True, slots=True)
class Tried:
    """One thing that `mora doctor --source` tried. remedy: what to do where it failed, such as a right to ask for.

    is_needed: whether the source gives nothing without it.
    """

    name: str
    is_ok: bool
    words: str
    remedy: str = ""
    is_needed: bool = True


class Reader(Protocol):
    """Asks one cloud by its client. Raises SourceUnavailable with what happened, why, and what to do."""

    @property
    def title(self) -> str:
        """What is asked, for messages: the service, and the project, account or cluster. No credentials."""

    @property
    def signals(self) -> frozenset[Signal]:
        """What the cloud can know at all; of the others no query is sent."""

    @property
    def finest(self) -> timedelta:
        """The shortest step that its points have."""

    def read(self, signals: Sequence[Signal], scope: Scope, window: Window) -> Iterator[Series | Remark]:
        """The series of some signals, aligned to the step of the window where the cloud can; pages in any order.

        Remarks among them say where an answer is incomplete. Every page is read, and throttled requests are sent again
        (patience.py). Names are as the cloud gave them.
        """

    def queries(self, signals: Sequence[Signal], scope: Scope, window: Window) -> Mapping[str, str]:
        """What read() would send, name -> text, without sending it."""

    def check(self, at: datetime) -> Iterator[Tried]:
        """Each thing that reading needs, tried at a moment; a failure is one of them, and never raised."""
