"""The control API: only with the token, and metrics for everyone on this machine."""

from __future__ import annotations

import http.client
import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

from mora.errors import BadInput
from mora.sandbox.control import ControlServer

TOKEN = "secret"
OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def refuse(_: Any) -> None:
    raise BadInput("There is no such service.", hint="Name another.")


@pytest.fixture
def control() -> Iterator[ControlServer]:
    server = ControlServer(TOKEN, {"/double": lambda n: 2 * n, "/refuse": refuse}, {"/metrics": lambda: b"up 1\n"})
    yield server
    server.close()


def post(control: ControlServer, path: str, value: Any, token: str = TOKEN) -> tuple[int, Any]:
    request = urllib.request.Request(
        f"http://127.0.0.1:{control.port}{path}",
        data=json.dumps(value).encode(),
        headers={"Authorization": f"Bearer {token}"},
    )
    try:
        with OPENER.open(request, timeout=60) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


def test_a_command_answers_with_json(control: ControlServer) -> None:
    assert post(control, "/double", 21) == (200, 42)


def test_without_the_token_nothing_is_done(control: ControlServer) -> None:
    assert post(control, "/double", 21, token="wrong") == (403, {})
    assert post(control, "/nothing", None, token="") == (403, {})


def test_an_unknown_command_is_not_found(control: ControlServer) -> None:
    assert post(control, "/nothing", None) == (404, {})


def test_an_error_of_a_command_arrives_with_its_message_and_hint(control: ControlServer) -> None:
    assert post(control, "/refuse", None) == (400, {"message": "There is no such service.", "hint": "Name another."})


def test_metrics_need_no_token(control: ControlServer) -> None:
    with OPENER.open(f"http://127.0.0.1:{control.port}/metrics", timeout=60) as response:
        assert response.headers["Content-Type"].startswith("text/plain; version=0.0.4")
        assert response.read() == b"up 1\n"
    with pytest.raises(urllib.error.HTTPError, match="404"):
        OPENER.open(f"http://127.0.0.1:{control.port}/nothing", timeout=60)


@pytest.mark.parametrize(
    ("body", "length", "status"),
    [
        (b"{", None, 400),
        (b"[" * 20_000, None, 400),
        (b"NaN", None, 400),
        (b"", None, 400),
        (b"1", "-1", 413),
        (b"1", "many", 413),
        (b"1", "9999999", 413),
    ],
)
def test_what_is_no_command_is_refused_and_the_server_goes_on(
    control: ControlServer, body: bytes, length: str | None, status: int
) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", control.port, timeout=60)
    headers = {"Authorization": f"Bearer {TOKEN}", "Content-Length": length or str(len(body))}
    connection.request("POST", "/double", body, headers)
    assert connection.getresponse().status == status
    connection.close()
    assert post(control, "/double", 1) == (200, 2)


def test_a_token_of_other_letters_is_a_wrong_one(control: ControlServer) -> None:
    assert post(control, "/double", 21, token="caf\u00e9") == (403, {})
