"""The HTTP server of the supervisor: the control API, for clients with the token, and metrics for Prometheus."""

from __future__ import annotations

import hmac
import json
import threading
from collections.abc import Callable, Mapping
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from mora import documents
from mora.errors import MoraError

Command = Callable[[Any], Any]
Page = Callable[[], bytes]
# The longest command names five services.
_MOST_BYTES = 64 * 1024
_EXPOSITION = "text/plain; version=0.0.4; charset=utf-8"


class ControlServer:
    """Answers on a free loopback port, in its own threads.

    commands: path -> function of the JSON of a POST; only with the token. One that raises Misfit or a MoraError is
    answered with its words. pages: path -> text of a GET, for everyone on
    this machine.
    """

    def __init__(self, token: str, commands: Mapping[str, Command], pages: Mapping[str, Page]) -> None:
        handler = type("Handler", (_Handler,), {"token": token, "commands": commands, "pages": pages})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.1,), name="control", daemon=True)
        self._thread.start()

    @property
    def port(self) -> int:
        """The port where it listens."""
        return self._server.server_port

    def close(self) -> None:
        """Stop answering."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    token: str
    commands: Mapping[str, Command]
    pages: Mapping[str, Page]

    def do_GET(self) -> None:
        page = self.pages.get(self.path)
        if page is None:
            self._answer(HTTPStatus.NOT_FOUND, b"{}")
        else:
            self._answer(HTTPStatus.OK, page(), _EXPOSITION)

    def do_POST(self) -> None:
        length = self.headers.get("Content-Length", "0")
        if not (length.isascii() and length.isdigit() and len(length) < 10 and int(length) <= _MOST_BYTES):
            self.close_connection = True  # what follows is not read
            self._answer(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, b"{}")
            return
        body = self.rfile.read(int(length))
        command = self.commands.get(self.path)
        said = self.headers.get("Authorization", "").encode("utf-8", "replace")
        if not hmac.compare_digest(said, f"Bearer {self.token}".encode()):
            self._answer(HTTPStatus.FORBIDDEN, b"{}")
        elif command is None:
            self._answer(HTTPStatus.NOT_FOUND, b"{}")
        else:
            try:
                answer, status = command(documents.parse(body)), HTTPStatus.OK
            except documents.Misfit as misfit:
                answer, status = {"message": f"{self.path}: {misfit}.", "hint": None}, HTTPStatus.BAD_REQUEST
            except MoraError as error:
                answer, status = {"message": error.message, "hint": error.hint}, HTTPStatus.BAD_REQUEST
            self._answer(status, json.dumps(answer).encode())

    def _answer(self, status: HTTPStatus, body: bytes, content_type: str = "application/json") -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing: Prometheus scrapes every second."""
