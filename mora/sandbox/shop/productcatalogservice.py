"""The catalogue: lists, searches and sorts a generated range of products.

GET /products?sort=rating|price|name&category=C&count=N     the first N of a category, sorted
GET /products?q=WORDS&count=N                               the best matches of a search
GET /products/ID                                            one product in full, with similar ones
POST /prices {"ids": [...]}                                 id -> price in cents and weight in grams
"""

from __future__ import annotations

import base64
import random
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from mora.sandbox.shop.serving import Service, Surroundings
from mora.sandbox.shop.wire import HttpFailure, Request, Response, answer_json

_PRODUCT_COUNT = 600
_RELATED = 72
_SEED = 20260101
_ID_LETTERS = "0123456789ABCDEFGHJKLMNPQRSTUVWXYZ"
_WORD = re.compile(r"[a-z]+")
# The ids of Online Boutique's own products: a scenario with fixed links works on both shops.
_BOUTIQUE_IDS = (
    "OLJCESPC7Z", "66VCHSJNUP", "1YMWWN1N4O", "L9ECAV7KIM", "2ZYFJ3GM2N", "0PUK6V6EV0", "LS4PSXUNUM", "9SIQT8TOJO",
    "6E92ZMYYFZ",
)  # fmt: skip
_CATEGORIES = ("accessories", "clothing", "footwear", "hair", "beauty", "decor", "home", "kitchen", "garden", "travel")
_ADJECTIVES = (
    "vintage",
    "modern",
    "classic",
    "urban",
    "rustic",
    "slim",
    "bold",
    "soft",
    "bright",
    "quiet",
    "warm",
    "light",
)
_NOUNS = (
    "sunglasses", "tank top", "watch", "loafers", "hairdryer", "candle holder", "shaker", "bamboo jar", "mug", "lamp",
    "backpack", "scarf", "teapot", "blanket", "planter", "notebook",
)  # fmt: skip
_MATERIALS = ("oak", "steel", "linen", "cotton", "leather", "glass", "ceramic", "bamboo", "copper", "wool")
_USES = ("daily use", "long journeys", "small homes", "cold evenings", "busy mornings", "a quiet weekend", "gifts")


@dataclass(frozen=True, slots=True)
class Product:
    """A product: prices in cents, weight in grams, rating 1..5; `picture` is image data in base64."""

    id: str
    name: str
    category: str
    description: str
    price_cents: int
    weight_grams: int
    rating: float
    picture: str
    words: frozenset[str] = field(default=frozenset())

    def summary(self) -> dict[str, Any]:
        """The fields that a list shows: all but the picture."""
        return {
            "id": self.id,
            "name": self.name,
            "category": self.category,
            "description": self.description,
            "price_cents": self.price_cents,
            "weight_grams": self.weight_grams,
            "rating": self.rating,
        }

    def full(self) -> dict[str, Any]:
        """All fields that a page shows, with the picture."""
        return {**self.summary(), "picture": self.picture}


def generate_products(count: int = _PRODUCT_COUNT, seed: int = _SEED) -> list[Product]:
    """The products of the shop; the same in every replica."""
    rng = random.Random(seed)  # noqa: S311  (a catalogue, not a secret)
    ids = list(_BOUTIQUE_IDS) + ["".join(rng.choices(_ID_LETTERS, k=10)) for _ in range(count - len(_BOUTIQUE_IDS))]
    return [_generate_product(rng, product_id) for product_id in ids]


def _generate_product(rng: random.Random, product_id: str) -> Product:
    noun, material, category = rng.choice(_NOUNS), rng.choice(_MATERIALS), rng.choice(_CATEGORIES)
    name = f"{rng.choice(_ADJECTIVES)} {material} {noun}".title()
    sentences = (
        f"{rng.choice(_ADJECTIVES).title()} {noun} of {rng.choice(_MATERIALS)} & {material}, for {rng.choice(_USES)}."
        for _ in range(5)
    )
    description = " ".join(sentences)
    return Product(
        id=product_id,
        name=name,
        category=category,
        description=description,
        price_cents=rng.randrange(499, 19_999),
        weight_grams=rng.randrange(50, 4_000),
        rating=rng.randrange(20, 51) / 10,
        picture=base64.b64encode(rng.randbytes(24_000)).decode(),
        words=frozenset(_WORD.findall(f"{name} {category} {description}".lower())),
    )


class Catalogue:
    """Products that can be listed and searched."""

    def __init__(self, products: Iterable[Product]) -> None:
        self.by_id = {product.id: product for product in products}

    def listing(self, category: str | None, sort: str, count: int) -> list[Product]:
        """The first products of a category (None: of all), sorted by rating, price or name."""
        chosen = [product for product in self.by_id.values() if category is None or product.category == category]
        keys: dict[str, Any] = {
            "rating": lambda product: (-product.rating, product.name),
            "price": lambda product: (product.price_cents, product.name),
            "name": lambda product: product.name,
        }
        return sorted(chosen, key=keys[sort])[:count]

    def search(self, query: str, count: int) -> list[Product]:
        """The products that share the most words with the query, the better rated first among equals."""
        wanted = frozenset(_WORD.findall(query.lower()))
        scored = [(len(wanted & product.words), product.rating, product.id) for product in self.by_id.values()]
        best = sorted((score for score in scored if score[0]), reverse=True)[:count]
        return [self.by_id[product_id] for _, _, product_id in best]

    def related(self, products: Sequence[Product], count: int) -> list[Product]:
        """The products of the same categories that share the most words with the given ones."""
        words = frozenset().union(*(product.words for product in products))
        categories = {product.category for product in products}
        others = [p for p in self.by_id.values() if p.category in categories and p not in products]
        return sorted(others, key=lambda other: (-len(other.words & words), -other.rating))[:count]


def build(_: Surroundings) -> Service:
    """The service, as serving.serve() runs it."""
    catalogue = Catalogue(generate_products())

    async def handle(request: Request) -> Response:
        match request.path.strip("/").split("/"):
            case ["products"] if "q" in request.query:
                found = catalogue.search(request.query["q"], int(request.query["count"]))
                return answer_json([product.summary() for product in found])
            case ["products"]:
                sort = request.query.get("sort", "rating")
                listed = catalogue.listing(request.query.get("category"), sort, int(request.query["count"]))
                return answer_json([product.summary() for product in listed])
            case ["products", product_id] if product_id in catalogue.by_id:
                product = catalogue.by_id[product_id]
                related = [other.summary() for other in catalogue.related([product], _RELATED)]
                return answer_json({"product": product.full(), "related": related})
            case ["related"]:
                products = [catalogue.by_id[product_id] for product_id in request.query["ids"].split(",")]
                return answer_json([other.summary() for other in catalogue.related(products, _RELATED)])
            case ["prices"]:
                products = [catalogue.by_id[product_id] for product_id in request.json()["ids"]]
                return answer_json(
                    {p.id: {"price_cents": p.price_cents, "weight_grams": p.weight_grams} for p in products}
                )
            case _:
                raise HttpFailure(f"no such product or path: {request.path}", 404)

    return Service(handle)
