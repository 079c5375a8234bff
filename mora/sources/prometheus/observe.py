"""Reads the twelve metrics of one workload from a Prometheus, or from what speaks its API (Thanos, Mimir)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from mora.domain import Observation, Window, Workload, choose_main_container
from mora.quantities import format_duration
from mora.sources.derived import with_derived
from mora.sources.prometheus import promql
from mora.sources.prometheus.access import Access, split_url
from mora.sources.prometheus.asked import Pace, Paces
from mora.sources.prometheus.causes import known_workloads, why_gaps, why_nothing
from mora.sources.prometheus.counters import STEPS_BACK, UNSTEADY_SPAN
from mora.sources.prometheus.fleet_promql import Scope
from mora.sources.prometheus.frames import (
    Answers,
    annotated_container,
    container_names,
    containers_frame,
    joined,
    metrics_frame,
)
from mora.sources.prometheus.freshness import Silence, before
from mora.sources.prometheus.grid import LONGEST_PIECE_POINTS, check_grid, coarse, cut, index_of, shortened
from mora.sources.prometheus.node_use import NodeUse, fullest_node
from mora.sources.prometheus.nodes import hosts
from mora.sources.prometheus.observed import WORDS, believed
from mora.sources.prometheus.rates import RateWindows, find_rate_windows, paces_of
from mora.sources.prometheus.wire import CONNECTIONS, Wire

_KNOWN_LATELY = timedelta(hours=1)
# A history that is at least so long may have been scraped at several intervals.
_LONG = timedelta(days=1)


class PrometheusSource:
    """A Prometheus as a MetricSource.

    timeout: for each request, here and at the server. retries: after a 429, a 5xx, a timeout, a refused connection or
    an answer that breaks off. backoff: doubles from try to try. workers: requests in flight at a time. rate_window: in
    place of the one that is found, four scrape intervals and at least 10 s.
    """

    ABOUT = "Prometheus and what speaks its API: Thanos, Mimir, VictoriaMetrics, managed ones"
    RIGHTS = ("queries", "of a managed one: see docs/prometheus.md")

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

    def node_use(self, namespace: str, window: Window) -> NodeUse | None:
        """What the fullest node of the namespace's pods did in a window; None where the metrics do not say."""
        with self.wire() as wire:
            least = self._rate_windows(wire, namespace, window).node
            return fullest_node(wire, namespace, window, least=least)

    def observe(self, workload: Workload, window: Window) -> Observation:
        """All measured metrics of a workload, the derived ones computed from them, and its other containers.

        BadInput where the workload does not exist in the window, naming what does. SourceUnavailable where nothing
        answers. A column without an answer is NaN, with a warning that gives the probable cause.
        """
        check_grid(window)
        with self.wire(self._workers) as wire:
            rate_windows = self._rate_windows(wire, workload.namespace, window)
            paces = self._paces(wire, workload.namespace, window, rate_windows)
            answers, texts, remarks = _answers(wire, workload, window, paces, rate_windows)
            if not any(answers.values()):
                raise why_nothing(wire, workload, window)
            silence = Silence()
            if rate_windows.interval is not None:
                slowest = max((pace for _, pace in paces.since), key=lambda pace: pace.interval)
                wider = before(window, slowest.rate_window)
                ages = _ask(wire, {"": promql.newest_sample_age(workload, slowest.interval)}, wider, cut(wider))[""]
                silence = Silence.of(ages, wider, slowest.interval, slowest.rate_window)
                answers = silence.blank(answers, window)
            nodes = hosts(wire, Scope(), window).largest
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
        frame, others, left_out = believed(
            metrics_frame(answers, main, index),
            containers_frame(answers, [name for name in names if name != main], index),
            nodes,
            has_quota=bool(answers["throttled_ratio"]),
        )
        frame = with_derived(frame)
        remarks = (*remarks, *(f"{one.words(WORDS[target])}." for target, one in left_out.items()))
        return Observation(
            workload=workload,
            window=window,
            metrics=frame,
            containers=others,
            main_container=main,
            main_container_chosen_by=chosen_by,
            queries=texts,
            warnings=(
                *rate_windows.warnings,
                *server_warnings,
                *remarks,
                *silence.words(window),
                *why_gaps(frame, window),
            ),
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

    def _paces(self, wire: Wire, namespace: str, window: Window, found: RateWindows) -> Paces:
        """The paces of a window. An experiment is too short for a change; a rate window that is given is for all."""
        paces = None
        if self._given is None and window.end - window.start >= _LONG:
            paces = paces_of(wire, promql.container_counters(namespace), window)
        if paces is not None:
            return paces
        interval = found.interval or found.container / 4
        return Paces(((window.start, Pace(interval, found.container)),))


def _answers(
    wire: Wire, workload: Workload, window: Window, paces: Paces, rate_windows: RateWindows
) -> tuple[Answers, dict[str, str], tuple[str, ...]]:
    """The answers of all columns, each piece at its own pace; the latest texts; what a reader must know of them."""
    pieces = paces.cut(window, LONGEST_PIECE_POINTS)
    latest = _texts(workload, replace(rate_windows, container=paces.latest.rate_window))
    texts = {pace: _texts(workload, replace(rate_windows, container=pace.rate_window)) for _, pace in pieces}
    questions = [(name, text, piece) for piece, pace in pieces for name, text in texts[pace].items()]
    answers, remarks = joined(wire.ranges(questions), latest, window), paces.words()
    text = promql.steps_back_of(workload, UNSTEADY_SPAN, window.end - window.start, STEPS_BACK)
    if not wire.instant(text, window.end):
        return answers, latest, remarks
    again = [
        (name, text, piece)
        for piece, pace in pieces
        for name, text in promql.cpu_as_means(workload, pace.rate_window).items()
    ]
    means = promql.cpu_as_means(workload, paces.latest.rate_window)
    remark = (
        "Its CPU counter often steps back, as where several collectors write one series: use is read as the mean "
        f"over {format_duration(paces.latest.rate_window)}."
    )
    read_again = joined(wire.ranges(again), means, window)
    return {**answers, **read_again}, {**latest, **means}, (*remarks, remark)


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
