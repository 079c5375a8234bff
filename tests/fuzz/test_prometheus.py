"""Odd answers of a Prometheus, on every road that asks one: numbers, reasons or a MoraError, and nothing else.

The answers of a real Prometheus are recorded once and played back; one of each run is spoiled on its way.
"""

from __future__ import annotations

import json
import random
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.error import HTTPError
from urllib.parse import parse_qsl, urlencode, urlsplit
from urllib.request import urlopen

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mora import pipeline
from mora.domain import Recommendation, Window, Workload
from mora.errors import MoraError, SourceUnavailable
from mora.sources.prometheus.fleet import PrometheusFleet
from mora.sources.prometheus.observe import PrometheusSource
from tests.fleet import rig
from tests.fuzz.budget import budget
from tests.fuzz.mutations import CHANGES, Changes, spoiled

END = 1_790_000_100 // 300 * 300
FLEET = rig.shop(END, since=12 * rig.DAY)
NOW = datetime.fromtimestamp(END, UTC)
WINDOW = Window(NOW - timedelta(days=1), NOW, timedelta(minutes=5))
CHOSEN = ("cart", "report")
OUTPUTS = ("table", "json", "csv", "patch", "hpa", "explain")

Answer = tuple[int, bytes]
Change = Callable[[int, bytes], Answer]


def unchanged(number: int, body: bytes) -> Answer:
    return 200, body


class Player(ThreadingHTTPServer):
    """Answers as `upstream` does, or once did; change: what is made of the n-th answer of a run."""

    daemon_threads = True

    def __init__(self, upstream: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.upstream: str | None = upstream
        self.known: dict[str, bytes] = {}
        self.change: Change = unchanged
        self.asked = 0
        self.lock = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def answer(self, path: str, query: list[tuple[str, str]]) -> Answer:
        # The services of the last hour are asked for at whatever time it is.
        asked = sorted(pair for pair in query if pair[0] not in ("start", "end") or path.endswith("query_range"))
        key = f"{path}?{urlencode(asked)}"
        if key not in self.known and self.upstream is not None:
            try:
                with urlopen(f"{self.upstream}{path}?{urlencode(query)}") as answered:  # noqa: S310  # our own
                    self.known[key] = answered.read()
            except HTTPError as error:
                return error.code, error.read()
        with self.lock:
            number, self.asked = self.asked, self.asked + 1
        is_list = not path.endswith(("/query", "/query_range"))
        kind = "matrix" if path.endswith("/query_range") else "vector"
        nothing = json.dumps({"status": "success", "data": [] if is_list else {"resultType": kind, "result": []}})
        return self.change(number, self.known.get(key, nothing.encode()))

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A reader that hangs up is no error here."""


class _Handler(BaseHTTPRequestHandler):
    server: Player
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        self._answer(parts.path, parse_qsl(parts.query))

    def do_POST(self) -> None:
        self._answer(self.path, parse_qsl(self.rfile.read(int(self.headers["Content-Length"])).decode()))

    def _answer(self, path: str, query: list[tuple[str, str]]) -> None:
        status, body = self.server.answer(path, query)
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        pass


class Roads:
    """Every way in which MOrA asks a Prometheus."""

    def __init__(self, url: str) -> None:
        self._source = PrometheusSource(url, retries=0, timeout=timedelta(seconds=30))
        self._fleet = PrometheusFleet(self._source, now=lambda: NOW)

    def states(self) -> object:
        return self._fleet.states()

    def advice(self) -> list[Recommendation]:
        states = [state for state in self._fleet.states("shop") if state.workload.name in CHOSEN]
        return list(pipeline.recommend_fleet(states, self._fleet, WINDOW))

    def outputs(self) -> object:
        advice = self.advice()
        return [pipeline.render(advice, output) for output in OUTPUTS]

    def observed(self) -> object:
        window = Window(NOW - timedelta(hours=2), NOW, timedelta(minutes=1))
        return self._source.observe(Workload("shop", "frontend"), window)

    def services(self) -> object:
        return self._source.services("shop")

    def version(self) -> object:
        return self._source.check()


ROADS = [name for name in vars(Roads) if not name.startswith("_")]


@pytest.fixture(scope="module")
def player(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Player]:
    """Plays back what a real Prometheus answered on each road."""
    with rig.serving(tmp_path_factory.mktemp("shop"), FLEET) as upstream, playing(upstream) as server:
        for road in ROADS:
            getattr(Roads(server.url), road)()
        server.upstream = None
        yield server


@contextmanager
def playing(upstream: str) -> Iterator[Player]:
    server = Player(upstream)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()


def run(player: Player, road: str, change: Change) -> object:
    player.change, player.asked = change, 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # sums of what no Prometheus has may overflow
        return getattr(Roads(player.url), road)()


@pytest.mark.parametrize("road", ROADS)
def test_what_is_played_back_is_read(player: Player, road: str) -> None:
    assert run(player, road, unchanged) is not None


def only(wanted: int, made: Callable[[bytes], Answer]) -> Change:
    return lambda number, body: made(body) if number == wanted else (200, body)


@budget(15)
@given(road=st.sampled_from(ROADS), wanted=st.integers(0, 60), changes=CHANGES)
def test_a_changed_answer_is_read_or_refused(player: Player, road: str, wanted: int, changes: Changes) -> None:
    def made(body: bytes) -> Answer:
        return 200, json.dumps(spoiled(json.loads(body), changes), separators=(",", ":")).encode()

    with suppress(MoraError):
        run(player, road, only(wanted, made))


ODD_SAMPLES = ("NaN", "+Inf", "-Inf", "1e308", "-1", "0", "1e-300", "abc", "", "1e999", "9" * 400, "4.7e18")


@budget(6)
@given(
    road=st.sampled_from(("advice", "outputs", "observed", "states")),
    wanted=st.integers(0, 60),
    value=st.sampled_from(ODD_SAMPLES),
    seed=st.integers(0, 2**32),
)
def test_odd_values_are_not_known_or_refused(player: Player, road: str, wanted: int, value: str, seed: int) -> None:
    """Of one answer each value, or some of them, are something that no measurement is."""
    chance = random.Random(seed)  # repeatable, hides nothing
    share = chance.choice((0.05, 1.0))

    def made(body: bytes) -> Answer:
        answer = json.loads(body)
        found = answer["data"]["result"] if isinstance(answer["data"], dict) else []
        for series in found:
            for pair in series.get("values", [series.get("value")]):
                if chance.random() < share:
                    pair[1] = value
        return 200, json.dumps(answer, separators=(",", ":")).encode()

    with suppress(MoraError):
        found = run(player, road, only(wanted, made))
        for advice in found if road == "advice" else []:  # type: ignore[attr-defined]
            for one in advice.containers:
                for number in (one.cpu_request, one.memory_request):
                    assert number.value is None or 0 < number.value < 2**50


def deep(body: bytes) -> bytes:
    return b'{"status":"success","data":' + b"[" * 200_000 + b"]" * 200_000 + b"}"


def escaped(body: bytes) -> bytes:
    return body.replace(b'"container":"', b'"container":"\\ud800\\u202e')


def wide(body: bytes) -> bytes:
    return b'{"status":"success","data":[' + b"[]," * 1_500_001 + b"[]]}"


WHOLE: dict[str, Callable[[bytes], Answer]] = {
    "empty": lambda body: (200, b""),
    "204": lambda body: (204, b""),
    "301": lambda body: (301, b""),
    "304": lambda body: (304, b""),
    "500": lambda body: (500, b"[" * 100_000),
    "a page": lambda body: (200, b"<html>Grafana</html>"),
    "null": lambda body: (200, b"null"),
    "a number": lambda body: (200, b"7"),
    "deep": lambda body: (200, deep(body)),
    "deep error": lambda body: (422, deep(body)),
    "wide": lambda body: (200, wide(body)),
    "scalar": lambda body: (200, b'{"status":"success","data":{"resultType":"scalar","result":[1790000100,"7"]}}'),
    "string": lambda body: (200, b'{"status":"success","data":{"resultType":"string","result":[1790000100,"x"]}}'),
    "halves of characters": lambda body: (200, escaped(body)),
    "broken off": lambda body: (200, body[: len(body) // 2]),
    "not UTF-8": lambda body: (200, body.replace(b"shop", b"sh\xffp")),
    "labels are lists": lambda body: (200, body.replace(b'"shop"', b'["shop"]')),
    "labels are numbers": lambda body: (200, body.replace(b'"shop"', b"7")),
    "status is missing": lambda body: (200, body.replace(b'"status":"success",', b"")),
    "NaN as a moment": lambda body: (200, body.replace(b"[1789", b"[NaN,1789").replace(b"[1790", b"[Infinity,1790")),
    "moments of another age": lambda body: (200, body.replace(b"[17", b"[99999999999917")),
}


@pytest.mark.parametrize("name", WHOLE)
@pytest.mark.parametrize("road", ["advice", "observed", "services", "version"])
def test_another_answer_is_refused_with_the_reason(player: Player, road: str, name: str) -> None:
    with suppress(MoraError) as none:
        assert none is None
        run(player, road, lambda number, body: WHOLE[name](body))


@pytest.mark.parametrize("name", ["empty", "204", "301", "304", "a page", "null", "a number", "deep", "scalar"])
def test_what_is_no_prometheus_is_called_so(player: Player, name: str) -> None:
    with pytest.raises(SourceUnavailable, match="does not answer like a Prometheus"):
        run(player, "states", lambda number, body: WHOLE[name](body))
