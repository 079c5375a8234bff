from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mora.changes.deciding import decide
from mora.changes.rule import ChangeRule
from mora.changes.state import MOST_REMEMBERED, ChangeState
from mora.errors import BadInput

RULE = ChangeRule(settle_down_seconds=3600.0, changes_per_day=3)


@settings(deadline=None, max_examples=25)
@given(
    wanted=st.lists(st.tuples(st.floats(1, 1000), st.floats(1, 1000)), min_size=1, max_size=12), cut=st.integers(0, 12)
)
def test_a_state_that_was_written_and_read_decides_as_the_one_that_was_not(
    wanted: list[tuple[float, float]], cut: int
) -> None:
    states = [ChangeState.fresh(1, 2), ChangeState.fresh(1, 2)]
    now = [np.array([[100.0, 100.0]])] * 2
    for number, pair in enumerate(wanted):
        if number == cut:
            states[1] = ChangeState.read([json.loads(json.dumps(states[1].document(0)))], 2)
        for which in (0, 1):
            decided = decide(RULE, now[which], [pair], states[which], at=1e9 + 900.0 * number)
            states[which], now[which] = decided.state, decided.amounts
            if decided.is_change.any():
                states[which] = states[which].changed_at([0], 1e9 + 900.0 * number)
            if number % 5 == 4:
                states[which] = states[which].undone_at([0], 1e9 + 900.0 * number, RULE, direction=-1)
        assert now[0].tolist() == now[1].tolist()
    assert states[0].document(0) == states[1].document(0)


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"changed": "now"},
        {"changed": [float("nan")]},
        {"wanted": [None, None]},
        {"wanted": [[2, 0.0, 1.0]]},
        {"wanted": [[1, 0.0]]},
        {"usual": []},
        {"usual": ["much"]},
        {"seen_at": float("inf")},
        {"undone": -1},
        {"undone": True},
        {"blocked_until": [None]},
        {"blocked_until": ["tomorrow", None]},
    ],
)
def test_a_document_that_is_not_ours_is_refused(wrong: dict[str, Any]) -> None:
    document = {} if not wrong else {**ChangeState.fresh(1).document(0), **wrong}
    with pytest.raises(BadInput, match="cannot be read"):
        ChangeState.read([document])


def test_only_as_many_changes_are_remembered_as_a_limit_can_ask_for() -> None:
    document = {**ChangeState.fresh(1).document(0), "changed": [float(moment) for moment in range(500)]}
    assert (
        ChangeState.read([document, None]).document(0)["changed"] == [float(n) for n in range(500)][-MOST_REMEMBERED:]
    )


def test_what_becomes_of_one_container_leaves_the_others_alone() -> None:
    fresh = ChangeState.fresh(3)
    changed = fresh.changed_at([1], 50.0).undone_at(np.array([False, True, False]), 60.0, RULE)
    assert [changed.document(row) for row in (0, 2)] == [fresh.document(row) for row in (0, 2)]
    assert changed.document(1)["undone"] == 1
    assert changed.proven([1]).document(1)["undone"] == 0
