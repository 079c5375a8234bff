"""A request comes to its end: answered, or given up at its deadline, wherever its answer stands still."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest
from urllib3 import PoolManager
from urllib3.exceptions import HTTPError, MaxRetryError

from mora.deadline import POOLS, Deadline, Retries, TakesTooLong

HEAD = b"HTTP/1.1 200 OK\r\n"


@contextmanager
def dripping(*pieces: bytes) -> Iterator[str]:
    """A server that sends some bytes, and then one more every hundredth of a second."""
    listener, is_over = socket.create_server(("127.0.0.1", 0)), threading.Event()

    def serve() -> None:
        with suppress(OSError):
            while True:
                connection, _ = listener.accept()
                threading.Thread(target=talk, args=(connection,), daemon=True).start()

    def talk(connection: socket.socket) -> None:
        with connection, suppress(OSError):
            connection.recv(65536)
            for piece in pieces:
                connection.sendall(piece)
            while not is_over.wait(0.01):
                connection.sendall(b"0")

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        is_over.set()
        listener.close()


def watched() -> PoolManager:
    manager = PoolManager()
    manager.pool_classes_by_scheme = POOLS
    return manager


@pytest.mark.parametrize(
    "pieces", [[], [HEAD + b"X-Long: "], [HEAD + b"Content-Length: 99999\r\n\r\n"]], ids=["status", "header", "body"]
)
def test_an_answer_that_drips_is_given_up_and_what_came_of_it_is_not_believed(pieces: list[bytes]) -> None:
    deadline = Deadline(0.3)
    with dripping(*pieces) as url, watched() as manager, suppress(HTTPError), deadline:
        manager.request("GET", url, retries=False)  # a header that is cut off looks like an empty answer
    assert deadline.has_passed
    with pytest.raises(TakesTooLong):
        deadline.check()


def test_without_a_deadline_nothing_is_watched_and_one_that_is_over_touches_nothing() -> None:
    whole = HEAD + b"Connection: close\r\nContent-Length: 2\r\n\r\nok"
    with dripping(whole) as url, watched() as manager:
        assert manager.request("GET", url).data == b"ok"
        with Deadline(60) as deadline:
            assert manager.request("GET", url).data == b"ok"
        deadline.check()


def test_the_wait_between_two_tries_is_no_late_answer() -> None:
    """A refused connection is reported as one, however long the waits between its tries are."""
    retries = Retries(total=3, backoff_factor=0.2)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    with watched() as manager, Deadline(0.15) as deadline:
        with pytest.raises(MaxRetryError, match="refused"):
            manager.request("GET", url, retries=retries)
        deadline.check()
