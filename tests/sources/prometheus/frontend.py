"""A query frontend in front of a Prometheus, as Thanos and Mimir have one: ranges fall onto multiples of the step."""

from __future__ import annotations

import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit


class Frontend(ThreadingHTTPServer):
    """Passes queries on to `upstream`; start and end of ranges fall back onto multiples of the step (step_align)."""

    daemon_threads = True

    def __init__(self, upstream: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.upstream = upstream
        self.moved: list[dict[str, str]] = []
        """The ranges that did not lie on multiples of their step."""
        self.asked: list[tuple[str, str, str]] = []
        """Path, name and value of every parameter of every request."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def aligned(self, asked: dict[str, str]) -> dict[str, str]:
        """The range as it is answered."""
        step = float(asked["step"])
        start, end = (float(asked[name]) // step * step for name in ("start", "end"))
        if (start, end) != (float(asked["start"]), float(asked["end"])):
            self.moved.append(asked)
        return {**asked, "start": f"{start:.3f}", "end": f"{end:.3f}"}


class _Handler(BaseHTTPRequestHandler):
    server: Frontend

    def do_GET(self) -> None:
        self._pass_on(parse_qsl(urlsplit(self.path).query))

    def do_POST(self) -> None:
        self._pass_on(parse_qsl(self.rfile.read(int(self.headers["Content-Length"])).decode()))

    def _pass_on(self, asked: list[tuple[str, str]]) -> None:
        path = urlsplit(self.path).path
        self.server.asked += [(path, name, value) for name, value in asked]
        if path.endswith("/query_range"):
            asked = list(self.server.aligned(dict(asked)).items())
        try:
            with urllib.request.urlopen(f"{self.server.upstream}{path}?{urlencode(asked)}") as answer:  # noqa: S310
                status, body = answer.status, answer.read()
        except urllib.error.HTTPError as error:
            status, body = error.code, error.read()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        pass


@contextmanager
def in_front_of(upstream: str) -> Iterator[Frontend]:
    """A running frontend."""
    server = Frontend(upstream)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
