"""The counters of requests: times, failures, calls at once; they outlive the process."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from mora.sandbox.shop.calls import BUCKET_MILLISECONDS, CallMeter, ParallelCounts, read_calls
from mora.sandbox.shop.wire import Handler, HttpFailure, Request, Response

REQUEST = Request("GET", "/", {}, {}, b"")


def watched(meter: CallMeter, *, at_once: bool, status: int | None = None) -> Handler:
    """A handler that calls the catalogue and the cart, at once or in turn; the cart fails with `status`."""

    async def catalogue() -> Response:
        await asyncio.sleep(0.003)
        return Response()

    async def cart() -> Response:
        await asyncio.sleep(0.003)
        if status is not None:
            raise HttpFailure("no", status)
        return Response()

    async def handle(request: Request) -> Response:
        calls = [meter.call("productcatalogservice", catalogue), meter.call("cartservice", cart)]
        if at_once:
            await asyncio.gather(*calls)
        else:
            for call in calls:
                await call
        return Response()

    return meter.watch(handle, is_entry=True)


def test_a_request_and_its_calls_are_counted_with_their_times(tmp_path: Path) -> None:
    handler = watched(CallMeter("frontend", tmp_path / "calls"), at_once=False)
    asyncio.run(_times(handler, 3))
    calls, parallel = read_calls("frontend", tmp_path / "calls")
    found = {(one.source, one.destination, one.is_failure): one for one in calls}
    assert set(found) == {
        (None, "frontend", False),
        ("frontend", "productcatalogservice", False),
        ("frontend", "cartservice", False),
    }
    assert all(sum(one.buckets) == 3 for one in calls)
    assert found["frontend", "cartservice", False].sum_milliseconds >= 3 * 3
    assert found[None, "frontend", False].sum_milliseconds >= 3 * 6
    assert not any(one.buckets[BUCKET_MILLISECONDS.index(2)] for one in calls)  # none took 1 to 2 ms
    assert parallel == ()


def test_calls_of_one_request_that_run_at_once_are_counted_as_such(tmp_path: Path) -> None:
    handler = watched(CallMeter("frontend", tmp_path / "calls"), at_once=True)
    asyncio.run(_times(handler, 4))
    _, parallel = read_calls("frontend", tmp_path / "calls")
    assert set(parallel) == {
        ParallelCounts("frontend", "productcatalogservice", "cartservice", 4),
        ParallelCounts("frontend", "cartservice", "productcatalogservice", 4),
    }


def test_calls_of_two_requests_at_once_do_not_count_as_calls_of_one(tmp_path: Path) -> None:
    handler = watched(CallMeter("frontend", tmp_path / "calls"), at_once=False)

    async def main() -> None:
        await asyncio.gather(*(asyncio.ensure_future(handler(REQUEST)) for _ in range(5)))

    asyncio.run(main())
    assert read_calls("frontend", tmp_path / "calls")[1] == ()


@pytest.mark.parametrize(("status", "is_failure"), [(503, True), (409, False)])
def test_a_failure_is_what_the_service_could_not_help(tmp_path: Path, status: int, is_failure: bool) -> None:
    """An empty cart (409) is an answer; no answer in time (503) is not."""
    handler = watched(CallMeter("frontend", tmp_path / "calls"), at_once=False, status=status)
    with pytest.raises(HttpFailure):
        asyncio.run(_times(handler, 1))
    calls, _ = read_calls("frontend", tmp_path / "calls")
    assert {one.destination: one.is_failure for one in calls} == {
        "frontend": is_failure,
        "productcatalogservice": False,
        "cartservice": is_failure,
    }


def test_the_counters_continue_after_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "calls"
    assert read_calls("frontend", path) == ((), ())
    for _ in range(2):
        asyncio.run(_times(watched(CallMeter("frontend", path), at_once=False), 1))
    assert {sum(one.buckets) for one in read_calls("frontend", path)[0]} == {2}


def test_a_call_outside_a_request_is_not_counted(tmp_path: Path) -> None:
    meter = CallMeter("cartservice", tmp_path / "calls")

    async def answer() -> Response:
        return Response()

    async def main() -> None:
        await meter.call("frontend", answer)

    asyncio.run(main())
    assert read_calls("cartservice", tmp_path / "calls") == ((), ())


async def _times(handler: Handler, count: int) -> None:
    for _ in range(count):
        await asyncio.ensure_future(handler(REQUEST))
