"""Every error that a user can cause has its message, its hint and its place in the tree that the docstring draws."""

from __future__ import annotations

import inspect
import re

import pytest

from mora import errors
from mora.errors import MoraError

KINDS = [
    kind
    for _, kind in inspect.getmembers(errors, inspect.isclass)
    if issubclass(kind, MoraError) and kind is not MoraError
]


@pytest.mark.parametrize("kind", KINDS)
def test_a_message_stands_alone_or_above_its_hint(kind: type[MoraError]) -> None:
    plain, hinted = kind("It failed."), kind("It failed.", hint="Try again.")
    assert (str(plain), plain.message, plain.hint) == ("It failed.", "It failed.", None)
    assert (str(hinted), hinted.message, hinted.hint) == ("It failed.\nTry again.", "It failed.", "Try again.")


def test_the_tree_in_the_docstring_is_the_tree_of_classes() -> None:
    drawn: dict[str, str] = {}
    parents = ["MoraError"]
    for before, name in re.findall(r"^    ([│ ]*)[├└]── (\w+)", errors.__doc__ or "", re.MULTILINE):
        depth = len(before) // 4
        drawn[name] = parents[depth]
        parents[depth + 1 :] = [name]
    assert drawn == {kind.__name__: kind.__bases__[0].__name__ for kind in KINDS}
