"""Maintenance windows: the times of the week, in UTC, in which changes are made.

Written like "02:00-04:00" (every day), "Mon-Fri 22:00-02:00" (over midnight) or "Sat,Sun 00:00-24:00", several with
a semicolon between them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from mora.errors import BadInput

DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_DAY_SECONDS, _WEEK_SECONDS = 86_400, 7 * 86_400
# The epoch began on a Thursday.
_EPOCH_DAY = 3
_PART = re.compile(r"(?:([A-Za-z]{3}(?:[-,][A-Za-z]{3})*) +)?(\d{2}):(\d{2})-(\d{2}):(\d{2})", re.ASCII)
_HINT = 'Write it like "02:00-04:00", "Mon-Fri 22:00-02:00" or "Sat,Sun 00:00-24:00" (UTC), several with ; between.'


@dataclass(frozen=True, slots=True)
class MaintenanceWindow:
    """text: as it was written. spans: (begin, end) in seconds of the week from Monday 00:00 UTC; end may lie beyond
    the week's, where a span goes on into the next one."""

    text: str
    spans: tuple[tuple[int, int], ...]

    def is_open(self, at: float) -> bool:
        """Whether a moment (epoch seconds) lies within it."""
        second = _of_week(at)
        return any(begin <= moment < end for begin, end in self.spans for moment in (second, second + _WEEK_SECONDS))

    def opens_at(self, at: float) -> float:
        """The first moment from `at` on that lies within it, in epoch seconds.

        >>> parse_window("Mon 02:00-04:00").opens_at(0.0) / 86400  # a Thursday: four days and two hours
        4.083333333333333
        """
        if self.is_open(at):
            return at
        second = _of_week(at)
        return at + min((begin - second) % _WEEK_SECONDS for begin, _ in self.spans)


def parse_window(text: str) -> MaintenanceWindow:
    """The window that a text names; BadInput where it names none.

    >>> parse_window("Fri-Mon 22:00-02:00").is_open(3600.0)  # Thursday, 01:00
    False
    >>> parse_window("Wed 22:00-02:00").is_open(3600.0), parse_window("00:30-01:30").is_open(3600.0)
    (True, True)
    """
    spans: list[tuple[int, int]] = []
    for part in text.split(";"):
        match = _PART.fullmatch(part.strip())
        if match is None:
            raise BadInput(f"{text!r} is not a maintenance window.", hint=_HINT)
        days, *clock = match.groups()
        begin, end = (_seconds(text, *clock[first : first + 2]) for first in (0, 2))
        if begin in (end, _DAY_SECONDS):
            raise BadInput(f"The maintenance window {part.strip()!r} is empty.", hint=_HINT)
        end += _DAY_SECONDS if end < begin else 0
        spans += [(day * _DAY_SECONDS + begin, day * _DAY_SECONDS + end) for day in _days(text, days)]
    return MaintenanceWindow("; ".join(part.strip() for part in text.split(";")), tuple(sorted(set(spans))))


def _of_week(at: float) -> float:
    return (at + _EPOCH_DAY * _DAY_SECONDS) % _WEEK_SECONDS


def _seconds(text: str, hours: str, minutes: str) -> int:
    found = int(hours) * 3600 + int(minutes) * 60
    if int(minutes) > 59 or found > _DAY_SECONDS:
        raise BadInput(f"{hours}:{minutes} in {text!r} is not a time of the day.", hint=_HINT)
    return found


def _days(text: str, days: str | None) -> list[int]:
    if days is None:
        return list(range(7))
    found: list[int] = []
    for part in days.split(","):
        names = [_day(text, name) for name in part.split("-")]
        if len(names) > 2:
            raise BadInput(f"{part!r} in {text!r} is no range of days.", hint=_HINT)
        found += [day % 7 for day in range(names[0], names[-1] + 1 + (7 if names[-1] < names[0] else 0))]
    return found


def _day(text: str, name: str) -> int:
    if name.capitalize() not in DAYS:
        raise BadInput(f"{name!r} in {text!r} is not a day of the week.", hint=_HINT)
    return DAYS.index(name.capitalize())
