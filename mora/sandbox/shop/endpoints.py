"""Which replicas of a service are ready, and which of them a call goes to.

The supervisor writes the endpoints file (service -> ports) whenever readiness changes, like the endpoints of
Kubernetes; callers check it before a call. Stateless services are called round robin. The cart of a session is in one
replica: all callers choose it by rendezvous hashing, so that a new replica moves only the sessions that it takes over.
"""

from __future__ import annotations

import hashlib
import json
import time
from itertools import count
from pathlib import Path
from typing import Any

from mora.sandbox.shop.calls import CallMeter
from mora.sandbox.shop.wire import Client, HttpFailure, Response

_LOOK_AGAIN_SECONDS = 0.1


class Endpoints:
    """The ports of the ready replicas of every service, from the file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._looked_at = float("-inf")
        self._changed_ns = -1
        self._ports: dict[str, list[int]] = {}

    def ports(self, service: str) -> list[int]:
        """The ports of the ready replicas of a service; the file is checked at most every 0.1 s."""
        now = time.monotonic()
        if now - self._looked_at >= _LOOK_AGAIN_SECONDS:
            self._looked_at = now
            changed_ns = self._path.stat().st_mtime_ns
            if changed_ns != self._changed_ns:
                self._ports = json.loads(self._path.read_text())
                self._changed_ns = changed_ns
        return self._ports.get(service, [])


def owner(session: str, ports: list[int]) -> int | None:
    """The port of the replica that has a session: the highest hash of (session, replica); None without replicas.

    >>> owner("a", [7001, 7002]) == owner("a", [7002, 7001])
    True
    """
    return max(ports, key=lambda port: hashlib.blake2b(f"{session}/{port}".encode()).digest(), default=None)


class Services:
    """Calls to the other services of the shop, each counted by the meter."""

    def __init__(self, endpoints: Endpoints, client: Client, meter: CallMeter) -> None:
        self._endpoints = endpoints
        self._client = client
        self._meter = meter
        self._turn = count()

    async def call(self, service: str, method: str, path: str, value: Any = None) -> Response:
        """Call the ready replicas in turn; where one cannot be reached, the next."""
        return await self._meter.call(service, lambda: self._call_in_turn(service, method, path, value))

    async def call_owner(self, service: str, session: str, method: str, path: str, value: Any = None) -> Response:
        """Call the replica that has the session."""
        return await self._meter.call(service, lambda: self._call_owner(service, session, method, path, value))

    async def _call_in_turn(self, service: str, method: str, path: str, value: Any) -> Response:
        ports = self._endpoints.ports(service)
        if not ports:
            raise HttpFailure(f"{service} has no ready replica")
        first = next(self._turn)
        failure: HttpFailure | None = None
        for offset in range(min(len(ports), 2)):
            try:
                return checked(await self._client.call(ports[(first + offset) % len(ports)], method, path, value))
            except HttpFailure as error:
                if error.status != 503 or not isinstance(error.__cause__, ConnectionError):
                    raise
                failure = error
        raise failure or HttpFailure(f"{service} does not answer")

    async def _call_owner(self, service: str, session: str, method: str, path: str, value: Any) -> Response:
        port = owner(session, self._endpoints.ports(service))
        if port is None:
            raise HttpFailure(f"{service} has no ready replica")
        return checked(await self._client.call(port, method, path, value))


def checked(response: Response) -> Response:
    """The response where it is a success, else HttpFailure with its status and text."""
    if response.status >= 400:
        raise HttpFailure(response.body.decode(errors="replace"), response.status)
    return response
