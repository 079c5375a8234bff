"""The Protocol between a cloud's room and what all clouds share."""

from __future__ import annotations

from mora.sources.cloud.reader import Reader, Tried
from tests.sources.cloud.made_up import START, shop


def test_a_reader_is_anything_that_has_its_five_parts() -> None:
    reader: Reader = shop()
    assert list(reader.check(START)) == [Tried("made up", True, "answers")]
    assert Tried("rights", False, "no").is_needed
