"""JSON from a file is believed only where its syntax, its depth, its numbers and its shape are right."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mora.documents import (
    Check,
    Misfit,
    anything,
    check,
    fields,
    flag,
    items,
    mapping,
    moment,
    number,
    one_of,
    optional,
    pair,
    parse,
    text,
    whole,
)

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


def misfit_of(value: Any, shape: Check) -> str | None:
    """What is wrong with a value, None where it fits."""
    try:
        check(value, shape)
    except Misfit as misfit:
        return str(misfit)
    return None


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"{", "line 1: this is not JSON"),
        (b"", "this is not JSON"),
        (b"\xff{}", "byte 1 is not UTF-8"),
        (b'{"a": NaN}', "the number NaN is not finite"),
        (b'{"a": -Infinity}', "the number -Infinity is not finite"),
        (b'{"a": 1e400}', "the number 1e400 is not finite"),
        (b"9" * 5000, "is not finite"),
        (b"[" * 200_000 + b"]" * 200_000, "nested too deeply"),
    ],
)
def test_what_is_no_json_or_no_number_is_refused(raw: bytes, words: str) -> None:
    with pytest.raises(Misfit, match=words):
        parse(raw)


def test_depth_is_bounded_far_from_where_python_gives_up() -> None:
    value: Any = 1
    for _ in range(60):
        value = [value]
    with pytest.raises(Misfit, match="nested too deeply"):
        check(value, anything)
    check([[[1]]], anything)


@pytest.mark.parametrize(
    ("value", "shape", "words"),
    [
        (5, text, "it is a number, not text"),
        ("\ud800", text, "not valid text"),
        (None, text, "it is null, not text"),
        (1, flag, "it is a number, not true or false"),
        (True, number(), "it is true or false, not a number"),
        (10**400, number(0, 5), "not a number from 0 to 5"),
        (math.nan, number(), "not a number"),
        (-1, whole(), "it is -1, not a number from 0"),
        (1.0, whole(), "it is a number, not a whole number"),
        ("c", one_of("a", "b"), 'it is "c", not one of a, b'),
        ({}, one_of("a"), "not one of a"),
        ("2026-01-01T00:00:00", moment, "not a time with its zone"),
        ("soon", moment, "not a time with its zone"),
        ({}, fields({"a": text}), "a is missing"),
        ({"a": {"b": 5}}, fields({"a": fields({"b": text})}), "a.b is a number, not text"),
        ([], fields({}), "it is a list, not an object"),
        ({"a": {"b": 1, "c": 1}}, fields({"a": fields({"b": number()}, only=True)}), "a.c is not known"),
        ({"x": {"y": []}}, mapping(mapping(number())), "x.y is a list, not a number"),
        ([1, "a"], items(number()), r"\[1\] is text, not a number"),
        ([], items(number(), least=1), "it has 0 items, at least 1 are needed"),
        ({"a": [["x"]]}, fields({"a": items(pair(text, text))}), r"a\[0\] is a list, not a pair"),
    ],
)
def test_a_misfit_names_its_place_and_both_kinds(value: Any, shape: Check, words: str) -> None:
    with pytest.raises(Misfit, match=words):
        check(value, shape)


def test_what_fits_passes() -> None:
    shape = fields(
        {
            "name": text,
            "at": moment,
            "kept": optional(whole()),
            "shares": mapping(number(0, 1)),
            "why": items(pair(text, text)),
            "rare": flag,
        },
        needed=("name", "at", "kept", "shares", "why"),
    )
    check(
        {
            "name": "a",
            "at": "2026-01-01T00:00:00+00:00",
            "kept": None,
            "shares": {"x": 1},
            "why": [["code", "text"]],
            "more": [],
        },
        shape,
    )


@given(JSON, st.sampled_from([text, flag, number(0, 9), whole(), moment, items(text), mapping(number()), one_of("a")]))
def test_a_check_passes_or_is_a_misfit_in_printable_words(value: Any, shape: Check) -> None:
    words = misfit_of(value, fields({"here": shape}) if isinstance(value, dict) else shape)
    assert words is None or (words and words.isprintable())


@given(st.binary(max_size=60) | JSON.map(lambda value: json.dumps(value).encode()))
def test_parsing_gives_a_finite_value_or_a_misfit(raw: bytes) -> None:
    try:
        value = parse(raw)
    except Misfit:
        return
    json.dumps(value, allow_nan=False)
