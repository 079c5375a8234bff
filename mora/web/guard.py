"""What every answer goes through: who may ask, only reading, and headers that keep browsers from doing more."""

from __future__ import annotations

import ipaddress
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from mora.web.documents import error

Message = MutableMapping[str, Any]
Application = Callable[
    [Message, Callable[[], Awaitable[Message]], Callable[[Message], Awaitable[None]]], Awaitable[None]
]

_HEADERS = [
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
]


class Guard:
    """Around an ASGI application.

    host: where it listens. On loopback only names of loopback are answered: a page of another site, whose name its
    owner lets point at 127.0.0.1, cannot read what is served here. posts: paths that answer POST, to questions too long
    for an address; as JSON alone, which no page of another site may send without being asked first.
    """

    def __init__(self, application: Application, host: str, posts: frozenset[str] = frozenset()) -> None:
        self._application = application
        self._is_local = is_loopback(host)
        self._posts = posts

    async def __call__(
        self, scope: Message, receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]
    ) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *_HEADERS]
            await send(message)

        is_post = scope["method"] == "POST" and scope.get("path") in self._posts
        if scope.get("path") in self._posts and not is_post:
            return await _refuse(send_guarded, 405, "This path only answers POST.", extra=[(b"allow", b"POST")])
        if scope["method"] not in ("GET", "HEAD") and not is_post:
            return await _refuse(send_guarded, 405, "This path only answers GET.", extra=[(b"allow", b"GET, HEAD")])
        asked = next((value.decode("latin-1") for name, value in scope["headers"] if name == b"host"), "")
        if self._is_local and not is_loopback(_host_of(asked)):
            return await _refuse(
                send_guarded,
                421,
                "This server listens on loopback and answers to localhost and 127.0.0.1 alone.",
                hint="Ask for it by that name, or start it with --listen and another address.",
            )
        if is_post:
            kind = next((value for name, value in scope["headers"] if name == b"content-type"), b"")
            if kind.partition(b";")[0].strip().lower() != b"application/json":
                hint = "Send it with the header Content-Type: application/json."
                return await _refuse(send_guarded, 415, "Only JSON is read here.", hint=hint)
        # uvicorn leaves the body of an answer to HEAD out; the routes know GET alone.
        await self._application({**scope, "method": "POST" if is_post else "GET"}, receive, send_guarded)
        return None


def is_loopback(host: str) -> bool:
    """Whether a name or an address is this machine's loopback.

    >>> [is_loopback(host) for host in ("localhost", "127.0.0.1", "::1", "0.0.0.0", "evil.example")]
    [True, True, True, False, False]
    """
    if host.lower().rstrip(".") == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _host_of(header: str) -> str:
    """The host of a Host header, without its port and the brackets of IPv6."""
    if header.startswith("["):
        return header[1:].partition("]")[0]
    return header.partition(":")[0]


async def _refuse(
    send: Callable[[Message], Awaitable[None]],
    status: int,
    message: str,
    *,
    hint: str | None = None,
    extra: list[tuple[bytes, bytes]] | None = None,
) -> None:
    body = error(message, hint)
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode()), *(extra or [])]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
