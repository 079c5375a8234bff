"""What the services of the shop compute, and their small HTTP."""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import sys
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mora.sandbox.launch import package_root
from mora.sandbox.shop.cartservice import CART_SECONDS, Carts
from mora.sandbox.shop.checkoutservice import price_order, sign
from mora.sandbox.shop.endpoints import Endpoints, Services, owner
from mora.sandbox.shop.frontend import render_card, render_cart, render_page
from mora.sandbox.shop.paymentservice import is_expired, passes_luhn
from mora.sandbox.shop.productcatalogservice import Catalogue, generate_products
from mora.sandbox.shop.traffic import TrafficCounter, read_traffic
from mora.sandbox.shop.wire import Client, HttpFailure, Request, Response, Server, answer_json

PORTS = st.lists(st.integers(1024, 65535), min_size=1, max_size=6, unique=True)


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    return Catalogue(generate_products(count=60))


def test_every_replica_generates_the_same_catalogue() -> None:
    assert generate_products(count=20) == generate_products(count=20)


def test_the_catalogue_has_online_boutiques_own_products(catalogue: Catalogue) -> None:
    assert {"OLJCESPC7Z", "66VCHSJNUP", "1YMWWN1N4O"} <= set(catalogue.by_id)


def test_lists_are_sorted_and_cut(catalogue: Catalogue) -> None:
    rated = catalogue.listing(None, "rating", 10)
    assert [p.rating for p in rated] == sorted((p.rating for p in catalogue.by_id.values()), reverse=True)[:10]
    cheap = catalogue.listing("home", "price", 60)
    assert cheap
    assert {p.category for p in cheap} == {"home"}
    assert [p.price_cents for p in cheap] == sorted(p.price_cents for p in cheap)


def test_a_search_finds_what_shares_words_the_best_match_first(catalogue: Catalogue) -> None:
    wanted = next(iter(catalogue.by_id.values()))
    found = catalogue.search(f"{wanted.name} {wanted.category}", 60)
    shared = [len(set(f"{wanted.name} {wanted.category}".lower().split()) & p.words) for p in found]
    assert wanted in found
    assert shared == sorted(shared, reverse=True)
    assert catalogue.search("nothing like that zzz", 10) == []


def test_related_products_leave_out_the_products_themselves(catalogue: Catalogue) -> None:
    product = next(iter(catalogue.by_id.values()))
    related = catalogue.related([product], 10)
    assert related
    assert product not in related
    assert {p.category for p in related} == {product.category}


def test_an_order_is_taxed_line_by_line() -> None:
    line = {"price_cents": 333, "weight_grams": 100, "quantity": 1}
    assert price_order([line, line], "DE").tax_cents == 2 * 63, "0.19 x 3.33 is 0.63 a line, not 1.27 for both"
    assert price_order([line], "nowhere").tax_cents == 0


@given(
    st.lists(
        st.fixed_dictionaries(
            {
                "price_cents": st.integers(1, 10**6),
                "weight_grams": st.integers(1, 10**5),
                "quantity": st.integers(1, 50),
            }
        ),
        min_size=1,
    )
)
def test_more_in_a_cart_never_costs_less_without_a_discount(lines: list[dict[str, int]]) -> None:
    price = price_order(lines, "DE")
    assert price.total_cents > 0
    assert 0 <= price.discount_cents <= price.goods_cents * 0.05 + len(lines)
    assert price_order([*lines, {"price_cents": 1, "weight_grams": 1, "quantity": 1}], "DE").total_cents > (
        price.total_cents
    )


def test_a_signature_depends_on_the_order_and_the_key() -> None:
    order = {"id": "1", "price": {"total_cents": 100}}
    signature = sign(order, b"key")
    assert signature == sign(dict(reversed(order.items())), b"key")
    assert signature != sign({**order, "id": "2"}, b"key")
    assert signature != sign(order, b"other")


@given(st.text(alphabet="0123456789", min_size=13, max_size=16), st.integers(0, 12), st.integers(1, 9))
def test_one_wrong_digit_never_passes_the_luhn_check(number: str, place: int, change: int) -> None:
    wrong = str((int(number[place]) + change) % 10)
    assert not (passes_luhn(number) and passes_luhn(number[:place] + wrong + number[place + 1 :]))


def test_cards_expire_at_the_end_of_their_month() -> None:
    today = datetime(2026, 11, 30, tzinfo=UTC)
    assert not is_expired(11, 2026, today)
    assert is_expired(10, 2026, today)
    assert is_expired(12, 2025, today)


def product(product_id: str) -> dict[str, Any]:
    return {"id": product_id, "name": "Mug <3", "price_cents": 500}


def test_a_cart_keeps_every_state_before_a_change() -> None:
    carts = Carts()
    carts.add("s", product("A"), 1, 0.0)
    cart = carts.add("s", product("A"), 2, 1.0)
    assert [json.loads(state)[0]["quantity"] for state in cart.states] == [1, 3]


def test_a_cart_that_nobody_touches_goes_after_its_time() -> None:
    carts = Carts()
    carts.add("old", product("A"), 1, 0.0)
    carts.add("new", product("A"), 1, 10.0)
    carts.sweep(CART_SECONDS)
    assert set(carts.by_session) == {"old", "new"}
    carts.sweep(CART_SECONDS + 1)
    assert set(carts.by_session) == {"new"}


def test_an_ordered_cart_is_empty_for_its_customer() -> None:
    carts = Carts()
    carts.add("s", product("A"), 1, 0.0).is_ordered = True
    assert carts.by_session["s"].lines == b"[]"
    assert len(json.loads(carts.add("s", product("B"), 1, 1.0).lines)) == 1


@given(st.text(min_size=1), PORTS, st.integers(1024, 65535))
def test_a_new_replica_moves_only_the_sessions_that_it_takes_over(session: str, ports: list[int], new: int) -> None:
    assert owner(session, [*ports, new]) in (owner(session, ports), new)


def test_sessions_spread_over_the_replicas() -> None:
    owners = [owner(f"session-{number}", [7001, 7002, 7003]) for number in range(300)]
    assert all(70 <= owners.count(port) <= 130 for port in (7001, 7002, 7003))
    assert owner("session", []) is None


def test_pages_escape_what_they_show() -> None:
    item = {**product("A"), "category": "<b>", "rating": 4.0, "description": "x" * 200}
    page = render_page("<script>", render_card(item) + render_cart({"lines": []}), {"lines": []}, "s" * 32).decode()
    assert "<script>" not in page
    assert "<b>" not in page
    assert "Mug &lt;3" in page
    assert "Your cart is empty." in page


def test_traffic_goes_on_counting_after_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "pod"
    assert read_traffic(path) == (0, 0)
    first = TrafficCounter(path)
    first.add_received(10)
    first.add_sent(3)
    TrafficCounter(path).add_received(5)
    assert read_traffic(path) == (15, 3)


def exchange(
    tmp_path: Path, run: Callable[[Client, int, Server], Awaitable[None]], requests_per_connection: int | None = None
) -> None:
    """Run a client against a server that answers with what it was asked."""

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


def test_a_request_and_its_answer_arrive_whole_and_are_counted_on_both_sides(tmp_path: Path) -> None:
    async def run(client: Client, port: int, server: Server) -> None:
        response = await client.call(port, "POST", "/a?b=c%20d", {"e": "f" * 100_000})
        assert response.json() == ["POST", "/a", {"b": "c d"}, '{"e":"' + "f" * 100_000 + '"}']

    exchange(tmp_path, run)
    received, sent = read_traffic(tmp_path / "server")
    assert (sent, received) == read_traffic(tmp_path / "client")
    assert received > 100_000


def test_the_server_closes_a_connection_after_its_requests_and_the_client_goes_on(tmp_path: Path) -> None:
    async def run(client: Client, port: int, server: Server) -> None:
        for number in range(5):
            response = await client.call(port, "GET", f"/{number}")
            assert response.json()[1] == f"/{number}"

    exchange(tmp_path, run, requests_per_connection=2)


def test_a_failure_carries_its_status_and_words(tmp_path: Path) -> None:
    async def run(client: Client, port: int, server: Server) -> None:
        endpoints = tmp_path / "endpoints.json"
        endpoints.write_text(json.dumps({"shop": [port]}))
        services = Services(Endpoints(endpoints), client)
        with pytest.raises(HttpFailure, match="on purpose") as caught:
            await services.call("shop", "GET", "/fails")
        assert caught.value.status == 409
        with pytest.raises(HttpFailure, match="absent has no ready replica"):
            await services.call("absent", "GET", "/")

    exchange(tmp_path, run)


def test_a_call_goes_to_the_next_replica_where_one_is_gone(tmp_path: Path) -> None:
    async def run(client: Client, port: int, server: Server) -> None:
        with socket.create_server(("127.0.0.1", 0)) as closed:
            dead = closed.getsockname()[1]
        endpoints = tmp_path / "endpoints.json"
        endpoints.write_text(json.dumps({"shop": [dead, port]}))
        services = Services(Endpoints(endpoints), client)
        for _ in range(4):
            assert (await services.call("shop", "GET", "/x")).json()[1] == "/x"

    exchange(tmp_path, run)


def test_a_draining_server_says_goodbye_to_the_clients_it_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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


def test_a_replica_imports_the_standard_library_only() -> None:
    """Replicas have to start fast and stay small: no pandas, no prometheus_client, not even the domain."""
    program = (
        "import sys, mora.sandbox.shop.serving\n"
        "from importlib import import_module\n"
        "for name in ('frontend', 'productcatalogservice', 'cartservice', 'checkoutservice', 'paymentservice'):\n"
        "    import_module(f'mora.sandbox.shop.{name}')\n"
        "print(*sorted(name for name in sys.modules if name.startswith('mora')))\n"
    )
    done = subprocess.run(
        [sys.executable, "-S", "-E", "-c", program], cwd=package_root(), capture_output=True, text=True, check=True
    )
    loaded = done.stdout.split()
    assert "mora.sandbox.shop.frontend" in loaded
    assert [name for name in loaded if not name.startswith("mora.sandbox.shop") and name.count(".") > 1] == []
