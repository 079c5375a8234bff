"""Checks of the options that a person gives a detector or a threshold: what cannot be is refused at once."""

from __future__ import annotations

import math

from mora.errors import BadInput


def number_between(option: str, value: object, low: float, high: float) -> float:
    """The value of an option, a number above `low` and below `high`; raises BadInput for any other.

    >>> number_between("quantile", 0.99, 0, 1)
    0.99
    """
    if not isinstance(value, int | float) or isinstance(value, bool) or not low < value < high:
        hint = f"Give a number above {low:g}." if math.isinf(high) else f"Give a number between {low:g} and {high:g}."
        raise BadInput(f"{option} is {value!r}.", hint=hint)
    return float(value)


def whole_number(option: str, value: object, low: int, high: int) -> int:
    """The value of an option, a whole number from `low` to `high`; raises BadInput for any other.

    >>> whole_number("trees", 100, 1, 1000)
    100
    """
    if type(value) is not int or not low <= value <= high:
        raise BadInput(f"{option} is {value!r}.", hint=f"Give a whole number from {low:,} to {high:,}.")
    return value
