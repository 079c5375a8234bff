from __future__ import annotations

from dataclasses import astuple

from mora.outputs.tally import Tally, counts, tally_of, tally_words
from tests.outputs.examples import everything


def test_counts_of_parts_add_up_to_those_of_all() -> None:
    parts = [tally_of([one]) for one in everything()]
    whole = Tally(*(sum(each) for each in zip(*map(astuple, parts), strict=True)))
    assert whole == tally_of(everything())
    assert tally_words(whole) == counts(everything())
