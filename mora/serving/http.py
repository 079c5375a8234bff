"""A small HTTP server for /healthz, /readyz and /metrics."""

from __future__ import annotations

import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Protocol, Self

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from mora.errors import BadInput, MoraError


class Health(Protocol):
    """What the endpoints report: metrics, and why the process is not healthy or not ready (None where it is)."""

    registry: CollectorRegistry

    def unhealthy(self) -> str | None: ...
    def unready(self) -> str | None: ...


def parse_address(text: str) -> tuple[str, int]:
    """ "HOST:PORT" as a pair; port 0 takes a free one.

    >>> parse_address("127.0.0.1:8942"), parse_address("[::1]:0")
    (('127.0.0.1', 8942), ('::1', 0))
    """
    host, colon, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not colon or not host or not port.isdecimal() or int(port) > 65535:
        raise BadInput(f"{text!r} is not an address to listen on.", hint="Write it like 127.0.0.1:8942.")
    return host, int(port)


class Endpoints:
    """Serves /healthz, /readyz and /metrics of a Health; a context manager that leaves nothing behind."""

    def __init__(self, address: tuple[str, int], health: Health) -> None:
        host, port = address
        handler = type("Handler", (_Handler,), {"health": health})
        server = _ServerV6 if ":" in host else _Server
        try:
            self._server = server((host, port), handler)
        except OSError as error:
            raise MoraError(
                f"Cannot listen on {host}:{port}: {error.strerror or error}.", hint="Choose another with --listen."
            ) from error
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


class _ServerV6(_Server):
    address_family = socket.AF_INET6


class _Handler(BaseHTTPRequestHandler):
    health: Health
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # head and body are two writes; a client would wait 40 ms for the second
    # Whoever opens a connection and says nothing does not keep a thread for ever.
    timeout = 10

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path == "/metrics":
            self._answer(200, generate_latest(self.health.registry), CONTENT_TYPE_LATEST)
        elif path in ("/healthz", "/readyz"):
            why = self.health.unhealthy() if path == "/healthz" else self.health.unready()
            self._answer(200 if why is None else 503, f"{why or 'ok'}\n".encode())
        else:
            self._answer(404, b"There is /healthz, /readyz and /metrics.\n")

    def _answer(self, status: int, body: bytes, content_type: str = "text/plain; charset=utf-8") -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Probes come every few seconds; what they are told is in the log already."""
