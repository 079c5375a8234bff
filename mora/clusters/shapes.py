"""What a value in an answer must look like, and reading it: the one way from JSON of an API server to typed values.

A Shape is a function: a JSON value and its path in, a value of known type out, or Misfit with the path. It reads where
a Check of mora/documents.py only looks. Only the fields that a shape names are kept, so code that reads another one
fails in its first test, and not at a user's odd cluster. null counts as absent, as in Kubernetes. Shapes of whole
objects are in mora/clusters/kinds.py.

Messages name types and never values of text: an environment variable may hold a secret.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from mora import documents
from mora.documents import Misfit
from mora.domain import is_name
from mora.errors import BadInput, ClusterError
from mora.quantities import parse_quantity

Shape = Callable[[object, str], Any]

# The largest amounts that are believed. No machine has more cores; Kubernetes itself stores no quantity above 2^63 - 1.
MOST_CORES = 100_000
MOST_BYTES = 2**60
_MOST_OF_ALL = 2**63 - 1
_INT32 = 2**31 - 1
_LONGEST_SHOWN = 40
_SURROGATE = re.compile("[\ud800-\udfff]")  # half a character, which no text may end in


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
    except Misfit as error:
        namespace, name = identity(item)
        raise Unreadable(str(error), namespace=namespace, name=name) from None


def identity(item: object) -> tuple[str | None, str | None]:
    """Namespace and name of an object; None for what is absent or no name that Kubernetes allows."""
    meta = item.get("metadata") if isinstance(item, dict) else None
    found = (meta.get(key) if isinstance(meta, dict) else None for key in ("namespace", "name"))
    namespace, name = (one if isinstance(one, str) and is_name(one) else None for one in found)
    return namespace, name


# --- single values ---------------------------------------------------------------------------------------------------


def _as_it_is(check: documents.Check) -> Shape:
    def shape(value: object, where: str) -> Any:
        check(value, where)
        return value

    return shape


anything = _as_it_is(documents.anything)
_text = _as_it_is(documents.text)
flag = _as_it_is(documents.flag)
whole = _as_it_is(documents.whole(0, _INT32))
generation = _as_it_is(documents.whole(-_MOST_OF_ALL, _MOST_OF_ALL))
"""A 64-bit number that only counts up."""


def text(value: object, where: str) -> str:
    """A string. An error about one never quotes it."""
    if isinstance(value, str) and _SURROGATE.search(value):
        raise Misfit(f"{where} is not valid text")
    return str(_text(value, where))


def name(value: object, where: str) -> str:
    """A name that Kubernetes allows: what enters a path, a query or a manifest."""
    found = text(value, where)
    if not is_name(found):
        raise Misfit(f"{where} is {_shown(found)}, not a name that Kubernetes allows")
    return found


def whole_or_percent(value: object, where: str) -> int | str:
    """Kubernetes' IntOrString of a rollout: a count, or per cent as text."""
    if isinstance(value, str):
        digits = value.removesuffix("%")
        if not (digits.isascii() and digits.isdigit() and len(digits) <= 9):
            raise Misfit(f"{where} is {_shown(value)}, not a count or per cent")
        return value
    return int(whole(value, where))


def amount(most: int = _MOST_OF_ALL) -> Shape:
    """A Kubernetes quantity up to `most`, as text. In YAML, and so in custom resources, people write numbers, too."""

    def shape(value: object, where: str) -> str:
        if isinstance(value, bool) or not isinstance(value, (str, int, float)):
            raise Misfit(f"{where} is {_shown(value)}, not a Kubernetes quantity")
        written = str(value)
        try:
            found = parse_quantity(written)  # "nan" and "inf" are none
        except BadInput:
            raise Misfit(f"{where} is {_shown(value)}, not a Kubernetes quantity") from None
        if found > most:
            raise Misfit(f"{where} is {_shown(value)}, more than any machine has")
        return written

    return shape


# --- values of values ------------------------------------------------------------------------------------------------

_object = documents.fields({})
_list = documents.items(documents.anything)


def fields(shapes: Mapping[str, Shape], *, needed: tuple[str, ...] = (), keeps_rest: bool = False) -> Shape:
    """An object: its known fields, each of its shape; absent ones are left out. needed: those that must be there.

    keeps_rest: fields without a shape stay as they are, for what is written back.
    """

    def shape(value: Any, where: str) -> dict[str, Any]:
        _object(value, where)
        found = {key: one for key, one in value.items() if one is not None} if keeps_rest else {}
        for key, read_field in shapes.items():
            if (one := value.get(key)) is not None:
                found[key] = read_field(one, f"{where}.{key}" if where else key)
        for key in needed:
            if key not in found:
                raise Misfit(f"{where}.{key} is missing" if where else f"{key} is missing")
        return found

    return shape


def listed(each: Shape) -> Shape:
    """A list of values of one shape."""

    def shape(value: Any, where: str) -> list[Any]:
        _list(value, where)
        return [each(one, f"{where}[{place}]") for place, one in enumerate(value)]

    return shape


def mapped(each: Shape, special: Mapping[str, Shape] | None = None) -> Shape:
    """Key -> value, any keys; null values are left out. special: keys whose values have a shape of their own."""
    own = special or {}

    def shape(value: Any, where: str) -> dict[str, Any]:
        _object(value, where)
        return {
            text(key, "a name"): own.get(key, each)(one, f"{where}[{_shown(key)}]")
            for key, one in value.items()
            if one is not None
        }

    return shape


def checked(shape: Shape, check: Callable[[Any], str | None]) -> Shape:
    """A shape with a rule between its fields. check: what is wrong, or None."""

    def whole_shape(value: object, where: str) -> Any:
        found = shape(value, where)
        problem = check(found)
        if problem is not None:
            raise Misfit(f"{where} {problem}")
        return found

    return whole_shape


def _shown(value: object) -> str:
    written = ascii(value)
    return written if len(written) <= _LONGEST_SHOWN else f"{written[:_LONGEST_SHOWN]}..."
