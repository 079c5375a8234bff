from __future__ import annotations

from typing import Any

import pytest

from mora.changes.rule import RULES, ChangeRule
from mora.errors import BadInput


@pytest.mark.parametrize(
    "wrong",
    [
        {"deadband_up": -0.1},
        {"deadband_up": float("nan")},
        {"deadband_down": 1.0},
        {"settle_down_seconds": float("inf")},
        {"changes_per_day": 0},
        {"backoff_seconds": 3600.0, "longest_backoff_seconds": 60.0},
    ],
)
def test_a_rule_that_cannot_be_meant_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(BadInput):
        ChangeRule(**wrong)


def test_the_faster_the_way_of_applying_the_more_changes_it_allows() -> None:
    allowed = [RULES[name].changes_per_day or 0 for name in ("git-weekly", "git-daily", "template-daily", "in-place")]
    assert allowed == sorted(allowed)
    assert allowed[0] == 1


def test_a_backoff_doubles_and_has_an_end() -> None:
    rule = ChangeRule(backoff_seconds=60.0, longest_backoff_seconds=1000.0)
    assert [rule.backoff(undone) for undone in (1, 2, 3, 4, 5, 6, 5000)] == [60, 120, 240, 480, 960, 1000, 1000]
