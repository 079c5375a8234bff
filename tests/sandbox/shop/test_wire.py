"""The shop's HTTP: whole requests, closed connections, draining."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from mora.sandbox.shop.traffic import read_traffic
from mora.sandbox.shop.wire import Client, HttpFailure, Server
from tests.sandbox.shop.exchange import exchange


def test_a_request_and_its_response_arrive_whole_and_are_counted_on_both_sides(tmp_path: Path) -> None:
    async def run(client: Client, port: int, server: Server) -> None:
        response = await client.call(port, "POST", "/a?b=c%20d", {"e": "f" * 100_000})
        assert response.json() == ["POST", "/a", {"b": "c d"}, '{"e":"' + "f" * 100_000 + '"}']

    exchange(tmp_path, run)
    received, sent = read_traffic(tmp_path / "server")
    assert (sent, received) == read_traffic(tmp_path / "client")
    assert received > 100_000


def test_the_server_closes_a_connection_after_its_requests_and_the_client_opens_another(tmp_path: Path) -> None:
    async def run(client: Client, port: int, server: Server) -> None:
        for number in range(5):
            response = await client.call(port, "GET", f"/{number}")
            assert response.json()[1] == f"/{number}"

    exchange(tmp_path, run, requests_per_connection=2)


def test_a_draining_server_answers_its_clients_once_more_and_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # It would wait an hour for a client that stays, so that it ends at all shows that it ends with its last client.
    monkeypatch.setattr("mora.sandbox.shop.wire._DRAIN_SECONDS", 3600.0)

    async def run(client: Client, port: int, server: Server) -> None:
        await client.call(port, "GET", "/before")
        draining = asyncio.ensure_future(server.drain())
        while not server.is_draining:
            await asyncio.sleep(0)
        assert (await client.call(port, "GET", "/during")).json()[1] == "/during"
        await asyncio.wait_for(draining, 60.0)
        with pytest.raises(HttpFailure):
            await client.call(port, "GET", "/after")

    exchange(tmp_path, run)
