"""The web pages of the shop, at the paths of Online Boutique, made of what the other services answer.

GET /                   the best rated products            GET /product/ID      one product and what is like it
GET /search?q=WORDS     what matches                       GET /cart            the cart
POST /cart              add product_id, quantity           POST /cart/empty     empty it
POST /cart/checkout     order and pay                      POST /cart/undo      undo the last change
"""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import html
import os
import re
import textwrap
from decimal import ROUND_HALF_UP, Decimal
from http.cookies import SimpleCookie
from string import Template
from typing import Any
from urllib.parse import quote, urlencode

from mora.sandbox.shop.serving import Service, Surroundings
from mora.sandbox.shop.wire import HttpFailure, Request, Response

_COOKIE = "shop_session-id"
_SESSION = re.compile(r"[0-9a-f]{32}")
_LISTED = 120
_EXCERPT_CHARACTERS = 120
_CENT = Decimal("0.01")
# Units of a currency per euro on the day the shop was written, and the smallest amount of the currency.
_RATES = {
    "EUR": (Decimal(1), _CENT),
    "USD": (Decimal("1.09"), _CENT),
    "CHF": (Decimal("0.94"), _CENT),
    "JPY": (Decimal("162.3"), Decimal(1)),
    "GBP": (Decimal("0.84"), _CENT),
}

_PAGE = Template(
    """<!doctype html>
<html lang="en">
  <head><meta charset="utf-8"><title>$title</title><link rel="stylesheet" href="/static/shop.css"></head>
  <body>
    <header>
      <a href="/">Shop</a> <form action="/search"><input name="q"></form> <a href="/cart">Cart ($cart_count)</a>
    </header>
    <main>
      <h1>$title</h1>
      $main
    </main>
    <footer>Prices include no tax. Session $session.</footer>
  </body>
</html>
"""
)
_CARD = Template(
    """<article class="card" id="$id">
        <a href="/product/$id"><h2>$name</h2></a>
        <p class="category">$category</p> <p class="rating" title="$rating">$stars</p>
        <p class="price">$prices</p>
        <p>$excerpt</p>
      </article>
      """
)
_PRODUCT = Template(
    """<img alt="" src="/static/$id.webp">
      $card
      <form method="post" action="/cart"><input type="hidden" name="product_id" value="$id">
        <input name="quantity" value="1"><button>Add to cart</button></form>
      $related"""
)
_LINE = Template('<tr><td><a href="/product/$id">$name</a></td><td>$quantity</td><td>$prices</td></tr>\n')
_SPACES = re.compile(r">\s+<")


def format_prices(cents: int) -> str:
    """A price in all currencies.

    >>> format_prices(1250)
    '12.50 EUR · 13.63 USD · 11.75 CHF · 2,029 JPY · 10.50 GBP'
    """
    euros = Decimal(cents) / 100
    return " · ".join(
        f"{(euros * rate).quantize(smallest, ROUND_HALF_UP):,} {currency}"
        for currency, (rate, smallest) in _RATES.items()
    )


def render_card(product: dict[str, Any]) -> str:
    """A product in a list."""
    return _CARD.substitute(
        id=product["id"],
        name=html.escape(product["name"]),
        category=html.escape(product["category"]),
        rating=product["rating"],
        stars="★" * round(product["rating"]) + "☆" * (5 - round(product["rating"])),
        prices=format_prices(product["price_cents"]),
        excerpt=html.escape(textwrap.shorten(product["description"], _EXCERPT_CHARACTERS)),
    )


def render_related(products: list[dict[str, Any]]) -> str:
    """The products that a customer may also like."""
    return f"<h2>You may also like</h2>{''.join(render_card(product) for product in products)}"


def render_page(title: str, main: str, cart: dict[str, Any], session: str) -> bytes:
    """A whole page, without the white space between its tags."""
    count = sum(line["quantity"] for line in cart["lines"])
    page = _PAGE.substitute(title=html.escape(title), main=main, cart_count=count, session=session[:8])
    return _SPACES.sub("><", page).encode()


def render_cart(cart: dict[str, Any]) -> str:
    """The lines of a cart as a table."""
    rows = [
        _LINE.substitute(
            id=line["product"]["id"],
            name=html.escape(line["product"]["name"]),
            quantity=line["quantity"],
            prices=format_prices(line["product"]["price_cents"] * line["quantity"]),
        )
        for line in cart["lines"]
    ]
    return f"<table>{''.join(rows)}</table>" if rows else "<p>Your cart is empty.</p>"


class Frontend:
    """Answers requests for pages, with calls to the other services."""

    def __init__(self, surroundings: Surroundings) -> None:
        self._services = surroundings.services

    async def handle(self, request: Request) -> Response:
        """The page of a request, with the cookie of a new session."""
        session, is_new = _session_of(request)
        response = await self._route(request, session)
        if is_new:
            response.headers.append(("Set-Cookie", f"{_COOKIE}={session}; Path=/; Max-Age=172800"))
        return _packed(response, request)

    async def _route(self, request: Request, session: str) -> Response:
        match request.method, request.path.strip("/").split("/"):
            case "GET", [""]:
                return await self._list("Hot products", {"sort": "rating", "count": str(_LISTED)}, session)
            case "GET", ["search"]:
                words = request.query.get("q", "")
                return await self._list(f"Search: {words}", {"q": words, "count": str(_LISTED)}, session)
            case "GET", ["product", product_id]:
                return await self._product(product_id, session)
            case "GET", ["cart"]:
                cart = await self._cart(session)
                main = render_cart(cart) + await self._related([line["product"]["id"] for line in cart["lines"]])
                return _html(render_page("Your cart", main, cart, session))
            case "POST", ["cart"]:
                return await self._add(request.form(), session)
            case "POST", ["cart", "checkout"]:
                return await self._checkout(request.form(), session)
            case "POST", ["cart", "undo"]:
                await self._services.call_owner("cartservice", session, "POST", f"/carts/{session}/undo")
                return _redirect("/cart")
            case "POST", ["cart", "empty"]:
                await self._services.call_owner("cartservice", session, "DELETE", f"/carts/{session}")
                return _redirect("/")
            case _:
                raise HttpFailure(f"no such page: {request.path}", 404)

    async def _cart(self, session: str) -> dict[str, Any]:
        response = await self._services.call_owner("cartservice", session, "GET", f"/carts/{session}")
        cart: dict[str, Any] = response.json()
        return cart

    async def _related(self, product_ids: list[str]) -> str:
        """What a customer with these products in the cart may also like."""
        if not product_ids:
            return ""
        path = f"/related?ids={','.join(product_ids)}"
        return render_related((await self._services.call("productcatalogservice", "GET", path)).json())

    async def _list(self, title: str, query: dict[str, str], session: str) -> Response:
        path = f"/products?{urlencode(query)}"
        products, cart = await asyncio.gather(
            self._services.call("productcatalogservice", "GET", path), self._cart(session)
        )
        cards = "".join(render_card(product) for product in products.json())
        return _html(render_page(title, cards or "<p>Nothing found.</p>", cart, session))

    async def _product(self, product_id: str, session: str) -> Response:
        found, cart = await asyncio.gather(
            self._services.call("productcatalogservice", "GET", f"/products/{quote(product_id, safe='')}"),
            self._cart(session),
        )
        answer = found.json()
        product = answer["product"]
        main = _PRODUCT.substitute(
            id=product["id"],
            card=render_card(product),
            related=render_related(answer["related"]),
        )
        return _html(render_page(product["name"], main, cart, session))

    async def _add(self, form: dict[str, str], session: str) -> Response:
        product_id = quote(form["product_id"], safe="")
        found = (await self._services.call("productcatalogservice", "GET", f"/products/{product_id}")).json()
        change = {"product": found["product"], "quantity": int(form["quantity"])}
        await self._services.call_owner("cartservice", session, "POST", f"/carts/{session}", change)
        return _redirect("/cart")

    async def _checkout(self, form: dict[str, str], session: str) -> Response:
        card = {
            "number": form["credit_card_number"],
            "month": form["credit_card_expiration_month"],
            "year": form["credit_card_expiration_year"],
            "cvv": form["credit_card_cvv"],
        }
        order = {"session": session, "country": form.get("country", "US"), "card": card}
        made = (await self._services.call("checkoutservice", "POST", "/orders", order)).json()
        rows = "".join(
            f"<tr><td>{name.removesuffix('_cents')}</td><td>{format_prices(cents)}</td></tr>"
            for name, cents in made["price"].items()
        )
        main = f"<p>Order {made['id']}, card ending in {made['payment']['last_digits']}.</p><table>{rows}</table>"
        main += await self._related(list(made["lines"]))
        return _html(render_page("Thank you", main, {"lines": []}, session))


def _session_of(request: Request) -> tuple[str, bool]:
    """The session of the cookie, or a new one."""
    morsel = SimpleCookie(request.headers.get("cookie", "")).get(_COOKIE)
    if morsel is not None and _SESSION.fullmatch(morsel.value):
        return morsel.value, False
    return os.urandom(16).hex(), True


def _html(page: bytes) -> Response:
    return Response(page, content_type="text/html; charset=utf-8")


def _redirect(path: str) -> Response:
    return Response(status=302, content_type="text/plain", headers=[("Location", path)])


def _packed(response: Response, request: Request) -> Response:
    """The response with an entity tag, compressed where the client accepts it."""
    if response.body:
        response.headers.append(("ETag", f'"{hashlib.sha256(response.body).hexdigest()[:16]}"'))
        if "gzip" in request.headers.get("accept-encoding", ""):
            response.body = gzip.compress(response.body, compresslevel=6, mtime=0)
            response.headers.append(("Content-Encoding", "gzip"))
    return response


def build(surroundings: Surroundings) -> Service:
    """The service, as serving.serve() runs it."""
    return Service(Frontend(surroundings).handle)
