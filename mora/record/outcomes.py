"""Pure: what became of a recommendation, once what it was about has changed.

People round what they copy (127m becomes 130m), and apply yesterday's number when today's is a little different. So a
recommendation is a range: everything that was recommended while the setting stayed the same, the goal of all steps
included.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

# What is rounded by hand stays within a tenth: 127m to 130m, 237Mi to 256Mi. MOrA itself defers smaller changes.
ROUNDED_BY = 0.10


class Outcome(StrEnum):
    """What became of a recommendation.

    OPEN: the setting is as it was. APPLIED: it became what was recommended. PARTLY: it moved towards that, and not all
    the way. OTHERWISE: it was changed to something else. GONE: the workload or its container is no longer there.
    """

    OPEN = "open"
    APPLIED = "applied"
    PARTLY = "partly"
    OTHERWISE = "otherwise"
    GONE = "gone"


@dataclass(frozen=True, slots=True)
class Recommended:
    """What was recommended while the setting stayed the same. before: the setting; None where it was not set."""

    before: int | None
    low: int
    high: int

    def widened(self, *amounts: int) -> Recommended:
        """The same with further amounts that were recommended."""
        return Recommended(self.before, min(self.low, *amounts), max(self.high, *amounts))

    @property
    def is_change(self) -> bool:
        """Whether any of it differs from the setting."""
        return self.before is None or self.low != self.before or self.high != self.before


def judge(recommended: Recommended, now: int | None) -> Outcome:
    """What became of a recommendation whose setting is now `now`.

    >>> judge(Recommended(500, 120, 127), 130), judge(Recommended(500, 120, 127), 300)
    (<Outcome.APPLIED: 'applied'>, <Outcome.PARTLY: 'partly'>)
    >>> judge(Recommended(500, 120, 127), 800), judge(Recommended(500, 500, 500), 800)
    (<Outcome.OTHERWISE: 'otherwise'>, <Outcome.OTHERWISE: 'otherwise'>)
    """
    before = recommended.before
    if now == before:
        return Outcome.OPEN
    if now is None or not recommended.is_change:
        return Outcome.OTHERWISE
    if recommended.low * (1 - ROUNDED_BY) <= now <= recommended.high * (1 + ROUNDED_BY):
        # Rounding back to the setting itself is a change the other way.
        is_back = before is not None and (now - before) * (_nearest(recommended, now) - before) < 0
        return Outcome.OTHERWISE if is_back else Outcome.APPLIED
    if before is not None and before < now < recommended.low:
        return Outcome.PARTLY
    if before is not None and recommended.high < now < before:
        return Outcome.PARTLY
    return Outcome.OTHERWISE


def _nearest(recommended: Recommended, now: int) -> int:
    """The recommended amount that is nearest to `now`."""
    return min(max(now, recommended.low), recommended.high)
