"""Reads the twelve metrics of one workload from a Prometheus, or from what speaks its API (Thanos, Mimir)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

from mora.domain import Observation, Window, Workload, choose_main_container
from mora.sources.derived import with_derived
from mora.sources.prometheus import promql
from mora.sources.prometheus.access import Access, split_url
from mora.sources.prometheus.causes import known_workloads, why_gaps, why_nothing
from mora.sources.prometheus.frames import (
    Answers,
    annotated_container,
    container_names,
    containers_frame,
    joined,
    metrics_frame,
)
from mora.sources.prometheus.freshness import Silence, before
from mora.sources.prometheus.grid import check_grid, coarse, cut, index_of, shortened
from mora.sources.prometheus.rates import RateWindows, find_rate_windows
from mora.sources.prometheus.wire import CONNECTIONS, Wire

_KNOWN_LATELY = timedelta(hours=1)


class PrometheusSource:
    """A Prometheus as a MetricSource.

    timeout: for each request, here and at the server. retries: after a 429, a 5xx, a timeout, a refused connection or
    an answer that breaks off. backoff: doubles from try to try. workers: requests in flight at a time. rate_window: in
    place of the one that is found, four scrape intervals and at least 10 s.
    """

    def __init__(
        self,
        url: str,
        *,
        access: Access | None = None,
        timeout: timedelta = timedelta(seconds=60),
        retries: int = 4,
        backoff: timedelta = timedelta(milliseconds=250),
        workers: int = 4,
        rate_window: timedelta | None = None,
    ) -> None:
        self._url, self._access = split_url(url, access or Access())
        self._timeout = timeout
        self._retries = retries
        self._backoff = backoff
        self._workers = workers
        self._given = None if rate_window is None else RateWindows(container=rate_window, node=rate_window)
        self._found: dict[str, RateWindows] = {}

    def __repr__(self) -> str:
        return f"PrometheusSource({self._url!r})"

    def check(self) -> str:
        """The version that answers; SourceUnavailable where nothing does, or something else than a Prometheus."""
        with self.wire() as wire:
            return wire.version()

    def services(self, namespace: str) -> list[str]:
        """Workloads of the namespace that have samples of the last hour, sorted."""
        now = datetime.now(UTC)
        with self.wire() as wire:
            return known_workloads(wire, namespace, now - _KNOWN_LATELY, now)

    def queries(self, workload: Workload, window: Window) -> dict[str, str]:
        """What observe() would send, column -> text, without sending it.

        As long as the scrape interval of the namespace is not known, the rate windows read $__rate_window.
        """
        return _texts(workload, self._given or self._found.get(workload.namespace))

    def observe(self, workload: Workload, window: Window) -> Observation:
        """All measured metrics of a workload, the derived ones computed from them, and its other containers.

        BadInput where the workload does not exist in the window, naming what does. SourceUnavailable where nothing
        answers. A column without an answer is NaN, with a warning that gives the probable cause.
        """
        check_grid(window)
        with self.wire(self._workers) as wire:
            rate_windows = self._rate_windows(wire, workload.namespace, window)
            texts = _texts(workload, rate_windows)
            answers = _ask(wire, texts, window, cut(window))
            if not any(answers.values()):
                raise why_nothing(wire, workload, window)
            silence = Silence()
            if rate_windows.interval is not None:
                wider = before(window, rate_windows.container)
                ages = _ask(wire, {"": promql.newest_sample_age(workload, rate_windows.interval)}, wider, cut(wider))[
                    ""
                ]
                silence = Silence.of(ages, wider, rate_windows.interval, rate_windows.container)
                answers = silence.blank(answers, window)
            slow = _about_sixty_samples(window)
            annotated = annotated_container(
                _ask(wire, {"": promql.default_container(workload)}, slow, shortened(slow, window))[""]
            )
            server_warnings = wire.warnings
        names = container_names(answers)
        main, chosen_by = None, "no container was seen"
        if names:
            main, chosen_by = choose_main_container(names, workload.name, annotated=annotated, order="by name")
        index = index_of(window)
        frame = with_derived(metrics_frame(answers, main, index))
        return Observation(
            workload=workload,
            window=window,
            metrics=frame,
            containers=containers_frame(answers, [name for name in names if name != main], index),
            main_container=main,
            main_container_chosen_by=chosen_by,
            queries=texts,
            warnings=(*rate_windows.warnings, *server_warnings, *silence.words(window), *why_gaps(frame, window)),
            rate_window=rate_windows.container,
        )

    def wire(self, connections: int = CONNECTIONS) -> Wire:
        """A conversation with this Prometheus, for queries of one's own."""
        return Wire(self._url, self._access, self._timeout, self._retries, self._backoff, connections)

    def _rate_windows(self, wire: Wire, namespace: str, window: Window) -> RateWindows:
        if self._given is not None:
            return self._given
        if namespace not in self._found:
            found = find_rate_windows(wire, namespace, window)
            if found.warnings:  # perhaps only this window is empty: look again next time
                return found
            self._found[namespace] = found
        return self._found[namespace]


def _texts(workload: Workload, rate_windows: RateWindows | None) -> dict[str, str]:
    if rate_windows is None:
        return promql.queries(workload)
    return promql.queries(
        workload,
        rate_window=promql.duration(rate_windows.container),
        node_rate_window=promql.duration(rate_windows.node),
    )


def _ask(wire: Wire, texts: Mapping[str, str], window: Window, pieces: Sequence[Window]) -> Answers:
    questions = ((name, text, piece) for piece in pieces for name, text in texts.items())
    return joined(wire.ranges(questions), texts, window)


def _about_sixty_samples(window: Window) -> Window:
    """The same span on a coarse grid, for what hardly changes."""
    return coarse(window, timedelta(milliseconds=math.ceil((window.end - window.start) / timedelta(milliseconds=60))))
