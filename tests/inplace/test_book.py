"""What the audit log says, event by event; what cannot be is refused."""

from __future__ import annotations

from typing import Any

import pytest

from mora.domain import Resources, Workload
from mora.errors import BadInput
from mora.inplace.book import Book, Stage, read_amounts, write_amounts
from mora.quantities import MIB

WEB = Workload("shop", "web")
WANTED = {"server": {"cpu_request_millicores": 200, "memory_limit_bytes": MIB}}


def event(kind: str, **about: Any) -> dict[str, Any]:
    return {"v": 1, "at": "2026-11-26T12:00:00.000Z", "event": kind, "kind": "Deployment", "name": "web", **about}


BEGUN = event("begun", change="c", why="less is enough", wanted=WANTED, revision="abc")
ASKED = event("asked", change="c", pod="p", uid="u", before={}, after=WANTED)


def test_a_change_goes_from_its_beginning_to_its_end() -> None:
    book = Book.of("shop", [BEGUN, ASKED])
    change = book.open[WEB]
    assert (change.stage, change.wanted) == (Stage.CANARY, read_amounts(WANTED))
    book.note(event("applied", change="c", pod="p"))
    assert book.open[WEB].pods["p"].is_done
    book.note(event("stage", change="c", stage="undo"))
    assert not book.open[WEB].pods["p"].is_done, "every pod of it is to be put back"
    book.note(event("ended", change="c", outcome="undone"))
    assert not book.open
    assert book.outcomes == {"undone": 1}
    assert not book.history(WEB).kept


def test_what_was_kept_last_is_known_of_its_template() -> None:
    book = Book.of("shop", [BEGUN, ASKED, event("ended", change="c", outcome="kept")])
    assert book.history(WEB).kept == read_amounts(WANTED)
    assert book.history(WEB).kept_revision == "abc"


@pytest.mark.parametrize(
    "odd",
    [
        event("begun", change="c", why="", wanted={"server": {"cpu_request_millicores": -5}}),
        event("begun", change="c", why="", wanted={"server": {"gpu": 5}}),
        event("begun", why=""),
        {
            "v": 1,
            "at": "2026-11-26T12:00:00.000Z",
            "event": "begun",
            "change": "c",
            "kind": "x y",
            "name": "web",
            "why": "",
        },
        event("begun", change="c", why="", wanted=[]),
    ],
)
def test_an_event_that_cannot_be_is_refused(odd: dict[str, Any]) -> None:
    with pytest.raises(BadInput):
        Book.of("shop", [odd])


def test_events_of_a_change_that_is_not_open_say_nothing() -> None:
    assert not Book.of("shop", [ASKED, event("stage", change="c", stage="rest")]).open


def test_amounts_are_written_and_read_back() -> None:
    found = {"server": Resources(1, None, 2, 3)}
    assert read_amounts(write_amounts(found)) == found
