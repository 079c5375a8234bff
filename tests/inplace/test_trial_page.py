"""What a trial showed: the verdict follows from kills, breaches and changes that were not undone."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from mora.inplace.journal import Event
from mora.inplace.trial import PartRun
from mora.inplace.trial_page import as_text, figures_of, longest_breach, trial_page


def event(kind: str, **about: Any) -> dict[str, Any]:
    return {"v": 1, "at": "2026-11-26T12:00:00.000Z", "event": kind, "name": "cartservice", "change": "c", **about}


def part(**about: Any) -> PartRun:
    events: list[Event] = [
        event("begun", what="server: CPU request 300m -> 150m", why="wrong on purpose"),
        event("harmed", why="container server of pod <b>x</b> is throttled"),
        event("stage", stage="undo"),
        event("ended", outcome="undone", why="throttled"),
    ]
    seconds: list[tuple[float, float | None, float]] = [
        (float(second), 0.9 if 10 <= second < 40 else 0.1, 0.0) for second in range(100)
    ]
    made = PartRun(
        1, 0.0, 100.0, 1.5, 900, 3, 0, seconds, [(1.0, 9.0, "pod-kill", "frontend")], [(5.0, 50.0, "a")], events
    )
    return replace(made, **about)


def test_a_run_whose_harm_was_undone_passes() -> None:
    found = figures_of(part())
    assert (found.changes, found.harmed, found.undone, found.longest_breach) == (1, 1, 1, 30.0)
    assert found.passed
    assert as_text([part()]).endswith("PASS")


@pytest.mark.parametrize(
    "about",
    [
        {"oom_kills": 1},
        {"seconds": [(float(second), 0.9, 0.0) for second in range(130)]},
        {"events": [event("begun"), event("harmed", why="x"), event("ended", outcome="stuck")]},
        {"events": [event("begun"), event("harmed", why="x")]},
    ],
)
def test_a_kill_a_long_breach_and_harm_that_stays_each_fail_it(about: dict[str, Any]) -> None:
    assert not figures_of(part(**about)).passed
    assert as_text([part(), part(**about)]).endswith("FAIL")


def test_a_breach_by_errors_counts_and_one_that_goes_on_to_the_end() -> None:
    assert longest_breach([(0.0, 0.1, 0.5), (7.0, None, 0.5)]) == 7.0
    assert longest_breach([]) == 0.0


def test_the_page_has_the_verdict_every_change_and_nothing_unescaped() -> None:
    text = trial_page([part()])
    assert "Resizing in place, 1.5 container-hours: PASS" in text
    assert "&lt;b&gt;x&lt;/b&gt;" in text
    assert "<b>x</b>" not in text
    assert "pod-kill at frontend" in text
