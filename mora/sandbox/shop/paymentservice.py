"""Payments: validates cards and signs what was charged.

POST /charge {"number", "month", "year", "cvv", "amount_cents"}     {"transaction", "last_digits", "signature"}
"""

from __future__ import annotations

import hashlib
import os
from datetime import UTC, datetime

from mora.sandbox.shop.serving import Service, Surroundings
from mora.sandbox.shop.wire import HttpFailure, Request, Response, answer_json

# About 5 ms of CPU: a charge is the most expensive request of a customer.
_SIGNATURE_ROUNDS = 8_000


def passes_luhn(number: str) -> bool:
    """Whether the digits of a card number add up (ISO/IEC 7812-1, annex B).

    >>> passes_luhn("4432801561520454"), passes_luhn("4432801561520455")
    (True, False)
    """
    if not (number.isascii() and number.isdigit() and 12 <= len(number) <= 19):
        return False
    digits = [int(digit) for digit in reversed(number)]
    doubled = [sum(divmod(2 * digit, 10)) for digit in digits[1::2]]
    return (sum(digits[::2]) + sum(doubled)) % 10 == 0


def is_expired(month: int, year: int, today: datetime) -> bool:
    """Whether a card that is valid to the end of this month has expired."""
    return (year, month) < (today.year, today.month)


def build(_: Surroundings) -> Service:
    """The service, as serving.serve() runs it."""
    key = os.urandom(32)

    async def handle(request: Request) -> Response:
        card = request.json()
        number = str(card["number"]).replace("-", "").replace(" ", "")
        if not passes_luhn(number):
            raise HttpFailure("this is not a card number", 422)
        if is_expired(int(card["month"]), int(card["year"]), datetime.now(UTC)):
            raise HttpFailure("this card has expired", 422)
        transaction = os.urandom(16)
        message = f"{number}|{card['cvv']}|{int(card['amount_cents'])}".encode() + transaction
        signature = hashlib.pbkdf2_hmac("sha256", message, key, _SIGNATURE_ROUNDS)
        return answer_json({"transaction": transaction.hex(), "last_digits": number[-4:], "signature": signature.hex()})

    return Service(handle)
