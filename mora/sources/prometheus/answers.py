"""What an answer of the Prometheus API must look like, checked once, where it enters.

What answers may be a proxy's page, another API, or a Prometheus that someone else controls. Every label is text, every
moment a finite number, every value one that float() reads; NaN and Inf are values that a Prometheus has. Sizes are
checked before JSON is read: a few bytes of it make objects of some hundred.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mora.documents import Misfit

# The owners of 500,000 pods have as many bytes, a third of these objects and four fifths of these values.
MOST_BYTES = 128 * 2**20
_MOST_OBJECTS, _MOST_VALUES = 1_500_000, 5_000_000
_LATEST = 253_402_300_800  # the year 10000, in Unix seconds


def check_size(body: bytes) -> None:
    """Misfit where reading an answer as JSON would take gigabytes."""
    objects, values = body.count(b"{") + body.count(b"["), body.count(b",")
    if objects > _MOST_OBJECTS or values > _MOST_VALUES:
        raise Misfit(f"there are {max(objects, values):,} parts, more than any cluster has")


def label_set(found: object) -> dict[str, str]:
    """The labels of one series."""
    if not isinstance(found, dict):
        raise Misfit(f"the labels of a series are {_kind(found)}")
    for name, value in found.items():
        if not isinstance(value, str):
            raise Misfit(f"the label {_safe(name)!r} is {_kind(value)}, not text")
    if any(not _is_plain(text) for pair in found.items() for text in pair):
        return {_safe(name): _safe(value) for name, value in found.items()}
    return found


def label_sets(found: object) -> list[dict[str, str]]:
    """The labels of some series."""
    return [label_set(one) for one in _list(found, "series")]


def texts(found: object) -> list[str]:
    """The values of a label."""
    values = _list(found, "values")
    for one in values:
        if not isinstance(one, str):
            raise Misfit(f"a value of a label is {_kind(one)}, not text")
    return [_safe(one) for one in values]


def rows(found: object) -> list[dict[str, Any]]:
    """The series of an instant answer, each with its `value`: a moment, and text that float() reads."""
    checked = [_series(row) for row in _list(found, "series")]
    for row in checked:
        sample(row.get("value"))
    return checked


def rows_of_many(found: object) -> list[dict[str, Any]]:
    """The series of an answer of samples, each with its `values`; those without any are left out."""
    checked = [_series(row) for row in _list(found, "series")]
    for row in checked:
        for pair in _list(row.get("values"), "samples"):
            sample(pair)
    return [row for row in checked if row["values"]]


def _series(row: object) -> dict[str, Any]:
    if not isinstance(row, dict):
        raise Misfit(f"a series is {_kind(row)}")
    return {**row, "metric": label_set(row.get("metric"))}


def sample(found: object) -> tuple[float, float]:
    """A moment in Unix seconds and a value."""
    if not isinstance(found, list) or len(found) != 2:
        raise Misfit("a sample is no pair of a moment and a value")
    moment, value = found
    if isinstance(moment, bool) or not isinstance(moment, int | float) or not abs(moment) < _LATEST:
        raise Misfit(f"the moment of a sample is {_kind(moment)}")
    if not isinstance(value, str):
        raise Misfit(f"the value of a sample is {_kind(value)}, not text")
    return float(moment), number(value)


def number(text: str) -> float:
    """A value of a sample, which may be NaN or infinite."""
    try:
        return float(text)
    except ValueError:
        raise Misfit("the value of a sample is not a number") from None


def _list(found: object, what: str) -> list[Any]:
    if not isinstance(found, list):
        raise Misfit(f"{_kind(found)} stands where a list of {what} should be")
    return found


def _kind(value: object) -> str:
    names: Mapping[type, str] = {dict: "an object", list: "a list", str: "text", bool: "true or false"}
    if value is None:
        return "missing"
    return names.get(type(value), "a number")


def _is_plain(text: str) -> bool:
    """Whether a text can be written as UTF-8: JSON can escape half of a character."""
    return text.isascii() or not any("\ud800" <= one <= "\udfff" for one in text)


def _safe(text: str) -> str:
    return text if _is_plain(text) else text.encode("utf-8", "replace").decode("utf-8")
