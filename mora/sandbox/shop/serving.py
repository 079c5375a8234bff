"""What every replica of the shop has in common: arguments, listening, telling that it is ready, draining on SIGTERM."""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from mora.sandbox.shop.endpoints import Endpoints, Services
from mora.sandbox.shop.traffic import TrafficCounter
from mora.sandbox.shop.wire import Client, Handler, Request, Response, Server, answer_json

# A user of the shop asks about once a second, so connections are dealt out anew every few seconds.
_REQUESTS_PER_CONNECTION = 8


@dataclass(slots=True)
class Surroundings:
    """What a service is given: the other services, the endpoints, a client for calls to one replica, its own port."""

    services: Services
    endpoints: Endpoints
    client: Client
    port: int


@dataclass(slots=True)
class Service:
    """A service: how it answers, what it does beside, and what it does before it goes."""

    handler: Handler
    background: Callable[[], Awaitable[None]] | None = None
    before_exit: Callable[[], Awaitable[None]] | None = None


Build = Callable[[Surroundings], Service]


def serve(build: Build, arguments: list[str]) -> None:
    """Run one replica until SIGTERM."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--endpoints", type=Path, required=True)
    parser.add_argument("--traffic", type=Path, required=True)
    parser.add_argument("--service-port", type=int)
    options = parser.parse_args(arguments)
    asyncio.run(_serve(build, options.endpoints, options.traffic, options.service_port))


async def _serve(build: Build, endpoints_path: Path, traffic_path: Path, service_port: int | None) -> None:
    traffic = TrafficCounter(traffic_path)
    endpoints = Endpoints(endpoints_path)
    client = Client(traffic)
    pod_socket = _bind(0)
    port: int = pod_socket.getsockname()[1]
    service = build(Surroundings(Services(endpoints, client), endpoints, client, port))
    server = Server(_with_health(service.handler), traffic, None if service_port is None else _REQUESTS_PER_CONNECTION)

    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    await server.listen(pod_socket)
    if service_port is not None:
        await server.listen(_bind(service_port))
    background = asyncio.ensure_future(service.background()) if service.background else None
    # The supervisor reads our port from our standard output: we are ready.
    os.write(1, f"{port}\n".encode())

    await stop.wait()
    await server.drain()
    if background is not None:
        background.cancel()
    if service.before_exit is not None:
        await service.before_exit()
    await client.close()


def _with_health(handler: Handler) -> Handler:
    async def handle(request: Request) -> Response:
        return answer_json("ok") if request.path == "/_healthz" else await handler(request)

    return handle


def _bind(port: int) -> socket.socket:
    """A socket on loopback; with a port given, one that shares it with the other replicas of the service."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    sock.setblocking(False)
    if port:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    sock.bind(("127.0.0.1", port))
    return sock
