"""One batch of a fleet: workloads that are queried together, and their histories from the answers.

One file, longer than most: what is read of a batch shares its pods, its window and its tallies.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from mora.domain import Target, Window, Workload, WorkloadHistory, WorkloadState
from mora.quantities import format_moment
from mora.sources.prometheus import fleet_promql as promql
from mora.sources.prometheus.answered import Answer, Answers, Ask, Asked, Direct, Start
from mora.sources.prometheus.asked import Batch, Pace, Paces, Part
from mora.sources.prometheus.believable import Hosts, Nodes
from mora.sources.prometheus.cores import sums_of_cores
from mora.sources.prometheus.counters import CpuAgain
from mora.sources.prometheus.fleet_promql import Scope
from mora.sources.prometheus.grid import coarse, row_of, rows_ahead, shortened
from mora.sources.prometheus.kills import Kills
from mora.sources.prometheus.matrix import Strip
from mora.sources.prometheus.memory import MemoryAgain
from mora.sources.prometheus.ownership import Pod
from mora.sources.prometheus.parts import in_parts
from mora.sources.prometheus.promql import duration
from mora.sources.prometheus.runs import count_runs
from mora.sources.prometheus.runtimes import note_runtimes
from mora.sources.prometheus.tally import (
    STARTUP,
    Limits,
    Tally,
    by_container,
    moved,
    starting_rows,
)
from mora.sources.prometheus.wire import Wire

# Points of one answer, about 30 bytes each.
_POINTS_IN_AN_ANSWER = 120_000
_SHORTEST_PIECE, _LONGEST_PIECE = 12, 10_000
# Limits and starts hardly change; throttling is read in spans of half an hour.
_SLOW_STEP = timedelta(hours=1)
_THROTTLE_STEP = timedelta(minutes=30)
# Start-ups that are read in detail: the newest of a workload.
_STARTS_OF_A_WORKLOAD = 3
# A history that begins later than this share of the window (1/50) has a warning.
_SLACK = 50

# Questions for what failed, and the label that names it in each answer.
_FAILURES = ((promql.failed, "pod"), (promql.failed_jobs, "job_name"))


@dataclass(slots=True)
class Reading:
    """Reads one batch and adds its answers up to a history a workload."""

    wire: Wire
    batch: Batch
    window: Window
    paces: Paces
    hosts: Hosts = field(default_factory=Hosts)
    answers: Answers | None = None
    quotas: frozenset[str] = frozenset()
    tallies: dict[tuple[Workload, str], Tally] = field(default_factory=dict)
    starts: dict[Pod, list[slice]] = field(default_factory=dict)
    limits: dict[tuple[str, ...], Limits] = field(default_factory=dict)
    running: dict[Workload, dict[Pod, NDArray[np.bool_]]] = field(default_factory=dict)
    replicas: dict[Workload, NDArray[np.float64]] = field(default_factory=dict)
    startups: dict[Workload, str] = field(default_factory=dict)
    first_row: int | None = None
    first_rows: dict[Workload, int] = field(default_factory=dict)

    def read(self, part: Part) -> list[WorkloadHistory]:
        """The history of every workload of the batch."""
        if not self.batch.pods:
            return [self._nothing(one.workload) for one in self.batch.states]
        asks = self._asks()
        texts = {name: ask(self.batch.scope) for name, ask in asks.items()}
        slow, throttle = coarse(self.window, _SLOW_STEP), coarse(self.window, _THROTTLE_STEP)
        grids = {"limits": slow, "starts": slow, "throttled": throttle}
        answers = self._whole(
            {name: grids.get(name, self.window) for name in asks if not name.startswith(("cpu", "memory"))}, asks
        )
        self._note_limits(answers["limits"], slow)
        self.quotas = self._with_throttling_counters()
        if not self.batch.is_jobs:
            starts = self._note_starts(answers["starts"])
            self._read_startups(starts)
        parts = self._pieces()
        use = [question for piece, pace in parts for question in self._of_use(piece, pace)]
        total = self._answers.count(use)
        for number, (name, piece, strips) in enumerate(self._ranges(use)):
            self._add(name, piece, strips)
            part.advance(
                min(number + 1, total),
                total,
                f"{len(self.batch.states)} workload{'s' if len(self.batch.states) != 1 else ''}",
            )
        for tally in self.tallies.values():
            tally.leave_out_odd()
        again = MemoryAgain(
            self.wire,
            self._answers,
            self.batch,
            self.window,
            self._longest_span(),
            self.tallies,
            self.starts,
            self.limits,
        ).read([piece for piece, _ in parts])
        means = CpuAgain(
            self.wire,
            self._answers,
            self.batch,
            self.window,
            self.tallies,
            self.starts,
            self.limits,
            self._own_node,
        ).read(parts)
        for key, found in by_container(answers["throttled"]).items():
            for tally in self._tally(key):
                for strip in found:
                    tally.add_throttled(key[1], strip, throttle)
        kills = Kills(self.window, self.batch.pods, self._tally, self.limits, self.first_row or 0)
        kills.count_restarts(answers["restarts"], answers["oom"], answers["oom ends"], answers["killed"])
        kills.count_events(self.wire, self.batch.scope.broad(), self.tallies)
        if self.batch.is_jobs:
            self._count_runs(kills.killed)
        note_runtimes(self.wire, self.batch, self.tallies, self.window.end)
        return [
            self._history(one, {**texts, **means.get(one.workload, {}), **again.get(one.workload, {})})
            for one in self.batch.states
        ]

    # -- the queries --

    @property
    def _answers(self) -> Answers:
        return self.answers if self.answers is not None else Direct(self.wire)

    def _asks(self) -> dict[str, Ask]:
        """The questions, each as it is asked about a scope."""
        step = self.window.step
        use: dict[str, Ask] = {}
        for (_, pace), (until, _) in pairwise(self.paces.since):
            use |= {f"{name} until {format_moment(until)}": ask for name, ask in self._asks_of_use(pace).items()}
        return {
            **self._asks_of_use(self.paces.latest),
            **use,
            "limits": partial(promql.limits, span=max(_SLOW_STEP, step)),
            "starts": partial(promql.starts, span=max(_SLOW_STEP, step)),
            "throttled": partial(promql.throttled, span=max(_THROTTLE_STEP, step)),
            "restarts": promql.restarts,
            "oom": promql.oom_killed,
            "oom ends": promql.oom_ended,
            "killed": promql.killed,
        }

    def _asks_of_use(self, pace: Pace) -> dict[str, Ask]:
        step = self.window.step
        cpu: Ask = partial(promql.cpu, rate_window=pace.rate_window)
        if self.batch.is_jobs:
            cpu = partial(promql.cpu_of_jobs, rate_window=pace.rate_window, step=step, interval=pace.interval)
        return {"cpu": cpu, "memory": partial(promql.memory, span=pace.span(step))}

    def _longest_span(self) -> timedelta:
        return max(pace.span(self.window.step) for _, pace in self.paces.since)

    def _of_use(self, piece: Window, pace: Pace) -> list[Asked]:
        return [(name, ask, piece) for name, ask in self._asks_of_use(pace).items()]

    def _ranges(self, asked: Sequence[Asked]) -> Iterator[Answer]:
        return self._answers.ranges(self.batch, asked)

    def _whole(self, grids: Mapping[str, Window], asks: Mapping[str, Ask]) -> dict[str, list[Strip]]:
        """The answer to each query on its grid, in whatever pieces it comes."""
        questions = [
            (name, asks[name], piece) for name, grid in grids.items() for piece in shortened(grid, self.window)
        ]
        found: dict[str, list[Strip]] = {name: [] for name in grids}
        for name, piece, strips in self._ranges(questions):
            ahead = rows_ahead(piece, grids[name])
            found[name] += [moved(strip, ahead) for strip in strips]
        return found

    def _pieces(self) -> list[tuple[Window, Pace]]:
        points = max(_SHORTEST_PIECE, min(_LONGEST_PIECE, _POINTS_IN_AN_ANSWER // max(1, self.batch.series_at_once)))
        return self.paces.cut(self.window, points)

    # -- the answers --

    def _tally(self, key: Sequence[str]) -> list[Tally]:
        """The tally of a container (namespace, pod, name): none where the pod is not of this batch."""
        workload = self.batch.pods.get((key[0], key[1]))
        if workload is None:
            return []
        if (workload, key[2]) not in self.tallies:
            self.tallies[workload, key[2]] = Tally(self.window, self.hosts.largest, key[2] in self.quotas)
        return [self.tallies[workload, key[2]]]

    def _note_limits(self, strips: Sequence[Strip], grid: Window) -> None:
        for key, found in by_container(strips, "resource").items():
            self.limits[key] = Limits.of(grid, found)

    def _note_starts(self, strips: Sequence[Strip]) -> dict[Pod, float]:
        """Note the rows at which each pod starts. Returns the last start of each pod that started within the window."""
        moments: defaultdict[Pod, set[float]] = defaultdict(set)
        for strip in strips:
            pod = (strip.labels.get("namespace", ""), strip.labels.get("pod", ""))
            if pod in self.batch.pods:
                moments[pod].update(strip.values[~np.isnan(strip.values)].tolist())
        begin, end = self.window.start.timestamp(), self.window.end.timestamp()
        for pod, of_pod in moments.items():
            self.starts[pod] = [
                rows
                for at in sorted(of_pod)
                for rows in starting_rows([at], self.window, self._pace_at(at).span(self.window.step))
            ]
        newest = end - STARTUP.total_seconds()  # a pod that is still starting is read in a later run
        within = {pod: [at for at in of_pod if begin <= at < newest] for pod, of_pod in moments.items()}
        return {pod: max(of_pod) for pod, of_pod in within.items() if of_pod}

    def _read_startups(self, starts: Mapping[Pod, float]) -> None:
        """Read the newest starts of each workload in detail: the step of the window would miss most of a peak."""
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
                self._pace_at(starts[pod]).rate_window,
                self._pace_at(starts[pod]).interval,
                STARTUP,
                duration(timedelta(seconds=round(end - starts[pod] - STARTUP.total_seconds(), 3))),
            )
            for pod in chosen
        }
        self.startups = {workload: " or ".join(texts[pod] for pod in pods) for workload, pods in newest.items()}
        asked = [
            Start(pod, starts[pod], duration(self._pace_at(starts[pod]).rate_window), texts[pod]) for pod in chosen
        ]
        for labels, value in sums_of_cores(self._answers.starts(self.batch, asked, self.window.end)):
            key = tuple(labels.get(name, "") for name in ("namespace", "pod", "container"))
            limits = self.limits.get((*key, "cpu"))
            for tally in self._tally(key):
                tally.note_startup(value, None if limits is None else float(np.fmax.reduce(limits.values)))

    def _pace_at(self, seconds: float) -> Pace:
        return self.paces.at(datetime.fromtimestamp(seconds, UTC))

    def _add(self, name: str, piece: Window, strips: Sequence[Strip]) -> None:
        ahead = row_of(piece.start, self.window)
        resource = "cpu" if name == "cpu" else "memory"
        for key, found in by_container(strips).items():
            namespace, pod, container = key
            for tally in self._tally(key):
                tally.pods.add(pod)
                add = tally.add_cpu if name == "cpu" else tally.add_memory
                for strip in found:
                    on_window = moved(strip, ahead)
                    add(
                        pod,
                        on_window.rows,
                        strip.values,
                        self.starts.get((namespace, pod), ()),
                        self.limits.get((*key, resource)),
                        self._own_node((namespace, pod), Target(resource), strip.values),
                    )
                    rows = on_window.rows
                    first = rows.start if isinstance(rows, slice) else int(rows[0])
                    self.first_row = first if self.first_row is None else min(self.first_row, first)
                    workload = self.batch.pods[namespace, pod]
                    self.first_rows[workload] = min(self.first_rows.get(workload, first), first)
                    if name == "cpu":
                        self._note_running((namespace, pod), container, strip, piece)
        self._count_running(piece, ahead)

    def _own_node(self, pod: Pod, target: Target, values: NDArray[np.float64]) -> Nodes | None:
        """The node that a pod ran on, where its use is such that the largest of all tells too little."""
        if not self.hosts.may_tell(target, values):
            return None
        if pod not in self.hosts.homes:
            workload = self.batch.pods[pod]
            siblings = [name for (_, name), of in self.batch.pods.items() if of == workload]
            selector = promql.homes(replace(self.batch.scope, namespaces=(workload.namespace,)), siblings)
            self.hosts.note_homes(self.wire.series(selector, self.window.start, self.window.end))
            self.hosts.homes.setdefault(pod, set())
        return self.hosts.of(pod)

    def _note_running(self, pod: Pod, container: str, strip: Strip, piece: Window) -> None:
        workload = self.batch.pods[pod]
        here = self.running.setdefault(workload, {}).setdefault(pod, np.zeros(piece.sample_count, dtype=np.bool_))
        here[strip.rows] = True

    def _count_running(self, piece: Window, ahead: int) -> None:
        for workload, pods in self.running.items():
            counts = self.replicas.setdefault(workload, np.full(self.window.sample_count, np.nan))
            ran = np.sum(list(pods.values()), axis=0, dtype=np.float64)
            # No samples: none ran, or none was scraped.
            counts[ahead : ahead + piece.sample_count] = np.where(ran > 0, ran, np.nan)
        self.running.clear()

    def _count_runs(self, killed: Collection[Pod]) -> None:
        """Count the runs of jobs once it is known which of their pods failed, and which of these were OOM-killed."""
        failed, jobs = (self._named_by(text, label) for text, label in _FAILURES)
        failed |= {pod for pod, run in self.batch.runs.items() if (pod[0], run) in jobs}
        for (workload, _), tally in self.tallies.items():
            pods = [(workload.namespace, pod) for pod in tally.pods]
            tally.runs, tally.failed_pods = count_runs(pods, self.batch.runs, failed, killed)

    def _named_by(self, text: Callable[[Scope, timedelta, timedelta], str], label: str) -> set[tuple[str, str]]:
        """Namespace and a label of what a question finds in the whole window."""
        span, step = max(self.window.end - self.window.start, self.window.step), self.window.step
        rows = in_parts(lambda part: self.wire.instant(text(part, span, step), self.window.end), self.batch.scope)
        return {(row["metric"].get("namespace", ""), row["metric"].get(label, "")) for row in rows}

    def _with_throttling_counters(self) -> frozenset[str]:
        """Names of the containers that have CFS counters: of those alone, silence means that nothing was throttled."""

        def names(part: Scope) -> list[str]:
            selector = promql.containers(part, "container_cpu_cfs_throttled_periods_total")
            return self.wire.label_values("container", selector, self.window.start, self.window.end)

        return frozenset(in_parts(names, self.batch.scope.broad()))

    def _history(self, state: WorkloadState, texts: Mapping[str, str]) -> WorkloadHistory:
        workload = state.workload
        containers = {
            name: tally.history(name, throttling_is_known=name in self.quotas)
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
            late=self._lateness(workload),
            largest_node=self.hosts.largest.resources,
        )

    def _nothing(self, workload: Workload) -> WorkloadHistory:
        between = f"between {format_moment(self.window.start)} and {format_moment(self.window.end)}"
        return WorkloadHistory(
            workload, self.window, {}, warnings=(f"No samples of {workload.kind} {workload.name!r} {between}.",)
        )

    def _lateness(self, workload: Workload) -> str:
        """Why the history begins later than requested; empty where it does not.

        A short retention is a condition of the whole run, in the same words for every workload.
        """
        first = self.first_rows.get(workload, 0)
        slack = max(2, self.window.sample_count // _SLACK)
        if first <= slack:
            return ""
        asked = format_moment(self.window.start)
        if self.first_row is not None and self.first_row > slack and first - self.first_row <= slack:
            begin = format_moment(self.window.start + self.first_row * self.window.step)
            why = "its retention is shorter, or all workloads of this run are younger"
            return f"Prometheus has no data before {begin}, and {asked} was requested: {why}"
        begin = format_moment(self.window.start + first * self.window.step)
        return f"the workload is known from {begin} on, not from {asked}: it is younger"
