"""Answers of the examples that outputs are tested with, and a server of them."""

from __future__ import annotations

import json
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from email.message import Message
from pathlib import Path
from typing import Any

from mora.domain import Recommendation
from mora.outputs import OutputSettings
from mora.record.store import Record
from mora.savings import Prices
from mora.serving.asgi import AsgiServer
from mora.web.answer import Answer, answer_document, entry_document, read_answer
from mora.web.app import Served, application
from mora.web.guard import Guard
from mora.web.live import Live
from mora.web.metrics import Telemetry
from mora.web.page import page
from tests.outputs.examples import everything

MADE_AT = 1_790_000_000.0
SETTINGS = OutputSettings(prices=Prices(), verbose=True)


def found(advice: Sequence[Recommendation] | None = None, made_at: float = MADE_AT) -> dict[str, Any]:
    """What the process that computes sends."""
    entries = [entry_document(one, SETTINGS) for one in (everything() if advice is None else advice)]
    return json.loads(json.dumps(answer_document(made_at, entries, ["A note."], SETTINGS.prices)))  # type: ignore[no-any-return]


def answer(advice: Sequence[Recommendation] | None = None, made_at: float = MADE_AT) -> Answer:
    read = read_answer(found(advice, made_at))
    assert read is not None
    return read


@dataclass
class Site:
    """A server of answers: what it serves, and where."""

    live: Live
    record: Path
    port: int
    clock: list[float]

    def get(self, path: str, method: str = "GET", **headers: str) -> tuple[int, Message[str, str], bytes]:
        """Status, headers and body."""
        asked = urllib.request.Request(  # loopback
            f"http://127.0.0.1:{self.port}{path}", method=method, headers=headers
        )
        try:
            with urllib.request.urlopen(asked, timeout=120) as got:  # noqa: S310  # loopback
                return got.status, got.headers, got.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.headers, error.read()

    def json(self, path: str) -> Any:
        status, _, body = self.get(path)
        assert status == 200, body
        return json.loads(body)


@contextmanager
def site(folder: Path, *, names: Sequence[str] = ("",), now: float = MADE_AT) -> Iterator[Site]:
    """A server without an answer yet, whose clock stands still until it is set."""
    clock = [now]
    live, record = Live(names, 900.0, now=lambda: clock[0]), folder / "record.sqlite"
    served = Served(
        live,
        Telemetry(live, now=lambda: clock[0]),
        record,
        unhealthy=lambda: None,
        page=lambda shown, cluster, namespace: page(shown, record, cluster, namespace, now=clock[0]),
        now=lambda: clock[0],
    )
    with (
        Record(record),
        AsgiServer(("127.0.0.1", 0), Guard(application(served), "127.0.0.1")) as server,
    ):
        yield Site(live, record, server.port, clock)


class Logged:
    """The log lines of a server, and when there is one of a text."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, str, dict[str, object]]] = []
        self._changed = threading.Condition()

    def __call__(self, level: str, message: str, **about: object) -> None:
        with self._changed:
            self.lines.append((level, message, about))
            self._changed.notify_all()

    def wait_for(self, message: str, count: int = 1) -> dict[str, object]:
        """The fields of the count-th line of a text, once it is there."""
        with self._changed:
            assert self._changed.wait_for(lambda: len(self._of(message)) >= count, 120), self.lines
            return self._of(message)[count - 1]

    def _of(self, message: str) -> list[dict[str, object]]:
        return [about for _, text, about in self.lines if text == message]
