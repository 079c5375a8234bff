"""Bodies of the server: sent in pieces, read with an end."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from fastapi import Request
from fastapi.responses import Response
from starlette.exceptions import HTTPException

JSON = "application/json"
_CHUNK_BYTES = 64 * 1024
# A question may take so long to arrive.
_PATIENCE_SECONDS = 30.0


class Body(Response):
    """A body that many answers share, sent piece by piece: a slow reader costs the memory of one piece."""

    def __init__(
        self,
        body: bytes,
        *,
        status: int = 200,
        media_type: str = JSON,
        headers: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        super().__init__(b"", status_code=status, media_type=media_type)
        self._whole = memoryview(body)
        self.headers["content-length"] = str(len(body))
        self.headers.update(headers)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Send it."""
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        for start in range(0, max(1, len(self._whole)), _CHUNK_BYTES):
            end = start + _CHUNK_BYTES
            part = bytes(self._whole[start:end])
            await send({"type": "http.response.body", "body": part, "more_body": end < len(self._whole)})


class NotThere(HTTPException):
    """Something that is not there; other than a path that is not there, it says what is."""

    def __init__(self, detail: str) -> None:
        super().__init__(status_code=404, detail=detail)


class TooMuch(HTTPException):
    """More than is answered: a body that is too large or too slow, or too many at a time."""


async def body_of(request: Request, most: int) -> bytes:
    """The body of a question. TooMuch where it has more bytes than `most`; they are not read to the end."""
    refused = TooMuch(413, f"The question is larger than {most // 2**20} MiB. Ask in several pieces.")
    said = request.headers.get("content-length", "0")
    if not said.isdecimal() or int(said) > most:
        raise refused
    parts: list[bytes] = []
    length = 0
    try:
        async with asyncio.timeout(_PATIENCE_SECONDS):
            async for part in request.stream():
                length += len(part)
                if length > most:
                    raise refused
                parts.append(part)
    except TimeoutError as late:
        raise TooMuch(408, f"The question did not arrive within {_PATIENCE_SECONDS:.0f} s.") from late
    return b"".join(parts)
