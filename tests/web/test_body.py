"""Bodies have an end, on both ways."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from fastapi import Request

from mora.web.body import Body, TooMuch, body_of


def request_of(parts: list[bytes], length: str | None = None) -> Request:
    waiting = list(parts)

    async def receive() -> Any:
        part = waiting.pop(0)
        return {"type": "http.request", "body": part, "more_body": bool(waiting)}

    headers = [] if length is None else [(b"content-length", length.encode())]
    return Request({"type": "http", "method": "POST", "path": "/", "headers": headers}, receive)


def test_a_body_is_put_together_from_its_parts() -> None:
    assert asyncio.run(body_of(request_of([b"ab", b"", b"c"], "3"), 3)) == b"abc"


@pytest.mark.parametrize(
    ("parts", "length"), [([b"abcd"], None), ([b"ab", b"cd"], "1"), ([b""], "4"), ([b""], "-1"), ([b""], "much")]
)
def test_a_body_that_is_too_large_or_says_nonsense_is_refused(parts: list[bytes], length: str | None) -> None:
    with pytest.raises(TooMuch) as refused:
        asyncio.run(body_of(request_of(parts, length), 3))
    assert refused.value.status_code == 413


def test_a_body_is_sent_in_pieces() -> None:
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    asyncio.run(Body(b"x" * 200_000)({}, None, send))
    assert b"".join(one.get("body", b"") for one in sent) == b"x" * 200_000
    assert len(sent) > 3
    assert [one["more_body"] for one in sent[1:]] == [True] * (len(sent) - 2) + [False]
