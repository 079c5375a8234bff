"""What a Prometheus behind a bad network or a login does: a scripted server on loopback stands for that edge."""

from __future__ import annotations

import json
import socket
import ssl
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from mora.domain import Window, Workload
from mora.errors import BadInput, SourceUnavailable
from mora.sources.prometheus.access import Access, TooMuch
from mora.sources.prometheus.observe import PrometheusSource
from mora.sources.prometheus.promql import DEFAULT_CONTAINER_LABEL
from tests.clusters.tls import self_signed
from tests.sources.prometheus.scripted import GOOD, PATIENT, QUICK, Answer, Scripted, failing, late, patience


@pytest.mark.parametrize(
    "hiccup",
    [
        pytest.param(failing(503, "starting"), id="503"),
        pytest.param(failing(500), id="500"),
        pytest.param((502, {}, b"<html>bad gateway</html>"), id="a proxy's 502"),
        pytest.param(failing(429, "slow down", Retry_After="0"), id="429"),
        pytest.param(late, id="a timeout"),
    ],
)
def test_a_short_failure_is_tried_again(scripted: Callable[..., Scripted], hiccup: Any) -> None:
    server = scripted(hiccup, hiccup, GOOD)
    source = PrometheusSource(server.url, timeout=patience(hiccup), retries=3, backoff=QUICK)
    assert source.services("shop") == ["frontend"]
    assert len(server.asked) == 2 + 3  # two hiccups, and a question for each kind of workload


@pytest.mark.parametrize(
    ("answer", "words", "advice"),
    [
        (failing(503, "compacting"), "503 Service Unavailable: compacting", "overloaded"),
        (failing(429), "429 Too Many Requests", "limits our request rate"),
        (late, "did not answer within 500ms", "shorter window"),
        ((200, {"Content-Length": "500"}, b'{"status":'), "does not answer like a Prometheus", ""),  # broken off
    ],
)
def test_a_failure_that_lasts_is_reported_after_the_last_try(
    scripted: Callable[..., Scripted], answer: Any, words: str, advice: str
) -> None:
    server = scripted(answer)
    source = PrometheusSource(server.url, timeout=patience(answer), retries=2, backoff=QUICK)
    with pytest.raises(SourceUnavailable) as told:
        source.services("shop")
    assert server.url in told.value.message
    assert words in told.value.message
    assert advice in str(told.value.hint)
    assert len(server.asked) == 3


@pytest.mark.parametrize(
    ("answer", "words", "advice"),
    [
        (failing(401), "401 Unauthorized", "bearer token"),
        (failing(403, "no read rights"), "403 Forbidden: no read rights", "read access"),
        ((404, {}, b"not here"), "404 Not Found", "/prometheus"),
        (failing(400, "parse error"), "400 Bad Request: parse error", "2.24"),
        ((200, {}, b"<html>Grafana</html>"), "does not answer like a Prometheus", "Grafana"),
        ((200, {}, b"[1, 2]"), "another shape", "Prometheus itself"),
        ((200, {}, b'{"status":"success"}'), "another shape", "Prometheus itself"),
        ((200, {}, b'{"status":"success","warnings":'), "does not answer like a Prometheus", "Grafana"),
        ((204, {}, b""), "does not answer like a Prometheus: answered 204", "Grafana"),
        ((304, {}, b""), "does not answer like a Prometheus: answered 304", "Grafana"),
        (failing(200, "no such store"), "no such store", "Prometheus itself"),
    ],
)
def test_an_error_that_no_retry_mends_is_reported_at_once(
    scripted: Callable[..., Scripted], answer: Answer, words: str, advice: str
) -> None:
    server = scripted(answer)
    with pytest.raises(SourceUnavailable) as told:
        PrometheusSource(server.url, timeout=PATIENT, retries=2, backoff=QUICK).services("shop")
    assert words in told.value.message
    assert advice in str(told.value.hint)
    assert len(server.asked) == 1


def test_no_prometheus_at_the_address_is_reported_with_the_address() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with pytest.raises(SourceUnavailable, match=f"http://127.0.0.1:{port} cannot be reached: Connection refused"):
        PrometheusSource(f"http://127.0.0.1:{port}", retries=1, backoff=QUICK).services("shop")


@pytest.mark.parametrize(
    "url",
    [
        "localhost:9090",
        "ftp://host",
        "http://",
        "",
        "http://[::1/",
        "http://host:99999",
        "http://host:port",
        "http://ada:s3/cret@host",
        "http://ada:12/s3cret@host",
        "http://host/\n",
    ],
)
def test_what_is_no_address_is_refused_before_anything_is_sent(url: str) -> None:
    with pytest.raises(BadInput, match="not the address of a Prometheus") as refused:
        PrometheusSource(url)
    assert "cret" not in str(refused.value)


def test_warnings_of_a_partial_answer_reach_the_observation_once(scripted: Callable[..., Scripted]) -> None:
    end = datetime(2026, 1, 1, tzinfo=UTC)
    series = {
        "metric": {"container": "server", DEFAULT_CONTAINER_LABEL: "server"},
        "values": [[end.timestamp(), "2"]],
    }
    body = {"status": "success", "data": {"resultType": "matrix", "result": [series]}, "warnings": ["store-3 is down"]}
    nothing: dict[str, Any] = {"status": "success", "data": {"resultType": "vector", "result": []}}

    def answer() -> Answer:
        path = server.asked[-1][0]
        found = {**nothing, "data": []} if "/values" in path else nothing
        return 200, {}, json.dumps(body if "/query_range" in path else found).encode()

    server = scripted(answer)
    source = PrometheusSource(server.url, rate_window=timedelta(minutes=1))
    seen = source.observe(Workload("shop", "frontend"), Window(end, end, timedelta(seconds=15)))
    assert seen.warnings == ("Prometheus warns: store-3 is down",)
    assert seen.main_container_chosen_by == "the annotation kubectl.kubernetes.io/default-container"


def test_samples_outside_the_window_are_no_answer(scripted: Callable[..., Scripted]) -> None:
    end = datetime(2026, 1, 1, tzinfo=UTC)
    series = {"metric": {}, "values": [[end.timestamp() + 60, "2"]]}
    body = {"status": "success", "data": {"resultType": "matrix", "result": [series]}}
    source = PrometheusSource(scripted((200, {}, json.dumps(body).encode())).url, rate_window=timedelta(minutes=1))
    with pytest.raises(SourceUnavailable, match="outside the asked range"):
        source.observe(Workload("shop", "frontend"), Window(end, end, timedelta(seconds=15)))


@pytest.mark.parametrize(
    ("access", "sent"),
    [
        (Access(token="s3cret"), "Bearer s3cret"),
        (Access(username="ada", password="s3cret"), "Basic YWRhOnMzY3JldA=="),
        (Access(headers={"Authorization": "Custom s3cret", "X-Scope-OrgID": "team"}), "Custom s3cret"),
    ],
)
def test_credentials_are_sent_and_never_shown(scripted: Callable[..., Scripted], access: Access, sent: str) -> None:
    server = scripted(GOOD, GOOD, GOOD, failing(403))
    source = PrometheusSource(server.url, access=access)
    source.services("shop")
    assert {headers["Authorization"] for _, headers in server.asked} == {sent}
    if access.headers:
        assert server.asked[0][1]["X-Scope-OrgID"] == "team"
    with pytest.raises(SourceUnavailable) as told:
        source.services("shop")
    assert "s3cret" not in f"{told.value!r} {told.value} {source!r} {access!r}"


def test_a_token_file_is_read_for_each_request_as_kubernetes_rotates_it(
    scripted: Callable[..., Scripted], tmp_path: Path
) -> None:
    file = tmp_path / "token"
    server = scripted(GOOD)
    source = PrometheusSource(server.url, access=Access(token_file=file))
    for token in ("first", "second"):
        file.write_text(f"{token}\n", encoding="utf-8")
        source.services("shop")
    assert [headers["Authorization"] for _, headers in server.asked[::3]] == ["Bearer first", "Bearer second"]
    file.unlink()
    with pytest.raises(BadInput, match=r"token file .* cannot be read: No such file"):
        source.services("shop")


def test_a_password_in_the_address_is_used_but_not_shown(scripted: Callable[..., Scripted]) -> None:
    server = scripted(failing(401))
    source = PrometheusSource(server.url.replace("//", "//ada:s3cret@"))
    with pytest.raises(SourceUnavailable) as told:
        source.services("shop")
    assert server.asked[0][1]["Authorization"] == "Basic YWRhOnMzY3JldA=="
    assert "s3cret" not in f"{told.value} {source!r}"


def test_two_ways_to_log_in_are_one_too_many() -> None:
    with pytest.raises(BadInput, match="one of"):
        Access(token="a", username="b")


def test_a_certificate_is_trusted_by_its_ca_file_or_on_demand_only(
    scripted: Callable[..., Scripted], tmp_path: Path
) -> None:
    certificate, key = self_signed(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server = scripted(GOOD)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    url = server.url.replace("http:", "https:")
    with pytest.raises(SourceUnavailable, match="cannot be trusted"):
        PrometheusSource(url, retries=0).services("shop")
    assert PrometheusSource(url, access=Access(ca_file=certificate), retries=0).services("shop") == ["frontend"]
    with pytest.warns(match="Unverified HTTPS"):
        assert PrometheusSource(url, access=Access(verify_tls=False), retries=0).services("shop") == ["frontend"]
    with pytest.raises(BadInput, match="no CA file"):
        Access(ca_file=tmp_path / "absent.pem")


def test_a_client_certificate_is_shown_to_who_asks_for_one(scripted: Callable[..., Scripted], tmp_path: Path) -> None:
    certificate, key = self_signed(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(certificate)
    server = scripted(GOOD)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    url = server.url.replace("http:", "https:")
    with pytest.raises(SourceUnavailable):
        PrometheusSource(url, access=Access(ca_file=certificate), retries=0).services("shop")
    known = Access(ca_file=certificate, client_certificate=(certificate, key))
    assert PrometheusSource(url, access=known, retries=0).services("shop") == ["frontend"]
    with PrometheusSource(url, access=known, retries=0).wire() as talk:
        assert talk.label_values("pod", "up", datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 2, tzinfo=UTC))
    with pytest.raises(BadInput, match="no client certificate"):
        Access(client_certificate=(certificate, tmp_path / "absent.pem"))


@pytest.mark.parametrize(
    ("status", "error", "of_series"),
    [
        (422, "query processing would load too many samples into memory in query execution", False),
        (400, "exceeded maximum resolution of 11,000 points per timeseries", False),
        (422, "the number of matching timeseries exceeds 30000; either narrow down the search", True),
        (422, "cannot select more than -search.maxSamplesPerQuery=1000000000 samples", False),
        (
            422,
            "too many points for the given step=15000: 80640; cannot exceed -search.maxPointsPerTimeseries=30000",
            False,
        ),
        (422, "not enough memory for processing 1e9 data points across 1e5 time series", False),
        (
            422,
            "the query exceeded the maximum number of series (limit: 5 series) (err-mimir-max-series-per-query)",
            True,
        ),
        (
            422,
            "the query exceeded the maximum number of chunks (limit: 9 chunks) (err-mimir-max-chunks-per-query)",
            False,
        ),
        (422, "the query time range exceeds the limit (query length: 336h, limit: 168h)", False),
        (
            503,
            "expanding series: proxy Series(): rpc error: code = ResourceExhausted desc = exceeded series limit",
            True,
        ),
        (500, "rpc error: code = Aborted desc = fetched chunks: limit 1000 violated (got 1001)", False),
    ],
)
def test_a_store_s_limit_is_recognised_by_what_it_says(
    scripted: Callable[..., Scripted], status: int, error: str, of_series: bool
) -> None:
    repeated = 'error when executing query="x{y=\\"too many chunks\\"}": number of series{z="series limit"} ' * 9
    for text in (error, f"{repeated.replace('number of series', 'number of rows')}{error}"):
        with pytest.raises(TooMuch) as told:
            PrometheusSource(scripted(failing(status, text)).url, retries=0).services("shop")
        assert told.value.of_series == of_series
        assert error in told.value.message


@pytest.mark.parametrize(
    "error",
    [
        "couldn't start executing the request in 10 seconds, since -search.maxConcurrentRequests=16 are executed",
        "parse error: unexpected character",
        "too many outstanding requests",
    ],
)
def test_a_store_that_is_busy_is_not_asked_for_less(scripted: Callable[..., Scripted], error: str) -> None:
    with pytest.raises(SourceUnavailable) as told:
        PrometheusSource(scripted(failing(422, error)).url, retries=0).services("shop")
    assert not isinstance(told.value, TooMuch)
