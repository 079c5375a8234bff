"""JSON that was read from a file, checked before it is believed: its syntax, its depth, its numbers, its shape.

A file that MOrA wrote may come back edited, torn or made by another hand. A Check is a function of a value and of the
place where it stands; it returns where all is well and raises Misfit, which names the place, where it is not.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Collection, Mapping
from datetime import datetime
from typing import Any, NoReturn

Check = Callable[[Any, str], None]

# Deeper than anything that MOrA writes, and far from where Python's own parser gives up.
_MOST_DEPTH = 40
_LONGEST_SHOWN = 40


class Misfit(ValueError):
    """A document that is not what it should be; the text says where and how."""


def parse(raw: bytes | str) -> Any:
    """The value of a JSON text. Misfit where it is none, is nested too deeply, or has a number that is not finite.

    >>> parse('{"cores": 1e999}')
    Traceback (most recent call last):
    mora.documents.Misfit: the number 1e999 is not finite
    """
    try:
        text = raw if isinstance(raw, str) else raw.decode("utf-8")
        return json.loads(text, parse_constant=_no_constant, parse_float=_finite, parse_int=_not_endless)
    except UnicodeDecodeError as failure:
        raise Misfit(f"byte {failure.start + 1} is not UTF-8") from failure
    except json.JSONDecodeError as failure:
        raise Misfit(f"line {failure.lineno}: this is not JSON ({failure.msg})") from failure
    except RecursionError as failure:
        raise Misfit("it is nested too deeply") from failure


def check(value: Any, shape: Check) -> None:
    """Nothing where a value has a shape; else Misfit.

    >>> check({"kept": 7}, fields({"kept": whole()}))
    >>> check({"kept": "7"}, fields({"kept": whole()}))
    Traceback (most recent call last):
    mora.documents.Misfit: kept is text, not a whole number
    """
    if _is_deeper(value, _MOST_DEPTH):
        raise Misfit("it is nested too deeply")
    shape(value, "")


# --- single values ---------------------------------------------------------------------------------------------------


def anything(value: Any, where: str) -> None:
    """Any value."""


def text(value: Any, where: str) -> None:
    """A string that can be written as UTF-8."""
    if not isinstance(value, str):
        _refuse(value, where, "text")
    try:
        value.encode()
    except UnicodeEncodeError as failure:
        raise Misfit(f"{_named(where)} is {_shown(value)}, not valid text") from failure


def flag(value: Any, where: str) -> None:
    """true or false."""
    if not isinstance(value, bool):
        _refuse(value, where, "true or false")


def moment(value: Any, where: str) -> None:
    """A time in ISO-8601 that names its zone."""
    text(value, where)
    try:
        has_zone = datetime.fromisoformat(value).tzinfo is not None
    except ValueError:
        has_zone = False
    if not has_zone:
        raise Misfit(f"{_named(where)} is {_shown(value)}, not a time with its zone")


def number(least: float = -sys.float_info.max, most: float = sys.float_info.max) -> Check:
    """A finite number from `least` to `most`."""

    def shape(value: Any, where: str) -> None:
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            _refuse(value, where, "a number")
        if not least <= value <= most:  # NaN is neither
            raise Misfit(f"{_named(where)} is {_shown(value)}, not a number from {least:g} to {most:g}")

    return shape


def whole(least: int = 0, most: int = 2**63) -> Check:
    """A whole number from `least` to `most`."""

    def shape(value: Any, where: str) -> None:
        if isinstance(value, bool) or not isinstance(value, int):
            _refuse(value, where, "a whole number")
        if not least <= value <= most:
            raise Misfit(f"{_named(where)} is {_shown(value)}, not a number from {least} to {most}")

    return shape


def one_of(*known: str) -> Check:
    """One of some texts."""

    def shape(value: Any, where: str) -> None:
        if not isinstance(value, str) or value not in known:
            raise Misfit(f"{_named(where)} is {_shown(value)}, not one of {', '.join(known)}")

    return shape


# --- values of values ------------------------------------------------------------------------------------------------


def optional(shape: Check) -> Check:
    """A shape, or null."""
    return lambda value, where: None if value is None else shape(value, where)


def fields(shapes: Mapping[str, Check], *, needed: Collection[str] | None = None, only: bool = False) -> Check:
    """An object with these fields. needed: those that must be there, by default all. only: others must not be there."""
    must = shapes.keys() if needed is None else needed

    def shape(value: Any, where: str) -> None:
        if not isinstance(value, dict):
            _refuse(value, where, "an object")
        for name, of_field in shapes.items():
            place = f"{where}.{name}" if where else name
            if name in value:
                of_field(value[name], place)
            elif name in must:
                raise Misfit(f"{place} is missing")
        if only and (more := [name for name in value if name not in shapes]):
            raise Misfit(f"{f'{where}.' if where else ''}{_cut(more[0])} is not known")

    return shape


def mapping(of_value: Check, of_key: Check = text) -> Check:
    """An object of any names, whose values are all of one shape."""

    def shape(value: Any, where: str) -> None:
        if not isinstance(value, dict):
            _refuse(value, where, "an object")
        for name, one in value.items():
            place = f"{where}.{_cut(name)}" if where else _cut(name)
            of_key(name, f"the name {place}")
            of_value(one, place)

    return shape


def items(of_item: Check, *, least: int = 0) -> Check:
    """A list of one shape, with at least so many items."""

    def shape(value: Any, where: str) -> None:
        if not isinstance(value, list):
            _refuse(value, where, "a list")
        if len(value) < least:
            raise Misfit(f"{_named(where)} has {len(value)} items, at least {least} are needed")
        for place, one in enumerate(value):
            of_item(one, f"{where}[{place}]")

    return shape


def pair(first: Check, second: Check) -> Check:
    """A list of two values, each of its own shape."""

    def shape(value: Any, where: str) -> None:
        if not isinstance(value, list) or len(value) != 2:
            _refuse(value, where, "a pair")
        first(value[0], f"{where}[0]")
        second(value[1], f"{where}[1]")

    return shape


# --- words -----------------------------------------------------------------------------------------------------------


def _refuse(value: Any, where: str, wanted: str) -> NoReturn:
    kinds = {bool: "true or false", str: "text", int: "a number", float: "a number", list: "a list", dict: "an object"}
    raise Misfit(f"{_named(where)} is {kinds.get(type(value), 'null')}, not {wanted}")


def _named(where: str) -> str:
    return where or "it"


def _shown(value: Any) -> str:
    return _cut(json.dumps(value))


def _cut(words: str) -> str:
    words = words if words.isprintable() else ascii(words)
    return words if len(words) <= _LONGEST_SHOWN else f"{words[:_LONGEST_SHOWN]}..."


def _no_constant(word: str) -> NoReturn:
    raise Misfit(f"the number {word} is not finite")


def _finite(word: str) -> float:
    value = float(word)
    if not math.isfinite(value):
        raise Misfit(f"the number {_cut(word)} is not finite")
    return value


def _not_endless(word: str) -> int:
    # Python refuses to parse thousands of digits, and no float holds more than 308.
    if len(word) > 308:
        raise Misfit(f"the number {_cut(word)} is not finite")
    return int(word)


def _is_deeper(value: Any, most: int) -> bool:
    """Whether lists and objects stand within one another more than so many times."""
    level: list[Any] = [value]
    for _ in range(most):
        level = [
            inner
            for one in level
            if isinstance(one, (dict, list))
            for inner in (one.values() if isinstance(one, dict) else one)
            if isinstance(inner, (dict, list))
        ]
        if not level:
            return False
    return True
