"""Recommendations as Prometheus metrics, in base units, and what the server knows of itself.

The gauges of workloads change only with an answer, so their text is made once for each; a scrape adds the ages.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from mora.quantities import GIB
from mora.record.store import InForce
from mora.web.answer import FIELDS, Entry
from mora.web.live import Cluster, Live, Shown

_PLACE = ("cluster", "namespace", "kind", "workload")
_RESOURCES = (("cpu", "cores", 1000.0), ("memory", "bytes", 1.0))


class Telemetry:
    """/metrics: what is served, and how the server does."""

    def __init__(self, live: Live, *, now: Callable[[], float] = time.time) -> None:
        self._live, self._now = live, now
        self._registry = CollectorRegistry()
        self._refreshes = Counter(
            "mora_refreshes", "Refreshes by outcome: ok, failed.", ["cluster", "outcome"], registry=self._registry
        )
        self._seconds = Gauge(
            "mora_refresh_seconds", "How long the last refresh took.", ["cluster"], registry=self._registry
        )
        for name in live.names:
            for outcome in ("ok", "failed"):
                self._refreshes.labels(name, outcome)
        self._registry.register(_Ages(live, now))
        self._made: tuple[int, bytes] = (-1, b"")
        self._lock = threading.Lock()

    def refreshed(self, cluster: str, seconds: float, *, is_ok: bool) -> None:
        """Count a refresh."""
        self._refreshes.labels(cluster, "ok" if is_ok else "failed").inc()
        self._seconds.labels(cluster).set(seconds)

    def text(self) -> bytes:
        """All metrics in Prometheus' text format."""
        return self._workloads() + generate_latest(self._registry)

    def _workloads(self) -> bytes:
        with self._lock:  # made once, however many ask
            shown = self._live.shown()
            if self._made[0] != shown.version:
                registry = CollectorRegistry(auto_describe=False)
                registry.register(_Workloads(shown))
                self._made = (shown.version, generate_latest(registry))
            return self._made[1]


class _Ages(Collector):
    """How old each cluster's answer is, and whether it is current, recorded and without a problem."""

    def __init__(self, live: Live, now: Callable[[], float]) -> None:
        self._live, self._now = live, now

    def describe(self) -> Iterable[Metric]:
        return []

    def collect(self) -> Iterator[Metric]:
        shown, now = self._live.shown(), self._now()
        age = GaugeMetricFamily(
            "mora_answer_age_seconds", "Age of the answer that is served; +Inf before the first.", labels=["cluster"]
        )
        stale = GaugeMetricFamily(
            "mora_answer_stale", "1 where the answer is older than three refreshes.", labels=["cluster"]
        )
        failing = GaugeMetricFamily("mora_refresh_failing", "1 where the last refresh failed.", labels=["cluster"])
        unrecorded = GaugeMetricFamily(
            "mora_record_failing", "1 where the last answer could not be recorded.", labels=["cluster"]
        )
        for one in shown.clusters:
            seconds = shown.age(one, now)
            age.add_metric([one.name], float("inf") if seconds is None else seconds)
            stale.add_metric([one.name], float(shown.is_stale(one, now)))
            failing.add_metric([one.name], float(one.problem is not None))
            unrecorded.add_metric([one.name], float(one.unrecorded is not None))
        yield from (age, stale, failing, unrecorded)


class _Workloads(Collector):
    """The numbers of every workload of an answer."""

    def __init__(self, shown: Shown) -> None:
        self._shown = shown

    def describe(self) -> Iterable[Metric]:
        return []

    def collect(self) -> Iterator[Metric]:
        found = list(self._shown.entries())
        yield from _containers(found)
        yield from _replicas(found)
        yield from _freed(found)
        yield from _applied(self._shown.clusters)
        workloads = GaugeMetricFamily(
            "mora_workloads",
            "Workloads of a namespace, with a recommendation and without.",
            labels=["cluster", "namespace", "sized"],
        )
        counts: dict[tuple[str, str, str], int] = {}
        for cluster, entry in found:
            key = (cluster.name, entry.namespace, "true" if entry.has_number else "false")
            counts[key] = counts.get(key, 0) + 1
        for key, count in sorted(counts.items()):
            workloads.add_metric(key, count)
        yield workloads


_Found = list[tuple[Cluster, Entry]]


def _place(cluster: Cluster, entry: Entry) -> tuple[str, str, str, str]:
    return cluster.name, entry.namespace, entry.kind, entry.workload


def _containers(found: _Found) -> Iterator[Metric]:
    labels = (*_PLACE, "container")
    for resource, unit, factor in _RESOURCES:
        for kind, field in (("", "request"), ("_limit", "limit")):
            about = f"{resource} {field}" if resource == "memory" else f"CPU {field}"
            recommended = GaugeMetricFamily(
                f"mora_recommended_{resource}{kind}_{unit}", f"Recommended {about}.", labels=labels
            )
            current = GaugeMetricFamily(
                f"mora_current_{resource}{kind}_{unit}", f"The {about} that is set now.", labels=labels
            )
            goal = GaugeMetricFamily(
                f"mora_goal_{resource}{kind}_{unit}", f"The {about} after the last of several steps.", labels=labels
            )
            for cluster, entry in found:
                for one in entry.containers:
                    advice = one[FIELDS[f"{resource}_{field}"]]
                    place = (*_place(cluster, entry), one["name"])
                    _add(recommended, place, advice["value"], factor)
                    _add(current, place, advice["now"], factor)
                    _add(goal, place, advice["goal"], factor)
            yield from (recommended, current, goal)
    confidence = GaugeMetricFamily(
        "mora_confidence_ratio", "Share of windows that the recommended request covered.", labels=(*labels, "resource")
    )
    kills = GaugeMetricFamily("mora_oom_kills", "OOM kills in the history that was read.", labels=labels)
    for cluster, entry in found:
        for one in entry.containers:
            place = (*_place(cluster, entry), one["name"])
            for resource in ("cpu", "memory"):
                advice = one[FIELDS[f"{resource}_request"]]
                _add(confidence, (*place, resource), advice["confidence"], 1.0)
            if one["evidence"] is not None:
                kills.add_metric(place, one["evidence"]["oom_kills"])
    yield from (confidence, kills)


def _replicas(found: _Found) -> Iterator[Metric]:
    recommended = GaugeMetricFamily("mora_recommended_replicas", "Recommended replicas.", labels=_PLACE)
    current = GaugeMetricFamily("mora_current_replicas", "Replicas that are set now.", labels=_PLACE)
    for cluster, entry in found:
        advice: Mapping[str, Any] = entry.document["replicas"]
        _add(recommended, _place(cluster, entry), advice["value"], 1.0)
        _add(current, _place(cluster, entry), advice["now"], 1.0)
    yield from (recommended, current)


def _freed(found: _Found) -> Iterator[Metric]:
    for unit, name, field, scale in (
        ("cores", "cpu", "cores", 1.0),
        ("bytes", "memory", "memory_gib", float(GIB)),
    ):
        reserved = GaugeMetricFamily(
            f"mora_reserved_{name}_{unit}", "Reserved now by requests, over all replicas.", labels=_PLACE
        )
        waste = GaugeMetricFamily(
            f"mora_waste_{name}_{unit}", "Reserved now beyond what is needed, over all replicas.", labels=_PLACE
        )
        lack = GaugeMetricFamily(f"mora_lack_{name}_{unit}", "Missing from requests, over all replicas.", labels=_PLACE)
        for cluster, entry in found:
            place, goal = _place(cluster, entry), entry.goal
            freed, new = getattr(goal, field), getattr(goal, f"new_{field}")
            reserved.add_metric(place, getattr(goal, f"{field}_now") * scale)
            waste.add_metric(place, max(freed, 0.0) * scale)
            lack.add_metric(place, (max(-freed, 0.0) + new) * scale)
        yield from (reserved, waste, lack)


def _applied(clusters: Iterable[Cluster]) -> Iterator[Metric]:
    labels = (*_PLACE, "container", "resource")
    since = GaugeMetricFamily(
        "mora_applied_timestamp_seconds", "When an applied recommendation was first seen set.", labels=labels
    )
    covered = GaugeMetricFamily(
        "mora_applied_covered", "1 where it has covered the use since, 0 where use exceeded it.", labels=labels
    )
    kills = GaugeMetricFamily("mora_applied_oom_kills", "OOM kills since a recommendation was applied.", labels=labels)
    applied: list[InForce] = [one for cluster in clusters for one in cluster.applied]
    for one in applied:
        key = one.key
        place = (key.cluster, key.namespace, key.kind, key.workload, key.container, key.number.removesuffix("_request"))
        since.add_metric(place, one.since)
        if one.covered is not None:
            covered.add_metric(place, float(one.covered))
        if one.oom_kills is not None:
            kills.add_metric(place, one.oom_kills)
    yield from (since, covered, kills)


def _add(family: GaugeMetricFamily, place: tuple[str, ...], amount: float | None, factor: float) -> None:
    if amount is not None:
        family.add_metric(place, amount / factor)
