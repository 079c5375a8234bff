"""Handlers by their path, over real HTTP."""

from __future__ import annotations

import socket
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from mora.errors import BadInput, MoraError
from mora.serving.http import Answer, Endpoints, parse_address
from tests.running import mora


def get(url: str) -> tuple[int, str, str]:
    """Status, type and body."""
    try:
        with urllib.request.urlopen(url, timeout=60) as answer:  # noqa: S310  # loopback
            return answer.status, answer.headers["Content-Type"], answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers["Content-Type"], error.read().decode()


def test_each_path_is_answered_by_its_handler_with_the_query() -> None:
    handlers = {
        "/a": lambda query: Answer(f"a {dict(query)}".encode()),
        "/b.json": lambda query: Answer(b"{}", status=503, content_type="application/json"),
    }
    with Endpoints(("127.0.0.1", 0), handlers) as endpoints:
        url = f"http://127.0.0.1:{endpoints.port}"
        assert get(f"{url}/a?namespace=shop") == (200, "text/plain; charset=utf-8", "a {'namespace': 'shop'}")
        assert get(f"{url}/b.json") == (503, "application/json", "{}")
        assert get(f"{url}/") == (
            404,
            "text/plain; charset=utf-8",
            "There is nothing at this path. Known: /a, /b.json.\n",
        )


def test_two_servers_in_one_process_have_handlers_of_their_own() -> None:
    with (
        Endpoints(("127.0.0.1", 0), {"/": lambda query: Answer(b"one")}) as one,
        Endpoints(("127.0.0.1", 0), {"/": lambda query: Answer(b"two")}) as two,
    ):
        assert [get(f"http://127.0.0.1:{server.port}/")[2] for server in (one, two)] == ["one", "two"]


def test_many_clients_at_once_are_all_answered() -> None:
    with (
        Endpoints(("127.0.0.1", 0), {"/": lambda query: Answer(b"ok")}) as endpoints,
        ThreadPoolExecutor(50) as clients,
    ):
        url = f"http://127.0.0.1:{endpoints.port}/"
        assert {status for status, _, _ in clients.map(lambda _: get(url), range(200))} == {200}


def test_a_port_that_is_taken_is_reported_with_what_to_do() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(MoraError, match="Cannot listen") as refused:
        Endpoints(taken.getsockname(), {})
    assert "--listen" in str(refused.value.hint)


@pytest.mark.parametrize("text", ["8942", ":8942", "127.0.0.1:", "127.0.0.1:x", "127.0.0.1:70000"])
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(BadInput, match="not an address"):
        parse_address(text)


@pytest.mark.parametrize(("command", "example"), [("serve", "127.0.0.1:8943"), ("vpa-recommender", "127.0.0.1:8942")])
def test_the_example_for_an_address_is_the_default_of_the_command(command: str, example: str, tmp_path: Path) -> None:
    done = mora(command, "--listen", "here", cwd=tmp_path)
    assert done.returncode == 1
    assert f"Write it like {example}." in done.stderr
