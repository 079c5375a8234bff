"""The paths of health over HTTP: what is known, batches that are sent, and what nobody should send."""

from __future__ import annotations

import contextlib
import http.client
import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from email.message import Message
from typing import Any

import pytest

from mora.health.board import Board
from mora.health.watch import Watcher
from mora.serving.asgi import AsgiServer
from mora.web.app import health_application
from mora.web.guard import Guard
from mora.web.health import POSTS, HealthPart
from mora.web.health_metrics import HealthMetrics
from mora.web.scoring import MOST_BYTES, MOST_SAMPLES, Scoring
from tests.health.watching import AWAY, CART, FRONT, METRICS, START, STEP, Clock, Lines, Samples, Store, usual


@dataclass
class HealthSite:
    """A watcher of two services and its server. From row 90 on, the frontend uses eight times the CPU."""

    port: int = 0
    board: Board = field(default_factory=Board)
    clock: Clock = field(default_factory=lambda: Clock(START + 80 * STEP))
    store: Store = field(default_factory=lambda: Store([FRONT, CART]))

    def __post_init__(self) -> None:
        front = usual(400, seed=2)
        front.loc[90:, "cpu_cores_value"] *= 8
        self.samples = Samples({FRONT: front, CART: usual(400, seed=3)})
        self.watcher = Watcher(self.store, self.samples, self.board, log=Lines(), now=self.clock)

    def look(self, at: datetime | None = None) -> None:
        self.clock.at = self.clock.at + STEP if at is None else at
        self.watcher.tick()

    def ask(self, path: str, body: bytes | None = None, **headers: str) -> tuple[int, Message[str, str], bytes]:
        """Status, headers and body; a body makes it a POST."""
        kinds = {"Content-Type": "application/json"} if body is not None else {}
        asked = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", data=body, headers={**kinds, **headers})
        try:
            with urllib.request.urlopen(asked, timeout=120) as got:  # noqa: S310  # loopback
                return got.status, got.headers, got.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.headers, error.read()

    def json(self, path: str) -> Any:
        status, _, body = self.ask(path)
        assert status == 200, body
        return json.loads(body)

    def score(self, question: Any) -> tuple[int, Any]:
        status, _, body = self.ask("/v1/score", json.dumps(question).encode())
        return status, json.loads(body)


@contextmanager
def watched() -> Iterator[HealthSite]:
    site = HealthSite()
    metrics = HealthMetrics(site.board, now=site.clock)
    site.board.changed = metrics.refresh
    part = HealthPart(site.board, metrics, Scoring(site.store), now=site.clock)
    app = Guard(health_application(part, lambda: None, lambda: None), "127.0.0.1", POSTS)
    with AsgiServer(("127.0.0.1", 0), app) as server:
        site.port = server.port
        yield site


@pytest.fixture(scope="module")
def site() -> Iterator[HealthSite]:
    """One that has looked while the frontend was sick."""
    with watched() as one:
        one.look()
        one.look(START + 100 * STEP + timedelta(seconds=5))
        yield one


def batch(rows: int = 5, factor: float = 1.0) -> dict[str, Any]:
    frame = usual(rows, seed=4)
    frame.loc[rows - 1 :, "cpu_cores_value"] *= factor
    samples = [
        {"timestamp": row["timestamp"].isoformat(), **{name: row[name] for name in METRICS}}
        for _, row in frame.iterrows()
    ]
    return {"namespace": "shop", "service": "frontend", "samples": samples}


def test_a_service_that_is_sick_says_since_when_and_by_which_metric(site: HealthSite) -> None:
    found = site.json("/health/shop/frontend")
    assert (found["state"], found["detector"], found["alarms"]) == ("abnormal", "robust-z", 1)
    assert found["since"] == "2026-11-02T01:30:00.000Z"
    assert found["as_of"] == "2026-11-02T01:40:00.000Z"
    assert found["score"] > found["threshold"]
    assert found["score_in_thresholds"] == pytest.approx(found["score"] / found["threshold"])
    assert found["contributions"][0]["metric"] == "cpu_cores_value"
    assert site.json("/health/shop/cart")["state"] == "healthy"


def test_all_services_can_be_asked_for_by_namespace_and_state(site: HealthSite) -> None:
    assert [one["service"] for one in site.json("/health")["services"]] == ["cart", "frontend"]
    assert [one["service"] for one in site.json("/health?state=abnormal")["services"]] == ["frontend"]
    assert site.json("/health?namespace=other")["services"] == []
    assert site.ask("/health?state=ill")[0] == 422
    assert site.ask("/health?stat=healthy")[0] == 422


def test_a_service_that_is_not_watched_is_not_there_and_near_names_are_offered(site: HealthSite) -> None:
    status, _, body = site.ask("/health/shop/fronted")
    assert status == 404
    assert "Did you mean frontend?" in json.loads(body)["error"]["message"]
    status, _, body = site.ask("/health/%3Cscript%3E/x")
    assert status == 404
    assert "shop" in json.loads(body)["error"]["message"]


def test_while_prometheus_is_away_the_answer_is_unknown_with_the_reason() -> None:
    with watched() as one:
        one.look()
        one.samples.away = AWAY
        for _ in range(10):
            one.look()
        found = one.json("/health/shop/cart")
        assert (found["state"], found["score"]) == ("unknown", None)
        assert "Connection refused" in found["problem"]
        assert one.json("/health?state=healthy")["services"] == []


def test_a_batch_of_samples_is_scored_without_touching_what_is_watched(site: HealthSite) -> None:
    before = site.json("/health/shop/frontend")
    status, found = site.score(batch(20, factor=9.0))
    assert status == 200
    assert [one["state"] for one in found["results"]] == ["healthy"] * 19 + ["abnormal"]
    last = found["results"][-1]
    assert last["score"] > last["threshold"]
    assert next(iter(last["contributions"])) == "cpu_cores_value"
    assert [event["samples"] for event in found["events"]] == [1]
    assert site.score(batch(20, factor=9.0)) == (status, found)
    assert site.json("/health/shop/frontend") == before


def test_what_is_not_known_is_null_and_nothing_known_is_unknown(site: HealthSite) -> None:
    question = batch(3)
    question["samples"][2] |= dict.fromkeys(METRICS)
    status, found = site.score(question)
    assert status == 200
    assert (found["results"][2]["state"], found["results"][2]["score"]) == ("unknown", None)
    assert b"NaN" not in site.ask("/v1/score", json.dumps(question).encode())[2]


def renamed(question: dict[str, Any]) -> None:
    for sample in question["samples"]:
        sample["cpu"] = sample.pop("cpu_cores_value")


def backwards(question: dict[str, Any]) -> None:
    question["samples"].reverse()


def coarse(question: dict[str, Any]) -> None:
    for number, sample in enumerate(question["samples"]):
        sample["timestamp"] = (START + number * timedelta(hours=1)).isoformat()


def far_apart(question: dict[str, Any]) -> None:
    question["samples"][0]["timestamp"] = 0


@pytest.mark.parametrize(
    ("spoil", "status", "words"),
    [
        (renamed, 400, "cpu_cores_value"),
        (backwards, 400, "order of time"),
        (coarse, 400, "every"),
        (far_apart, 400, "span"),
        (lambda question: question.update(service="nobody"), 404, "no trained detector"),
        (lambda question: question.update(service="../../etc"), 400, "not a valid service name"),
        (lambda question: question.update(samples=[]), 400, "no samples"),
        (lambda question: question.update(samples={"a": 1}), 400, "no samples"),
        (lambda question: question.update(samples=[7]), 400, "Sample 0"),
        (lambda question: question.update(more=1), 400, "more is not known"),
        (lambda question: question.pop("service"), 400, "service is missing"),
        (lambda question: question["samples"][1].update(timestamp="yesterday"), 400, "no moment"),
        (lambda question: question["samples"][1].update(timestamp=1e300), 400, "no moment"),
        (lambda question: question["samples"][1].update(cpu_cores_value="much"), 400, "no number"),
        (lambda question: question["samples"][1].update(cpu_cores_value=True), 400, "no number"),
        (lambda question: question["samples"][1].update(cpu_cores_value=10**400), 400, "number"),
        (lambda question: question["samples"][1].update({f"m{n}": 1 for n in range(600)}), 400, "500 metrics"),
        (lambda question: question.update(samples=question["samples"] * (MOST_SAMPLES // 5 + 1)), 400, "samples"),
        (lambda question: question.update(samples=question["samples"][:1]), 400, "There is 1 sample"),
        (lambda question: question["samples"][1].update({"\ud800": 1}), 400, "not valid text"),
    ],
)
def test_a_question_that_cannot_be_answered_is_refused_with_a_clear_error(
    site: HealthSite, spoil: Any, status: int, words: str
) -> None:
    question = batch()
    spoil(question)
    got, found = site.score(question)
    assert got == status, found
    assert words in f"{found['error']['message']} {found['error']['hint']}"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"null",
        b"[" * 100_000,
        b'{"a":' * 50_000,
        b'{"namespace": "shop", "service": "frontend", "samples": [{"timestamp": 0, "x": NaN}]}',
        b'{"namespace": "shop", "service": "frontend", "samples": [{"timestamp": 0, "x": 1e999}]}',
        b"\xff\xfe",
        b'{"namespace": "\\ud800", "service": "frontend", "samples": []}',
        b'{"namespace": "shop", "service": "front\\u0000end", "samples": [{"timestamp": 0}]}',
    ],
)
def test_hostile_json_is_refused_and_the_server_lives_on(site: HealthSite, body: bytes) -> None:
    status, _, found = site.ask("/v1/score", body)
    assert status == 400
    assert json.loads(found)["error"]["message"]
    assert site.ask("/healthz")[0] == 200


def test_fifty_megabytes_are_refused_before_they_are_read(site: HealthSite) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", site.port, timeout=60)
    connection.putrequest("POST", "/v1/score")
    connection.putheader("Content-Type", "application/json")
    connection.putheader("Content-Length", str(50 * 2**20))
    connection.endheaders()
    connection.send(b" " * 1000)
    answer = connection.getresponse()
    assert answer.status == 413
    assert "2 MiB" in json.loads(answer.read())["error"]["message"]
    connection.close()


def test_a_body_of_unknown_length_is_cut_off_once_it_is_too_large(site: HealthSite) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", site.port, timeout=60)
    connection.putrequest("POST", "/v1/score")
    connection.putheader("Content-Type", "application/json")
    connection.putheader("Transfer-Encoding", "chunked")
    connection.endheaders()
    piece = b" " * 65536
    sent = 0
    with contextlib.closing(connection), contextlib.suppress(BrokenPipeError, ConnectionResetError):
        while sent < 50 * 2**20:
            connection.send(b"%x\r\n%s\r\n" % (len(piece), piece))
            sent += len(piece)
    assert MOST_BYTES // 2 < sent < 50 * 2**20
    assert site.ask("/healthz")[0] == 200


def test_a_post_elsewhere_or_of_another_type_is_refused(site: HealthSite) -> None:
    assert site.ask("/health", b"{}")[0] == 405
    status, headers, body = site.ask("/v1/score")
    assert (status, headers["allow"]) == (405, "POST")
    assert "only answers POST" in json.loads(body)["error"]["message"]
    status, _, body = site.ask("/v1/score", b"{}", **{"Content-Type": "text/plain"})
    assert status == 415
    assert "application/json" in json.loads(body)["error"]["hint"]
    assert site.ask("/v1/score", b"{}", Host="evil.example")[0] == 421


def test_a_scrape_has_the_scores_and_computes_none(site: HealthSite, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise AssertionError("a scrape computes")

    monkeypatch.setattr(site.store, "load", fail)
    monkeypatch.setattr(site.samples, "__call__", fail, raising=False)
    for watched_one in site.watcher._watched.values():
        monkeypatch.setattr(watched_one.monitor.detector, "score", fail)
    status, headers, body = site.ask("/metrics")
    assert status == 200
    assert headers["content-type"].startswith("text/plain")
    text = body.decode()
    assert 'mora_anomaly{namespace="shop",service="frontend",detector="robust-z"} 1' in text
    assert 'mora_anomaly{namespace="shop",service="cart",detector="robust-z"} 0' in text


def test_its_description_has_the_paths(site: HealthSite) -> None:
    described = site.json("/api/v1/openapi.json")["paths"]
    assert {"/health", "/health/{namespace}/{service}", "/v1/score"} <= set(described)
