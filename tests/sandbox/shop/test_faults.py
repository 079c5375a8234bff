"""The faults of one replica: what a request suffers, by the faults file; seeded, and never after its end."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path
from typing import Any

import pytest

import mora.sandbox.shop.faults as shop_faults
from mora.sandbox.shop.faults import ReplicaFaults
from mora.sandbox.shop.wire import HttpFailure, Request, Response

ASKED = Request("GET", "/", {}, {}, b"")


def fault(kind: str, strength: float = 1.0, **changes: Any) -> dict[str, Any]:
    fields = {"id": "fault-1", "kind": kind, "strength": strength, "seed": 7, "until": time.monotonic() + 3600}
    return fields | changes


def replica(tmp_path: Path, *found: dict[str, Any], service: str = "cartservice") -> ReplicaFaults:
    path = tmp_path / "faults.json"
    path.write_text(json.dumps({service: found}))
    return ReplicaFaults("cartservice", path)


async def _fine(_: Request) -> Response:
    return Response(b"fine")


def waited(one: ReplicaFaults, monkeypatch: pytest.MonkeyPatch, times: int = 1) -> list[float]:
    """How long each of some requests would have waited."""
    slept = [0.0]

    async def sleep(seconds: float) -> None:
        slept[-1] += seconds

    async def ask() -> None:
        for _ in range(times):
            await one.wrap(_fine)(ASKED)
            slept.append(0.0)

    monkeypatch.setattr("mora.sandbox.shop.faults.asyncio.sleep", sleep)
    asyncio.run(ask())
    return slept[:-1]


def test_without_a_file_or_a_fault_of_its_own_a_request_passes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert waited(ReplicaFaults("cartservice", tmp_path / "none.json"), monkeypatch) == [0.0]
    assert waited(replica(tmp_path, fault("latency"), service="frontend"), monkeypatch) == [0.0]


def test_a_fault_that_is_over_does_nothing_though_it_is_still_in_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    over = fault("latency", until=time.monotonic() - 0.001)
    assert waited(replica(tmp_path, over), monkeypatch) == [0.0]


def test_latency_is_near_its_strength_and_the_same_for_the_same_seed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = waited(replica(tmp_path, fault("latency", 0.5)), monkeypatch, 50)
    assert all(0.4 <= seconds <= 0.6 for seconds in first)
    assert len(set(first)) > 10
    assert waited(replica(tmp_path, fault("latency", 0.5)), monkeypatch, 50) == first
    assert waited(replica(tmp_path, fault("latency", 0.5, seed=8)), monkeypatch, 50) != first


def test_a_lost_message_is_sent_again_as_tcp_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = waited(replica(tmp_path, fault("loss", 0.3)), monkeypatch, 400)
    # No wait, 0.2 s, 0.2 + 0.4 s, ... for the request, and the same for its answer.
    one_way = [0.0, 0.2, 0.6, 1.4, 3.0, 6.2, 12.6]
    possible = {round(there + back, 6) for there in one_way for back in one_way}
    assert {round(seconds, 6) for seconds in found} <= possible
    assert 0.35 < sum(seconds == 0 for seconds in found) / 400 < 0.63, "0.7 x 0.7 arrive at once"
    assert max(waited(replica(tmp_path, fault("loss", 1.0)), monkeypatch)) > 10, "it never arrives in time"


def test_errors_are_as_frequent_as_their_strength(tmp_path: Path) -> None:
    one = replica(tmp_path, fault("errors", 0.25))

    async def ask() -> int:
        failed = 0
        for _ in range(400):
            try:
                await one.wrap(_fine)(ASKED)
            except HttpFailure as failure:
                failed += failure.status == 500
        return failed

    assert 60 < asyncio.run(ask()) < 140


def test_a_leak_grows_by_its_strength_and_is_freed_with_the_fault(tmp_path: Path) -> None:
    one = replica(tmp_path)
    leak = fault("memory-leak", 2.0)
    for _ in range(5):
        one._leak_once({"fault-1": leak})
    assert sum(map(len, one._leaked["fault-1"])) == pytest.approx(2 * 2**20 * 0.5, abs=10)
    one._leak_once({})
    assert one._leaked == {}


def test_all_leaks_of_a_replica_together_stay_below_one_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shop_faults, "_MOST_LEAK_BYTES", 2**20)
    one = ReplicaFaults("cartservice", tmp_path / "faults.json")
    for _ in range(3):
        one._leak_once({"fault-1": fault("memory-leak", 4.0), "fault-2": fault("memory-leak", 4.0)})
    assert sum(len(block) for blocks in one._leaked.values() for block in blocks) == 2**20
