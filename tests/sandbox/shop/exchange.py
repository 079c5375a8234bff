"""A client and a server of the shop's HTTP, in one event loop."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path

from mora.sandbox.shop.traffic import TrafficCounter
from mora.sandbox.shop.wire import Client, HttpFailure, Request, Response, Server, answer_json


def exchange(
    tmp_path: Path, run: Callable[[Client, int, Server], Awaitable[None]], requests_per_connection: int | None = None
) -> None:
    """Run a client against a server that answers with the request itself."""

    async def handle(request: Request) -> Response:
        if request.path == "/fails":
            raise HttpFailure("on purpose", 409)
        return answer_json([request.method, request.path, request.query, request.body.decode()])

    async def main() -> None:
        server = Server(handle, TrafficCounter(tmp_path / "server"), requests_per_connection)
        sock = socket.create_server(("127.0.0.1", 0))
        sock.setblocking(False)
        await server.listen(sock)
        client = Client(TrafficCounter(tmp_path / "client"), 60.0)
        await run(client, sock.getsockname()[1], server)
        await client.close()
        await server.drain()

    asyncio.run(main())
