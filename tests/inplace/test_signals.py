"""What Prometheus tells of pods, asked over HTTP of a server that answers as one; queries are checked first."""

from __future__ import annotations

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from mora.errors import BadInput, SourceUnavailable
from mora.inplace.signals import PrometheusSignals, checked_query
from mora.sources.prometheus.observe import PrometheusSource
from tests.inplace.rig import WEB
from tests.running import answering


class Server(ThreadingHTTPServer):
    rows: tuple[dict[str, Any], ...] = ()
    asked: tuple[str, ...] = ()
    status = 200


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        sent = urlsplit(self.path).query + "&" + self.rfile.read(length).decode()
        self.server.asked += (parse_qs(sent).get("query", [""])[0],)
        body = json.dumps({"status": "success", "data": {"resultType": "vector", "result": list(self.server.rows)}})
        self.send_response(self.server.status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())

    do_POST = do_GET  # noqa: N815  # the library's name

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    with answering(Server(("127.0.0.1", 0), Handler)) as made:
        yield made


def signals(server: Server, slo: str | None = None) -> PrometheusSignals:
    source = PrometheusSource(f"http://127.0.0.1:{server.server_port}", retries=0)
    return PrometheusSignals(source, "shop", slo_query=slo)


def test_throttling_is_read_by_pod_and_container_and_odd_names_are_left_out(server: Server) -> None:
    server.rows = (
        {"metric": {"pod": "web-0", "container": "server"}, "value": [1, "0.4"]},
        {"metric": {"pod": "web 0", "container": "server"}, "value": [1, "0.9"]},
    )
    assert signals(server).throttled() == {("web-0", "server"): 0.4}
    assert 'namespace="shop"' in server.asked[-1]
    assert "[2m]" in server.asked[-1]
    source = PrometheusSource(f"http://127.0.0.1:{server.server_port}", retries=0)
    PrometheusSignals(source, "shop", cluster='eu"').throttled()
    assert server.asked[-1].count('{namespace="shop",cluster="eu\\""') == 2


def test_an_slo_is_broken_where_its_query_returns_anything(server: Server) -> None:
    asked = signals(server, 'latency{ns="$namespace",svc="$workload"} > 0.3')
    assert asked.breach(WEB) is None
    assert server.asked[-1] == 'latency{ns="shop",svc="web"} > 0.3'
    server.rows = ({"metric": {}, "value": [1, "0.7"]},)
    assert asked.breach(WEB) == "its SLO is broken: the query returns 0.7"
    assert signals(server).breach(WEB) is None


def test_a_prometheus_that_fails_is_reported(server: Server) -> None:
    server.status = 400
    with pytest.raises(SourceUnavailable):
        signals(server).throttled()


@pytest.mark.parametrize("query", ['up{a="$service"}', "x $ y"])
def test_a_placeholder_that_stands_for_nothing_is_refused(query: str) -> None:
    with pytest.raises(BadInput, match="stands for nothing"):
        checked_query(query)
