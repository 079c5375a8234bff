"""The catalogue: generated products, lists and searches."""

from __future__ import annotations

import pytest

from mora.sandbox.shop.productcatalogservice import Catalogue, generate_products


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    return Catalogue(generate_products(count=60))


def test_every_replica_generates_the_same_catalogue() -> None:
    assert generate_products(count=20) == generate_products(count=20)


def test_the_catalogue_has_online_boutiques_own_products(catalogue: Catalogue) -> None:
    assert {"OLJCESPC7Z", "66VCHSJNUP", "1YMWWN1N4O"} <= set(catalogue.by_id)


def test_lists_are_sorted_and_limited(catalogue: Catalogue) -> None:
    rated = catalogue.listing(None, "rating", 10)
    assert [p.rating for p in rated] == sorted((p.rating for p in catalogue.by_id.values()), reverse=True)[:10]
    cheap = catalogue.listing("home", "price", 60)
    assert cheap
    assert {p.category for p in cheap} == {"home"}
    assert [p.price_cents for p in cheap] == sorted(p.price_cents for p in cheap)


def test_a_search_lists_the_products_that_share_most_words_first(catalogue: Catalogue) -> None:
    wanted = next(iter(catalogue.by_id.values()))
    found = catalogue.search(f"{wanted.name} {wanted.category}", 60)
    shared = [len(set(f"{wanted.name} {wanted.category}".lower().split()) & p.words) for p in found]
    assert wanted in found
    assert shared == sorted(shared, reverse=True)
    assert catalogue.search("nothing like that zzz", 10) == []


def test_related_products_are_others_of_the_same_category(catalogue: Catalogue) -> None:
    product = next(iter(catalogue.by_id.values()))
    related = catalogue.related([product], 10)
    assert related
    assert product not in related
    assert {p.category for p in related} == {product.category}
