"""Counts a replica's requests: how long each took, whether it failed, and which calls ran at the same time.

A service mesh measures this in the proxies that requests pass through. The shop's requests pass through this package's
client and server, so they are counted there: a call as its caller saw it, with every wait, and the entry service's
requests as that service saw them. Like traffic.py, it writes to a file that is mapped into memory, so that counting
costs a microsecond or two and the counts outlive the process.
"""

from __future__ import annotations

import mmap
import time
from bisect import bisect_left
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path

from mora.sandbox.shop.wire import Handler, HttpFailure, Request, Response

PEERS = ("frontend", "productcatalogservice", "cartservice", "checkoutservice", "paymentservice")
"""Every service of the shop, in the order of the file."""
BUCKET_MILLISECONDS = (1, 2, 5, 10, 25, 50, 100, 150, 200, 250, 300, 500, 1000, 2500, 5000, 10000)
"""Upper edges of the histogram's buckets; a last one has no edge."""

_BUCKETS = len(BUCKET_MILLISECONDS) + 1
# One series: the buckets, and the sum in microseconds. Per peer: one for successes, one for failures.
_SERIES = _BUCKETS + 1
_PER_PEER = 2 * _SERIES
_PARALLEL = len(PEERS) * _PER_PEER
_NUMBERS = _PARALLEL + len(PEERS) ** 2

# The calls that the request of this task has under way, by the number of their peer.
_UNDER_WAY: ContextVar[list[int]] = ContextVar("calls under way")


@dataclass(frozen=True, slots=True)
class CallCounts:
    """Requests from one service to another since the pod's start.

    source: None for requests from outside, which the entry service itself counted. buckets: requests per bucket, one
    more than BUCKET_MILLISECONDS, not cumulative.
    """

    source: str | None
    destination: str
    is_failure: bool
    buckets: tuple[int, ...]
    sum_milliseconds: float


@dataclass(frozen=True, slots=True)
class ParallelCounts:
    """How often a request of `source` had a call to `destination` and one to `other` under way at the same time."""

    source: str
    destination: str
    other: str
    count: int


class CallMeter:
    """The counters of one replica of `service`."""

    def __init__(self, service: str, path: Path) -> None:
        if not path.exists():
            path.write_bytes(bytes(8 * _NUMBERS))
        with path.open("r+b") as file:
            self._numbers = memoryview(mmap.mmap(file.fileno(), 8 * _NUMBERS)).cast("Q")
        self._own = PEERS.index(service)

    async def call(self, service: str, make: Callable[[], Awaitable[Response]]) -> Response:
        """The response of a call to `service`, counted; one that fails with a status of 500 or more as a failure."""
        under_way = _UNDER_WAY.get(None)
        if under_way is None:  # a call of a background task: no request waits for it
            return await make()
        peer = PEERS.index(service)
        for other in under_way:
            if other != peer:
                self._numbers[_PARALLEL + peer * len(PEERS) + other] += 1
                self._numbers[_PARALLEL + other * len(PEERS) + peer] += 1
        under_way.append(peer)
        began = time.perf_counter()
        try:
            response = await make()
        except HttpFailure as failure:
            self._count(peer, failure.status >= 500, began)
            raise
        else:
            self._count(peer, False, began)
            return response
        finally:
            under_way.remove(peer)

    def watch(self, handler: Handler, *, is_entry: bool) -> Handler:
        """The handler, with the calls of every request known as that request's; an entry's requests are counted."""

        async def handle(request: Request) -> Response:
            _UNDER_WAY.set([])
            began = time.perf_counter()
            try:
                response = await handler(request)
            except HttpFailure as failure:
                if is_entry:
                    self._count(self._own, failure.status >= 500, began)
                raise
            if is_entry:
                self._count(self._own, response.status >= 500, began)
            return response

        return handle

    def _count(self, peer: int, is_failure: bool, began: float) -> None:
        took = time.perf_counter() - began
        first = peer * _PER_PEER + is_failure * _SERIES
        self._numbers[first + bisect_left(BUCKET_MILLISECONDS, took * 1000)] += 1
        self._numbers[first + _BUCKETS] += int(took * 1e6)


def read_calls(service: str, path: Path) -> tuple[tuple[CallCounts, ...], tuple[ParallelCounts, ...]]:
    """What the replica of `service` with this file has counted; nothing before its process has started."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return (), ()
    if len(content) != 8 * _NUMBERS:  # being created
        return (), ()
    numbers = memoryview(content).cast("Q")
    calls, parallel = [], []
    for index, peer in enumerate(PEERS):
        for is_failure in (False, True):
            first = index * _PER_PEER + is_failure * _SERIES
            buckets = tuple(numbers[first : first + _BUCKETS])
            if any(buckets):
                source = None if peer == service else service
                calls.append(CallCounts(source, peer, is_failure, buckets, numbers[first + _BUCKETS] / 1000))
        for second, other in enumerate(PEERS):
            count = numbers[_PARALLEL + index * len(PEERS) + second]
            if count:
                parallel.append(ParallelCounts(service, peer, other, count))
    return tuple(calls), tuple(parallel)
