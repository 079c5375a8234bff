from __future__ import annotations

import json
import threading
import time

from mora.web import documents
from mora.web.documents import Kept
from mora.web.live import Live
from tests.web.making import MADE_AT, answer


def test_what_is_asked_alike_is_made_once_for_a_version() -> None:
    kept, made = Kept(), []

    def make(name: str) -> bytes:
        made.append(name)
        time.sleep(0)
        return name.encode()

    threads = [threading.Thread(target=lambda: kept.get(1, ("a",), lambda: make("a"))) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert made == ["a"]
    assert kept.get(1, ("b",), lambda: make("b")) == b"b"
    assert kept.get(2, ("a",), lambda: make("a")) == b"a"
    assert made == ["a", "b", "a"]


def test_no_more_is_kept_than_there_is_room_for() -> None:
    kept, made = Kept(most=2), []
    for name in ("a", "b", "a", "c", "a", "b"):
        kept.get(1, (name,), lambda name=name: made.append(name) or name.encode())  # type: ignore[misc, func-returns-value]
    assert made == ["a", "b", "c", "b"]


def test_a_cluster_is_named_in_each_recommendation_where_there_are_several() -> None:
    live = Live(("one",), 900.0)
    live.answered("one", answer())
    shown = live.shown()
    found = json.loads(documents.recommendations(shown, shown.entries()))
    assert {one["cluster"] for one in found["recommendations"]} == {"one"}
    assert found["clusters"] == [
        {"name": "one", "as_of": "2026-09-21T14:13:20Z", "problem": None, "record_problem": None}
    ]
    assert json.loads(documents.status(shown, MADE_AT + 1.25))["clusters"][0]["age_seconds"] == 1.2


def test_an_error_has_a_message_and_a_hint() -> None:
    assert json.loads(documents.error("It failed.", "Try again.")) == {
        "error": {"message": "It failed.", "hint": "Try again."}
    }
