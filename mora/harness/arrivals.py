"""A load in requests per second: an open loop, in which requests arrive at a rate however late the answers are.

Users wait for answers, so a slow target gets fewer requests of them than it would get of customers who do not know each
other. experiments/scenarios/_arrivals.py makes the requests arrive at a rate; this reads what it wrote down.
"""

from __future__ import annotations

import json
import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from mora.quantities import significant

# As many users as the rate needs where each answers and pauses within this time; the others rest.
_USER_SECONDS = 3.0
_SPARE_USERS = 10
_MAX_OFF = 0.02
_LATENESS_SECONDS = 0.5


def users_for(requests_per_second: float) -> int:
    """How many users are started for a rate; those that it does not need rest.

    >>> users_for(40), users_for(0.5)
    (130, 12)
    """
    return math.ceil(requests_per_second * _USER_SECONDS) + _SPARE_USERS


@dataclass(frozen=True, slots=True)
class Offered:
    """What was offered of a rate over a time range.

    asked, sent: requests per second. late_ratio: the share of requests that were due 0.1 s before a user was free.
    busy_users: how many users were active on average, the users of a closed loop that would send as much.
    """

    asked: float
    sent: float
    late_ratio: float
    busy_users: float
    users: int

    @property
    def is_off(self) -> bool:
        """Whether the rate was missed by more than 2 %."""
        return abs(self.sent / self.asked - 1) > _MAX_OFF

    def warnings(self) -> list[str]:
        """What a reader of the figures must know: that the rate was not offered, and why."""
        if not self.is_off:
            return []
        if self.busy_users > 0.9 * self.users:
            why = f"the target is too slow for it: {self.busy_users:.0f} of {self.users} users waited for answers"
        else:
            why = "this machine was too busy to send it. Ask for less, or give the plan's [locust] more processes"
        sent, asked = significant(self.sent, 4), significant(self.asked, 4)
        return [f"The load was not offered as asked: {sent} in place of {asked} requests/s; {why}."]


def read_offered(
    folder: Path, asked: float, users: int, start: datetime, end: datetime, *, processes: int = 1
) -> Offered | None:
    """What the processes of a load wrote down about a time range; None where one of them wrote nothing in it."""
    parts = [_between(path, start, end) for path in sorted(folder.glob("[0-9]*.jsonl"))]
    if len(parts) < processes or any(len(lines) < 2 for lines in parts):
        return None
    sent = sum((lines[-1]["sent"] - lines[0]["sent"]) / (lines[-1]["time"] - lines[0]["time"]) for lines in parts)
    counted = sum(lines[-1]["sent"] - lines[0]["sent"] for lines in parts)
    late = sum(lines[-1]["late"] - lines[0]["late"] for lines in parts)
    resting = sum(sum(line["resting"] for line in lines) / len(lines) for lines in parts)
    return Offered(asked, sent, late / counted if counted else 0.0, max(users - resting, 0.0), users)


def _between(path: Path, start: datetime, end: datetime) -> Sequence[dict[str, Any]]:
    """The lines at the seconds from `start` to `end`, without a last one that is still being written."""
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n")[:-1]]
    times = [line["time"] - _LATENESS_SECONDS for line in lines]
    first, last = (bisect_right(times, moment.timestamp()) - 1 for moment in (start, end))
    return lines[max(first, 0) : last + 1]
