"""Reads the twelve metrics of a workload from a Prometheus, or from what speaks its API (Thanos, Mimir).

prometheus-api-client carries the requests. Around it stand what it leaves open: a timeout, retries that are spread out,
ranges that are cut below the server's limit of 11,000 points and joined on an exact grid, errors in words, and the
warnings that a server sends with a partial answer.
"""

from __future__ import annotations

import difflib
import math
import threading
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from statistics import median
from types import TracebackType
from typing import Any, Protocol

import numpy as np
import pandas as pd
import requests
from numpy.typing import NDArray

from mora.domain import Observation, Window, Workload, choose_main_container
from mora.errors import BadInput, MoraError, SourceUnavailable
from mora.quantities import format_moment
from mora.sources.derived import with_derived
from mora.sources.prometheus import promql
from mora.sources.prometheus.access import (
    Access,
    TooManySamples,
    in_words,
    open_session,
    refuse,
    retry_policy,
    split_url,
)
from mora.sources.prometheus.wire import Wire

# Prometheus refuses more than 11,000 points a series in one answer; no flag changes that.
LONGEST_PIECE_POINTS = 10_000
# Below this a piece is not halved any further when the server runs out of samples.
_SHORTEST_PIECE_POINTS = 60
# rate() needs two samples in its window, also when one scrape is late and one is lost.
_SCRAPES_IN_A_RATE_WINDOW = 4
_SHORTEST_RATE_WINDOW = timedelta(seconds=10)
# Where no scrape interval is found: what suits the slowest usual one, a minute.
FALLBACK_RATE_WINDOW = timedelta(minutes=5)
_INTERVAL_SPANS = (timedelta(minutes=5), timedelta(hours=1))
_KNOWN_LATELY = timedelta(hours=1)

CONTAINER_COLUMNS: Mapping[str, str] = {
    "cpu_cores_value": "cpu_cores",
    "mem_bytes_value": "mem_bytes",
    "cpu_request_cores": "cpu_request_cores",
    "cpu_limit_cores": "cpu_limit_cores",
    "mem_request_bytes": "mem_request_bytes",
    "mem_limit_bytes": "mem_limit_bytes",
}

_KSM = "kube-state-metrics is not scraped, or it is told to leave this metric out"
_CADVISOR = "cAdvisor (the kubelet's /metrics/cadvisor) is not scraped, or this metric is dropped by relabelling"
_NODE = "node-exporter is not scraped, or its node_uname_info names the nodes otherwise than Kubernetes does"
# column -> the metric behind it and why it may be silent though the workload exists.
_PROBABLE_CAUSES: Mapping[str, tuple[str, str]] = {
    "cpu_cores_value": ("container_cpu_usage_seconds_total", _CADVISOR),
    "cpu_cores_total": ("container_cpu_usage_seconds_total", _CADVISOR),
    "mem_bytes_value": ("container_memory_working_set_bytes", _CADVISOR),
    "mem_bytes_total": ("container_memory_working_set_bytes", _CADVISOR),
    "net_rx_bytes_value": (
        "container_network_receive_bytes_total",
        f"every pod is on the host's network, or {_CADVISOR}",
    ),
    "net_tx_bytes_value": (
        "container_network_transmit_bytes_total",
        f"every pod is on the host's network, or {_CADVISOR}",
    ),
    "pod_restarts_value": ("kube_pod_container_status_restarts_total", _KSM),
    "replica_count_value": ("kube_deployment_status_replicas_available (or its like)", _KSM),
    "node_cpu_util_value": ("node_cpu_seconds_total", _NODE),
    "node_mem_util_value": ("node_memory_MemAvailable_bytes", _NODE),
    "throttled_ratio": ("container_cpu_cfs_throttled_periods_total", _CADVISOR),
    "oom_kills": ("kube_pod_container_status_last_terminated_reason", _KSM),
}
_ALLOCATED_COLUMNS = ("cpu_request_cores", "cpu_limit_cores", "mem_request_bytes", "mem_limit_bytes")

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class RateWindows:
    """What rates are taken over: cAdvisor's counters and node-exporter's, which may be scraped at another pace."""

    container: timedelta
    node: timedelta
    warnings: tuple[str, ...] = ()


class PrometheusSource:
    """A Prometheus as a domain.MetricSource.

    timeout: for each request, here and at the server. retries: after a 429, a 5xx, a timeout or a refused connection.
    backoff: doubles from try to try. workers: requests under way at a time. rate_window: in place of the one that is
    found, four scrape intervals and at least 10 s.
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
        """The version that answers; SourceUnavailable in words where nothing does, or something else."""
        with self._conversation() as api:
            return api.version()

    def services(self, namespace: str) -> list[str]:
        """Workloads of the namespace that the last hour has samples of, sorted."""
        now = datetime.now(UTC)
        with self._conversation() as api:
            return _workloads(api, namespace, now - _KNOWN_LATELY, now)

    def queries(self, workload: Workload, window: Window) -> dict[str, str]:
        """What observe() would send, column -> text, without sending it.

        As long as the scrape interval of the namespace is not known, the rate windows read $__rate_window.
        """
        return _texts(workload, self._given or self._found.get(workload.namespace))

    def observe(self, workload: Workload, window: Window) -> Observation:
        """All measured metrics of a workload, the derived ones computed from them, and its other containers.

        BadInput where the workload does not exist in the window, naming what does. SourceUnavailable where nothing
        answers. A column without an answer is NaN, with a warning that says why it may be.
        """
        _check_grid(window)
        with self._conversation() as api:
            rate_windows = self._rate_windows(api, workload.namespace, window)
            texts = _texts(workload, rate_windows)
            answers = api.ranges(texts, window)
            if not any(answers.values()):
                raise _nothing_known(api, workload, window)
            annotated = _annotated(api.ranges({"": promql.default_container(workload)}, _coarse(window))[""])
            server_warnings = tuple(api.warnings)
        names = sorted(_names(answers))
        main, chosen_by = None, "no container was seen"
        if names:
            main, chosen_by = choose_main_container(names, workload.name, annotated=annotated, order="by name")
        index = _index(window)
        frame = with_derived(_metrics(answers, main, index))
        return Observation(
            workload=workload,
            window=window,
            metrics=frame,
            containers=_others(answers, [name for name in names if name != main], index),
            main_container=main,
            main_container_chosen_by=chosen_by,
            queries=texts,
            warnings=(*rate_windows.warnings, *server_warnings, *_silences(frame, window)),
            rate_window=rate_windows.container,
        )

    def wire(self) -> Wire:
        """A conversation for many long answers, with the same credentials and patience."""
        return Wire(self._url, self._access, self._timeout, self._retries, self._backoff)

    def _conversation(self) -> _Api:
        return _Api(self._url, self._access, self._timeout, self._retries, self._backoff, self._workers)

    def _rate_windows(self, api: _Api, namespace: str, window: Window) -> RateWindows:
        if self._given is not None:
            return self._given
        if namespace not in self._found:
            found = _find_rate_windows(api, namespace, window)
            if found.warnings:  # perhaps only this window is empty: look again next time
                return found
            self._found[namespace] = found
        return self._found[namespace]


# --- the conversation ------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Series:
    """The answer to one question for one set of labels, on the window's grid."""

    labels: Mapping[str, str]
    values: Floats


@dataclass(slots=True)
class _Api:
    """One conversation with a Prometheus; what its answers warn of gathers in `warnings`."""

    url: str
    access: Access
    timeout: timedelta
    retries: int
    backoff: timedelta
    workers: int
    warnings: dict[str, None] = field(default_factory=dict)
    _session: Any = None
    _client: Any = None
    _lock: Any = field(default_factory=threading.Lock)

    def __enter__(self) -> _Api:
        from prometheus_api_client import PrometheusConnect

        self._session = open_session(self.access)
        self._session.hooks["response"].append(self._look_at)
        self._client = PrometheusConnect(
            self.url,
            session=self._session,
            retry=retry_policy(self.retries, self.backoff),
            timeout=self.timeout.total_seconds(),
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close()

    def version(self) -> str:
        with self._in_words():
            return str(
                self._client._session.get(f"{self.url}/api/v1/status/buildinfo", timeout=5).json()["data"]["version"]
            )

    def label_values(self, label: str, selectors: Sequence[str], start: datetime, end: datetime) -> list[str]:
        """Values of a label on the series of the selectors that have samples between start and end."""
        params = {"match[]": list(selectors), "start": start.timestamp(), "end": end.timestamp()}
        with self._in_words():
            return [str(value) for value in self._client.get_label_values(label, params=params)]

    def instant(self, query: str, at: datetime) -> list[dict[str, Any]]:
        """The result of a query at one moment, as the API gives it."""
        params = {"time": f"{at.timestamp():.3f}", "timeout": promql.duration(self.timeout)}
        with self._in_words():
            return list(self._client.custom_query(query, params=params))

    def ranges(self, texts: Mapping[str, str], window: Window) -> dict[str, list[_Series]]:
        """The answers to several queries over a window, asked a few at a time."""
        tasks = [(name, piece) for piece in pieces(window.sample_count) for name in texts]
        joined: dict[str, dict[tuple[tuple[str, str], ...], Floats]] = {name: {} for name in texts}
        executor = ThreadPoolExecutor(self.workers, thread_name_prefix="mora-prometheus")
        try:
            parts = executor.map(lambda task: self._piece(texts[task[0]], window, *task[1]), tasks)
            for (name, _), part in zip(tasks, parts, strict=True):
                for labels, rows, values in part:
                    column = joined[name].setdefault(labels, np.full(window.sample_count, np.nan))
                    column[rows] = values
        finally:  # at Ctrl-C nobody waits for a server that is silent
            executor.shutdown(wait=False, cancel_futures=True)
        return {
            name: [_Series(dict(labels), values) for labels, values in found.items()] for name, found in joined.items()
        }

    def _piece(
        self, query: str, window: Window, first: int, last: int
    ) -> list[tuple[tuple[tuple[str, str], ...], NDArray[np.intp], Floats]]:
        """Rows first..last (both included) of a query: (labels, row numbers, values) a series."""
        start, end = window.start + first * window.step, window.start + last * window.step
        step_seconds = window.step.total_seconds()
        # The client rounds start and end to whole seconds; what is given in params stands instead.
        params = {
            "start": f"{start.timestamp():.3f}",
            "end": f"{end.timestamp():.3f}",
            "timeout": promql.duration(self.timeout),
        }
        try:
            with self._in_words():
                result = self._client.custom_query_range(query, start, end, f"{step_seconds:.3f}", params=params)
                return [
                    (tuple(sorted(series["metric"].items())), *_rows(series["values"], window, first, last))
                    for series in result
                ]
        except TooManySamples:
            if last - first < _SHORTEST_PIECE_POINTS:
                raise
            middle = (first + last) // 2
            return self._piece(query, window, first, middle) + self._piece(query, window, middle + 1, last)

    def _in_words(self) -> Any:
        return in_words(self.url, self.timeout)

    def _look_at(self, response: requests.Response, *_: Any, **__: Any) -> None:
        """Sees each answer before the client does, which knows no warnings and shows errors as raw bytes."""
        refuse(response, self.url)
        if b'"warnings"' in response.content:
            try:
                said = response.json().get("warnings") or []
            except (ValueError, AttributeError):
                return  # no Prometheus: the client's own reading fails next, and is told
            with self._lock:
                self.warnings.update(dict.fromkeys(f"Prometheus warns: {text}" for text in said))


def pieces(count: int, longest: int = LONGEST_PIECE_POINTS) -> list[tuple[int, int]]:
    """`count` rows cut into pieces of about equal length: (first, last), both included.

    >>> pieces(25, longest=10)
    [(0, 7), (8, 15), (16, 24)]
    """
    parts = math.ceil(count / longest)
    edges = [count * part // parts for part in range(parts + 1)]
    return [(first, after - 1) for first, after in pairwise(edges)]


def _rows(values: Sequence[Sequence[Any]], window: Window, first: int, last: int) -> tuple[NDArray[np.intp], Floats]:
    """Row numbers and values of a series' answer; an infinite value is no measurement and becomes NaN."""
    times = np.fromiter((pair[0] for pair in values), dtype=np.float64, count=len(values))
    numbers = np.fromiter((float(pair[1]) for pair in values), dtype=np.float64, count=len(values))
    rows = np.rint((times - window.start.timestamp()) / window.step.total_seconds()).astype(np.intp)
    if len(rows) and (rows[0] < first or rows[-1] > last):
        raise ValueError(f"samples outside the asked range, at {times[0]:.3f} and {times[-1]:.3f}")
    numbers[~np.isfinite(numbers)] = np.nan
    return rows, numbers


# --- what is asked ---------------------------------------------------------------------------------------------------


def _texts(workload: Workload, rate_windows: RateWindows | None) -> dict[str, str]:
    if rate_windows is None:
        return promql.queries(workload)
    return promql.queries(
        workload,
        rate_window=promql.duration(rate_windows.container),
        node_rate_window=promql.duration(rate_windows.node),
    )


def _check_grid(window: Window) -> None:
    if window.step % timedelta(milliseconds=1):
        raise BadInput(f"Prometheus steps in whole milliseconds; {window.step.total_seconds()} s is finer.")
    if window.start.microsecond % 1000:
        raise BadInput(f"Prometheus knows whole milliseconds; the window starts at {window.start.isoformat()}.")


def _coarse(window: Window) -> Window:
    """The same span in at most 61 samples, for what hardly changes."""
    span = (window.end - window.start) / 60
    step = timedelta(milliseconds=math.ceil(span / timedelta(milliseconds=1)))
    return Window(window.start, window.end, max(step, window.step))


def _index(window: Window) -> pd.DatetimeIndex:
    start = np.datetime64(window.start.astimezone(UTC).replace(tzinfo=None), "us")
    step = np.timedelta64(window.step // timedelta(microseconds=1), "us")
    return pd.DatetimeIndex(start + np.arange(window.sample_count) * step, tz="UTC", name="timestamp")


def _find_rate_windows(api: _Api, namespace: str, window: Window) -> RateWindows:
    moments = (window.end, window.start + (window.end - window.start) / 2, window.start)
    found: list[timedelta] = []
    warnings: list[str] = []
    for what, selector in (
        ("cAdvisor", promql.container_counters(namespace)),
        ("node-exporter", promql.node_counters()),
    ):
        interval = _scrape_interval(api, selector, moments)
        if interval is None:
            found.append(FALLBACK_RATE_WINDOW)
            warnings.append(
                f"The scrape interval of {what} could not be found, as there are no samples of {selector}; "
                f"its rates are taken over {promql.duration(FALLBACK_RATE_WINDOW)}."
            )
        else:
            found.append(rate_window_of(interval))
    return RateWindows(container=found[0], node=found[1], warnings=tuple(warnings))


def rate_window_of(interval: timedelta) -> timedelta:
    """What a rate is taken over where samples come every `interval`."""
    return max(_SCRAPES_IN_A_RATE_WINDOW * interval, _SHORTEST_RATE_WINDOW)


class _Asked(Protocol):
    """What answers a query at one moment."""

    def instant(self, query: str, at: datetime) -> list[dict[str, Any]]: ...


def container_interval(api: _Asked, selector: str, window: Window) -> timedelta | None:
    """How far apart the samples of a selector are in a window; None where there are too few."""
    return _scrape_interval(api, selector, (window.end, window.start + (window.end - window.start) / 2, window.start))


def _scrape_interval(api: _Asked, selector: str, moments: Iterable[datetime]) -> timedelta | None:
    """The median distance of the raw samples of the selector's best sampled series; None where there are too few.

    Counting samples would take a pod that is a minute old for one that is scraped rarely; their distance does not.
    """
    metric = selector.partition("{")[0]
    for at in moments:
        for span in _INTERVAL_SPANS:
            best = api.instant(promql.best_sampled(selector, span), at)
            if not best or float(best[0]["value"][1]) < 3:
                continue
            samples = api.instant(promql.raw_samples(metric, best[0]["metric"], span), at)
            times = [float(pair[0]) for pair in samples[0]["values"]]
            seconds = median(after - before for before, after in pairwise(times))
            # A scrape is a few milliseconds early or late; a tenth of a second tells intervals apart.
            return timedelta(seconds=round(seconds, 1) or seconds)
    return None


def _workloads(api: _Api, namespace: str, start: datetime, end: datetime) -> list[str]:
    selectors = promql.workload_selectors(namespace)
    return sorted(
        {name for label, selector in selectors.items() for name in api.label_values(label, [selector], start, end)}
    )


def _nothing_known(api: _Api, workload: Workload, window: Window) -> MoraError:
    """Why there is nothing at all, by what there is instead."""
    known = _workloads(api, workload.namespace, window.start, window.end)
    what = f"{workload.kind} {workload.name!r} in namespace {workload.namespace!r}"
    between = f"between {format_moment(window.start)} and {format_moment(window.end)}"
    if workload.name in known:
        return SourceUnavailable(
            f"{api.url} knows a {workload.name!r} in namespace {workload.namespace!r} but has no samples of a "
            f"{workload.kind} by that name {between}.",
            hint="Is it of another kind (Deployment, StatefulSet, DaemonSet)?",
        )
    if known:
        close = difflib.get_close_matches(workload.name, known, n=1)
        return BadInput(
            f"There is no {what} {between}." + (f" Did you mean {close[0]!r}?" if close else ""),
            hint=f"{api.url} knows these: {', '.join(known)}.",
        )
    namespaces = api.label_values("namespace", list(promql.workload_selectors(None).values()), window.start, window.end)
    if namespaces:
        return BadInput(
            f"{api.url} knows no workload in namespace {workload.namespace!r} {between}.",
            hint=f"It knows these namespaces: {', '.join(sorted(namespaces))}.",
        )
    return SourceUnavailable(
        f"{api.url} holds no workloads at all {between}.",
        hint="It has to scrape kube-state-metrics and cAdvisor. Or does its data not reach back that far?",
    )


# --- what is made of the answers -------------------------------------------------------------------------------------


def _names(answers: Mapping[str, Sequence[_Series]]) -> set[str]:
    """Containers of the pods; what kube-state-metrics lists leaves out init containers, which cAdvisor also sees."""
    for column in ("oom_kills", "cpu_cores_value", "mem_bytes_value"):
        names = {series.labels["container"] for series in answers[column] if series.labels.get("container")}
        if names:
            return names
    return set()


def _annotated(answer: Sequence[_Series]) -> str | None:
    """What the annotation named last."""
    named = [series for series in answer if promql.DEFAULT_CONTAINER_LABEL in series.labels]
    latest = max(named, key=lambda series: int(np.flatnonzero(~np.isnan(series.values))[-1]), default=None)
    return None if latest is None else latest.labels[promql.DEFAULT_CONTAINER_LABEL]


def _pick(answers: Mapping[str, Sequence[_Series]], column: str, container: str | None, count: int) -> Floats:
    for series in answers[column]:
        if column not in promql.BY_CONTAINER_COLUMNS or series.labels.get("container") == container:
            return series.values
    return np.full(count, np.nan)


def _metrics(answers: Mapping[str, Sequence[_Series]], main: str | None, index: pd.DatetimeIndex) -> pd.DataFrame:
    columns = {column: _pick(answers, column, main, len(index)) for column in answers}
    return pd.DataFrame(columns, index=index)


def _others(answers: Mapping[str, Sequence[_Series]], names: Sequence[str], index: pd.DatetimeIndex) -> pd.DataFrame:
    """Rows of the other containers, (timestamp, container) by time; without those at which nothing was known."""
    frames = [
        pd.DataFrame(
            {
                "timestamp": index,
                "container": name,
                **{to: _pick(answers, column, name, len(index)) for column, to in CONTAINER_COLUMNS.items()},
            }
        )
        for name in names
    ]
    if not frames:
        empty = {"timestamp": index[:0], "container": pd.Series(dtype=str)}
        return pd.DataFrame({**empty, **{to: pd.Series(dtype=np.float64) for to in CONTAINER_COLUMNS.values()}})
    rows = pd.concat(frames, ignore_index=True).dropna(how="all", subset=list(CONTAINER_COLUMNS.values()))
    return rows.sort_values(["timestamp", "container"], ignore_index=True)


def _silences(frame: pd.DataFrame, window: Window) -> list[str]:
    """What a reader must know of columns that answered nothing, and of a history that is shorter than asked."""
    silent = set(frame.columns[frame.isna().all()])
    warnings = [
        f"{column} is empty: {metric} has no samples for this workload. Probably {cause}."
        for column, (metric, cause) in _PROBABLE_CAUSES.items()
        if column in silent
    ]
    unset = [column for column in _ALLOCATED_COLUMNS if column in silent]
    if unset:
        warnings.append(f"{', '.join(unset)}: empty, so not set on the main container, or {_KSM}.")
    seen = np.flatnonzero(frame["replica_count_value"].notna().to_numpy())
    slack = max(2, len(frame) // 50)
    if len(seen) and seen[0] > slack:
        warnings.append(
            f"The workload is known from {format_moment(frame.index[seen[0]])} on, not from "
            f"{format_moment(window.start)}: it is younger, or Prometheus keeps less."
        )
    if len(seen) and seen[-1] < len(frame) - 1 - slack:
        warnings.append(
            f"The workload is last seen at {format_moment(frame.index[seen[-1]])}, before {format_moment(window.end)}."
        )
    return warnings
