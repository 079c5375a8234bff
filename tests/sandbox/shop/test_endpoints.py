"""Endpoints: which replica a call goes to."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mora.sandbox.shop.calls import CallMeter
from mora.sandbox.shop.endpoints import Endpoints, Services, owner
from mora.sandbox.shop.wire import Client, HttpFailure, Server
from tests.sandbox.shop.exchange import exchange

PORTS = st.lists(st.integers(1024, 65535), min_size=1, max_size=6, unique=True)


@given(st.text(min_size=1), PORTS, st.integers(1024, 65535))
def test_a_new_replica_moves_only_the_sessions_that_it_takes_over(session: str, ports: list[int], new: int) -> None:
    assert owner(session, [*ports, new]) in (owner(session, ports), new)


def test_sessions_spread_over_the_replicas() -> None:
    owners = [owner(f"session-{number}", [7001, 7002, 7003]) for number in range(300)]
    assert all(70 <= owners.count(port) <= 130 for port in (7001, 7002, 7003))
    assert owner("session", []) is None


def test_a_failure_has_the_status_and_the_text_of_the_response(tmp_path: Path) -> None:
    async def run(client: Client, port: int, server: Server) -> None:
        endpoints = tmp_path / "endpoints.json"
        endpoints.write_text(json.dumps({"shop": [port]}))
        services = Services(Endpoints(endpoints), client, CallMeter("frontend", tmp_path / "calls"))
        with pytest.raises(HttpFailure, match="on purpose") as caught:
            await services.call("shop", "GET", "/fails")
        assert caught.value.status == 409
        with pytest.raises(HttpFailure, match="absent has no ready replica"):
            await services.call("absent", "GET", "/")

    exchange(tmp_path, run)


def test_a_call_goes_to_the_next_replica_where_one_has_ended(tmp_path: Path) -> None:
    async def run(client: Client, port: int, server: Server) -> None:
        with socket.create_server(("127.0.0.1", 0)) as closed:
            dead = closed.getsockname()[1]
        endpoints = tmp_path / "endpoints.json"
        endpoints.write_text(json.dumps({"shop": [dead, port]}))
        services = Services(Endpoints(endpoints), client, CallMeter("frontend", tmp_path / "calls"))
        for _ in range(4):
            assert (await services.call("shop", "GET", "/x")).json()[1] == "/x"

    exchange(tmp_path, run)
