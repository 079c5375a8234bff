"""Findings: how bad one is, and what to do about it."""

from __future__ import annotations

from mora.doctor import examine
from mora.doctor.finding import Check, State
from mora.settings import Settings


def test_whatever_is_wrong_comes_with_what_to_do(empty: Settings) -> None:
    assert all(check.remedy for check in examine(empty) if check.state is not State.OK)


def test_a_finding_that_is_in_order_needs_no_remedy() -> None:
    assert Check("disk", State.OK, "40.0GiB free").remedy == ""
    assert [str(state) for state in State] == ["ok", "warning", "missing"]
