from __future__ import annotations

import asyncio
import json
import urllib.error
from pathlib import Path
from typing import Any

import pytest

from mora import pipeline
from mora.errors import SourceUnavailable
from mora.record.store import Record
from tests.outputs.examples import everything
from tests.web.making import MADE_AT, SETTINGS, Site, answer, site

DAY = 86_400.0


def test_the_api_has_the_numbers_of_the_json_output(tmp_path: Path) -> None:
    printed = json.loads(pipeline.render(everything(), "json", SETTINGS))
    with site(tmp_path) as served:
        served.live.answered("", answer())
        got = served.json("/api/v1/recommendations")
    assert got["recommendations"] == printed["recommendations"]
    assert got["savings"]["prices"] == printed["savings"]["prices"]
    for name, value in printed["savings"]["goal"].items():
        assert got["savings"]["goal"][name] == pytest.approx(value, abs=1e-5)
    assert got["schema_version"] == printed["schema_version"]


def test_it_answers_for_a_namespace_a_kind_and_a_name(tmp_path: Path) -> None:
    with site(tmp_path, names=("a", "b")) as served:
        served.live.answered("a", answer())
        served.live.answered("b", answer())
        everything = served.json("/api/v1/recommendations")["recommendations"]
        one = everything[0]
        of_namespace = served.json(f"/api/v1/recommendations?namespace={one['namespace']}")["recommendations"]
        assert {each["namespace"] for each in of_namespace} == {one["namespace"]}
        kind, name = one["kind"].lower(), one["service"]
        found = served.json(f"/api/v1/recommendations?workload={name}&kind={kind}&cluster=b")["recommendations"]
        assert [(each["cluster"], each["service"]) for each in found] == [("b", name)]
        assert served.json("/api/v1/recommendations?namespace=nowhere")["recommendations"] == []


def test_explain_has_the_text_of_the_command(tmp_path: Path) -> None:
    advice = everything()[0]
    with site(tmp_path) as served:
        served.live.answered("", answer())
        path = f"/api/v1/explain?namespace={advice.workload.namespace}&workload={advice.workload.name}"
        (one,) = served.json(path)["explanations"]
        assert one["text"] == pipeline.render([advice], "explain", SETTINGS)
        status, _, body = served.get(f"/api/v1/explain?namespace={advice.workload.namespace}&workload=fronted")
    assert status == 404
    assert "Did you mean frontend?" in json.loads(body)["error"]["message"]


def test_before_the_first_answer_it_is_not_ready_and_answers_at_once(tmp_path: Path) -> None:
    with site(tmp_path) as served:
        assert served.get("/healthz")[0] == 200
        assert served.get("/readyz")[::2] == (503, b"the first refresh has not ended\n")
        served.live.failed("", SourceUnavailable("Prometheus does not answer.", hint="Is it up?"))
        assert b"Prometheus does not answer." in served.get("/readyz")[2]
        (cluster,) = served.json("/api/v1/status")["clusters"]
        assert (cluster["problem"]["message"], cluster["age_seconds"]) == ("Prometheus does not answer.", None)
        assert served.json("/api/v1/recommendations")["recommendations"] == []
        assert b"Prometheus does not answer." in served.get("/")[2]
        served.live.answered("", answer())
        assert served.get("/readyz")[0] == 200


def test_an_old_answer_says_how_old_it_is(tmp_path: Path) -> None:
    with site(tmp_path, now=MADE_AT + 7200) as served:
        served.live.answered("", answer())
        served.live.failed("", SourceUnavailable("Prometheus does not answer.", hint="Is it up?"))
        assert served.get("/api/v1/recommendations")[1]["Age"] == "7200"
        (cluster,) = served.json("/api/v1/status")["clusters"]
        assert (cluster["age_seconds"], cluster["is_stale"]) == (7200.0, True)
        text = served.get("/")[2].decode()
    assert "Prometheus does not answer. Is it up? What is shown is the last good answer." in text


def test_who_has_the_answer_already_gets_no_body_until_it_changes(tmp_path: Path) -> None:
    with site(tmp_path) as served:
        served.live.answered("", answer())
        for path in ("/", "/api/v1/recommendations"):
            tag = served.get(path)[1]["ETag"]
            assert served.get(path, **{"If-None-Match": tag})[::2] == (304, b"")
            served.live.answered("", answer(made_at=MADE_AT + 1))
            assert served.get(path, **{"If-None-Match": tag})[0] == 200


def test_a_page_says_that_its_answer_has_become_old_without_a_new_one(tmp_path: Path) -> None:
    with site(tmp_path) as served:
        served.live.answered("", answer())
        _, headers, body = served.get("/")
        assert b"no longer current" not in body
        served.clock[0] += 7200
        status, _, body = served.get("/", **{"If-None-Match": headers["ETag"]})
    assert status == 200
    assert b"no longer current" in body


def test_the_page_is_packed_for_those_who_can_unpack_it(tmp_path: Path) -> None:
    import gzip

    with site(tmp_path) as served:
        served.live.answered("", answer())
        plain = served.get("/")[2]
        status, headers, packed = served.get("/", **{"Accept-Encoding": "gzip"})
    assert (status, headers["Content-Encoding"]) == (200, "gzip")
    assert gzip.decompress(packed) == plain
    assert len(packed) < len(plain) / 2


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/api/v1/recommendations?namspace=shop", "'namspace' is an unknown parameter."),
        ("/api/v1/explain?namespace=shop", "'workload' must be given."),
        (f"/api/v1/recommendations?namespace={'x' * 300}", "'namespace': String should have at most 253"),
        ("/?evil=1", "'evil' is an unknown parameter."),
    ],
)
def test_a_question_that_cannot_be_meant_is_refused_with_what_may_be_asked(
    tmp_path: Path, path: str, words: str
) -> None:
    with site(tmp_path) as served:
        status, _, body = served.get(path)
    told = json.loads(body)["error"]
    assert status == 422
    assert words in told["message"]
    assert "/api/v1/openapi.json" in told["hint"]


def test_a_span_that_is_none_is_refused(tmp_path: Path) -> None:
    with site(tmp_path) as served:
        status, _, body = served.get("/api/v1/changes?since=yesterday")
    assert (status, json.loads(body)["error"]["message"]) == (400, "'yesterday' is not a span of time.")


def test_an_unknown_path_lists_what_there_is(tmp_path: Path) -> None:
    with site(tmp_path) as served:
        status, _, body = served.get("/api/v2")
    assert status == 404
    assert "/api/v1/recommendations" in json.loads(body)["error"]["hint"]


def test_history_changes_and_trend_come_from_the_record(tmp_path: Path) -> None:
    with site(tmp_path, now=MADE_AT + DAY) as served:
        with Record(served.record) as record:
            for made_at in (MADE_AT, MADE_AT + DAY):
                made = answer(made_at=made_at)
                record.take("", made_at, made.seen(""), made.totals(""))
        one = answer().entries[0]
        found = served.json(f"/api/v1/history?namespace={one.namespace}&workload={one.workload}")["history"]
        assert {each["number"] for each in found} <= {"cpu_request", "memory_request", "memory_limit", "replicas"}
        assert {each["outcome"] for each in found} == {"open"}
        assert served.json("/api/v1/changes?since=1h") == {
            "since": "2026-09-22T13:13:20Z",
            "recommendations": [],
            "settings": [],
        }
        trend = served.json("/api/v1/trend?since=7d")["trend"]
    assert len(trend) == 2
    assert trend[0]["reserved_cpu_cores"] > 0


def test_a_record_that_is_gone_is_reported_and_the_rest_goes_on(tmp_path: Path) -> None:
    with site(tmp_path) as served:
        served.live.answered("", answer())
        served.record.unlink()
        status, _, body = served.get("/api/v1/trend")
        assert status == 503
        assert "There is no record" in json.loads(body)["error"]["message"]
        assert served.get("/api/v1/recommendations")[0] == 200
        assert b"There is no record" in served.get("/")[2]


def test_a_thousand_at_once_are_all_answered_alike(tmp_path: Path) -> None:
    paths = ("/api/v1/recommendations", "/metrics", "/", "/healthz")

    async def ask(served: Site, path: str) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
        writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
        body = await reader.read()
        writer.close()
        await writer.wait_closed()
        return body

    async def ask_all(served: Site) -> list[bytes]:
        return await asyncio.gather(*(ask(served, paths[number % 4]) for number in range(1000)))

    with site(tmp_path) as served:
        served.live.answered("", answer())
        answers = asyncio.run(ask_all(served))
    assert all(one.startswith(b"HTTP/1.1 200 OK\r\n") for one in answers)
    for number in range(4):
        bodies = {one.partition(b"\r\n\r\n")[2] for one in answers[number::4]}
        assert len(bodies) == 1
        assert bodies != {b""}


def test_a_client_that_reads_slowly_keeps_no_one_waiting(tmp_path: Path) -> None:
    async def read_nothing(served: Site) -> None:
        writers = []
        for _ in range(50):
            _, writer = await asyncio.open_connection("127.0.0.1", served.port, limit=1024)
            writer.write(b"GET /api/v1/recommendations HTTP/1.1\r\nHost: localhost\r\n\r\n")
            writers.append(writer)
        answered = await asyncio.to_thread(served.get, "/api/v1/status")
        assert answered[0] == 200
        for writer in writers:
            writer.transport.abort()

    with site(tmp_path) as served:
        served.live.answered("", answer())
        asyncio.run(read_nothing(served))


def test_only_reading_is_possible(tmp_path: Path) -> None:
    with site(tmp_path) as served:
        served.live.answered("", answer())
        for method in ("POST", "PUT", "DELETE", "PATCH", "OPTIONS"):
            status, headers, _ = served.get("/api/v1/recommendations", method)
            assert (status, headers["Allow"]) == (405, "GET, HEAD")
        status, headers, body = served.get("/api/v1/recommendations", "HEAD")
        assert (status, body) == (200, b"")
        assert int(headers["Content-Length"]) > 0


def test_headers_keep_browsers_from_doing_more(tmp_path: Path) -> None:
    with site(tmp_path) as served:
        served.live.answered("", answer())
        for path in ("/", "/api/v1/recommendations", "/metrics", "/nothing"):
            headers = served.get(path)[1]
            assert headers["X-Content-Type-Options"] == "nosniff"
            assert headers["X-Frame-Options"] == "DENY"
        assert "default-src 'none'" in served.get("/api/v1/recommendations")[1]["Content-Security-Policy"]


def schema_of(api: dict[str, Any], path: str) -> dict[str, Any]:
    found: dict[str, Any] = api["paths"][path]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
    return {**found, "components": api["components"]}


def test_answers_are_what_openapi_says(tmp_path: Path) -> None:
    import jsonschema

    one = answer().entries[0]
    about = f"namespace={one.namespace}&workload={one.workload}"
    with site(tmp_path, now=MADE_AT + 60) as served:
        served.live.answered("", answer())
        with Record(served.record) as record:
            record.take("", MADE_AT, answer().seen(""), answer().totals(""))
        api = served.json("/api/v1/openapi.json")
        asked = {
            "/api/v1/recommendations": "",
            "/api/v1/explain": f"?{about}",
            "/api/v1/status": "",
            "/api/v1/history": f"?{about}",
            "/api/v1/changes": "",
            "/api/v1/trend": "",
        }
        assert set(api["paths"]) == set(asked)
        for path, query in asked.items():
            assert {name for name in api["paths"][path] if name != "parameters"} == {"get"}
            jsonschema.validate(served.json(path + query), schema_of(api, path))


def test_connection_errors_are_not_hidden_by_the_rig(tmp_path: Path) -> None:
    with site(tmp_path) as served:
        pass
    with pytest.raises(urllib.error.URLError):
        served.get("/healthz")
