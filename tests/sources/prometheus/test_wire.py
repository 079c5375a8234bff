"""Reading a fleet from what a real Prometheus is at will neither: slow, partial, cut off, behind a login or a proxy."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest

from mora.domain import Allocation, Window, Workload, WorkloadState
from mora.errors import SourceUnavailable
from mora.sources.prometheus.access import Access
from mora.sources.prometheus.fleet import PrometheusFleet
from mora.sources.prometheus.observe import PrometheusSource
from mora.sources.prometheus.wire import Wire
from tests.sources.prometheus.scripted import PATIENT, QUICK, Answer, Scripted, failing, late, patience

END = datetime(2026, 11, 1, tzinfo=UTC)
WINDOW = Window(END - timedelta(hours=1), END, timedelta(minutes=5))
Start = Callable[..., Scripted]


def good(data: Any, **more: Any) -> Answer:
    body = json.dumps({"status": "success", **more, "data": data}, separators=(",", ":"))
    return 200, {"Content-Type": "application/json"}, body.encode()


def matrix(*values: float, **more: Any) -> Answer:
    points = [[WINDOW.start.timestamp() + 300 * row, str(value)] for row, value in enumerate(values)]
    return good({"resultType": "matrix", "result": [{"metric": {"pod": "a"}, "values": points}]}, **more)


def cut(answer: Answer, share: float = 0.5) -> Answer:
    """The answer as a connection that breaks off leaves it."""
    status, headers, body = answer
    return status, {**headers, "Content-Length": str(len(body))}, body[: int(share * len(body))]


def wire(server: Scripted, **options: Any) -> Wire:
    timeout = options.pop("timeout", PATIENT)
    return Wire(server.url, options.pop("access", Access()), timeout, options.pop("retries", 2), QUICK, **options)


def read(server: Scripted, **options: Any) -> list[float]:
    with wire(server, **options) as talk:
        ((_, _, strips),) = talk.ranges([("cpu", "up", WINDOW)])
    return [value for strip in strips for value in strip.values.tolist()]


@pytest.mark.parametrize(
    "hiccup",
    [
        pytest.param(failing(503, "starting"), id="503"),
        pytest.param((502, {}, b"<html>bad gateway</html>"), id="a proxy's 502"),
        pytest.param(failing(429, "slow down", Retry_After="0"), id="429"),
        pytest.param(cut(matrix(1, 2, 3)), id="cut off in the middle"),
        pytest.param(cut(matrix(1, 2, 3), 0.95), id="cut off near the end"),
        pytest.param(late, id="a timeout"),
    ],
)
def test_a_short_failure_is_tried_again(scripted: Start, hiccup: Any) -> None:
    server = scripted(hiccup, hiccup, matrix(1, 2, 3))
    assert read(server, timeout=patience(hiccup)) == [1, 2, 3]
    assert len(server.asked) == 3


def test_retry_after_is_respected(scripted: Start) -> None:
    server = scripted(failing(429, "slow down", Retry_After="1"), matrix(1))
    assert read(server) == [1]
    assert server.moments[1] - server.moments[0] >= 1


@pytest.mark.parametrize(
    ("answer", "words", "advice", "times"),
    [
        pytest.param(failing(401), "401 Unauthorized", "bearer token", 1, id="401"),
        pytest.param(failing(403, "no read rights"), "403 Forbidden: no read rights", "read access", 1, id="403"),
        pytest.param(failing(429), "429 Too Many Requests", "limits our request rate", 3, id="429"),
        pytest.param(failing(503, "compacting"), "503 Service Unavailable: compacting", "overloaded", 3, id="503"),
        pytest.param(cut(matrix(1, 2, 3)), "does not answer like a Prometheus", "", 3, id="cut off"),
        pytest.param((200, {}, matrix(1, 2, 3)[2][:-30]), "breaks off", "", 1, id="cut off by a proxy"),
        pytest.param((200, {}, b"<html>Grafana</html>"), "does not answer like a Prometheus", "Grafana", 1, id="html"),
        pytest.param(good({"resultType": "vector", "result": []}), "in place of a matrix", "", 1, id="no matrix"),
        pytest.param((200, {}, b'{"status":"success"}'), "another shape", "", 1, id="no data"),
        pytest.param(matrix(*range(20)), "outside the asked range", "", 1, id="more than asked"),
    ],
)
def test_an_answer_that_cannot_be_used_is_reported_with_cause_and_remedy(
    scripted: Start, answer: Answer, words: str, advice: str, times: int
) -> None:
    server = scripted(answer)
    with pytest.raises(SourceUnavailable) as told:
        read(server)
    assert words in told.value.message
    assert server.url in told.value.message
    assert advice in str(told.value.hint)
    assert len(server.asked) == times


@pytest.mark.parametrize("status", [401, 403])
def test_discovery_without_access_reports_the_status(scripted: Start, status: int) -> None:
    with pytest.raises(SourceUnavailable, match=str(status)):
        PrometheusFleet(PrometheusSource(scripted(failing(status)).url)).states()


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"warnings": ["store-3 is down"]}, "Prometheus warns: store-3 is down"),
        ({"isPartial": True}, "Prometheus warns: the answer is partial, because a storage node did not answer"),
    ],
)
def test_a_partial_answer_is_used_with_a_warning(scripted: Start, more: dict[str, Any], words: str) -> None:
    body = json.loads(matrix(1, 2)[2])
    ordered = {"status": "success", **({} if "warnings" in more else more), "data": body["data"]} | (
        more if "warnings" in more else {}
    )
    server = scripted((200, {}, json.dumps(ordered, separators=(",", ":")).encode()))
    with wire(server) as talk:
        ((_, _, strips),) = talk.ranges([("cpu", "up", WINDOW)])
        assert list(talk.warnings) == [words]
    assert strips[0].values.tolist() == [1, 2]


def test_warnings_reach_each_history(scripted: Start) -> None:
    owner = {"namespace": "shop", "pod": "web-0", "owner_kind": "StatefulSet", "owner_name": "web"}
    names, nothing = good([]), good({"resultType": "matrix", "result": []}, warnings=["store-3 is down"])

    def answer() -> Answer:
        path = server.asked[-1][0]
        if "/series" in path:
            return good([owner] if "kube_pod_owner" in path else [])
        if "/query_range" in path:
            return nothing
        return names if "/label/" in path else good({"resultType": "vector", "result": []})

    server = scripted(answer)
    fleet = PrometheusFleet(PrometheusSource(server.url))
    state = WorkloadState(Workload("shop", "web", "StatefulSet"), Allocation(replicas=1))
    (history,) = fleet.histories([state], WINDOW)
    assert "Prometheus warns: store-3 is down" in history.warnings
    assert "Prometheus warns: store-3 is down" in fleet.warnings


def test_a_short_question_goes_by_get_as_a_proxy_allows_and_a_long_one_by_post(scripted: Start) -> None:
    server = scripted(good({"resultType": "vector", "result": []}))
    with wire(server) as talk:
        talk.instant("up", END)
        talk.instant(f'up{{pod=~"{"a" * 9000}"}}', END)
    (short, _), (long, _) = server.asked
    assert short.startswith("GET /api/v1/query?")
    assert long.startswith("POST /api/v1/query?")
    assert parse_qs(urlsplit(long.partition(" ")[2]).query)["query"][0].count("a") == 9000


def test_one_window_is_asked_on_its_exact_grid(scripted: Start) -> None:
    server = scripted(matrix(1))
    read(server)
    asked = parse_qs(urlsplit(server.asked[0][0].partition(" ")[2]).query)
    assert (asked["start"], asked["end"], asked["step"]) == (
        [f"{WINDOW.start.timestamp():.3f}"],
        [f"{WINDOW.end.timestamp():.3f}"],
        ["300.000"],
    )
    assert (asked["nocache"], asked["dedup"]) == (["1"], ["true"])  # VictoriaMetrics; Thanos


def test_headers_and_tokens_go_with_every_question(scripted: Start) -> None:
    server = scripted(matrix(1))
    read(server, access=Access(token="s3cret", headers={"X-Scope-OrgID": "team"}))
    assert server.asked[0][1]["Authorization"] == "Bearer s3cret"
    assert server.asked[0][1]["X-Scope-OrgID"] == "team"


def test_a_prefix_of_the_address_stays(scripted: Start) -> None:
    server = scripted(good([]))
    with PrometheusSource(f"{server.url}/prometheus/").wire() as talk:  # Mimir
        talk.series("up", END, END)
    assert server.asked[0][0].startswith("GET /prometheus/api/v1/series?")


def test_a_slow_line_is_asked_to_compress(scripted: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mora.sources.prometheus.session._TELLING_BYTES", 10)
    monkeypatch.setattr("mora.sources.prometheus.session._SLOW_LINE_BYTES_PER_SECOND", 0)
    server = scripted(matrix(1))
    with wire(server) as talk:
        list(talk.ranges([("cpu", "up", WINDOW)]))
        monkeypatch.setattr("mora.sources.prometheus.session._SLOW_LINE_BYTES_PER_SECOND", 1e18)
        list(talk.ranges([("cpu", "up", WINDOW)]))
        list(talk.ranges([("cpu", "up", WINDOW)]))
    assert [headers["Accept-Encoding"] for _, headers in server.asked] == ["identity", "identity", "gzip"]


def test_a_server_that_runs_out_of_samples_is_asked_for_less_at_a_time(scripted: Start) -> None:
    window = Window(END - timedelta(hours=10), END, timedelta(minutes=5))

    def answer() -> Answer:
        asked = parse_qs(urlsplit(server.asked[-1][0].partition(" ")[2]).query)
        start, end = float(asked["start"][0]), float(asked["end"][0])
        if end - start > 3 * 3600:
            return failing(422, "query processing would load too many samples into memory in query execution")
        points = [[at, "1"] for at in np.arange(start, end + 1, 300)]
        return good({"resultType": "matrix", "result": [{"metric": {"pod": "a"}, "values": points}]})

    server = scripted(answer)
    with wire(server) as talk:
        pieces = [piece for _, piece, _ in talk.ranges([("cpu", "up", window)])]
    assert sum(piece.sample_count for piece in pieces) == window.sample_count
    assert (pieces[0].start, pieces[-1].end) == (window.start, window.end)
