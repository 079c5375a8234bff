"""What an address leads to, and who shares it."""

from __future__ import annotations

import pytest

from mora.repo.addresses import node_at, read_text, shared_anchor
from mora.repo.sites import Address
from mora.repo.tree import parse


@pytest.mark.parametrize(
    ("text", "anchor"),
    [
        ("a: {b: 1}\n", None),
        ("a: &x {b: 1}\n", None),
        ("a: &x {b: 1}\nc: *x\n", "x"),
        ("c: &x {b: 1}\na: *x\n", "x"),
        ("c: &x {b: 1}\na: {<<: *x}\n", "x"),
        ("c: &x {b: 1}\na: {<<: *x, b: 2}\n", None),
        ("c: &x {d: 1}\na: {<<: *x}\n", None),
    ],
)
def test_the_anchor_that_shares_a_value_is_found(text: str, anchor: str | None) -> None:
    assert shared_anchor(parse(text)[0], ("a", "b")) == anchor


def test_what_is_not_there_reads_as_nothing() -> None:
    assert read_text("a: {b: null}\n", Address(0, ("a", "b"))) is None
    assert node_at("a: 1\n", Address(3, ("a",))) is None
    assert node_at("a: {b: 1}\n", Address(0, ("a",), Address(0, ("b",)))) is None
