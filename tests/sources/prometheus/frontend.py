"""A query frontend in front of a Prometheus, as Thanos and Mimir have one: ranges fall onto multiples of the step."""

from __future__ import annotations

import json
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit


class Frontend(ThreadingHTTPServer):
    """Passes queries on to `upstream`.

    aligns: start and end of ranges fall back onto multiples of the step (step_align). most_series: what an answer may
    have, else it is refused with a status. longest: what a range may span.
    """

    daemon_threads = True

    def __init__(
        self, upstream: str, aligns: bool, most_series: int | None, refuses_with: int, longest: timedelta | None
    ) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.upstream = upstream
        self.aligns = aligns
        self.most_series = most_series
        self.refuses_with = refuses_with
        self.longest = longest
        self.refused = 0
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

    def refusal(self, path: str, asked: dict[str, str], body: bytes) -> str | None:
        """Why an answer is kept back; None where it is sent."""
        span = float(asked["end"]) - float(asked["start"]) if path.endswith("/query_range") else 0.0
        if self.longest is not None and span > self.longest.total_seconds():
            return "the query time range exceeds the limit (query length: 5d, limit: 1d) (err-mimir-max-query-length)"
        if self.most_series is not None and not path.endswith("/values"):
            found = json.loads(body)["data"]
            if len(found if isinstance(found, list) else found["result"]) > self.most_series:
                return (
                    f"error when executing query={json.dumps(asked.get('query', ''))}: cannot fetch data: the number "
                    f"of matching timeseries exceeds {self.most_series}; either narrow down the search or increase "
                    "-search.max* command-line flag values at vmselect"
                )
        return None


class _Handler(BaseHTTPRequestHandler):
    server: Frontend

    def do_GET(self) -> None:
        self._pass_on(parse_qsl(urlsplit(self.path).query))

    def do_POST(self) -> None:
        self._pass_on(parse_qsl(self.rfile.read(int(self.headers["Content-Length"])).decode()))

    def _pass_on(self, asked: list[tuple[str, str]]) -> None:
        path = urlsplit(self.path).path
        self.server.asked += [(path, name, value) for name, value in asked]
        if path.endswith("/query_range") and self.server.aligns:
            asked = list(self.server.aligned(dict(asked)).items())
        try:
            with urllib.request.urlopen(f"{self.server.upstream}{path}?{urlencode(asked)}") as answer:  # noqa: S310
                status, body = answer.status, answer.read()
        except urllib.error.HTTPError as error:
            status, body = error.code, error.read()
        refusal = self.server.refusal(path, dict(asked), body) if status == 200 else None
        if refusal is not None:
            self.server.refused += 1
            status, body = self.server.refuses_with, json.dumps({"status": "error", "error": refusal}).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        pass


@contextmanager
def in_front_of(
    upstream: str,
    *,
    aligns: bool = False,
    most_series: int | None = None,
    refuses_with: int = 422,
    longest: timedelta | None = None,
) -> Iterator[Frontend]:
    """A running frontend."""
    server = Frontend(upstream, aligns, most_series, refuses_with, longest)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
