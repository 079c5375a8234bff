"""The tree knows the place of every node, in every text that the parser takes."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mora.errors import BadInput
from mora.repo.tree import Mapping, Node, Scalar, Sequence, at, line_of, parse, plain, resolved
from tests.repo.test_edits import written

ODD = (
    '\ufeff# \U0001f600\r\na: &x !!str "\u00e9\U0001f600" # hi\r\nb: |\r\n  t\r\n\r\n'
    "c: *x\r\nd: {e: [1, two]}\r\n---\r\nf: 'it''s'\r\n"
)


def test_offsets_count_the_characters_of_the_text_as_it_is() -> None:
    first, second = parse(ODD)
    quoted, two, last = at(first.root, "a"), at(first.root, "d", "e", 1), at(second.root, "f")
    assert [ODD[node.start : node.end] for node in (quoted, two, last) if node] == [
        '"\u00e9\U0001f600"',
        "two",
        "'it''s'",
    ]
    assert resolved(at(first.root, "c") or first.root) is quoted
    assert line_of(ODD, last.start if last else 0) == 9


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("a:\n\tb: 1\n", "line 2"),
        ("a: *b\n", "alias"),
        ("a: &a {b: *a}\n", "own alias"),
        ("[" * 500, "nested too deeply"),
        ("a: 'b\n", "not valid YAML"),
    ],
)
def test_what_is_no_yaml_is_refused_with_the_reason(text: str, why: str) -> None:
    with pytest.raises(BadInput, match=why):
        parse(text)


@pytest.mark.parametrize(
    ("first", "next_one", "why"),
    [
        ("[1]", "[{0}, {0}, {0}]", "more values"),
        ("{a: 1}", "{{x: {0}, y: {0}}}", "more values"),
        ("{a: 1}", "{{<<: [{0}, {0}]}}", "more values"),
        ("{a: 1}", "{{x: {0}}}", "nested too deeply"),
    ],
)
def test_aliases_that_stand_for_billions_of_values_or_levels_are_refused(first: str, next_one: str, why: str) -> None:
    lines = [f"a0: &a0 {first}"] + [f"a{n}: &a{n} {next_one.format(f'*a{n - 1}')}" for n in range(1, 300)]
    with pytest.raises(BadInput, match=why):
        parse("\n".join(lines))


def test_aliases_that_stand_for_little_are_read() -> None:
    lines = ["a0: &a0 {b: 1}"] + [f"a{n}: &a{n} {{<<: *a{n - 1}, c{n}: *a0}}" for n in range(1, 100)]
    assert len(plain(at(parse("\n".join(lines))[0].root, "a99"))) == 100


# Line separators of YAML and of Unicode, what YAML means something by, and what takes several bytes.
_texts = st.text("ab\u00e9\U0001f600 \u2028\u0085:#-\n'\"&*!|>%@{}[],?", max_size=6)
_numbers = st.floats(allow_nan=False, allow_infinity=False)
_values = st.recursive(
    st.one_of(st.integers(), st.booleans(), st.none(), _numbers, _texts),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(_texts, inner, max_size=3)),
    max_leaves=10,
)


@settings(max_examples=100, suppress_health_check=[HealthCheck.too_slow])
@given(value=_values, style=st.sampled_from(["block", "flow", "mixed", "json"]))
def test_what_is_read_is_what_the_library_reads_and_every_scalar_is_where_it_stands(value: Any, style: str) -> None:
    text = written(value, style)
    try:
        expected = list(yaml.load_all(text, Loader=yaml.CSafeLoader))
    except yaml.YAMLError:
        with pytest.raises(BadInput, match="not valid YAML"):
            parse(text)
        return
    assert [plain(one.root) for one in parse(text)] == expected
    for node in _nodes(parse(text)[0].root):
        if isinstance(node, Scalar) and node.style not in ("|", ">"):
            assert yaml.safe_load(text[node.start : node.end]) == yaml.safe_load(text[node.whole : node.end])


def _nodes(node: Node) -> list[Node]:
    parts = [one for pair in node.entries for one in pair] if isinstance(node, Mapping) else []
    parts += node.items if isinstance(node, Sequence) else []
    return [node, *(found for part in parts for found in _nodes(part))]
