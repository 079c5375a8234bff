"""Carts: their states, and how long they live."""

from __future__ import annotations

import json
from typing import Any

from mora.sandbox.shop.cartservice import CART_SECONDS, Carts


def product(product_id: str) -> dict[str, Any]:
    return {"id": product_id, "name": "Mug <3", "price_cents": 500}


def test_a_cart_keeps_every_earlier_state() -> None:
    carts = Carts()
    carts.add("s", product("A"), 1, 0.0)
    cart = carts.add("s", product("A"), 2, 1.0)
    assert [json.loads(state)[0]["quantity"] for state in cart.states] == [1, 3]


def test_an_unused_cart_expires() -> None:
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


def test_a_replica_gives_away_the_sessions_that_belong_to_others() -> None:
    carts = Carts()
    for number in range(50):
        carts.touch(f"session-{number}", 0.0)
    foreign = carts.take_foreign(7001, [7001, 7002])
    assert set(foreign) == {7002}
    assert 0 < len(foreign[7002]) < 50
    assert carts.take_foreign(7001, [7001]) == {}
