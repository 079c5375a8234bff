"""Log lines for people and programs: logfmt, one event a line, the fixed text first."""

from __future__ import annotations

import json
import re
from datetime import datetime

from mora.quantities import format_moment

# What needs no quotes. Everything else is quoted and escaped, so that no name or error can forge a line.
_PLAIN = re.compile(r"[A-Za-z0-9_./:,=+%@-]+")


def log_line(level: str, message: str, about: dict[str, object], *, now: datetime) -> str:
    r"""One event.

    >>> from datetime import UTC, datetime
    >>> at = datetime(2026, 11, 21, 5, 0, 7, tzinfo=UTC)
    >>> log_line("error", "status cannot be written", {"vpa": "web", "error": 'a "b"\nc'}, now=at)
    'time=2026-11-21T05:00:07.000Z level=error msg="status cannot be written" vpa=web error="a \\"b\\"\\nc"'
    """
    moment = format_moment(now, "milliseconds")
    fields = {"time": moment, "level": level, "msg": message, **about}
    return " ".join(f"{name}={_value(value)}" for name, value in fields.items())


def _value(value: object) -> str:
    text = str(value)
    # JSON's escapes are those of logfmt; other scripts stay readable.
    return text if _PLAIN.fullmatch(text) else json.dumps(text, ensure_ascii=False)
