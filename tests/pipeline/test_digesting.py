from __future__ import annotations

import json
import socket
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from mora.errors import BadInput, MoraError, SourceUnavailable
from mora.pipeline.digesting import check_webhook, make_digest, send
from tests.record.making import START
from tests.record.test_digest import WEEK, a_week
from tests.running import answering

SECRET = "T000/B000/sEcReT"


class Webhook(ThreadingHTTPServer):
    """Takes posts as Slack does; answers with a status and a body."""

    def __init__(self, status: int, body: bytes, location: str | None = None) -> None:
        super().__init__(("127.0.0.1", 0), _Posts)
        self.status, self.body, self.location = status, body, location
        self.got: list[tuple[str, str, bytes]] = []

    @property
    def url(self) -> str:
        return f"http://user:sEcReT@127.0.0.1:{self.server_port}/services/{SECRET}?token={SECRET}"


class _Posts(BaseHTTPRequestHandler):
    server: Webhook

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.got.append((self.path, self.headers["Content-Type"], body))
        self.send_response(self.server.status)
        if self.server.location is not None:
            self.send_header("Location", self.server.location)
        self.send_header("Content-Length", str(len(self.server.body)))
        self.end_headers()
        self.wfile.write(self.server.body)

    def log_message(self, format: str, *args: Any) -> None:
        pass


@contextmanager
def webhook(status: int = 200, body: bytes = b"ok", location: str | None = None) -> Iterator[Webhook]:
    server = Webhook(status, body, location)
    with answering(server):
        yield server


def test_a_digest_is_posted_as_slack_takes_it(tmp_path: Path) -> None:
    a_week(tmp_path / "record.sqlite")
    made = make_digest(tmp_path / "record.sqlite", since=timedelta(days=7), form="slack", now=START + WEEK)
    with webhook() as server:
        assert send(server.url, made, "slack") == f"127.0.0.1:{server.server_port}"
    ((path, kind, body),) = server.got
    assert path == f"/services/{SECRET}?token={SECRET}"
    assert kind == "application/json"
    assert json.loads(body)["blocks"]


def everything_said(error: MoraError) -> str:
    """What could ever be printed of an error, with --debug too."""
    return "".join(traceback.format_exception(error)) + str(error) + repr(error.__cause__)


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (404, b"no_service", "answered 404 (no_service)"),
        (403, f"go away {SECRET}".encode(), "answered 403."),
        (500, b"<html>\x1b[31m", "answered 500."),
    ],
)
def test_a_webhook_that_refuses_is_an_error_without_the_address(status: int, body: bytes, words: str) -> None:
    with webhook(status, body) as server, pytest.raises(SourceUnavailable) as refused:
        send(server.url, "{}", "slack")
    assert words in refused.value.message
    assert SECRET not in everything_said(refused.value)


def test_a_redirect_is_not_followed() -> None:
    with (
        webhook() as other,
        webhook(302, b"", location=other.url) as server,
        pytest.raises(SourceUnavailable) as refused,
    ):
        send(server.url, "{}", "slack")
    assert "answered 302" in refused.value.message
    assert other.got == []


def test_a_webhook_that_cannot_be_reached_is_an_error_without_the_address() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(SourceUnavailable, match="cannot be reached") as refused:
        send(f"http://127.0.0.1:{port}/services/{SECRET}", "{}", "slack")
    assert SECRET not in everything_said(refused.value)


def test_a_server_that_speaks_no_http_is_an_error_without_the_address() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def hang_up() -> None:
            connection, _ = server.accept()
            connection.recv(100)
            connection.sendall(b"\x00\x01garbage\r\n\r\n")
            connection.close()

        thread = threading.Thread(target=hang_up)
        thread.start()
        with pytest.raises(SourceUnavailable) as refused:
            send(f"http://127.0.0.1:{server.getsockname()[1]}/services/{SECRET}", "{}", "slack")
        thread.join()
    assert SECRET not in everything_said(refused.value)


@pytest.mark.parametrize(
    "url", [SECRET, f"ftp://host/{SECRET}", f"https:///{SECRET}", f"http://host:99999999/{SECRET}"]
)
def test_what_is_no_address_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(BadInput) as refused:
        check_webhook(url)
    assert SECRET not in everything_said(refused.value)


def test_without_a_record_there_is_no_digest(tmp_path: Path) -> None:
    with pytest.raises(MoraError, match="no record"):
        make_digest(tmp_path / "none", since=timedelta(days=7))
