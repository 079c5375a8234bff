"""Who takes part, as a person writes it."""

from __future__ import annotations

import pytest

from mora import registry
from mora.contest.entrants import entrant, entrants, names
from mora.errors import BadInput
from tests.contest.making import Constant


def test_all_registered_forecasters_take_part_by_default() -> None:
    assert [one.text for one in entrants()] == names()
    assert set(registry.names("forecasters")) < set(names())
    assert entrant("trained").is_contestant


def test_an_unknown_name_says_which_there_are() -> None:
    with pytest.raises(BadInput, match="There is no model 'oracle'") as wrong:
        entrant("oracle")
    assert "prophet" in str(wrong.value.hint)


def test_the_yardstick_is_always_among_them_and_no_one_is_twice() -> None:
    assert [one.text for one in entrants(["prophet", "prophet"])] == ["naive", "prophet"]
    assert [one.text for one in entrants({"mine": Constant(1.0)})] == ["naive", "mine"]
