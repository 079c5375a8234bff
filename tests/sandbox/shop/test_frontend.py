"""The pages of the shop."""

from __future__ import annotations

from typing import Any

import pytest

from mora.sandbox import SandboxHandle
from mora.sandbox.shop.frontend import render_card, render_cart, render_page
from tests.sandbox.shopper import CARD, Shopper


def test_pages_escape_names_and_titles() -> None:
    item: dict[str, Any] = {
        "id": "A",
        "name": "Mug <3",
        "price_cents": 500,
        "category": "<b>",
        "rating": 4.0,
        "description": "x" * 200,
    }
    page = render_page("<script>", render_card(item) + render_cart({"lines": []}), {"lines": []}, "s" * 32).decode()
    assert "<script>" not in page
    assert "<b>" not in page
    assert "Mug &lt;3" in page
    assert "Your cart is empty." in page


@pytest.mark.slow
def test_a_customer_can_look_at_products_fill_a_cart_and_pay(sandbox: SandboxHandle) -> None:
    shopper = Shopper(sandbox.shop_url)
    assert "/product/" in shopper.get("/")
    assert "Search: oak mug" in shopper.get("/search?q=oak+mug")
    assert "Add to cart" in shopper.get("/product/OLJCESPC7Z")
    assert "<td>3</td>" in shopper.add("OLJCESPC7Z", 3)
    assert "Thank you" in shopper.post("/cart/checkout", CARD)
    assert "Your cart is empty." in shopper.get("/cart")
    with pytest.raises(OSError, match="409"):
        shopper.post("/cart/checkout", CARD)
