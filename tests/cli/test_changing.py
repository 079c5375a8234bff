"""The options of a change rule: what none of them names stays as the rule has it that the command begins with."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mora.changes.rule import FOLLOW_ALL, RULES
from mora.cli.changing import change_rule_of
from mora.errors import BadInput


def test_without_an_option_the_rule_is_the_commands_own() -> None:
    assert change_rule_of(RULES["vpa"]) is RULES["vpa"]
    assert change_rule_of(FOLLOW_ALL, follow="git-daily") is RULES["git-daily"]


def test_each_option_changes_its_part_alone_and_the_narrower_one_counts() -> None:
    found = change_rule_of(RULES["in-place"], deadband="40%", deadband_up="15%", settle_down="6h", changes_per_day=3)
    assert found == replace(
        RULES["in-place"], deadband_up=0.15, deadband_down=0.40, settle_down_seconds=21_600.0, changes_per_day=3
    )
    open_at = change_rule_of(FOLLOW_ALL, window="Mon 02:00-04:00").window
    assert open_at is not None
    assert open_at.text == "Mon 02:00-04:00"


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ({"follow": "pigeon"}, "no way of applying 'pigeon'"),
        ({"deadband": "130%"}, "not a share"),
        ({"deadband_down": "100%"}, "allows none"),
        ({"settle_down": "soon"}, "not a span"),
        ({"window": "at night"}, "no maintenance window|not a maintenance window"),
    ],
)
def test_what_cannot_be_meant_is_refused(option: dict[str, str], words: str) -> None:
    with pytest.raises(BadInput, match=words) as refused:
        change_rule_of(FOLLOW_ALL, **option)  # type: ignore[arg-type]  # each is a text
    assert refused.value.hint


def test_fewer_changes_than_one_a_day_cannot_be_asked_for() -> None:
    with pytest.raises(BadInput, match="at least 1"):
        change_rule_of(FOLLOW_ALL, changes_per_day=0)
