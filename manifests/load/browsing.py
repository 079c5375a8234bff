"""Browsing: customers who look at the catalogue and buy nothing.

    locust -f experiments/scenarios/browsing.py --headless -H http://localhost:8080 -u 40 -r 10 -t 60s

Product links come from the pages, so this file drives any shop with the paths of Online Boutique.
"""

from __future__ import annotations

import random
import re

from locust import FastHttpUser, between, task

_PRODUCT_LINK = re.compile(r'href="/product/([A-Z0-9]{10})"')
_WORDS = (
    "vintage",
    "modern",
    "watch",
    "mug",
    "lamp",
    "leather",
    "oak",
    "kitchen",
    "travel",
    "bamboo",
    "soft",
    "teapot",
)


class Browser(FastHttpUser):
    """A customer with one session cookie for the whole run."""

    wait_time = between(0.5, 1.5)

    def on_start(self) -> None:
        """Begin at the home page."""
        self.product_ids: list[str] = []
        self.home()

    @task(2)
    def home(self) -> None:
        """The home page."""
        self._look_at(self.client.get("/", name="/"))

    @task(2)
    def search(self) -> None:
        """A search with two words."""
        words = "+".join(random.sample(_WORDS, k=2))
        self._look_at(self.client.get(f"/search?q={words}", name="/search"))

    @task(6)
    def product(self) -> None:
        """A product that the last page linked to."""
        if self.product_ids:
            self._look_at(self.client.get(f"/product/{random.choice(self.product_ids)}", name="/product/[id]"))

    def _look_at(self, response) -> None:
        self.product_ids = _PRODUCT_LINK.findall(response.text or "") or self.product_ids
