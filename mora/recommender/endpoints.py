"""What a kubelet and a Prometheus ask: /healthz, /readyz and /metrics.

/healthz is 200 as long as the loop moves: it beats while it waits and after each object, and a single step (two weeks
of history of a large namespace) has a quarter of an hour. /readyz is 200 where this instance can do its work: the last
pass went well, or another one leads and its lease can be read. Both say why in words where they are not.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from mora.errors import BadInput, MoraError
from mora.recommender.loop import PassReport

# A step that takes longer hangs; the longest that was measured is a large namespace's history, minutes.
_HANGS_AFTER_SECONDS = 900.0
_PASS_BUCKETS = (0.1, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600)


class Telemetry:
    """What the loop tells (mora.recommender.loop.Observer), as health and as metrics.

    leads, answers, votes: whether this instance leads, its lease can be read, its election goes on (see lease.py).
    """

    def __init__(
        self,
        *,
        leads: Callable[[], bool] = lambda: True,
        answers: Callable[[], bool] = lambda: True,
        votes: Callable[[], bool] = lambda: True,
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        self._leads, self._answers, self._votes, self._steady = leads, answers, votes, steady
        self._beat_at = steady()
        self._last: PassReport | None = None
        self._passed_at: float | None = None
        self.registry = CollectorRegistry()
        self._passes = Counter(
            "mora_recommender_passes", "Passes over the VPA objects.", ["outcome"], registry=self.registry
        )
        for outcome in ("ok", "failed"):
            self._passes.labels(outcome)
        self._seconds = Histogram(
            "mora_recommender_pass_seconds", "How long a pass took.", buckets=_PASS_BUCKETS, registry=self.registry
        )
        self._errors = Counter(
            "mora_recommender_errors",
            "What went wrong: list, numbers, write, conflict, bug.",
            ["kind"],
            registry=self.registry,
        )
        self._writes = Counter("mora_recommender_status_writes", "Statuses written.", registry=self.registry)
        vpas = Gauge(
            "mora_recommender_vpas",
            "VPA objects that name this recommender, in the leader's last pass; 0 where another one leads.",
            ["provided"],
            registry=self.registry,
        )
        vpas.labels("true").set_function(lambda: float(self._led().with_number))
        vpas.labels("false").set_function(lambda: float(self._led().vpas - self._led().with_number))
        Gauge("mora_recommender_is_leader", "1 where this instance writes.", registry=self.registry).set_function(
            lambda: float(self._leads())
        )
        Gauge(
            "mora_recommender_last_pass_age_seconds",
            "Since the last pass that went well; +Inf before the first.",
            registry=self.registry,
        ).set_function(self._age)

    def beat(self) -> None:
        self._beat_at = self._steady()

    def passed(self, report: PassReport) -> None:
        self.beat()
        self._last = report
        self._passes.labels("ok" if report.is_ok else "failed").inc()
        self._seconds.observe(report.seconds)
        for kind, count in report.errors.items():
            self._errors.labels(kind).inc(count)
        self._writes.inc(report.written)
        if report.is_ok:
            self._passed_at = self._steady()

    def unhealthy(self) -> str | None:
        """Why the process should be started anew, in words; None where it is well."""
        if not self._votes():
            return "the leader election has ended"
        still = self._steady() - self._beat_at
        return f"the loop has not moved for {still:.0f} s" if still > _HANGS_AFTER_SECONDS else None

    def unready(self) -> str | None:
        """Why this instance cannot do its work, in words; None where it can."""
        if not self._leads():
            return None if self._answers() else "the lease cannot be read"
        if self._last is None:
            return "the first pass has not ended"
        if self._last.is_ok:
            return None
        kinds = ", ".join(f"{kind} {count}" for kind, count in sorted(self._last.errors.items()))
        return f"the last pass failed: {self._last.stopped or kinds}"

    def _led(self) -> PassReport:
        """The last pass; an empty one where another leads, so that a sum over instances counts each object once."""
        return self._last if self._last is not None and self._leads() else PassReport()

    def _age(self) -> float:
        return float("inf") if self._passed_at is None else self._steady() - self._passed_at


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
    """Serves a Telemetry; a context manager that leaves nothing behind."""

    def __init__(self, address: tuple[str, int], telemetry: Telemetry) -> None:
        host, port = address
        handler = type("Handler", (_Handler,), {"telemetry": telemetry})
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
    telemetry: Telemetry
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # head and body are two writes; a client would wait 40 ms for the second
    # Whoever opens a connection and says nothing does not keep a thread for ever.
    timeout = 10

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path == "/metrics":
            self._answer(200, generate_latest(self.telemetry.registry), CONTENT_TYPE_LATEST)
        elif path in ("/healthz", "/readyz"):
            why = self.telemetry.unhealthy() if path == "/healthz" else self.telemetry.unready()
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
