"""Orders: prices a cart, has it paid, and signs it, with the cart, the catalogue and the payment service.

POST /orders {"session", "country", "card": {...}}          the order, signed
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
from dataclasses import asdict, dataclass
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from mora.sandbox.shop.serving import Service, Surroundings
from mora.sandbox.shop.wire import HttpFailure, Request, Response, answer_json

_TAX = {"DE": Decimal("0.19"), "FR": Decimal("0.20"), "US": Decimal("0.0725"), "CH": Decimal("0.081")}
_SIGNATURE_ROUNDS = 4_000


@dataclass(frozen=True, slots=True)
class Price:
    """What an order costs, in cents."""

    goods_cents: int
    discount_cents: int
    shipping_cents: int
    tax_cents: int

    @property
    def total_cents(self) -> int:
        """What the customer pays."""
        return self.goods_cents - self.discount_cents + self.shipping_cents + self.tax_cents


def price_order(lines: list[dict[str, int]], country: str) -> Price:
    """The price of lines of {"price_cents", "weight_grams", "quantity"}; tax is rounded line by line.

    >>> price_order([{"price_cents": 1000, "weight_grams": 1500, "quantity": 3}], "DE")
    Price(goods_cents=3000, discount_cents=150, shipping_cents=940, tax_cents=542)
    """
    tax = _TAX.get(country, Decimal(0))
    goods = sum(line["price_cents"] * line["quantity"] for line in lines)
    # From three pieces of one product on, there is a discount of 5 %.
    discounts = [
        _cents(Decimal(line["price_cents"] * line["quantity"]) * Decimal("0.05")) if line["quantity"] >= 3 else 0
        for line in lines
    ]
    taxed = [
        _cents((line["price_cents"] * line["quantity"] - discount) * tax)
        for line, discount in zip(lines, discounts, strict=True)
    ]
    weight_grams = sum(line["weight_grams"] * line["quantity"] for line in lines)
    shipping = 490 + 90 * -(-weight_grams // 1000)
    return Price(goods, sum(discounts), shipping, sum(taxed))


def _cents(amount: Decimal) -> int:
    return int(amount.quantize(Decimal(1), ROUND_HALF_UP))


def sign(order: dict[str, Any], key: bytes) -> str:
    """A signature over the canonical JSON of an order."""
    message = json.dumps(order, sort_keys=True, separators=(",", ":")).encode()
    return hmac.new(key, hashlib.pbkdf2_hmac("sha256", message, key, _SIGNATURE_ROUNDS), "sha256").hexdigest()


def build(surroundings: Surroundings) -> Service:
    """The service, as serving.serve() runs it."""
    key = os.urandom(32)
    services = surroundings.services

    async def handle(request: Request) -> Response:
        wanted = request.json()
        session = wanted["session"]
        cart = (await services.call_owner("cartservice", session, "GET", f"/carts/{session}")).json()
        if not cart["lines"]:
            raise HttpFailure("the cart is empty", 409)
        quantities = {line["product"]["id"]: line["quantity"] for line in cart["lines"]}
        prices = (await services.call("productcatalogservice", "POST", "/prices", {"ids": list(quantities)})).json()
        lines = [{**prices[product_id], "quantity": quantity} for product_id, quantity in quantities.items()]
        price = price_order(lines, wanted["country"])
        charge = {**wanted["card"], "amount_cents": price.total_cents}
        payment = (await services.call("paymentservice", "POST", "/charge", charge)).json()
        order = {
            "id": os.urandom(8).hex(),
            "lines": quantities,
            "price": {**asdict(price), "total_cents": price.total_cents},
            "payment": payment,
        }
        order["signature"] = sign(order, key)
        await services.call_owner("cartservice", session, "POST", f"/carts/{session}/ordered")
        return answer_json(order)

    return Service(handle)
