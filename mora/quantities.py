"""Kubernetes quantities, spans, moments and shares: text at the doors, integers, timedeltas and datetimes inside.

CPU is int millicores, memory is int bytes. Amounts that are asked for are rounded up, never down: half a millicore
missing is a throttled service, half a mebibyte missing is an OOM kill.
Source: https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/
"""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime, timedelta
from decimal import ROUND_CEILING, Decimal
from typing import Literal

from mora.errors import BadInput

KIB = 1024
MIB = 1024**2
GIB = 1024**3

_SUFFIXES: dict[str, Decimal] = {
    "n": Decimal("1e-9"),
    "u": Decimal("1e-6"),
    "m": Decimal("1e-3"),
    "": Decimal(1),
    "k": Decimal(10**3),
    "M": Decimal(10**6),
    "G": Decimal(10**9),
    "T": Decimal(10**12),
    "P": Decimal(10**15),
    "E": Decimal(10**18),
    "Ki": Decimal(2**10),
    "Mi": Decimal(2**20),
    "Gi": Decimal(2**30),
    "Ti": Decimal(2**40),
    "Pi": Decimal(2**50),
    "Ei": Decimal(2**60),
}
_QUANTITY = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:([eE][+-]?[0-9]{1,3})|([numkMGTPE]|[KMGTPE]i))?", re.ASCII)

_SPAN_UNITS: dict[str, timedelta] = {
    "ms": timedelta(milliseconds=1),
    "s": timedelta(seconds=1),
    "m": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
    "w": timedelta(weeks=1),
}
# From two days on a span is written in days: people say 24h and 36h, but 2d and 14d.
_FROM_DAYS = timedelta(days=2)
LONGEST_SPAN = timedelta(days=36525)
"""No history is longer; what is, is a mistyped unit."""
_SPAN_PART = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h|d|w)", re.ASCII)


def parse_quantity(text: str) -> Decimal:
    """A Kubernetes quantity as an exact decimal in its base unit (cores, bytes, pods); never negative.

    >>> parse_quantity("250m"), parse_quantity("1Ki"), parse_quantity("12e3")
    (Decimal('0.250'), Decimal('1024'), Decimal('1.2E+4'))
    """
    match = _QUANTITY.fullmatch(text)
    if match is None:
        raise BadInput(
            f"{text!r} is not a Kubernetes quantity.",
            hint="Write CPU like 250m or 1.5, memory like 512Mi or 2Gi (no spaces, not negative).",
        )
    number, exponent, suffix = match.groups()
    if exponent:
        return Decimal(number + exponent)
    return Decimal(number) * _SUFFIXES[suffix or ""]


def parse_cpu(text: str) -> int:
    """CPU as int millicores, rounded up: "250m" -> 250, "1.5" -> 1500.

    >>> [parse_cpu(text) for text in ("250m", "1.5", "100u", "2")]
    [250, 1500, 1, 2000]
    """
    return int((parse_quantity(text) * 1000).to_integral_value(ROUND_CEILING))


def parse_memory(text: str) -> int:
    """Memory as int bytes, rounded up: "512Mi" -> 536870912.

    >>> [parse_memory(text) for text in ("512Mi", "128974848", "128974848000m", "1e3")]
    [536870912, 128974848, 128974848, 1000]
    """
    return int(parse_quantity(text).to_integral_value(ROUND_CEILING))


def format_cpu(millicores: int) -> str:
    """Millicores the way Kubernetes prints them.

    >>> format_cpu(250), format_cpu(2000), format_cpu(0)
    ('250m', '2', '0')
    """
    _check_amount(millicores)
    return str(millicores // 1000) if millicores % 1000 == 0 else f"{millicores}m"


def format_memory(amount_bytes: int) -> str:
    """Bytes the way Kubernetes prints them, exactly: the largest binary unit that divides the amount.

    >>> format_memory(536870912), format_memory(2 * GIB), format_memory(1000), format_memory(1536)
    ('512Mi', '2Gi', '1000', '1536')
    """
    _check_amount(amount_bytes)
    for suffix, unit in (("Gi", GIB), ("Mi", MIB), ("Ki", KIB)):
        if amount_bytes and amount_bytes % unit == 0:
            return f"{amount_bytes // unit}{suffix}"
    return str(amount_bytes)


def cores_to_millicores(cores: float) -> int:
    """Cores to whole millicores, rounded up after cutting float noise at the sixth digit.

    >>> cores_to_millicores(0.1), cores_to_millicores(0.1001), cores_to_millicores(0.1 + 0.2)
    (100, 101, 300)
    """
    return _ceil(cores * 1000)


def bytes_up(amount_bytes: float, *, unit: int = 1) -> int:
    """Bytes rounded up to a whole multiple of `unit` (1, KIB, MIB, ...).

    >>> bytes_up(1.5), bytes_up(MIB + 1, unit=MIB) // MIB
    (2, 2)
    """
    return _ceil(amount_bytes / unit) * unit


def memory_request(amount_bytes: float) -> int:
    """Bytes rounded up to whole Mi, or to whole Ki below 1 Mi: what is printed in a manifest.

    >>> format_memory(memory_request(236.66 * MIB)), format_memory(memory_request(1500))
    ('237Mi', '2Ki')
    """
    return bytes_up(amount_bytes, unit=MIB if amount_bytes >= MIB else KIB)


def parse_duration(text: str) -> timedelta:
    """A span as Prometheus and kubectl write it: "300ms", "30s", "90m", "1h30m", "14d"; longer than nothing.

    >>> [str(parse_duration(text)) for text in ("300ms", "1h30m", "14d", "1.5s")]
    ['0:00:00.300000', '1:30:00', '14 days, 0:00:00', '0:00:01.500000']
    """
    parts = _SPAN_PART.findall(text)
    try:
        total = sum((float(number) * _SPAN_UNITS[unit] for number, unit in parts), timedelta())
    except OverflowError:
        total = timedelta.max
    if total > LONGEST_SPAN:
        raise BadInput(f"{text!r} is longer than 100 years.", hint="Is the unit meant (ms, s, m, h, d, w)?")
    if "".join(number + unit for number, unit in parts) != text or not total:
        raise BadInput(
            f"{text!r} is not a span of time.",
            hint="Write a number and its unit (ms, s, m, h, d, w): 300ms, 1h30m, 14d.",
        )
    return total


def format_duration(span: timedelta | float, *, about: bool = False) -> str:
    """A span as kubectl and Prometheus write it, to whole milliseconds; parse_duration reads it back.

    span: at least 0; a plain number is of seconds. about: in its largest unit with one decimal, for what was measured
    or estimated. A day is 24h; from two days on, days are counted.

    >>> [format_duration(seconds) for seconds in (0, 0.3, 1.5, 90, 5400, 86400, 86400 * 14)]
    ['0s', '300ms', '1.5s', '1m30s', '1h30m', '24h', '14d']
    >>> [format_duration(seconds, about=True) for seconds in (0.2138, 20.4, 2310, 9000, 86400 * 3.07)]
    ['214ms', '20.4s', '38.5m', '2.5h', '3.1d']
    """
    span = span if isinstance(span, timedelta) else timedelta(seconds=span)
    if span < timedelta():
        raise BadInput(f"A span of time must be at least 0s, not {span}.")
    has_days = span >= _FROM_DAYS
    if about and span >= _SPAN_UNITS["s"]:
        unit = "d" if has_days else next(unit for unit in ("h", "m", "s") if span >= _SPAN_UNITS[unit])
        return f"{span / _SPAN_UNITS[unit]:.1f}".removesuffix(".0") + unit
    left_ms = round(span / _SPAN_UNITS["ms"])
    if left_ms < 1000:
        return f"{left_ms}ms" if left_ms else "0s"
    text = ""
    for unit in ("d", "h", "m") if has_days else ("h", "m"):
        count, left_ms = divmod(left_ms, _SPAN_UNITS[unit] // _SPAN_UNITS["ms"])
        text += f"{count}{unit}" if count else ""
    return text + (f"{left_ms / 1000:.3f}".rstrip("0").rstrip(".") + "s" if left_ms else "")


Precision = Literal["minutes", "seconds", "milliseconds", "microseconds", "shortest"]
"""How fine a moment is written; "shortest" has as many digits of the second as there are."""


def format_moment(at: datetime | float, precision: Precision = "minutes") -> str:
    """A moment in UTC: to the minute for a person, finer ones in ISO 8601 for programs. What is finer is cut off.

    at: a datetime, or unix seconds.

    >>> at = datetime(2026, 11, 21, 5, 0, 7, 250000, tzinfo=UTC)
    >>> format_moment(at), format_moment(at, "seconds"), format_moment(at, "microseconds")
    ('2026-11-21 05:00 UTC', '2026-11-21T05:00:07Z', '2026-11-21T05:00:07.250000Z')
    >>> format_moment(at, "milliseconds"), format_moment(at, "shortest")
    ('2026-11-21T05:00:07.250Z', '2026-11-21T05:00:07.25Z')
    """
    at = at.astimezone(UTC) if isinstance(at, datetime) else datetime.fromtimestamp(at, UTC)
    if precision == "minutes":
        return f"{at:%Y-%m-%d %H:%M} UTC"
    digits = f".{at.microsecond:06d}"
    if precision == "seconds":
        digits = ""
    elif precision == "milliseconds":
        digits = digits[:4]
    elif precision == "shortest":
        digits = digits.rstrip("0").rstrip(".")
    return f"{at:%Y-%m-%dT%H:%M:%S}{digits}Z"


def parse_ratio(text: str) -> float:
    """A share between 0 and 1, as "1%" or "0.01".

    >>> parse_ratio("1%"), parse_ratio("0.05"), parse_ratio("100%")
    (0.01, 0.05, 1.0)
    """
    is_percent = text.endswith("%")
    match = re.fullmatch(r"[0-9]+(?:\.[0-9]+)?", text.removesuffix("%"), re.ASCII)
    ratio = float(Decimal(match.group()) / (100 if is_percent else 1)) if match else math.nan
    if not 0 <= ratio <= 1:
        raise BadInput(f"{text!r} is not a share between 0 and 1.", hint="Write it like 1% or 0.01.")
    return ratio


def counted(number: int, word: str) -> str:
    """A number of things, one of them in the singular.

    >>> counted(1, "workload"), counted(2, "workload")
    ('1 workload', '2 workloads')
    """
    return f"{number:,} {word}{'' if number == 1 else 's'}"


def significant(value: float, digits: int = 3) -> str:
    """A number of at least so many significant digits, however large it is without an exponent.

    >>> significant(44.83), significant(0.9996), significant(999.6), significant(12345.6)
    ('44.8', '1', '1000', '12346')
    """
    return f"{value:.{digits}g}" if abs(value) < 10**digits - 0.5 else f"{value:.0f}"


def readable_cores(cores: float) -> str:
    """CPU use for a person: millicores below a core; rounded, so not for a manifest.

    >>> readable_cores(0.01234), readable_cores(0.2314), readable_cores(12.34), readable_cores(1234.5)
    ('12.3m', '231m', '12.3 cores', '1234 cores')
    """
    if abs(cores) < 0.9995:
        return f"{cores * 1000:.3g}m"
    text = significant(cores)
    return f"{text} core{'' if text == '1' else 's'}"


def readable_bytes(amount_bytes: float) -> str:
    """Bytes for a person; rounded, so not for a manifest.

    >>> readable_bytes(123456789), readable_bytes(2.5 * GIB), readable_bytes(900)
    ('118 MiB', '2.5 GiB', '900 B')
    """
    for suffix, unit in (("GiB", GIB), ("MiB", MIB), ("KiB", KIB)):
        if abs(amount_bytes) >= unit:
            value = amount_bytes / unit
            return f"{significant(value)} {suffix}"
    return f"{amount_bytes:.0f} B"


def _ceil(value: float) -> int:
    if not math.isfinite(value) or value < 0:
        raise BadInput(f"An amount must be a finite number of at least 0, not {value}.")
    # 0.1 + 0.2 cores are 300 millicores, not 301: float noise is cut before rounding up, relative to the value.
    return math.ceil(float(f"{value:.12g}") if value >= 1e6 else round(value, 6))


def _check_amount(amount: int) -> None:
    if amount < 0:
        raise BadInput(f"An amount must be at least 0, not {amount}.")
