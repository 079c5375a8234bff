"""Kubernetes quantities: text at the doors, integers inside.

CPU is int millicores, memory is int bytes. Amounts that are asked for are rounded up, never down: half a millicore
missing is a throttled service, half a mebibyte missing is an OOM kill.
Source: https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/
"""

from __future__ import annotations

import math
import re
from decimal import ROUND_CEILING, Decimal

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


def readable_bytes(amount_bytes: float) -> str:
    """Bytes for a person; rounded, so not for a manifest.

    >>> readable_bytes(123456789), readable_bytes(2.5 * GIB), readable_bytes(900)
    ('118 MiB', '2.5 GiB', '900 B')
    """
    for suffix, unit in (("GiB", GIB), ("MiB", MIB), ("KiB", KIB)):
        if abs(amount_bytes) >= unit:
            value = amount_bytes / unit
            return f"{value:.3g} {suffix}" if abs(value) < 1000 else f"{value:.0f} {suffix}"
    return f"{amount_bytes:.0f} B"


def _ceil(value: float) -> int:
    if not math.isfinite(value) or value < 0:
        raise BadInput(f"An amount must be a finite number of at least 0, not {value}.")
    # 0.1 + 0.2 cores are 300 millicores, not 301: float noise is cut before rounding up, relative to the value.
    return math.ceil(float(f"{value:.12g}") if value >= 1e6 else round(value, 6))


def _check_amount(amount: int) -> None:
    if amount < 0:
        raise BadInput(f"An amount must be at least 0, not {amount}.")
