"""Orders: prices and signatures."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mora.sandbox.shop.checkoutservice import price_order, sign


def test_tax_is_rounded_for_each_line() -> None:
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
