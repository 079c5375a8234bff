"""Time ranges that are left out of a history: maintenance, incidents, load tests (--exclude START/END)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from mora.domain import Window
from mora.errors import BadInput
from mora.quantities import format_moment


@dataclass(frozen=True, slots=True)
class Span:
    """From `start` up to `end`, aware. why: who leaves it out, as evidence names it."""

    start: datetime
    end: datetime
    why: str = "--exclude"

    def __str__(self) -> str:
        """As people write it, in UTC."""
        return f"{format_moment(self.start)} to {format_moment(self.end)}"


def parse_span(text: str) -> Span:
    """START/END in ISO 8601; without a zone they are UTC.

    >>> str(parse_span("2026-11-01T00:00/2026-11-01T06:00+01:00"))
    '2026-11-01 00:00 UTC to 2026-11-01 05:00 UTC'
    """
    parts = text.split("/")
    try:
        start, end = (datetime.fromisoformat(part.strip()) for part in parts)
    except ValueError as error:
        raise BadInput(
            f"{text!r} is not START/END.", hint="Write it like 2026-11-01T00:00/2026-11-01T06:00 (UTC)."
        ) from error
    start, end = (moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment for moment in (start, end))
    if end <= start:
        raise BadInput(f"{text!r} ends before it starts.")
    return Span(start, end)


def left_out(window: Window, spans: Sequence[Span]) -> NDArray[np.bool_]:
    """Which samples of a window the spans take, shape (window.sample_count,).

    A sample covers the step before it, so the first one after the end of a span goes as well.
    """
    taken = np.zeros(window.sample_count, dtype=np.bool_)
    for span in spans:
        first = -((window.start - span.start) // window.step)
        stop = -((window.start - span.end) // window.step) + 1
        taken[max(first, 0) : max(stop, 0)] = True
    return taken


def words_of(window: Window, spans: Sequence[Span]) -> tuple[str, ...]:
    """What was left out, range by range, as text; one that lies outside the history is named as such."""
    words = []
    for span in spans:
        count = int(left_out(window, [span]).sum())
        what = f"{count} sample{'' if count == 1 else 's'}" if count else "nothing, it is outside the history"
        words.append(f"{span}: {what} ({span.why})")
    return tuple(words)
