"""Ways to spoil a JSON document, a table and an array: what is there is replaced, left out, added or doubled."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from hypothesis import strategies as st

ODD: tuple[Any, ...] = (
    None,
    True,
    False,
    0,
    -1,
    1,
    2**31,
    2**63,
    10**30,
    -0.5,
    1e-300,
    1e12,
    1e308,
    "",
    "a",
    "../../etc/passwd",
    "-n kube-system",
    "\n\x1b[31m",
    "\u202e",
    "1e400",
    "NaN",
    [],
    [[]],
    {},
    [1, 2, 3],
    {"a": 1},
)
ODD_NUMBERS = (math.nan, math.inf, -math.inf, -1.0, 0.0, 1e-300, 1e12, 1e308)


def places(value: Any, before: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The path of every value within a document."""
    found = [before] if before else []
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, one in inner:
        found += places(one, (*before, key))
    return found


Changes = list[tuple[int, str, int]]
CHANGES: st.SearchStrategy[Changes] = st.lists(
    st.tuples(
        st.integers(0, 10**6),
        st.sampled_from(("other", "other", "other", "missing", "more", "scaled")),
        st.integers(0, len(ODD) - 1),
    ),
    min_size=1,
    max_size=3,
)
"""Where, how and with what a document is spoiled; small, because hypothesis prints what it draws."""


def spoiled(document: Any, changes: Changes) -> Any:
    """A copy of a document in which some values are something else, are missing, or stand twice."""
    result = copy.deepcopy(document)
    for where, change, which in changes:
        known = places(result)
        if not known:
            break
        *way, last = known[where % len(known)]
        holder = result
        for key in way:
            holder = holder[key]
        if change == "missing":
            del holder[last]
        elif change == "more" and isinstance(holder, list):
            holder.append(copy.deepcopy(holder[last]))
        elif change == "more":
            holder[("", "x", "\u0000", "a" * 300)[which % 4]] = copy.deepcopy(holder[last])
        elif change == "scaled" and isinstance(holder[last], (int, float)) and not isinstance(holder[last], bool):
            holder[last] = holder[last] * (-1, 0, 1000, 1e9)[which % 4]
        else:
            holder[last] = copy.deepcopy(ODD[which])
    return result


ARRAY_CHANGES = st.tuples(
    st.integers(0, 10**6),
    st.sampled_from(("missing", "shorter", "flat", "empty", "text", "integers", "number", "huge")),
    st.sampled_from(ODD_NUMBERS),
)


def spoiled_arrays(
    arrays: Mapping[str, np.ndarray[Any, Any]], change: tuple[int, str, float]
) -> dict[str, np.ndarray[Any, Any]]:
    """Arrays of which one has another shape, other numbers, another kind, or is missing."""
    result = dict(arrays)
    where, how, odd = change
    name = sorted(result)[where % len(result)]
    array = result[name]
    if how == "missing":
        del result[name]
    elif how in ("number", "huge") and array.dtype.kind == "f" and array.size:
        result[name] = array.copy()
        with np.errstate(over="ignore"):  # single precision makes it infinite
            result[name].reshape(-1)[0] = odd if how == "number" else 3e38
    else:
        others = {
            "shorter": array[:-1],
            "flat": array.reshape(-1),
            "empty": np.empty((0,)),
            "text": np.array(["x"] * max(len(array), 1)),
        }
        result[name] = others.get(how, np.zeros(array.shape, dtype=np.int64))
    return result
