"""Runs a replica of any service: reads the arguments, listens, reports readiness, and drains on SIGTERM."""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from mora.sandbox.shop.calls import CallMeter
from mora.sandbox.shop.endpoints import Endpoints, Services
from mora.sandbox.shop.faults import ReplicaFaults
from mora.sandbox.shop.journal import Journal
from mora.sandbox.shop.traffic import TrafficCounter
from mora.sandbox.shop.wire import Client, Handler, Request, Response, Server, answer_json

# A user sends about one request a second, so connections are distributed again every few seconds.
_REQUESTS_PER_CONNECTION = 8


@dataclass(slots=True)
class Surroundings:
    """What a service can use: the other services, the endpoints, a client for calls to one replica, its own port."""

    services: Services
    endpoints: Endpoints
    client: Client
    port: int


@dataclass(slots=True)
class Service:
    """A service: its handler, its background task, and what it does before it ends."""

    handler: Handler
    background: Callable[[], Awaitable[None]] | None = None
    before_exit: Callable[[], Awaitable[None]] | None = None


Build = Callable[[Surroundings], Service]


def serve(name: str, build: Build, arguments: list[str]) -> None:
    """Run one replica of the service `name` until SIGTERM."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--endpoints", type=Path, required=True)
    parser.add_argument("--traffic", type=Path, required=True)
    parser.add_argument("--calls", type=Path, required=True)
    parser.add_argument("--faults", type=Path, required=True)
    parser.add_argument("--volume", type=Path, required=True)
    parser.add_argument(
        "--entry-socket", type=int, help="descriptor of the socket by which the proxy passes connections"
    )
    options = parser.parse_args(arguments)
    meter = CallMeter(name, options.calls)
    asyncio.run(_serve(name, build, meter, options))


async def _serve(name: str, build: Build, meter: CallMeter, options: argparse.Namespace) -> None:
    entry_socket: int | None = options.entry_socket
    traffic = TrafficCounter(options.traffic)
    endpoints = Endpoints(options.endpoints)
    client = Client(traffic)
    listener = socket.create_server(("127.0.0.1", 0))
    listener.setblocking(False)
    port: int = listener.getsockname()[1]
    service = build(Surroundings(Services(endpoints, client, meter), endpoints, client, port))
    faults = ReplicaFaults(name, options.faults)
    behind_wire = faults.wrap(Journal(options.volume).wrap(service.handler))
    handler = _with_health(meter.watch(behind_wire, is_entry=entry_socket is not None))
    server = Server(handler, traffic, None if entry_socket is None else _REQUESTS_PER_CONNECTION)

    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    await server.listen(listener)
    if entry_socket is not None:
        server.take_connections_from(socket.socket(fileno=entry_socket))
    works = [faults.leak, *([service.background] if service.background else [])]
    background = asyncio.gather(*(work() for work in works))
    # The supervisor reads the port from standard output; it means that this replica is ready.
    os.write(1, f"{port}\n".encode())

    await stop.wait()
    await server.drain()
    background.cancel()
    if service.before_exit is not None:
        await service.before_exit()
    await client.close()


def _with_health(handler: Handler) -> Handler:
    async def handle(request: Request) -> Response:
        return answer_json("ok") if request.path == "/_healthz" else await handler(request)

    return handle
