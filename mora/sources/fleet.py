"""Many workloads from one Prometheus: how they stand (kube-state-metrics) and what they used, in a few long queries.

One query a metric serves hundreds of workloads; the window is cut so that an answer stays small, and while one is read
the next is on its way. Who owns which pod comes from the index of the owners' series over the whole window, so pods
that are gone count like those that run.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from mora.domain import Reporter, Silent, Standing, Window, Workload, WorkloadHistory, check_name
from mora.errors import BadInput, SourceUnavailable
from mora.sources import fleet_promql as promql
from mora.sources import standings as inventory
from mora.sources.fleet_promql import Scope
from mora.sources.matrix import Strip
from mora.sources.ownership import Owners, Pod, resolve
from mora.sources.prometheus import FALLBACK_RATE_WINDOW, PrometheusSource, container_interval, pieces, rate_window_of
from mora.sources.promql import duration
from mora.sources.tally import STARTUP, Limits, Tally, by_container, coarse, moved, restarts_of, row_of, starting_rows
from mora.sources.wire import Wire

# What one batch may hold: its arrays are in memory at once, and its pods' names may stand in a query.
_WORKLOADS_IN_A_BATCH = 100
_PODS_IN_A_BATCH = 2000
# Points of one answer, about 30 bytes each.
_POINTS_IN_AN_ANSWER = 200_000
_SHORTEST_PIECE, _LONGEST_PIECE = 12, 10_000
# All pods of the namespaces are asked for, without naming any, where at least this share of them is wanted.
_SHARE_TO_ASK_FOR_ALL = 0.5
# Limits and starts hardly change; throttling is told for spans of half an hour.
_SLOW_STEP = timedelta(hours=1)
_THROTTLE_STEP = timedelta(minutes=30)
# Start-ups that are looked at closely: the newest of a workload, some in a query.
_STARTS_OF_A_WORKLOAD = 3
_STARTS_IN_A_QUERY = 25
_LATELY = timedelta(hours=1)
# A begin that is this share of the window late is told.
_SLACK = 50

_CADVISOR = "scrape the kubelet's /metrics/cadvisor, and keep this metric"
# metric -> what is not known without it, and what to enable.
_NEEDED: Mapping[str, str] = {
    "container_cpu_usage_seconds_total": f"CPU use is not known: {_CADVISOR}",
    "container_memory_working_set_bytes": f"memory use is not known: {_CADVISOR}",
    "kube_pod_container_resource_limits": "no limit is set, or kube-state-metrics (version 2 or later) is not scraped",
    "kube_pod_container_status_restarts_total": "restarts and OOM kills are not known: scrape kube-state-metrics",
    "kube_pod_start_time": "start-up is not told from steady use: scrape kube-state-metrics, and keep it",
}


def _utc_now() -> datetime:
    return datetime.now(UTC)


class PrometheusFleet:
    """A Prometheus, or what speaks its API, as a domain.FleetSource.

    cluster: the value of the label `cluster` where one Prometheus holds several. now: the moment that standings are
    of. After each call `warnings` holds what concerns no single workload.
    """

    def __init__(
        self, source: PrometheusSource, *, cluster: str | None = None, now: Callable[[], datetime] = _utc_now
    ) -> None:
        self._source = source
        self._cluster = cluster
        self._now = now
        self.warnings: tuple[str, ...] = ()

    def standings(self, namespace: str | None = None) -> list[Standing]:
        """Every workload of a namespace (None: of all) as kube-state-metrics knows it now, sorted.

        BadInput where the Prometheus holds several clusters and none is named, or no such namespace; SourceUnavailable
        where it holds no kube-state-metrics.
        """
        now = self._now()
        scope = Scope(() if namespace is None else (check_name(namespace, "namespace"),), cluster=self._cluster)
        with self._source.wire() as wire:
            _check_cluster(wire, scope, now - _LATELY, now)
            standings, left_out = inventory.read(wire, scope, now)
            if not standings:
                raise _nothing_stands(wire, scope, now)
            self.warnings = (*left_out, *wire.warnings)
        return standings

    def histories(
        self, standings: Sequence[Standing], window: Window, *, reporter: Reporter | None = None
    ) -> Iterator[WorkloadHistory]:
        """What the containers of each used over the window; one for each standing, a batch of namespaces at a time.

        A workload that has no samples gets a history without containers, and a warning that says so.
        """
        self.warnings = ()
        if not standings:
            return
        with self._source.wire() as wire:
            scope = Scope(inventory.known_namespaces(standings), cluster=self._cluster)
            _check_cluster(wire, scope, window.start, window.end)
            owners = resolve(
                *(wire.series(scope.select(metric), window.start, window.end) for metric in inventory.OWNER_METRICS)
            )
            pace, warnings = _pace(wire, scope, window)
            warnings = (*warnings, *_missing(wire, scope, window))
            batches = _batches(standings, owners, self._cluster)
            for number, batch in enumerate(batches):
                reading = _Reading(wire, batch, window, pace)
                found = reading.read(_Part(reporter or Silent(), number, len(batches)))
                self.warnings = (*owners.refused, *warnings, *wire.warnings)
                for history in found:
                    yield _with_warnings(history, (*warnings, *wire.warnings))


# --- before the samples ----------------------------------------------------------------------------------------------


def _check_cluster(wire: Wire, scope: Scope, start: datetime, end: datetime) -> None:
    everywhere = Scope(scope.namespaces).select("kube_pod_owner")
    names = wire.label_values("cluster", everywhere, start, end)
    if scope.cluster is None and len(names) > 1:
        raise BadInput(
            f"{wire.url} holds several clusters: {', '.join(names)}.",
            hint="Name one of them: --cluster NAME, or prometheus.cluster in mora.toml.",
        )
    if scope.cluster is not None and scope.cluster not in names:
        known = (
            f"It knows these: {', '.join(names)}." if names else "Its series carry no label `cluster`; leave it out."
        )
        raise BadInput(f"{wire.url} knows no cluster {scope.cluster!r} there.", hint=known)


def _nothing_stands(wire: Wire, scope: Scope, now: datetime) -> Exception:
    """Why kube-state-metrics tells of no workload, by what there is instead."""
    owners = wire.series(scope.select("kube_pod_owner"), now - _LATELY, now)
    foreign = wire.label_values(
        "exported_pod", Scope(cluster=scope.cluster).select("kube_pod_owner"), now - _LATELY, now
    )
    if foreign:
        return SourceUnavailable(
            f"{wire.url} keeps the pods' names of kube-state-metrics as exported_pod, not as pod.",
            hint="Scrape it with honor_labels: true (honorLabels in a ServiceMonitor), as its documentation asks.",
        )
    if scope.namespaces and not owners:
        names = wire.label_values(
            "namespace", Scope(cluster=scope.cluster).select("kube_pod_owner"), now - _LATELY, now
        )
        if names:
            return BadInput(
                f"{wire.url} knows no workload in namespace {scope.namespaces[0]!r}.",
                hint=f"It knows these namespaces: {', '.join(names)}.",
            )
    return SourceUnavailable(
        f"{wire.url} holds no kube_pod_owner of the last minutes, so no workload can be found.",
        hint="It has to scrape kube-state-metrics (part of kube-prometheus-stack).",
    )


@dataclass(frozen=True, slots=True)
class _Pace:
    """How often cAdvisor is scraped, and what its rates are taken over."""

    interval: timedelta
    rate_window: timedelta


def _pace(wire: Wire, scope: Scope, window: Window) -> tuple[_Pace, tuple[str, ...]]:
    """By the first namespaces that have samples: the kubelets of a cluster are scraped by one job."""
    for namespace in scope.namespaces[:5]:
        one = Scope((namespace,), cluster=scope.cluster)
        interval = container_interval(wire, promql.containers(one, "container_cpu_usage_seconds_total"), window)
        if interval is not None:
            return _Pace(interval, rate_window_of(interval)), ()
    return _Pace(FALLBACK_RATE_WINDOW / 4, FALLBACK_RATE_WINDOW), (
        f"The scrape interval of cAdvisor could not be found; rates are taken over {duration(FALLBACK_RATE_WINDOW)}.",
    )


def _missing(wire: Wire, scope: Scope, window: Window) -> tuple[str, ...]:
    """Which metrics have no samples at all, and what to enable; old labels are an error."""
    names = "|".join(_NEEDED)
    selector = scope.select("", f'__name__=~"{names}"', 'pod!=""')
    known = wire.label_values("__name__", selector, window.start, window.end)
    if "container_cpu_usage_seconds_total" not in known:
        old = 'container_cpu_usage_seconds_total{pod_name!=""}'
        if wire.label_values("pod_name", old, window.start, window.end):
            raise SourceUnavailable(
                f"{wire.url} labels containers by pod_name and container_name, as before Kubernetes 1.16.",
                hint="Relabel them to pod and container (metric_relabel_configs), or upgrade the kubelets.",
            )
    return tuple(f"{name} has no samples: {what}." for name, what in _NEEDED.items() if name not in known)


# --- batches ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Batch:
    """Workloads that are asked for together; jobs are never together with what runs on."""

    standings: tuple[Standing, ...]
    pods: Mapping[Pod, Workload]
    scope: Scope
    is_jobs: bool

    @property
    def series_at_once(self) -> int:
        """About how many containers run at a time."""
        pods_of: defaultdict[Workload, int] = defaultdict(int)
        for workload in self.pods.values():
            pods_of[workload] += 1
        return sum(
            min(pods_of[one.workload], one.allocation.replicas or 3) * max(1, len(one.allocation.containers))
            for one in self.standings
        )


def _batches(standings: Sequence[Standing], owners: Owners, cluster: str | None) -> list[_Batch]:
    pods_of: defaultdict[Workload, list[Pod]] = defaultdict(list)
    for pod, workload in owners.pods.items():
        if _is_name(pod[1]):
            pods_of[workload].append(pod)
    batches: list[_Batch] = []
    for is_jobs in (False, True):
        waiting: list[Standing] = []
        pods = 0
        of_kind = [one for one in standings if (one.workload.kind in inventory.JOB_KINDS) == is_jobs]
        for standing in sorted(of_kind, key=lambda one: one.workload):
            more = len(pods_of[standing.workload])
            if waiting and (len(waiting) >= _WORKLOADS_IN_A_BATCH or pods + more > _PODS_IN_A_BATCH):
                batches.append(_batch(waiting, pods_of, owners, cluster, is_jobs))
                waiting, pods = [], 0
            waiting.append(standing)
            pods += more
        if waiting:
            batches.append(_batch(waiting, pods_of, owners, cluster, is_jobs))
    return batches


def _batch(
    standings: Sequence[Standing],
    pods_of: Mapping[Workload, Sequence[Pod]],
    owners: Owners,
    cluster: str | None,
    is_jobs: bool,
) -> _Batch:
    pods = {pod: one.workload for one in standings for pod in pods_of[one.workload]}
    namespaces = inventory.known_namespaces(standings)
    there = sum(1 for namespace, _ in owners.pods if namespace in set(namespaces))
    names = None if len(pods) >= _SHARE_TO_ASK_FOR_ALL * there else tuple(sorted({name for _, name in pods}))
    return _Batch(tuple(standings), pods, Scope(namespaces, names, cluster), is_jobs)


def _is_name(name: str) -> bool:
    try:
        return bool(check_name(name))
    except BadInput:
        return False


# --- one batch -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Part:
    """Progress of one batch of several."""

    reporter: Reporter
    number: int
    batches: int

    def advance(self, done: int, of: int, note: str) -> None:
        self.reporter.advance("history", self.number + done / of, self.batches, note)


@dataclass(slots=True)
class _Reading:
    """What the answers to one batch add up to."""

    wire: Wire
    batch: _Batch
    window: Window
    pace: _Pace
    tallies: dict[tuple[Workload, str], Tally] = field(default_factory=dict)
    starts: dict[Pod, list[slice]] = field(default_factory=dict)
    limits: dict[tuple[str, ...], Limits] = field(default_factory=dict)
    running: dict[Workload, dict[Pod, NDArray[np.bool_]]] = field(default_factory=dict)
    replicas: dict[Workload, NDArray[np.float64]] = field(default_factory=dict)
    startups: dict[Workload, str] = field(default_factory=dict)
    first_row: int | None = None

    def read(self, part: _Part) -> list[WorkloadHistory]:
        if not self.batch.pods:
            return [self._nothing(one.workload) for one in self.batch.standings]
        texts = self._texts()
        slow, throttle = coarse(self.window, _SLOW_STEP), coarse(self.window, _THROTTLE_STEP)
        grids = {"limits": slow, "starts": slow, "throttled": throttle}
        asked = [(name, texts[name], grids.get(name, self.window)) for name in texts if name not in ("cpu", "memory")]
        answers = {name: strips for name, _, strips in self._ranges(asked)}
        self._note_limits(answers["limits"], slow)
        if not self.batch.is_jobs:
            starts = self._note_starts(answers["starts"])
            self._read_startups(starts)
        parts = self._pieces()
        for number, (name, piece, strips) in enumerate(
            self._ranges([(name, texts[name], piece) for piece in parts for name in ("cpu", "memory")])
        ):
            self._add(name, piece, strips)
            part.advance(number + 1, 2 * len(parts), f"{len(self.batch.standings)} workloads")
        for key, found in by_container(answers["throttled"]).items():
            for tally in self._tally(key):
                for strip in found:
                    tally.add_throttled(strip, throttle)
        self._count_restarts(answers["restarts"], answers["oom"])
        is_throttling_known = self._is_throttling_known()
        return [self._history(one, texts, is_throttling_known) for one in self.batch.standings]

    # -- what is asked --

    def _texts(self) -> dict[str, str]:
        scope, pace = self.batch.scope, self.pace
        span = self._span()
        cpu = promql.cpu(scope, pace.rate_window)
        if self.batch.is_jobs:
            cpu = promql.cpu_of_jobs(scope, pace.rate_window, self.window.step, pace.interval)
        return {
            "cpu": cpu,
            "memory": promql.memory(scope, span),
            "limits": promql.limits(scope, max(_SLOW_STEP, self.window.step)),
            "starts": promql.starts(scope, max(_SLOW_STEP, self.window.step)),
            "throttled": promql.throttled(scope, max(_THROTTLE_STEP, self.window.step)),
            "restarts": promql.restarts(scope),
            "oom": promql.oom_killed(scope),
        }

    def _span(self) -> timedelta:
        """What a sample of memory is the largest of: its step, and at least two scrapes."""
        return max(self.window.step, 2 * self.pace.interval)

    def _ranges(self, asked: Sequence[tuple[str, str, Window]]) -> Iterator[tuple[str, Window, list[Strip]]]:
        return self.wire.ranges(asked)

    def _pieces(self) -> list[Window]:
        points = max(_SHORTEST_PIECE, min(_LONGEST_PIECE, _POINTS_IN_AN_ANSWER // max(1, self.batch.series_at_once)))
        count, step = self.window.sample_count, self.window.step
        return [
            Window(self.window.start + first * step, self.window.start + last * step, step)
            for first, last in pieces(count, points)
        ]

    # -- what is made of the answers --

    def _tally(self, key: Sequence[str]) -> list[Tally]:
        """The tally of a container (namespace, pod, name): none where the pod is not of this batch."""
        workload = self.batch.pods.get((key[0], key[1]))
        if workload is None:
            return []
        return [self.tallies.setdefault((workload, key[2]), Tally(self.window))]

    def _note_limits(self, strips: Sequence[Strip], grid: Window) -> None:
        for key, found in by_container(strips, "resource").items():
            self.limits[key] = Limits.of(grid, found)

    def _note_starts(self, strips: Sequence[Strip]) -> dict[Pod, float]:
        """Rows at which each pod starts; and when those started last that began within the window."""
        moments: defaultdict[Pod, set[float]] = defaultdict(set)
        for strip in strips:
            pod = (strip.labels.get("namespace", ""), strip.labels.get("pod", ""))
            if pod in self.batch.pods:
                moments[pod].update(strip.values[~np.isnan(strip.values)].tolist())
        begin, end = self.window.start.timestamp(), self.window.end.timestamp()
        for pod, of_pod in moments.items():
            self.starts[pod] = starting_rows(sorted(of_pod), self.window, self._span())
        newest = end - STARTUP.total_seconds()  # what is still starting is looked at another time
        within = {pod: [at for at in of_pod if begin <= at < newest] for pod, of_pod in moments.items()}
        return {pod: max(of_pod) for pod, of_pod in within.items() if of_pod}

    def _read_startups(self, starts: Mapping[Pod, float]) -> None:
        """Looks closely at the newest starts of each workload: the step of the window would miss most of a peak."""
        newest: defaultdict[Workload, list[Pod]] = defaultdict(list)
        for pod in sorted(starts, key=lambda pod: (-starts[pod], pod)):
            of_workload = newest[self.batch.pods[pod]]
            if len(of_workload) < _STARTS_OF_A_WORKLOAD:
                of_workload.append(pod)
        chosen = [pod for pods in newest.values() for pod in pods]
        end = self.window.end.timestamp()
        texts = {
            pod: promql.startup(
                pod,
                self.batch.scope.cluster,
                self.pace.rate_window,
                self.pace.interval,
                STARTUP,
                duration(timedelta(seconds=round(end - starts[pod] - STARTUP.total_seconds(), 3))),
            )
            for pod in chosen
        }
        self.startups = {workload: " or ".join(texts[pod] for pod in pods) for workload, pods in newest.items()}
        for first in range(0, len(chosen), _STARTS_IN_A_QUERY):
            together = " or ".join(texts[pod] for pod in chosen[first : first + _STARTS_IN_A_QUERY])
            for row in self.wire.instant(together, self.window.end):
                labels, value = row["metric"], float(row["value"][1])
                for tally in self._tally([labels.get(name, "") for name in ("namespace", "pod", "container")]):
                    tally.cpu.note_startup(value)

    def _add(self, name: str, piece: Window, strips: Sequence[Strip]) -> None:
        ahead = row_of(piece.start, self.window)
        resource = "cpu" if name == "cpu" else "memory"
        for key, found in by_container(strips).items():
            namespace, pod, container = key
            for tally in self._tally(key):
                tally.pods.add(pod)
                add = tally.add_cpu if name == "cpu" else tally.memory.add
                for strip in found:
                    on_window = moved(strip, ahead)
                    add(
                        pod,
                        on_window.rows,
                        strip.values,
                        self.starts.get((namespace, pod), ()),
                        self.limits.get((*key, resource)),
                    )
                    rows = on_window.rows
                    first = rows.start if isinstance(rows, slice) else int(rows[0])
                    self.first_row = first if self.first_row is None else min(self.first_row, first)
                    if name == "cpu":
                        self._note_running((namespace, pod), container, strip, piece)
        self._count_running(piece, ahead)

    def _note_running(self, pod: Pod, container: str, strip: Strip, piece: Window) -> None:
        workload = self.batch.pods[pod]
        here = self.running.setdefault(workload, {}).setdefault(pod, np.zeros(piece.sample_count, dtype=np.bool_))
        here[strip.rows] = True

    def _count_running(self, piece: Window, ahead: int) -> None:
        for workload, pods in self.running.items():
            counts = self.replicas.setdefault(workload, np.full(self.window.sample_count, np.nan))
            ran = np.sum(list(pods.values()), axis=0, dtype=np.float64)
            # None seen: none ran, or none was scraped.
            counts[ahead : ahead + piece.sample_count] = np.where(ran > 0, ran, np.nan)
        self.running.clear()

    def _count_restarts(self, restarts: Sequence[Strip], reasons: Sequence[Strip]) -> None:
        oom = by_container(reasons)
        for key, found in by_container(restarts).items():
            for tally in self._tally(key):
                told = restarts_of(found, self.window, self.first_row or 0)
                tally.restarts += int(told.risen.sum())
                killed = told.kills(oom.get(key, ()))
                if not len(killed):
                    continue
                tally.oom_kills += int(told.risen[killed].sum())
                limits = self.limits.get((*key, "memory"))
                if limits is not None:
                    highest = float(np.max(limits.at(killed, self.window)))
                    tally.oom_limit_bytes = max(tally.oom_limit_bytes or 0.0, highest)

    def _is_throttling_known(self) -> bool:
        selector = promql.containers(self.batch.scope, "container_cpu_cfs_throttled_periods_total")
        return bool(self.wire.label_values("__name__", selector, self.window.start, self.window.end))

    def _history(self, standing: Standing, texts: Mapping[str, str], throttling_is_known: bool) -> WorkloadHistory:
        workload = standing.workload
        containers = {
            name: tally.history(name, throttling_is_known=throttling_is_known)
            for (owner, name), tally in self.tallies.items()
            if owner == workload
        }
        if not containers:
            return self._nothing(workload)
        return WorkloadHistory(
            workload,
            self.window,
            containers,
            replicas=self.replicas.get(workload),
            queries={**texts, "startup": self.startups[workload]} if workload in self.startups else texts,
            warnings=self._lateness(workload),
        )

    def _nothing(self, workload: Workload) -> WorkloadHistory:
        between = f"between {_moment(self.window.start)} and {_moment(self.window.end)}"
        return WorkloadHistory(
            workload, self.window, {}, warnings=(f"No samples of {workload.kind} {workload.name!r} {between}.",)
        )

    def _lateness(self, workload: Workload) -> tuple[str, ...]:
        """What is said where the history begins later than asked."""
        counts = self.replicas.get(workload)
        seen = np.flatnonzero(np.nan_to_num(counts, nan=0.0)) if counts is not None else np.zeros(0, dtype=np.intp)
        slack = max(2, self.window.sample_count // _SLACK)
        if not len(seen) or seen[0] <= slack:
            return ()
        begin = _moment(self.window.start + int(seen[0]) * self.window.step)
        asked = _moment(self.window.start)
        if self.first_row is not None and self.first_row > slack and seen[0] - self.first_row <= slack:
            why = "it keeps less (retention), or everything asked for is younger"
            return (f"Prometheus knows nothing before {begin}, though {asked} on was asked for: {why}.",)
        return (f"The workload is known from {begin} on, not from {asked}: it is younger.",)


def _with_warnings(history: WorkloadHistory, more: Sequence[str]) -> WorkloadHistory:
    return WorkloadHistory(
        history.workload,
        history.window,
        history.containers,
        history.replicas,
        history.queries,
        (*history.warnings, *more),
    )


def _moment(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")
