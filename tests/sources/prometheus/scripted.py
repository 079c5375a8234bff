"""A server on loopback that answers like a Prometheus behind a bad network or a login, request by request."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Answer = tuple[int, dict[str, str], bytes]
GOOD: Answer = (200, {"Content-Type": "application/json"}, b'{"status":"success","data":["frontend"]}')
QUICK = timedelta(milliseconds=1)
# How long a client waits for an answer. It is short only where none comes.
IMPATIENT, PATIENT = timedelta(seconds=0.5), timedelta(seconds=60)


def failing(status: int, error: str = "", **headers: str) -> Answer:
    return status, headers, json.dumps({"status": "error", "error": error}).encode()


class Scripted(ThreadingHTTPServer):
    """Answers the n-th request with the n-th answer, and every later one with the last; keeps what it was asked."""

    daemon_threads = True

    def __init__(self, answers: list[Answer | Callable[[], Answer]]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answers = answers
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.moments: list[float] = []
        self.lock = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A reader that hung up is what some of these tests are about."""


class _Handler(BaseHTTPRequestHandler):
    server: Scripted

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        self._answer(f"{self.path}?{body}")

    def do_GET(self) -> None:
        self._answer(self.path)

    def _answer(self, path: str) -> None:
        with self.server.lock:
            number = len(self.server.asked)
            self.server.asked.append((f"{self.command} {path}", dict(self.headers)))
            self.server.moments.append(time.monotonic())
        answer = self.server.answers[min(number, len(self.server.answers) - 1)]
        if answer is late:
            self.connection.recv(1, socket.MSG_PEEK)  # returns when the client hangs up
            self.close_connection = True
            return
        status, headers, body = answer() if callable(answer) else answer
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        if "Content-Length" not in headers:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        pass


@contextmanager
def serving(*answers: Answer | Callable[[], Answer]) -> Iterator[Scripted]:
    """A running server that gives these answers, one a request."""
    server = Scripted(list(answers))
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()


def late() -> Answer:
    """Stands for an answer that does not come before the client hangs up."""
    raise NotImplementedError


def patience(answer: Any) -> timedelta:
    """How long a client waits for this answer."""
    return IMPATIENT if answer is late else PATIENT
