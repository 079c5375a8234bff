"""Payments: card numbers and expiry dates."""

from __future__ import annotations

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from mora.sandbox.shop.paymentservice import is_expired, passes_luhn


@given(st.text(alphabet="0123456789", min_size=13, max_size=16), st.integers(0, 12), st.integers(1, 9))
def test_one_wrong_digit_never_passes_the_luhn_check(number: str, place: int, change: int) -> None:
    wrong = str((int(number[place]) + change) % 10)
    assert not (passes_luhn(number) and passes_luhn(number[:place] + wrong + number[place + 1 :]))


def test_cards_expire_at_the_end_of_their_month() -> None:
    today = datetime(2026, 11, 30, tzinfo=UTC)
    assert not is_expired(11, 2026, today)
    assert is_expired(10, 2026, today)
    assert is_expired(12, 2025, today)
