"""The volume of a replica: its size is kept, and what cannot be written down is not done."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from mora.sandbox.shop import journal
from mora.sandbox.shop.journal import VOLUME_BYTES, Journal, used_bytes
from mora.sandbox.shop.wire import Handler, HttpFailure, Request, Response


async def answered(handler: Handler, method: str) -> Response:
    return await handler(Request(method, "/carts/a", {}, {}, b"{}"))


def ask(one: Journal, method: str) -> int:
    done = []

    async def handle(request: Request) -> Response:
        done.append(request.method)
        return Response()

    try:
        return asyncio.run(answered(one.wrap(handle), method)).status
    except HttpFailure as failure:
        assert done == [], "what cannot be written down is not done"
        return failure.status


def test_a_change_is_written_down_and_a_question_is_not(tmp_path: Path) -> None:
    one = Journal(tmp_path / "volume")
    assert ask(one, "GET") == 200
    assert used_bytes(tmp_path / "volume") == 0
    assert ask(one, "POST") == 200
    assert (tmp_path / "volume" / "journal").read_text() == "POST /carts/a 2\n"


def test_on_a_full_volume_changes_fail_and_questions_do_not(tmp_path: Path) -> None:
    one = Journal(tmp_path)
    filling = tmp_path / "filling"
    with filling.open("wb") as file:
        file.truncate(VOLUME_BYTES)
    assert ask(one, "POST") == 507
    assert ask(one, "GET") == 200
    filling.unlink()
    assert ask(Journal(tmp_path), "POST") == 200


def test_the_journal_never_grows_beyond_its_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal, "_MOST_JOURNAL_BYTES", 1000)
    one = Journal(tmp_path)
    for _ in range(200):
        one.write(b"x" * 64 + b"\n")
        assert used_bytes(tmp_path) <= 1000
    assert used_bytes(tmp_path) > 0


def test_a_volume_that_is_not_there_is_empty(tmp_path: Path) -> None:
    assert used_bytes(tmp_path / "none") == 0
