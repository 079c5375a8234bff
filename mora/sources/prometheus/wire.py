"""The one way to ask a Prometheus: instant and range queries, series, label values.

prometheus-api-client makes the requests, on our own session (session.py). Answers to range queries are hundreds of
megabytes for a whole cluster: they go over the same session, and their bytes are read without an object per sample.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Any, Self

from mora.domain import Window
from mora.errors import SourceUnavailable
from mora.sources.prometheus import matrix
from mora.sources.prometheus.access import Access, TooMuch, explained, retry_policy
from mora.sources.prometheus.answers import label_sets, rows, rows_of_many, texts
from mora.sources.prometheus.deadline import WatchedAdapter
from mora.sources.prometheus.grid import halves
from mora.sources.prometheus.labels import Names
from mora.sources.prometheus.session import QuerySession

# Two at a time: one that the server works on while the other is read here. More would only take turns at the server.
CONNECTIONS = 2
# A shorter piece is not halved any further when the server runs out of samples.
_SHORTEST_PIECE_POINTS = 12
_VERSION_TIMEOUT_SECONDS = 5


@dataclass(slots=True)
class Wire:
    """One conversation with a Prometheus over many queries. The warnings of its answers gather in `warnings`.

    timeout: for each request, here and at the server. retries: after a 429, a 5xx, a timeout, a refused connection or
    an answer that breaks off. backoff: doubles from try to try. connections: range queries in flight at a time.
    """

    url: str
    access: Access
    timeout: timedelta
    retries: int
    backoff: timedelta
    connections: int = CONNECTIONS
    _session: QuerySession = field(init=False, repr=False)
    _client: Any = field(init=False, repr=False)
    names: Names = field(init=False, repr=False, default_factory=Names)
    _labels: dict[bytes, dict[str, str]] = field(init=False, repr=False, default_factory=dict)

    def __enter__(self) -> Self:
        from prometheus_api_client import PrometheusConnect

        self._session = QuerySession(self.url, self.access, self.timeout, self.retries, self.backoff)
        self._client = PrometheusConnect(
            self.url,
            session=self._session,
            retry=retry_policy(self.retries, self.backoff),
            timeout=self.timeout.total_seconds(),
        )
        self._session.mount(self.url, WatchedAdapter(max_retries=retry_policy(self.retries, self.backoff)))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close()

    @property
    def warnings(self) -> tuple[str, ...]:
        """What the server said of answers that are not complete, each text once; and rows left out for their names."""
        return (*self._session.warnings, *self.names.warnings)

    @property
    def asked(self) -> tuple[tuple[str, str], ...]:
        """What was asked for, each once: the API's path, and the query or selector as sent."""
        return tuple(self._session.asked)

    def version(self) -> str:
        """The version of the server; "unknown" of one that answers queries and does not tell it, as managed ones do."""
        try:
            with explained(self.url, self.timeout):
                answer = self._session.get(f"{self.url}/api/v1/status/buildinfo", timeout=_VERSION_TIMEOUT_SECONDS)
                return texts([answer.json()["data"]["version"]])[0]
        except SourceUnavailable as error:
            if error.__cause__ is None:  # it answered, and with a status that is an error
                with suppress(SourceUnavailable):
                    self.instant("vector(1)", datetime.now(UTC))
                    return "unknown"
            raise

    def instant(self, query: str, at: datetime) -> list[dict[str, Any]]:
        """The result of a query at one moment, as the API returns it."""
        with explained(self.url, self.timeout):
            found = rows(self._client.custom_query(query, params={"time": _seconds(at)}))
            return self.names.believed(found, lambda row: row["metric"])

    def samples(self, selector: str, at: datetime) -> list[list[float]]:
        """The moments of the raw samples, in Unix seconds, of each series of a selector with a span."""
        with explained(self.url, self.timeout):
            found = rows_of_many(self._client.custom_query(selector, params={"time": _seconds(at)}))
            return [[float(pair[0]) for pair in row["values"]] for row in found]

    def series(self, selector: str, start: datetime, end: datetime) -> list[dict[str, str]]:
        """Labels of the series that have samples between start and end; the server reads only its index."""
        with explained(self.url, self.timeout):
            found = label_sets(self._client.get_series(start, end, params={"match[]": selector}))
            return self.names.believed(found, lambda row: row)

    def label_values(self, label: str, selectors: str | Sequence[str], start: datetime, end: datetime) -> list[str]:
        """Values of a label on the series of one or several selectors, sorted. The API takes this by GET only."""
        params = {"match[]": selectors, "start": _seconds(start), "end": _seconds(end)}
        with explained(self.url, self.timeout):
            found = sorted(texts(self._client.get_label_values(label, params=params)))
        return self.names.values(label, found)

    def ranges(
        self, questions: Iterable[tuple[str, str, Window]], *, in_time: bool = False
    ) -> Iterator[tuple[str, Window, list[matrix.Strip]]]:
        """(name, window, series) for each (name, query, window), in order; `connections` in flight at a time.

        A window for which the server would load too many samples comes back as several shorter ones. in_time: one with
        too many series, too; else that is TooMuch, since fewer workloads have fewer series, and a shorter time hardly.
        """
        waiting: deque[tuple[str, Window, Future[bytes | None], str]] = deque()
        executor = ThreadPoolExecutor(self.connections, thread_name_prefix="mora-prometheus")
        try:
            for name, query, window in questions:
                waiting.append((name, window, executor.submit(self._range, query, window, in_time), query))
                if len(waiting) >= self.connections:
                    yield from self._answered(*waiting.popleft(), in_time)
            while waiting:
                yield from self._answered(*waiting.popleft(), in_time)
        finally:  # Ctrl-C must not wait for a server that does not answer
            executor.shutdown(wait=False, cancel_futures=True)

    def _answered(
        self, name: str, window: Window, answer: Future[bytes | None], query: str, in_time: bool
    ) -> Iterator[tuple[str, Window, list[matrix.Strip]]]:
        body = answer.result()
        if body is not None:
            with explained(self.url, self.timeout):
                strips = self.names.believed(matrix.read(body, window, self._labels), lambda strip: strip.labels)
            yield name, window, strips
            return
        for half in halves(window):  # the server ran out of samples
            yield from self._answered(name, half, _done(self._range(query, half, in_time)), query, in_time)

    def _range(self, query: str, window: Window, in_time: bool = False) -> bytes | None:
        """The answer's bytes; None where the server does not answer for so much, and less time can be asked for.

        PrometheusConnect.custom_query_range would round the window to whole seconds and build an object per sample.
        """
        params = {
            "query": query,
            "start": _seconds(window.start),
            "end": _seconds(window.end),
            "step": f"{window.step.total_seconds():.3f}",
            "nocache": "1",  # without it VictoriaMetrics moves the grid to multiples of the step
        }
        try:
            with explained(self.url, self.timeout):
                return self._session.get(
                    f"{self.url}/api/v1/query_range", params=params, timeout=self.timeout.total_seconds()
                ).content
        except TooMuch as error:
            if (error.of_series and not in_time) or window.sample_count <= _SHORTEST_PIECE_POINTS:
                raise
            return None


def _done(body: bytes | None) -> Future[bytes | None]:
    future: Future[bytes | None] = Future()
    future.set_result(body)
    return future


def _seconds(at: datetime) -> str:
    return f"{at.timestamp():.3f}"
