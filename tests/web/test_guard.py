from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from mora.web.guard import Guard


async def hello(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": scope["method"].encode()})


def ask(host: str, listens: str, method: str = "GET") -> tuple[int, bytes]:
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return {"type": "http.request"}

    scope = {"type": "http", "method": method, "headers": [(b"host", host.encode())]}
    asyncio.run(Guard(hello, listens)(scope, receive, send))
    return sent[0]["status"], sent[1]["body"]


@pytest.mark.parametrize("host", ["localhost:8943", "127.0.0.1", "127.0.0.1:8943", "[::1]:8943", "LOCALHOST"])
def test_names_of_loopback_are_answered_on_loopback(host: str) -> None:
    assert ask(host, "127.0.0.1") == (200, b"GET")


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8943", "127.0.0.1.evil.example", "", "localhost.evil"])
def test_another_name_that_points_at_loopback_is_not(host: str) -> None:
    status, body = ask(host, "127.0.0.1")
    assert status == 421
    assert "--listen" in json.loads(body)["error"]["hint"]


def test_on_another_address_every_name_is_answered() -> None:
    assert ask("mora.shop.svc:8943", "0.0.0.0") == (200, b"GET")  # noqa: S104  # what is tested


def test_a_head_is_a_get_without_its_body_and_a_post_is_refused() -> None:
    assert ask("localhost", "127.0.0.1", "HEAD") == (200, b"GET")
    assert ask("localhost", "127.0.0.1", "POST")[0] == 405
