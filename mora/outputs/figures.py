"""A number and its change as a cell of a table."""

from __future__ import annotations

from mora.domain import Advice
from mora.quantities import KIB, MIB, format_cpu, format_memory, readable_bytes


def amount(name: str, value: int | None, *, none: str | None = None) -> str:
    """An amount in a readable unit: exact where it is whole in Ki, else rounded.

    >>> amount("cpu request", 1500), amount("memory limit", 123456789), amount("replicas", None)
    ('1500m', '118 MiB', 'unknown')
    """
    if value is None:
        return none or ("unknown" if name == "replicas" else "not set")
    if name == "replicas":
        return str(value)
    if name.startswith("cpu"):
        return format_cpu(value)
    return format_memory(value) if value % (MIB if value >= MIB else KIB) == 0 else readable_bytes(value)


def plain(name: str, value: int | None) -> str:
    """An amount without its unit, for a column that names it: millicores, Mi, replicas.

    >>> plain("cpu request", 1500), plain("memory request", 228 * MIB), plain("memory limit", 1572864)
    ('1500', '228', '1.5')
    >>> plain("cpu limit", None)
    'none'
    """
    if value is None:
        return "none"
    if not name.startswith("memory"):
        return str(value)
    mebibytes = value / MIB
    return f"{mebibytes:.0f}" if mebibytes >= 100 or value % MIB == 0 else f"{mebibytes:.1f}"


def target(name: str, advice: Advice) -> str:
    """What is recommended, with its unit."""
    if advice.is_unset:
        return "not set"
    return "unchanged" if advice.value is None else amount(name, advice.value)


def has_goal(advice: Advice) -> bool:
    """Whether what is recommended is the first of several steps."""
    return advice.at_goal.value != advice.value


def change(advice: Advice) -> str:
    """The relative change: "-49%", "remove", "0%", "-" where it is not known."""
    if advice.change is None:
        return "remove" if advice.is_unset and advice.now is not None else "-"
    return "0%" if round(advice.change, 4) == 0 else f"{advice.change:+.0%}"
