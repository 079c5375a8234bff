"""Checkout: customers who fill a cart and pay; after each order the user comes back as a new customer.

    locust -f experiments/scenarios/checkout.py --headless -H http://localhost:8080 -u 40 -r 10 -t 60s

The forms are those of Online Boutique.
"""

from __future__ import annotations

import random
import re

from locust import FastHttpUser, SequentialTaskSet, between, task

_PRODUCT_LINK = re.compile(r'href="/product/([A-Z0-9]{10})"')
_MOST_ITEMS = 5
_CUSTOMER = {
    "email": "someone@example.com",
    "street_address": "1600 Amphitheatre Parkway",
    "zip_code": "94043",
    "city": "Mountain View",
    "state": "CA",
    "country": "United States",
    "credit_card_number": "4432-8015-6152-0454",
    "credit_card_expiration_month": "1",
    "credit_card_expiration_year": "2039",
    "credit_card_cvv": "672",
}


class Purchase(SequentialTaskSet):
    """One customer: arrives, puts three to five products into the cart, looks at the cart, pays."""

    @task
    def arrive(self) -> None:
        """A new session; choose products from the home page."""
        self.client.cookiejar.clear()
        page = self.client.get("/", name="/").text or ""
        product_ids = sorted(set(_PRODUCT_LINK.findall(page)))
        self.wanted = random.sample(product_ids, k=min(len(product_ids), random.randint(3, _MOST_ITEMS)))

    @task
    def fill_cart(self) -> None:
        """Look at each product and add it."""
        for product_id in self.wanted:
            self.client.get(f"/product/{product_id}", name="/product/[id]")
            self.wait()
            form = {"product_id": product_id, "quantity": str(random.randint(1, 3))}
            self.client.post("/cart", data=form, name="/cart (add)")
            self.wait()

    @task
    def pay(self) -> None:
        """Look at the cart and order."""
        if self.wanted:
            self.client.get("/cart", name="/cart")
            self.wait()
            self.client.post("/cart/checkout", data=_CUSTOMER, name="/cart/checkout")


class Customer(FastHttpUser):
    """A user who makes one purchase after another."""

    wait_time = between(0.5, 1.5)
    tasks = (Purchase,)
