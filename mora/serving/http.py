"""A small HTTP server: the caller gives a handler for each path."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self
from urllib.parse import parse_qsl, urlsplit

from mora.errors import BadInput, MoraError


@dataclass(frozen=True, slots=True)
class Answer:
    """What a handler returns: a body, its status and its type."""

    body: bytes
    status: int = 200
    content_type: str = "text/plain; charset=utf-8"


Handler = Callable[[Mapping[str, str]], Answer]
"""Answers a GET from its query parameters; it runs in a thread of its own."""


def parse_address(text: str, *, example: str = "127.0.0.1:8942") -> tuple[str, int]:
    """ "HOST:PORT" as a pair; port 0 takes a free one. example: for the error, one that is right for the command.

    >>> parse_address("127.0.0.1:8942"), parse_address("[::1]:0")
    (('127.0.0.1', 8942), ('::1', 0))
    """
    host, colon, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not colon or not host or not port.isdecimal() or int(port) > 65535:
        raise BadInput(f"{text!r} is not an address to listen on.", hint=f"Write it like {example}.")
    return host, int(port)


def url_of(host: str, port: int) -> str:
    """The address of a server as a link.

    >>> url_of("::1", 80)
    'http://[::1]:80/'
    """
    return f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"


def cannot_listen(host: str, port: int, error: OSError) -> MoraError:
    """The MoraError of an address that cannot be listened on, such as a port that is in use."""
    return MoraError(
        f"Cannot listen on {host}:{port}: {error.strerror or error}.", hint="Choose another address with --listen."
    )


class Endpoints:
    """Serves handlers by their path, as a context manager. Any other path is a 404 that lists them.

    port: where it listens, also where the address asked for a free port.
    """

    def __init__(self, address: tuple[str, int], handlers: Mapping[str, Handler]) -> None:
        host, port = address
        kind = _ServerV6 if ":" in host else _Server
        try:
            self._server = kind((host, port), handlers)
        except OSError as error:
            raise cannot_listen(host, port, error) from error
        self.port = int(self._server.server_address[1])
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.1}, name="mora-endpoints", daemon=True
        )

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128  # the default of 5 makes clients that come together wait a second for the next try

    def __init__(self, address: tuple[str, int], handlers: Mapping[str, Handler]) -> None:
        self.handlers = dict(handlers)
        super().__init__(address, _Requests)


class _ServerV6(_Server):
    address_family = socket.AF_INET6


class _Requests(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # head and body are two writes; a client would wait 40 ms for the second
    timeout = 10  # a connection that sends nothing must not keep its thread for ever

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        handler = self.server.handlers.get(parts.path)
        if handler is None:
            known = ", ".join(self.server.handlers)
            answer = Answer(f"There is nothing at this path. Known: {known}.\n".encode(), status=404)
        else:
            answer = handler(dict(parse_qsl(parts.query)))
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.content_type)
        self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        self.wfile.write(answer.body)

    def log_message(self, format: str, *args: object) -> None:
        """Log nothing: probes come every few seconds, and what they learn is in the log already."""
