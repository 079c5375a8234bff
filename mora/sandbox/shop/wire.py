"""The part of HTTP/1.1 that the shop needs: a server that drains, and a client with keep-alive pools.

asyncio has no HTTP; this is small enough for a replica to need about 20 MB. Bodies have a Content-Length (no chunks),
and a request is answered before the next one of its connection is read.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from collections import defaultdict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from mora.sandbox.shop.traffic import TrafficCounter

_HEAD_END = b"\r\n\r\n"
_MAX_HEAD_BYTES = 65_536
# Longer than the longest wait between requests in the scenarios (1.5 s): a draining replica gets one more request of
# every client, and can answer it with "Connection: close" instead of resetting the connection.
_DRAIN_SECONDS = 2.0


@dataclass(slots=True)
class Request:
    """A request; names of headers are in lower case."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)

    def form(self) -> dict[str, str]:
        """The body as an HTML form."""
        return dict(parse_qsl(self.body.decode()))


@dataclass(slots=True)
class Response:
    """A response."""

    body: bytes = b""
    status: int = 200
    content_type: str = "application/json"
    headers: list[tuple[str, str]] = field(default_factory=list)

    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


def answer_json(value: Any, status: int = 200) -> Response:
    """A response of compact JSON."""
    return Response(json.dumps(value, separators=(",", ":")).encode(), status)


Handler = Callable[[Request], Awaitable[Response]]


class HttpFailure(Exception):
    """A call to another service failed: no replica, no answer in time, or an answer that is not a success."""

    def __init__(self, message: str, status: int = 503) -> None:
        super().__init__(message)
        self.status = status


class Server:
    """Answers requests on several listening sockets.

    requests_per_connection: the server closes a connection after this many, so that clients connect again through the
        proxy, and reach new replicas as well. None: never.
    """

    def __init__(self, handler: Handler, traffic: TrafficCounter, requests_per_connection: int | None) -> None:
        self.handler = handler
        self.traffic = traffic
        self.requests_per_connection = requests_per_connection
        self.is_draining = False
        self.connections: set[_Connection] = set()
        self._listeners: list[asyncio.Server] = []
        self._entry_socket: socket.socket | None = None
        self._arrivals: set[asyncio.Task[Any]] = set()

    async def listen(self, sock: socket.socket) -> None:
        """Accept connections on a listening socket."""
        loop = asyncio.get_running_loop()
        self._listeners.append(await loop.create_server(lambda: _Connection(self), sock=sock, backlog=256))

    def take_connections_from(self, entry_socket: socket.socket) -> None:
        """Serve the connections that the proxy passes through a Unix socket."""
        entry_socket.setblocking(False)
        self._entry_socket = entry_socket
        asyncio.get_running_loop().add_reader(entry_socket, self._take_connections, entry_socket)

    def _take_connections(self, entry_socket: socket.socket) -> None:
        """Take the connections that have been passed so far."""
        loop = asyncio.get_running_loop()
        with contextlib.suppress(BlockingIOError):
            while True:
                message, descriptors, _, _ = socket.recv_fds(entry_socket, 1, 1)
                for descriptor in descriptors:
                    sock = socket.socket(fileno=descriptor)
                    sock.setblocking(False)
                    task = loop.create_task(loop.connect_accepted_socket(lambda: _Connection(self), sock))
                    self._arrivals.add(task)
                    task.add_done_callback(self._arrivals.discard)
                if not message:
                    loop.remove_reader(entry_socket)
                    return

    async def drain(self) -> None:
        """Accept no new connections, answer the requests that have arrived, and close."""
        if self._entry_socket is not None:
            self._take_connections(self._entry_socket)
        self.is_draining = True
        for listener in self._listeners:
            listener.close()
        deadline = asyncio.get_running_loop().time() + _DRAIN_SECONDS
        while (self.connections or self._arrivals) and asyncio.get_running_loop().time() < deadline:
            await asyncio.sleep(0.02)
        while any(connection.is_busy for connection in self.connections):
            await asyncio.sleep(0.02)
        for connection in self.connections:
            connection.close()
        await asyncio.sleep(0)  # the loop closes the transports


class _Connection(asyncio.Protocol):
    """The connection of one client: reads a request, answers it, reads the next."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._buffer = bytearray()
        self._task: asyncio.Task[None] | None = None
        self._served = 0
        self._transport: asyncio.Transport | None = None

    @property
    def is_busy(self) -> bool:
        return self._task is not None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101  (what create_server promises)
        self._transport = transport
        self._server.connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._server.connections.discard(self)

    def data_received(self, chunk: bytes) -> None:
        self._server.traffic.add_received(len(chunk))
        self._buffer += chunk
        if self._task is None:
            self._start_next()

    def _start_next(self) -> None:
        request = self._take_request()
        if request is not None:
            self._task = asyncio.ensure_future(self._answer(request))

    def _take_request(self) -> Request | None:
        """The next whole request in the buffer; None while it is incomplete."""
        head_end = self._buffer.find(_HEAD_END)
        if head_end < 0:
            if len(self._buffer) > _MAX_HEAD_BYTES:
                self.close()
            return None
        try:
            method, target, headers = _parse_request_head(bytes(self._buffer[:head_end]))
            length = int(headers.get("content-length", "0"))
        except ValueError:
            self.close()
            return None
        body_end = head_end + len(_HEAD_END) + length
        if len(self._buffer) < body_end:
            return None
        body = bytes(self._buffer[head_end + len(_HEAD_END) : body_end])
        del self._buffer[:body_end]
        url = urlsplit(target)
        return Request(method, url.path, dict(parse_qsl(url.query)), headers, body)

    async def _answer(self, request: Request) -> None:
        try:
            response = await self._server.handler(request)
        except HttpFailure as failure:
            response = answer_json({"error": str(failure)}, failure.status)
        except (KeyError, ValueError) as error:
            response = answer_json({"error": f"bad request: {error!r}"}, HTTPStatus.BAD_REQUEST)
        self._served += 1
        limit = self._server.requests_per_connection
        is_last = (
            self._server.is_draining
            or (limit is not None and self._served >= limit)
            or request.headers.get("connection", "").lower() == "close"
        )
        self._send(response, is_last)
        self._task = None
        if is_last:
            self.close()
        else:
            self._start_next()

    def _send(self, response: Response, is_last: bool) -> None:
        if self._transport is None or self._transport.is_closing():
            return
        lines = [
            f"HTTP/1.1 {response.status} {HTTPStatus(response.status).phrase}",
            f"Content-Type: {response.content_type}",
            f"Content-Length: {len(response.body)}",
            *(f"{name}: {value}" for name, value in response.headers),
            f"Connection: {'close' if is_last else 'keep-alive'}",
        ]
        message = "\r\n".join(lines).encode() + _HEAD_END + response.body
        self._server.traffic.add_sent(len(message))
        self._transport.write(message)

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()


def _parse_request_head(head: bytes) -> tuple[str, str, dict[str, str]]:
    first, *rest = head.decode("latin-1").split("\r\n")
    method, target, _version = first.split(" ")
    return method, target, _parse_headers(rest)


def _parse_headers(lines: list[str]) -> dict[str, str]:
    pairs = (line.partition(":") for line in lines)
    return {name.strip().lower(): value.strip() for name, _, value in pairs}


class Client:
    """Calls other replicas over pooled keep-alive connections."""

    def __init__(self, traffic: TrafficCounter, timeout_seconds: float = 3.0) -> None:
        self._traffic = traffic
        self._timeout_seconds = timeout_seconds
        self._idle: defaultdict[int, list[tuple[asyncio.StreamReader, asyncio.StreamWriter]]] = defaultdict(list)

    async def call(self, port: int, method: str, path: str, value: Any = None) -> Response:
        """The response of the replica on `port`; HttpFailure where it does not answer in time."""
        body = b"" if value is None else json.dumps(value, separators=(",", ":")).encode()
        head = f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Length: {len(body)}\r\n\r\n"
        try:
            async with asyncio.timeout(self._timeout_seconds):
                return await self._exchange(port, head.encode() + body)
        except (OSError, asyncio.IncompleteReadError, TimeoutError) as error:
            raise HttpFailure(f"no answer from 127.0.0.1:{port}{path}: {error!r}") from error

    async def close(self) -> None:
        """Close the idle connections."""
        writers = [writer for pool in self._idle.values() for _, writer in pool]
        self._idle.clear()
        for writer in writers:
            writer.close()
        for writer in writers:
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    async def _exchange(self, port: int, message: bytes) -> Response:
        # The other side may have closed a pooled connection meanwhile; then the message goes through a new one.
        while self._idle[port]:
            reader, writer = self._idle[port].pop()
            if not reader.at_eof() and not writer.is_closing():
                try:
                    return await self._send(port, reader, writer, message)
                except (ConnectionError, asyncio.IncompleteReadError) as error:
                    writer.close()
                    if isinstance(error, asyncio.IncompleteReadError) and error.partial:
                        raise
            else:
                writer.close()
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            return await self._send(port, reader, writer, message)
        except BaseException:
            writer.close()
            raise

    async def _send(
        self, port: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, message: bytes
    ) -> Response:
        writer.write(message)
        self._traffic.add_sent(len(message))
        head = await reader.readuntil(_HEAD_END)
        first, *rest = head[: -len(_HEAD_END)].decode("latin-1").split("\r\n")
        headers = _parse_headers(rest)
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        self._traffic.add_received(len(head) + len(body))
        if headers.get("connection", "").lower() == "close":
            writer.close()
        else:
            self._idle[port].append((reader, writer))
        return Response(body, int(first.split(" ")[1]), headers.get("content-type", ""))
