"""Many workloads from one Prometheus: their current state (kube-state-metrics) and their use, in a few long queries.

One query a metric serves hundreds of workloads. The window is cut so that each answer stays small, and the next answer
is received while one is read. The owners of pods come from the index of the owner series over the whole window, so pods
that no longer exist count like those that run.
One file, longer than most: all that is asked of a whole cluster begins with the same scope, owners and scrape interval.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

from mora.domain import (
    JOB_KINDS,
    FailingCalls,
    ImageUse,
    NodeLoad,
    Resources,
    Role,
    TotalUse,
    Window,
    Workload,
    WorkloadHistory,
    WorkloadState,
    check_name,
)
from mora.errors import BadInput, SourceUnavailable
from mora.seams import KeepsBounds, Reporter, Silent
from mora.sources.prometheus import fleet_promql as promql
from mora.sources.prometheus import inventory, renewal
from mora.sources.prometheus import nodes as rooms_of_nodes
from mora.sources.prometheus.access import TooMuch
from mora.sources.prometheus.answered import Kept
from mora.sources.prometheus.asked import Batch, Pace, Paces, Part
from mora.sources.prometheus.batch import Reading
from mora.sources.prometheus.believable import Hosts
from mora.sources.prometheus.demand import read_total_use
from mora.sources.prometheus.fleet_promql import Scope
from mora.sources.prometheus.images import read_images
from mora.sources.prometheus.needed import absent_metrics, use_that_is_absent
from mora.sources.prometheus.node_loads import read_node_loads
from mora.sources.prometheus.observe import PrometheusSource
from mora.sources.prometheus.outages import read_failing_calls
from mora.sources.prometheus.ownership import JOB_LABELS, OWNER_METRICS, Labels, Owners, Pod, grouped_jobs, resolve
from mora.sources.prometheus.parts import in_parts, in_some_part
from mora.sources.prometheus.promql import duration
from mora.sources.prometheus.rates import FALLBACK_RATE_WINDOW, paces_of
from mora.sources.prometheus.wire import Wire
from mora.state.opening import opened
from mora.state.store import Store

# The size of a batch: its arrays are in memory at once, and its pods' names may be part of a query.
_WORKLOADS_IN_A_BATCH = 100
_PODS_IN_A_BATCH = 2000
# The query names no pods, and answers for all of them, where at least this share of them is wanted.
_SHARE_TO_ASK_FOR_ALL = 0.8
_LATELY = timedelta(hours=1)


def _utc_now() -> datetime:
    return datetime.now(UTC)


class PrometheusFleet:
    """A Prometheus, or what speaks its API, as a FleetSource.

    cluster: the value of the label `cluster` where one Prometheus has several clusters. now: the moment of the states.
    state: folder in which samples are kept between runs, so that only new ones are read; None: each run reads all.
    After each call `warnings` has what concerns no single workload; `asked` gathers what was asked for (Wire.asked).
    """

    def __init__(
        self,
        source: PrometheusSource,
        *,
        cluster: str | None = None,
        now: Callable[[], datetime] = _utc_now,
        state: Path | None = None,
        say: Callable[[str], None] = lambda words: None,
    ) -> None:
        self._source = source
        self._cluster = cluster
        self._now = now
        self._state, self._say = state, say
        self._store: Store | None = None
        self.warnings: tuple[str, ...] = ()
        self.asked: tuple[tuple[str, str], ...] = ()

    def states(self, namespace: str | None = None) -> list[WorkloadState]:
        """Every workload of a namespace (None: of all) as kube-state-metrics knows it now, sorted.

        BadInput where the Prometheus has several clusters and none is given, or no such namespace. SourceUnavailable
        where it has no kube-state-metrics.
        """
        now = self._now()
        scope = Scope(() if namespace is None else (check_name(namespace, "namespace"),), cluster=self._cluster)
        with self._source.wire() as wire:
            _check_cluster(wire, scope, now - _LATELY, now)
            states, left_out = inventory.read(wire, scope, now)
            if not states:
                raise _why_nothing(wire, scope, now)
            self.warnings = (*left_out, *wire.warnings)
            self._note(wire)
        return states

    def histories(
        self, states: Sequence[WorkloadState], window: Window, *, reporter: Reporter | None = None
    ) -> Iterator[WorkloadHistory]:
        """The use of each workload's containers over the window; one history for each state, batch by batch.

        A workload without samples gets a history without containers, and a warning.
        """
        self.warnings = ()
        if not states:
            return
        with self._source.wire() as wire, self._kept_samples() as store:
            scope = Scope(inventory.known_namespaces(states), cluster=self._cluster)
            _check_cluster(wire, scope, window.start, window.end)
            owners = _owners(wire, scope, window)
            paces, warnings = _paces(wire, scope, window)
            kept = None
            if store is not None:
                kept = renewal.begin(store, wire, scope, owners, window, self._say)
                owners, paces = renewal.with_gone(owners, store, scope, window), renewal.steady(paces, store)
            absent = absent_metrics(wire, scope, window)
            warnings = (*warnings, *absent.values())
            try:
                hosts = rooms_of_nodes.hosts(wire, scope, window)
                rooms = _rooms(wire, scope, window, states, owners)
            except TooMuch as error:
                hosts, rooms = Hosts(), rooms_of_nodes.Rooms()
                warnings = (*warnings, f"The sizes of the nodes are not known: {error.message}")
            requested = {state.workload: _requested(state) for state in states}
            batches = _batches(states, owners, self._cluster)
            read = partial(_read, wire, window, paces, hosts, kept)
            readings = (
                partial(read, batch, Part(reporter or Silent(), number, len(batches)))
                for number, batch in enumerate(batches)
            )
            for found in _ahead(readings):
                self.warnings = (*owners.refused, *warnings, *wire.warnings)
                for history in found:
                    yield replace(
                        _with_warnings(history, (*warnings, *wire.warnings)),
                        rooms=rooms.of(history.workload, requested[history.workload]),
                        lacks=use_that_is_absent(absent),
                    )
            if kept is not None:
                renewal.end(kept, window, self._say)
            self._note(wire)

    @contextmanager
    def _kept_samples(self) -> Iterator[Store | None]:
        """The state of the folder, locked for one run; None without a folder."""
        if self._state is None:
            yield None
            return
        with opened(self._state, say=self._say) as store:
            self._store = store
            try:
                yield store
            finally:
                self._store = None

    def keeper(self) -> KeepsBounds | None:
        """The state, as long as histories are read."""
        return self._store

    def images(self, workload: Workload, window: Window) -> tuple[ImageUse, ...]:
        """Every image that each container of a workload ran in a window, as kube-state-metrics tells it."""
        with self._source.wire() as wire:
            scope = Scope((check_name(workload.namespace, "namespace"),), cluster=self._cluster)
            owners = _owners(wire, scope, window)
            pods = tuple(sorted(name for (_, name), of in owners.pods.items() if of == workload and _is_name(name)))
            try:
                found = read_images(wire, replace(scope, pods=pods), window)
            except TooMuch as error:
                found = ()
                self.warnings = (*self.warnings, f"The images of {workload.name} are not known: {error.message}")
            self._note(wire)
        return found

    def failing_calls(self, workload: Workload, window: Window) -> tuple[FailingCalls, ...]:
        """A workload's calls to each destination of which at least half failed at some time, as Istio counts them."""
        check_name(workload.namespace, "namespace")
        with self._source.wire() as wire:
            try:
                found = read_failing_calls(wire, workload, window, self._cluster)
            except TooMuch as error:
                found = ()
                self.warnings = (*self.warnings, f"The calls of {workload.name} are not known: {error.message}")
            self._note(wire)
        return found

    def total_use(self, workload: Workload, window: Window, query: str | None = None) -> TotalUse:
        """What the workload's pods used together, in cores; or a query of one's own, which gives one series.

        BadInput where one Prometheus has several clusters: its queries would add up workloads of the same name.
        """
        check_name(workload.namespace, "namespace")
        if self._cluster is not None:
            raise BadInput(
                "--replicas history cannot tell the clusters of one Prometheus apart.",
                hint="Ask a Prometheus that has this cluster alone.",
            )
        with self._source.wire() as wire:
            found = read_total_use(wire, workload, window, query)
            self._note(wire)
        return found

    def node_loads(self, namespaces: Sequence[str], window: Window) -> list[NodeLoad]:
        """What the pods of some namespaces used on each node that one of them runs on now."""
        scope = Scope(tuple(check_name(one, "namespace") for one in namespaces), cluster=self._cluster)
        with self._source.wire() as wire:
            paces, _ = _paces(wire, scope, window)
            rate_window = max(pace.rate_window for _, pace in paces.since)
            found = read_node_loads(wire, scope.broad(), window, rate_window, _owners(wire, scope, window).pods)
            self._note(wire)
        return found

    def _note(self, wire: Wire) -> None:
        self.asked = tuple(dict.fromkeys((*self.asked, *wire.asked)))


# --- before the samples ----------------------------------------------------------------------------------------------


def _check_cluster(wire: Wire, scope: Scope, start: datetime, end: datetime) -> None:
    def clusters(part: Scope) -> list[str]:
        return wire.label_values("cluster", part.select("kube_pod_owner"), start, end)

    names = sorted(set(in_parts(clusters, replace(scope.broad(), cluster=None))))
    if scope.cluster is None and len(names) > 1:
        raise BadInput(
            f"{wire.url} has metrics of several clusters: {', '.join(names)}.",
            hint="Choose one: --cluster NAME, or prometheus.cluster in mora.toml.",
        )
    if scope.cluster is not None and scope.cluster not in names:
        known = (
            f"It has these: {', '.join(names)}."
            if names
            else "Its series have no label `cluster`, so leave --cluster out."
        )
        raise BadInput(f"{wire.url} has no metrics of a cluster {scope.cluster!r}.", hint=known)


def _why_nothing(wire: Wire, scope: Scope, now: datetime) -> Exception:
    """The error where kube-state-metrics lists no workload, by what there is instead."""
    owners = wire.series(scope.select("kube_pod_owner"), now - _LATELY, now)
    foreign = wire.label_values(
        "exported_pod", Scope(cluster=scope.cluster).select("kube_pod_owner"), now - _LATELY, now
    )
    if foreign:
        return SourceUnavailable(
            f"{wire.url} has the pods' names of kube-state-metrics in the label exported_pod, not in pod.",
            hint="Scrape it with honor_labels: true (honorLabels in a ServiceMonitor), as its documentation requires.",
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
        f"{wire.url} has no recent samples of kube_pod_owner, so no workload can be found.",
        hint="Let it scrape kube-state-metrics (part of kube-prometheus-stack).",
    )


def _paces(wire: Wire, scope: Scope, window: Window) -> tuple[Paces, tuple[str, ...]]:
    """The scrape intervals of the first namespaces that have samples: one job scrapes all kubelets of a cluster."""
    for namespace in scope.namespaces[:5]:
        one = Scope((namespace,), cluster=scope.cluster)
        found = in_some_part(
            lambda part: paces_of(wire, promql.containers(part, "container_cpu_usage_seconds_total"), window), one
        )
        if found is not None:
            return found, found.words()
    return Paces(((window.start, Pace(FALLBACK_RATE_WINDOW / 4, FALLBACK_RATE_WINDOW)),)), (
        f"The scrape interval of cAdvisor could not be found. Rates are taken over {duration(FALLBACK_RATE_WINDOW)}.",
    )


def _rooms(
    wire: Wire, scope: Scope, window: Window, states: Sequence[WorkloadState], owners: Owners
) -> rooms_of_nodes.Rooms:
    """What nodes can give a pod of each workload."""
    wanted = {state.workload for state in states if state.workload.kind == "DaemonSet"}
    pods = {pod: workload for pod, workload in owners.pods.items() if workload in wanted}
    return rooms_of_nodes.read(wire, scope.broad(), window.end, pods)


def _requested(state: WorkloadState) -> Resources:
    """What one pod of a workload requests in all."""
    running = [one.resources for one in state.allocation.containers if one.role is not Role.INIT]
    return Resources(
        cpu_request_millicores=sum(one.cpu_request_millicores or 0 for one in running),
        memory_request_bytes=sum(one.memory_request_bytes or 0 for one in running),
    )


def _series(wire: Wire, scope: Scope, metric: str, window: Window) -> list[Labels]:
    return in_parts(lambda part: wire.series(part.select(metric), window.start, window.end), scope)


def _owners(wire: Wire, scope: Scope, window: Window) -> Owners:
    pods, sets, jobs, controllers = (_series(wire, scope, metric, window) for metric in OWNER_METRICS)
    jobs = grouped_jobs(jobs, partial(_series, wire, scope, JOB_LABELS, window))
    return resolve(pods, sets, jobs, controllers)


def _read(
    wire: Wire, window: Window, paces: Paces, hosts: Hosts, kept: Kept | None, batch: Batch, part: Part
) -> list[WorkloadHistory]:
    """The histories of a batch; where the store does not answer for so many workloads, of half of them at a time."""
    try:
        found = Reading(wire, batch, window, paces, hosts, kept).read(part)  # made here: each has megabytes
    except TooMuch as error:
        if kept is not None:
            kept.drop()
        if batch.is_alone:
            return [WorkloadHistory(batch.states[0].workload, window, {}, refusal=error.message)]
        return [history for half in batch.halves() for history in _read(wire, window, paces, hosts, kept, half, part)]
    if kept is not None:
        kept.commit()
    return found


# --- batches ---------------------------------------------------------------------------------------------------------


def _batches(states: Sequence[WorkloadState], owners: Owners, cluster: str | None) -> list[Batch]:
    """Whole namespaces together as long as they fit, so that their pods need not be named."""
    pods_of: defaultdict[Workload, list[Pod]] = defaultdict(list)
    for pod, workload in owners.pods.items():
        if _is_name(pod[1]):
            pods_of[workload].append(pod)
    batches: list[Batch] = []
    for is_jobs in (False, True):
        of_kind = [one for one in states if (one.workload.kind in JOB_KINDS) == is_jobs]
        sizes = [(state, len(pods_of[state.workload])) for state in of_kind]
        batches += [_batch(group, pods_of, owners, cluster, is_jobs) for group in grouped(sizes)]
    return batches


def grouped(sizes: Iterable[tuple[WorkloadState, int]]) -> list[list[WorkloadState]]:
    """States in groups of a limited size, by the pods of each; a namespace is split only where it is too large."""
    by_namespace: defaultdict[str, list[tuple[WorkloadState, int]]] = defaultdict(list)
    for state, pods in sorted(sizes, key=lambda pair: pair[0].workload):
        by_namespace[state.workload.namespace].append((state, pods))
    groups: list[list[WorkloadState]] = [[]]
    count = 0
    for members in by_namespace.values():
        if groups[-1] and not _fits(len(groups[-1]) + len(members), count + sum(pods for _, pods in members)):
            groups.append([])
            count = 0
        for state, pods in members:
            if groups[-1] and not _fits(len(groups[-1]) + 1, count + pods):
                groups.append([])
                count = 0
            groups[-1].append(state)
            count += pods
    return [group for group in groups if group]


def _fits(workloads: int, pods: int) -> bool:
    return workloads <= _WORKLOADS_IN_A_BATCH and pods <= _PODS_IN_A_BATCH


def _batch(
    states: Sequence[WorkloadState],
    pods_of: Mapping[Workload, Sequence[Pod]],
    owners: Owners,
    cluster: str | None,
    is_jobs: bool,
) -> Batch:
    pods = {pod: one.workload for one in states for pod in pods_of[one.workload]}
    namespaces = inventory.known_namespaces(states)
    # Pods of jobs do not count beside long-running ones: they are many, and each has few samples.
    here = set(namespaces)
    there = sum(pod[0] in here and (is_jobs or workload.kind not in JOB_KINDS) for pod, workload in owners.pods.items())
    names = None if len(pods) >= _SHARE_TO_ASK_FOR_ALL * there else tuple(sorted({name for _, name in pods}))
    runs = {pod: owners.runs[pod] for pod in pods if pod in owners.runs} if is_jobs else {}
    return Batch(tuple(states), pods, Scope(namespaces, names, cluster), is_jobs, runs)


def _is_name(name: str) -> bool:
    try:
        return bool(check_name(name))
    except BadInput:
        return False


def _ahead(acts: Iterable[Callable[[], list[WorkloadHistory]]]) -> Iterator[list[WorkloadHistory]]:
    """The result of each function, in order; the next one is read while one is processed here."""
    executor = ThreadPoolExecutor(1, thread_name_prefix="mora-ahead")
    try:
        before: Future[list[WorkloadHistory]] | None = None
        for act in acts:
            following = executor.submit(act)
            if before is not None:
                yield before.result()
            before = following
        if before is not None:
            yield before.result()
    finally:
        executor.shutdown(wait=False, cancel_futures=True)


def _with_warnings(history: WorkloadHistory, more: Sequence[str]) -> WorkloadHistory:
    return replace(history, warnings=(*history.warnings, *more))
