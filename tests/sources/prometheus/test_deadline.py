"""Answers that never end, and answers without an end in sight: every read comes to one, with the reason."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta

import pytest

from mora.errors import SourceUnavailable
from mora.sources.prometheus import access, session
from mora.sources.prometheus.access import Access
from mora.sources.prometheus.wire import Wire
from tests.sources.prometheus.scripted import QUICK

NOW = datetime(2026, 11, 1, tzinfo=UTC)
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
TIMEOUT = timedelta(seconds=20)  # from byte to byte; none of these servers is silent so long


@contextmanager
def sending(*pieces: bytes, then: bytes, every: float) -> Iterator[tuple[str, list[int]]]:
    """A server that sends some bytes, and then others again and again; and how many connections it had."""
    listener = socket.create_server(("127.0.0.1", 0))
    is_over, connections = threading.Event(), [0]

    def serve() -> None:
        with suppress(OSError):
            while True:
                connection, _ = listener.accept()
                connections[0] += 1
                threading.Thread(target=talk, args=(connection,), daemon=True).start()

    def talk(connection: socket.socket) -> None:
        with connection, suppress(OSError):
            connection.recv(65536)
            for piece in pieces:
                connection.sendall(piece)
            while not is_over.wait(every):
                connection.sendall(then)

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}", connections
    finally:
        is_over.set()
        listener.close()


def asked(url: str) -> list[str]:
    with Wire(url, Access(), TIMEOUT, 3, QUICK) as wire:
        return wire.label_values("pod", "up", NOW, NOW)


@pytest.mark.parametrize(
    "pieces",
    [
        pytest.param([HEAD + b"Content-Length: 5000000\r\n\r\n"], id="within the body"),
        pytest.param([HEAD + b"\r\n"], id="within a body of unknown length"),
        pytest.param([HEAD + b"Transfer-Encoding: chunked\r\n\r\n"], id="within the length of a chunk"),
        pytest.param([HEAD + b"X-Long: "], id="within a header"),
        pytest.param([], id="within the status"),
    ],
)
def test_an_answer_that_drips_is_given_up_and_not_tried_again(
    pieces: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (access, session):
        monkeypatch.setattr(module, "PATIENCE", 0.02)
    with (
        sending(*pieces, then=b"0", every=0.01) as (url, connections),
        pytest.raises(SourceUnavailable, match="did not finish an answer within 400ms") as told,
    ):
        asked(url)
    assert "prometheus.timeout" in str(told.value.hint)
    assert connections[0] <= 1  # nor was it asked a second time


@pytest.mark.parametrize("head", [HEAD + b"\r\n", HEAD + b"Content-Length: 99999999999\r\n\r\n"])
def test_an_endless_answer_is_given_up_at_a_size(monkeypatch: pytest.MonkeyPatch, head: bytes) -> None:
    monkeypatch.setattr(session, "MOST_BYTES", 4 * 2**20)
    with (
        sending(head, then=b'["a"],' * 20_000, every=0) as (url, _),
        pytest.raises(SourceUnavailable, match=r"An answer of http://127.0.0.1:\d+ is larger than 4 MiB"),
    ):
        asked(url)


def test_a_deadline_that_did_not_pass_leaves_the_connection_for_the_next_question(
    scripted: Callable[..., object],
) -> None:
    """One that fired late would cut off what comes after it."""
    server = scripted((200, {}, b'{"status":"success","data":["frontend"]}'))
    with Wire(server.url, Access(), TIMEOUT, 0, QUICK) as wire:  # type: ignore[attr-defined]
        for _ in range(20):
            assert wire.label_values("pod", "up", NOW, NOW) == ["frontend"]
