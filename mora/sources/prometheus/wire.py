"""The HTTP side of reading a fleet: few connections, long answers, everything retried that may be.

What one workload asks for goes through prometheus-api-client (prometheus.py), which reads every point into objects of
its own. A fleet's answers are hundreds of megabytes in all: they are taken as bytes, a piece of the window at a time,
while the next piece is on its way.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from types import TracebackType
from typing import Any, Self

import requests
from requests.adapters import HTTPAdapter

from mora.domain import Window
from mora.sources.prometheus import matrix, promql
from mora.sources.prometheus.access import Access, TooManySamples, in_words, open_session, refuse, retry_policy

# Two at a time: one that the server works on while the other is read here. More would only take turns at the server.
CONNECTIONS = 2
# Longer texts go by POST: servers and proxies cut addresses at 8 KiB. Shorter ones by GET, which is all that read-only
# rights on the Kubernetes API's proxy allow.
_LONGEST_ADDRESS_CHARACTERS = 6000
# Below this a piece is not halved any further when the server runs out of samples.
_SHORTEST_PIECE_POINTS = 12
# A server that compresses spends more on that than on the query. Over a slow line it is worth it.
_SLOW_LINE_BYTES_PER_SECOND = 4e6
_TELLING_BYTES = 1_000_000
_CHUNK_BYTES = 1 << 20


@dataclass(slots=True)
class Wire:
    """One conversation with a Prometheus over many questions; what its answers warn of gathers in `warnings`."""

    url: str
    access: Access
    timeout: timedelta
    retries: int
    backoff: timedelta
    warnings: dict[str, None] = field(default_factory=dict)
    is_compressed: bool = False
    _session: requests.Session = field(default_factory=requests.Session)

    def __enter__(self) -> Self:
        self._session = open_session(self.access)
        policy = retry_policy(self.retries, self.backoff).new(allowed_methods=None)  # a query changes nothing
        self._session.mount(self.url, HTTPAdapter(max_retries=policy, pool_maxsize=CONNECTIONS))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._session.close()

    def instant(self, query: str, at: datetime) -> list[dict[str, Any]]:
        """The vector that a query answers at one moment, as the API gives it."""
        result: list[dict[str, Any]] = self._json("query", {"query": query, "time": _seconds(at)})["result"]
        return result

    def series(self, selector: str, start: datetime, end: datetime) -> list[dict[str, str]]:
        """Labels of the series that have samples between start and end; the server reads its index alone."""
        found: list[dict[str, str]] = self._json(
            "series", {"match[]": selector, "start": _seconds(start), "end": _seconds(end)}
        )
        return found

    def label_values(self, label: str, selector: str, start: datetime, end: datetime) -> list[str]:
        """Values of a label on the selector's series, sorted. The selector is short: this goes by GET alone."""
        params = {"match[]": selector, "start": _seconds(start), "end": _seconds(end)}
        return sorted(str(value) for value in self._json(f"label/{label}/values", params))

    def ranges(self, questions: Iterable[tuple[str, str, Window]]) -> Iterator[tuple[str, Window, list[matrix.Strip]]]:
        """(name, window, series) for each (name, query, window), in order; two under way at a time."""
        waiting: deque[tuple[str, Window, Future[bytes | None], str]] = deque()
        executor = ThreadPoolExecutor(CONNECTIONS, thread_name_prefix="mora-fleet")
        try:
            for name, query, window in questions:
                waiting.append((name, window, executor.submit(self._range, query, window), query))
                if len(waiting) >= CONNECTIONS:
                    yield from self._answered(*waiting.popleft())
            while waiting:
                yield from self._answered(*waiting.popleft())
        finally:  # at Ctrl-C nobody waits for a server that is silent
            executor.shutdown(wait=False, cancel_futures=True)

    def _answered(
        self, name: str, window: Window, answer: Future[bytes | None], query: str
    ) -> Iterator[tuple[str, Window, list[matrix.Strip]]]:
        body = answer.result()
        if body is not None:
            with in_words(self.url, self.timeout):
                strips = list(matrix.read(body, window))
            yield name, window, strips
            return
        for half in halves(window):  # the server ran out of samples
            yield from self._answered(name, half, _done(self._range(query, half)), query)

    def _range(self, query: str, window: Window) -> bytes | None:
        """The answer's bytes; None where the server would need too many samples at once, and less can be asked."""
        params = {
            "query": query,
            "start": _seconds(window.start),
            "end": _seconds(window.end),
            "step": f"{window.step.total_seconds():.3f}",
            "nocache": "1",  # VictoriaMetrics moves the grid to multiples of the step unless told so
        }
        try:
            return self._ask("query_range", params)
        except TooManySamples:
            if window.sample_count <= _SHORTEST_PIECE_POINTS:
                raise
            return None

    def _json(self, path: str, params: Mapping[str, str]) -> Any:
        import json

        body = self._ask(path, params)
        with in_words(self.url, self.timeout):
            answer = json.loads(body)
            if answer["status"] != "success":
                raise ValueError(f"status {answer['status']!r}")
            return answer["data"]

    def _ask(self, path: str, params: Mapping[str, str]) -> bytes:
        """One question; an answer that breaks off is asked for again."""
        sent = {**params, "timeout": promql.duration(self.timeout), "dedup": "true"}  # dedup: Thanos merges replicas
        for tries in range(self.retries + 1):
            try:
                return self._once(path, sent)
            except requests.exceptions.ChunkedEncodingError:
                if tries == self.retries:
                    with in_words(self.url, self.timeout):
                        raise
                time.sleep(self.backoff.total_seconds() * 2**tries)
        raise AssertionError("unreachable")  # pragma: no cover

    def _once(self, path: str, params: Mapping[str, str]) -> bytes:
        address = f"{self.url}/api/v1/{path}"
        is_short = sum(len(name) + len(value) for name, value in params.items()) < _LONGEST_ADDRESS_CHARACTERS
        with (
            in_words(self.url, self.timeout, passing=requests.exceptions.ChunkedEncodingError),
            self._session.request(
                "GET" if is_short else "POST",
                address,
                params=params if is_short else None,
                data=None if is_short else params,
                headers={"Accept-Encoding": "gzip" if self.is_compressed else "identity"},
                timeout=self.timeout.total_seconds(),
                verify=self._session.verify,  # left out, $REQUESTS_CA_BUNDLE would stand above a CA file that was given
                stream=True,
            ) as response,
        ):
            refuse(response, self.url)
            started = time.monotonic()
            body = b"".join(response.iter_content(_CHUNK_BYTES))
            seconds = time.monotonic() - started
        if len(body) > _TELLING_BYTES and len(body) < _SLOW_LINE_BYTES_PER_SECOND * seconds:
            self.is_compressed = True
        self._note_warnings(body)
        return body

    def _note_warnings(self, body: bytes) -> None:
        """Keeps what a server says of an answer that is not whole: at its end, or (VictoriaMetrics) at its start."""
        if b'"isPartial":true' in body[:200]:
            self.warnings["Prometheus warns: the answer is partial, as a storage node did not answer"] = None
        if b'"warnings"' in body[-4000:]:
            self.warnings.update(dict.fromkeys(f"Prometheus warns: {text}" for text in _warnings(body)))


def halves(window: Window) -> tuple[Window, Window]:
    """A window cut in two, each on the same grid."""
    middle = window.start + (window.sample_count // 2) * window.step
    return Window(window.start, middle - window.step, window.step), Window(middle, window.end, window.step)


def _warnings(body: bytes) -> list[str]:
    import json

    try:
        answer = json.loads(b"{" + body[body.rfind(b'"warnings"') :])
        return [str(text) for text in answer["warnings"]]
    except (ValueError, KeyError, TypeError):
        return []  # not at the top level: something else that is called so


def _done(body: bytes | None) -> Future[bytes | None]:
    future: Future[bytes | None] = Future()
    future.set_result(body)
    return future


def _seconds(at: datetime) -> str:
    return f"{at.timestamp():.3f}"
