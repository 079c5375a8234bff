"""Faults inside a replica: a slow, lossy or failing wire, and a leak of memory.

This kernel has no netem, so what a bad network does to a request is done where the shop's requests pass through. The
supervisor writes the faults file (service -> faults) as it writes the endpoints; every fault says when it ends, on the
clock of this machine, so that it ends by itself, too.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mora.sandbox.shop.wire import Handler, HttpFailure, Request, Response

_LOOK_AGAIN_SECONDS = 0.1
# The first retransmission of Linux (TCP_RTO_MIN); every further one waits twice as long.
_RETRANSMIT_SECONDS = 0.2
# Longer than any caller in the shop waits.
_MOST_LOSS_SECONDS = 12.0
# A delay varies by this share around its mean, as no network is steady.
_JITTER = 0.2
_LEAK_SECONDS, _LEAKS_BEGIN_SECONDS = 0.1, 1.0
_MIB = 2**20
# All leaks of a replica without a memory limit stop here: it is the machine of other people.
_MOST_LEAK_BYTES = 512 * _MIB


class ReplicaFaults:
    """The faults that this replica of a service has now."""

    def __init__(self, service: str, path: Path) -> None:
        self._service, self._path = service, path
        self._looked_at = float("-inf")
        self._changed_ns = -1
        self._known: Sequence[dict[str, Any]] = ()
        self._randoms: dict[str, random.Random] = {}
        self._leaked: dict[str, list[bytes]] = {}

    def now(self) -> list[dict[str, Any]]:
        """The faults in force; the file is checked at most every 0.1 s."""
        moment = time.monotonic()
        if moment - self._looked_at >= _LOOK_AGAIN_SECONDS:
            self._looked_at = moment
            try:
                changed_ns = self._path.stat().st_mtime_ns
                if changed_ns != self._changed_ns:
                    self._known = json.loads(self._path.read_text()).get(self._service, [])
                    self._changed_ns = changed_ns
            except FileNotFoundError:
                self._known, self._changed_ns = (), -1
        return [fault for fault in self._known if moment < fault["until"]]

    def wrap(self, handler: Handler) -> Handler:
        """The handler behind the wire as it is now."""

        async def handle(request: Request) -> Response:
            faults = self.now()
            for fault in faults:
                await self._suffer(fault)
            response = await handler(request)
            for fault in faults:
                if fault["kind"] == "loss":
                    await asyncio.sleep(self._lost_seconds(fault))
            return response

        return handle

    async def _suffer(self, fault: dict[str, Any]) -> None:
        """What a fault does to a request before it arrives."""
        strength = fault["strength"]
        match fault["kind"]:
            case "latency":
                await asyncio.sleep(strength * self._random(fault).uniform(1 - _JITTER, 1 + _JITTER))
            case "loss":
                await asyncio.sleep(self._lost_seconds(fault))
            case "errors" if self._random(fault).random() < strength:
                raise HttpFailure("an injected error", 500)

    def _lost_seconds(self, fault: dict[str, Any]) -> float:
        """How long a message takes longer where each packet is lost with a probability, and sent again as TCP does."""
        waited, wait = 0.0, _RETRANSMIT_SECONDS
        while self._random(fault).random() < fault["strength"] and waited < _MOST_LOSS_SECONDS:
            waited, wait = waited + wait, wait * 2
        return waited

    def _random(self, fault: dict[str, Any]) -> random.Random:
        return self._randoms.setdefault(fault["id"], random.Random(fault["seed"]))  # noqa: S311  (no secret)

    async def leak(self) -> None:
        """Leak memory as long as a fault says so; what was leaked is freed when it ends. Runs until cancelled."""
        while True:
            # A replica that leaks nothing hardly wakes for it: its CPU is what others measure.
            await asyncio.sleep(_LEAK_SECONDS if self._leaked else _LEAKS_BEGIN_SECONDS)
            self._leak_once({fault["id"]: fault for fault in self.now() if fault["kind"] == "memory-leak"})

    def _leak_once(self, leaks: dict[str, dict[str, Any]]) -> None:
        for fault_id in [known for known in self._leaked if known not in leaks]:
            del self._leaked[fault_id]
        for fault_id, fault in leaks.items():
            kept = self._leaked.setdefault(fault_id, [])
            room = _MOST_LEAK_BYTES - sum(len(block) for blocks in self._leaked.values() for block in blocks)
            if room > 0:
                with contextlib.suppress(MemoryError):
                    # Written, not only reserved: the kernel counts pages that were touched.
                    kept.append(b"\x01" * min(int(fault["strength"] * _MIB * _LEAK_SECONDS), room))
