"""Clients of a running sandbox: one that shops, one that asks Prometheus."""

from __future__ import annotations

import json
import threading
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.cookiejar import CookieJar
from typing import Any

from mora.sandbox import SandboxHandle

CARD = {
    "credit_card_number": "4432-8015-6152-0454",
    "credit_card_expiration_month": "1",
    "credit_card_expiration_year": "2039",
    "credit_card_cvv": "672",
}


class Shopper:
    """A customer with a session of their own."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPCookieProcessor(CookieJar())
        )

    def get(self, path: str) -> str:
        return self._open(path, None)

    def post(self, path: str, form: Mapping[str, str]) -> str:
        return self._open(path, urllib.parse.urlencode(form).encode())

    def add(self, product_id: str, quantity: int = 1) -> str:
        return self.post("/cart", {"product_id": product_id, "quantity": str(quantity)})

    def _open(self, path: str, body: bytes | None) -> str:
        with self._opener.open(self._url + path, body, timeout=60) as response:
            text: str = response.read().decode()
            return text


@contextmanager
def crowd(url: str, count: int, path: str = "/product/OLJCESPC7Z") -> Iterator[tuple[list[int], list[str]]]:
    """Many customers at once, until the block ends: (requests answered, what went wrong)."""
    answered, failures = [0], list[str]()
    done = threading.Event()

    def shop() -> None:
        shopper = Shopper(url)
        while not done.is_set():
            try:
                shopper.get(path)
                answered[0] += 1
            except OSError as error:
                failures.append(repr(error))

    threads = [threading.Thread(target=shop) for _ in range(count)]
    for thread in threads:
        thread.start()
    try:
        yield answered, failures
    finally:
        done.set()
        for thread in threads:
            thread.join()


def query(handle: SandboxHandle, text: str) -> list[dict[str, Any]]:
    """The result of an instant query to the sandbox's Prometheus."""
    url = f"{handle.prometheus_url}/api/v1/query?query={urllib.parse.quote(text)}"
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(url, timeout=60) as response:
        result: list[dict[str, Any]] = json.load(response)["data"]["result"]
        return result


def value(handle: SandboxHandle, text: str) -> float | None:
    """The only value of a query; None without one."""
    result = query(handle, text)
    assert len(result) <= 1, f"{text} has {len(result)} results"
    return float(result[0]["value"][1]) if result else None
