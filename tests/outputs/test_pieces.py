from __future__ import annotations

import json

import pytest

from mora.outputs.html import page_of, render
from mora.outputs.pieces import by_need, piece_document, piece_of, read_piece
from mora.savings import Prices
from tests.outputs.examples import everything


def test_a_piece_survives_json_and_makes_the_same_page() -> None:
    pieces = [piece_of(one, Prices()) for one in everything()]
    read = [read_piece(json.loads(json.dumps(piece_document(piece))), Prices()) for piece in pieces]
    assert page_of(by_need(read), None) == render(everything())


def test_what_is_no_piece_is_refused() -> None:
    good = piece_document(piece_of(everything()[0], Prices()))
    for bad in ({}, {**good, "lines": [{}]}, {**good, "extra": 1}, {**good, "tally": None}):
        with pytest.raises((KeyError, TypeError, ValueError)):
            read_piece(bad, Prices())
