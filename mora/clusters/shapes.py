"""What a value in an answer must look like, and reading it: the one way from JSON of an API server to typed values.

A Shape is a function: a JSON value and its path in, a value of known type out, or Unreadable with the path. Only the
fields that a shape names are kept, so code that reads another one fails in its first test, and not at a user's odd
cluster. null counts as absent, as in Kubernetes. Shapes of whole objects are in mora/clusters/kinds.py.

Messages name types and never values of text: an environment variable may hold a secret.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, NoReturn

from mora.domain import is_name
from mora.errors import BadInput, ClusterError
from mora.quantities import parse_quantity

Shape = Callable[[object, str], Any]

# The largest amounts that are believed. No machine has more cores; Kubernetes itself stores no quantity above 2^63 - 1.
MOST_CORES = Decimal(100_000)
MOST_BYTES = Decimal(2**60)
_MOST_OF_ALL = Decimal(2**63 - 1)
_INT32 = 2**31 - 1
_LONGEST_SHOWN = 40


class Unreadable(ClusterError):
    """An object whose content is not what its kind has. problem: the path and what is wrong with it.

    namespace, name: the object's own, None where even they cannot be read.
    """

    def __init__(self, problem: str, *, namespace: str | None = None, name: str | None = None) -> None:
        self.problem, self.namespace, self.name = problem, namespace, name
        of = f" of {name!r} in namespace {namespace!r}" if name and namespace else f" of {name!r}" if name else ""
        super().__init__(
            f"An object{of} cannot be read: {problem}.",
            hint="Is this answer from a Kubernetes API server? Another API may serve a kind of the same name.",
        )


def read(shape: Shape, item: object) -> Any:
    """One object. Raises Unreadable, which carries the object's namespace and name where they can be read.

    >>> read(fields({"kind": text}), {"kind": "Pod", "odd": 1})
    {'kind': 'Pod'}
    >>> read(fields({"kind": text}), {"kind": 5})
    Traceback (most recent call last):
    mora.clusters.shapes.Unreadable: An object cannot be read: kind is a number, not text.
    ...
    """
    try:
        return shape(item, "")
    except Unreadable as error:
        namespace, name = identity(item)
        raise Unreadable(error.problem, namespace=namespace, name=name) from None


def identity(item: object) -> tuple[str | None, str | None]:
    """Namespace and name of an object; None for what is absent or no name that Kubernetes allows."""
    meta = item.get("metadata") if isinstance(item, dict) else None
    found = (meta.get(key) if isinstance(meta, dict) else None for key in ("namespace", "name"))
    namespace, name = (one if isinstance(one, str) and is_name(one) else None for one in found)
    return namespace, name


# --- single values ---------------------------------------------------------------------------------------------------


def anything(value: object, where: str) -> Any:
    """A value that is only passed on."""
    return value


def text(value: object, where: str) -> str:
    """A string."""
    return value if isinstance(value, str) else _refuse(value, where, "text")


def flag(value: object, where: str) -> bool:
    """true or false."""
    return value if isinstance(value, bool) else _refuse(value, where, "true or false")


def whole(value: object, where: str) -> int:
    """A count: from 0 to the largest 32-bit number."""
    if isinstance(value, bool) or not isinstance(value, int):
        return _refuse(value, where, "a whole number")
    if not 0 <= value <= _INT32:
        raise _wrong(where, f"is {_shown(value)}, not a count from 0 to {_INT32}")
    return value


def generation(value: object, where: str) -> int:
    """A 64-bit number that only counts up."""
    if isinstance(value, bool) or not isinstance(value, int):
        return _refuse(value, where, "a whole number")
    return value


def whole_or_percent(value: object, where: str) -> int | str:
    """Kubernetes' IntOrString of a rollout: a count, or per cent as text."""
    if isinstance(value, str):
        digits = value.removesuffix("%")
        if not (digits.isascii() and digits.isdigit() and len(digits) <= 9):
            raise _wrong(where, f"is {_shown(value)}, not a count or per cent")
        return value
    return whole(value, where)


def amount(most: Decimal = _MOST_OF_ALL) -> Shape:
    """A Kubernetes quantity up to `most`, as text. In YAML, and so in custom resources, people write numbers, too."""

    def shape(value: object, where: str) -> str:
        if isinstance(value, bool) or not isinstance(value, (str, int, float)):
            _refuse(value, where, "a Kubernetes quantity")
        written = str(value)
        try:
            found = parse_quantity(written)  # "nan" and "inf" are none
        except BadInput:
            raise _wrong(where, f"is {_shown(value)}, not a Kubernetes quantity") from None
        if found > most:
            raise _wrong(where, f"is {_shown(value)}, more than any machine has")
        return written

    return shape


# --- values of values ------------------------------------------------------------------------------------------------


def fields(shapes: Mapping[str, Shape], *, needed: tuple[str, ...] = (), keeps_rest: bool = False) -> Shape:
    """An object: its known fields, each of its shape; absent ones are left out. needed: those that must be there.

    keeps_rest: fields without a shape stay as they are, for what is written back.
    """

    def shape(value: object, where: str) -> dict[str, Any]:
        if not isinstance(value, dict):
            return _refuse(value, where, "an object")
        found = {key: one for key, one in value.items() if one is not None} if keeps_rest else {}
        for key, read_field in shapes.items():
            if (one := value.get(key)) is not None:
                found[key] = read_field(one, f"{where}.{key}" if where else key)
        for key in needed:
            if key not in found:
                raise _wrong(f"{where}.{key}" if where else key, "is missing")
        return found

    return shape


def listed(each: Shape) -> Shape:
    """A list of values of one shape."""

    def shape(value: object, where: str) -> list[Any]:
        if not isinstance(value, list):
            return _refuse(value, where, "a list")
        return [each(one, f"{where}[{place}]") for place, one in enumerate(value)]

    return shape


def mapped(each: Shape, special: Mapping[str, Shape] | None = None) -> Shape:
    """Key -> value, any keys; null values are left out. special: keys whose values have a shape of their own."""
    own = special or {}

    def shape(value: object, where: str) -> dict[str, Any]:
        if not isinstance(value, dict):
            return _refuse(value, where, "an object")
        return {
            key: own.get(key, each)(one, f"{where}[{_shown(key)}]") for key, one in value.items() if one is not None
        }

    return shape


def checked(shape: Shape, check: Callable[[Any], str | None]) -> Shape:
    """A shape with a rule between its fields. check: what is wrong, or None."""

    def whole_shape(value: object, where: str) -> Any:
        found = shape(value, where)
        problem = check(found)
        if problem is not None:
            raise _wrong(where, problem)
        return found

    return whole_shape


def _refuse(value: object, where: str, wanted: str) -> NoReturn:
    names = {bool: "true or false", int: "a number", float: "a number", str: "text", list: "a list", dict: "an object"}
    raise _wrong(where, f"is {names.get(type(value), 'null')}, not {wanted}")


def _wrong(where: str, problem: str) -> Unreadable:
    return Unreadable(f"{where or 'it'} {problem}")


def _shown(value: object) -> str:
    written = ascii(value)
    return written if len(written) <= _LONGEST_SHOWN else f"{written[:_LONGEST_SHOWN]}..."
