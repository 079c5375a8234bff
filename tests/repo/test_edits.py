"""One value of a text changes, and no other byte: in every style that people write YAML in."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mora.repo.addresses import Refusal, Shared, read_text
from mora.repo.edits import append_item, remove_value, set_value
from mora.repo.sites import Address

CPU = Address(0, ("s", "r", "q", "cpu"))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("s:\n  r:\n    q:\n      cpu: 1  # why\n", "s:\n  r:\n    q:\n      cpu: 250m  # why\n"),
        ("s:\n  r:\n    q:\n      cpu: '1'\n", "s:\n  r:\n    q:\n      cpu: '250m'\n"),
        ('s: {r: {q: {cpu: "1"}}}\n', 's: {r: {q: {cpu: "250m"}}}\n'),
        ("s:\n  r: {}  # none\n  b: 1\n", "s:\n  r:  # none\n    q:\n      cpu: 250m\n  b: 1\n"),
        ("s:\n  r:\n  b: 1\n", "s:\n  r:\n    q:\n      cpu: 250m\n  b: 1\n"),
        ("s:\n  r: null\n", "s:\n  r:\n    q:\n      cpu: 250m\n"),
        ("s:\n  b: 1", "s:\n  b: 1\n  r:\n    q:\n      cpu: 250m"),
        (
            "s:\r\n    b: |\r\n        x\r\n\r\n# tail\r\n",
            "s:\r\n    b: |\r\n        x\r\n    r:\r\n        q:\r\n            cpu: 250m\r\n\r\n# tail\r\n",
        ),
        ("s:\n  b: |+\n    x\n\nc: 1\n", "s:\n  b: |+\n    x\n\n  r:\n    q:\n      cpu: 250m\nc: 1\n"),
        ("s: {r: {limits: {cpu: 1}}}\n", "s: {r: {limits: {cpu: 1}, q: {cpu: 250m}}}\n"),
        ("s: {r: {}}\n", "s: {r: {q: {cpu: 250m}}}\n"),
        ('{\n  "s": {\n    "a": 1\n  }\n}\n', '{\n  "s": {\n    "a": 1,\n    "r": {"q": {"cpu": "250m"}}\n  }\n}\n'),
        (
            "s:\n  r:\n    q:\n      memory: 1Gi\n  # next\n  b: 1\n",
            "s:\n  r:\n    q:\n      memory: 1Gi\n      cpu: 250m\n  # next\n  b: 1\n",
        ),
        ("\ufeffs:\n  r:\n    q: {cpu: 1}\n", "\ufeffs:\n  r:\n    q: {cpu: 250m}\n"),
        ("s:\n  r: &own\n    q:\n      cpu: !!str 1\n", "s:\n  r: &own\n    q:\n      cpu: !!str 250m\n"),
        ("s:\n  r:\n    q:\n      cpu:\n", "s:\n  r:\n    q:\n      cpu: 250m\n"),
    ],
)
def test_a_value_is_set_in_the_style_that_is_there(before: str, after: str) -> None:
    assert set_value(before, CPU, "250m") == after


def test_a_quantity_that_reads_as_a_number_stays_what_it_was() -> None:
    assert set_value("a: 500m\n", Address(0, ("a",)), "2") == 'a: "2"\n'
    assert set_value("a: 1\n", Address(0, ("a",)), "2") == "a: 2\n"
    assert set_value("b: 1\n", Address(0, ("a",)), "2") == 'b: 1\na: "2"\n'
    assert set_value("b: 1\n", Address(0, ("a",)), 2) == "b: 1\na: 2\n"
    assert set_value('{"a": 1}', Address(0, ("a",)), "250m") == '{"a": "250m"}'


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("r:\n  limits:\n    cpu: 1  # burst\n    memory: 1Gi\n", "r:\n  limits:\n    memory: 1Gi\n"),
        ("r:\n  q: {cpu: 1}\n  limits:\n    cpu: 1\nz: 1\n", "r:\n  q: {cpu: 1}\nz: 1\n"),
        ("r:\n  limits: {cpu: 1, memory: 1Gi}\n", "r:\n  limits: {memory: 1Gi}\n"),
        ("r:\n  limits: {memory: 1Gi, cpu: 1}\n", "r:\n  limits: {memory: 1Gi}\n"),
        ("r: {limits: {cpu: 1}, q: {}}\n", "r: {q: {}}\n"),
        ("r:\n  q:\n    cpu: 1\n  limits:\n    cpu: 1", "r:\n  q:\n    cpu: 1"),
        ("r:\r\n  a: 1\r\n  limits:\r\n    cpu: 1\r\nz: 1\r\n", "r:\r\n  a: 1\r\nz: 1\r\n"),
        ("z: 1\n", "z: 1\n"),
    ],
)
def test_a_limit_goes_with_its_line_and_a_section_that_is_empty_then(before: str, after: str) -> None:
    assert remove_value(before, Address(0, ("r", "limits", "cpu")), keep=1) == after


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("s:\n  r:\n    q:\n      cpu: ${CPU}\n", "variable"),
        ("s:\n  r:\n    q:\n      cpu: |\n        1\n", "block of text"),
        ("s:\n  r: none\n", "not there"),
        ("s: [1]\n", "not there"),
    ],
)
def test_what_cannot_be_set_is_refused_with_the_reason(text: str, why: str) -> None:
    with pytest.raises(Refusal, match=why):
        set_value(text, CPU, "250m")


@pytest.mark.parametrize(
    "text",
    [
        "a: &r {q: {cpu: 1}}\ns: {r: *r}\n",
        "s: {r: &r {q: {cpu: 1}}}\na: *r\n",
        "d: &d\n  r: {q: {cpu: 1}}\ns:\n  <<: *d\n",
        "s: {r: {q: {cpu: &c 1}}}\na: *c\n",
    ],
)
def test_what_an_anchor_shares_is_never_changed_for_one_of_its_users(text: str) -> None:
    with pytest.raises(Shared, match="stands in other places"):
        set_value(text, CPU, "250m")


def test_a_block_of_text_is_changed_inside_by_its_lines() -> None:
    text = "data:\r\n  values: |-\r\n    # ours\r\n    a:\r\n      cpu: 1\r\n\r\n    b: 2\r\n\r\nz: 1\r\n"
    address = Address(0, ("data", "values"), Address(0, ("a", "cpu")))
    assert set_value(text, address, "250m") == text.replace("cpu: 1", "cpu: 250m")
    added = set_value(text, Address(0, ("data", "values"), Address(0, ("a", "memory"))), "1Gi")
    assert added == text.replace("cpu: 1\r\n", "cpu: 1\r\n      memory: 1Gi\r\n")
    assert read_text(added, Address(0, ("data", "values"), Address(0, ("a", "memory")))) == "1Gi"


def test_json_in_quotes_is_changed_inside() -> None:
    text = """patch: '[{"op": "replace", "path": "/x", "value": "1"}]'\n"""
    address = Address(0, ("patch",), Address(0, (0, "value")))
    assert set_value(text, address, "250m") == text.replace('"1"', '"250m"')


def test_a_text_of_folded_or_escaped_lines_is_refused() -> None:
    for text in ("p: >\n  a: 1\n", 'p: "{\\"a\\": 1}"\n', "p: 'it''s: 1'\n"):
        with pytest.raises(Refusal, match="folded or escaped"):
            set_value(text, Address(0, ("p",), Address(0, ("a",))), "2")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("p:\n  - path: a\nz: 1\n", "p:\n  - path: a\n  - path: b\n    target: x\nz: 1\n"),
        ("p:\n- path: a\n", "p:\n- path: a\n- path: b\n  target: x\n"),
        ("p: [{path: a}]\nz: 1\n", "p: [{path: a}, {path: b, target: x}]\nz: 1\n"),
        ("r:\n- a\n", "r:\n- a\np:\n- path: b\n  target: x\n"),
        ("r:\n  - a\np: []\nz: 1\n", "r:\n  - a\np:\n  - path: b\n    target: x\nz: 1\n"),
    ],
)
def test_an_item_is_added_as_the_lists_there_are_indented(before: str, after: str) -> None:
    assert append_item(before, Address(0, ("p",)), ["path: b", "target: x"]) == after


def test_an_item_with_a_mapping_in_it_goes_into_brackets_as_well() -> None:
    lines = ["path: b", "target:", "  kind: Deployment", "  name: web"]
    assert append_item("p: [1,]\n", Address(0, ("p",)), lines) == (
        "p: [1, {path: b, target: {kind: Deployment, name: web}},]\n".replace("},]", "}]")
    )


# --- what must always hold -------------------------------------------------------------------------------------------

_scalars = st.one_of(
    st.integers(-5, 10**6), st.booleans(), st.none(), st.text("abc: #{}[]&*!|>'\"%@`-\n\u00e9\U0001f600", max_size=8)
)
_documents = st.recursive(
    _scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text("abcd-. :#", min_size=1, max_size=5), inner, max_size=4)
    ),
    max_leaves=12,
)
_paths = st.lists(st.sampled_from(["requests", "limits", "cpu", "a", "b"]), min_size=1, max_size=3, unique=True)


def written(value: Any, style: str) -> str:
    if style == "json":
        return json.dumps(value, indent=2, ensure_ascii=False) + "\n"
    flow = {"block": False, "flow": True, "mixed": None}[style]
    text = yaml.safe_dump(value, default_flow_style=flow, sort_keys=False, allow_unicode=True, width=20)
    return str(text).replace("\n", "\r\n") if style == "mixed" else str(text)


@settings(max_examples=100, suppress_health_check=[HealthCheck.too_slow])
@given(
    value=st.dictionaries(st.text("abcd-. :#", min_size=1, max_size=5), _documents, min_size=1, max_size=4),
    path=_paths,
    style=st.sampled_from(["block", "flow", "mixed", "json"]),
)
def test_the_value_is_set_and_everything_else_reads_as_before(
    value: dict[str, Any], path: list[str], style: str
) -> None:
    text = written(value, style)
    before = yaml.safe_load(text)
    address = Address(0, tuple(path))
    try:
        changed = set_value(text, address, "250m")
    except Refusal:
        return
    wanted = yaml.safe_load(text)
    node = wanted
    for key in path[:-1]:
        if not node.get(key):
            node[key] = {}
        node = node[key]
    node[path[-1]] = "250m"
    assert yaml.safe_load(changed) == wanted
    gone = remove_value(changed, address, keep=len(path) - 1)
    node.pop(path[-1])
    after = yaml.safe_load(gone)
    assert after == wanted or (len(path) > 1 and _without_empty(after) == _without_empty(before))


def _without_empty(value: Any) -> Any:
    if isinstance(value, dict):
        found = {key: _without_empty(one) for key, one in value.items()}
        return {key: one for key, one in found.items() if one not in ({}, None)}
    return [_without_empty(one) for one in value] if isinstance(value, list) else value
