"""From many series to one workload's history: the hottest pod at each step, start-up apart, OOM kills from restarts.

Pure: series come piece by piece of the window, doubled or not, in any order.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

import numpy as np
from numpy.typing import NDArray

from mora.domain import ContainerHistory, CrashLoop, PodSpread, PodUse, Target, Window
from mora.domain.runtimes import Runtime
from mora.sources.prometheus.believable import Ceiling, Nodes, Sieve, cpu_ceiling, memory_ceiling
from mora.sources.prometheus.cores import of_all_cores
from mora.sources.prometheus.generations import PodSeries, Small, dense, needing_most, note, places, spread
from mora.sources.prometheus.matrix import Strip

Floats = NDArray[np.float64]
Rows = slice | NDArray[np.intp]

# How long a pod counts as starting. Class loading, warming caches and the first connections are over by then in most
# services; Attune waits as long before it judges a pod.
STARTUP = timedelta(minutes=5)
# Where start-up is a larger share of all samples, pods live minutes, and their start-up is their use.
_MOSTLY_STARTUP = 0.10
# Below this a pod's p95 is its highest sample, more or less.
_LEAST_FOR_A_P95 = 20
# A pod that was seen within this time before the end runs now; what pods need is what they used in their last week.
_LATELY, _WEEK = timedelta(hours=1), timedelta(days=7)


@dataclass(slots=True)
class Limits:
    """The limit of a pod's container over time, on a coarse grid of its own, with gaps filled."""

    window: Window
    values: Floats

    @classmethod
    def of(cls, window: Window, strips: Iterable[Strip]) -> Limits:
        """The limits that some series give on a window; where series overlap, the larger one."""
        values = np.full(window.sample_count, np.nan)
        for strip in strips:
            values[strip.rows] = np.fmax(values[strip.rows], strip.values)
        return cls(window, filled(values))

    def at(self, rows: Rows, window: Window) -> Floats | float:
        """The limits at rows of the fine window: one number where they never changed."""
        first = float(self.values[0])
        if np.all(self.values == first) or math.isnan(first):
            return first
        numbers = _numbers(rows)
        chosen: Floats = self.values[spans_of(numbers, window, self.window)]
        return chosen


def spans_of(rows: NDArray[np.intp], window: Window, coarse: Window) -> NDArray[np.intp]:
    """Which span of the coarse window (each ends at its own moment) the rows of the fine one lie in."""
    ahead = (window.start - coarse.start) / coarse.step
    numbers = np.ceil(ahead + rows * (window.step / coarse.step) - 1e-9).astype(np.intp)
    clipped: NDArray[np.intp] = np.clip(numbers, 0, coarse.sample_count - 1)
    return clipped


def filled(values: Floats) -> Floats:
    """Gaps filled with the value before, at the beginning with the first; all NaN where nothing is known."""
    known = ~np.isnan(values)
    if known.all() or not known.any():
        return values
    last = np.maximum.accumulate(np.where(known, np.arange(len(values)), -1))
    last[last < 0] = int(np.flatnonzero(known)[0])
    return values[last]


@dataclass(slots=True)
class Track:
    """One resource of one container over the window: use on its hottest pod, and the limit of that pod."""

    window: Window
    values: Floats = field(init=False)
    limits: Floats | None = None
    startup: float | None = None
    peak: float = -math.inf
    peak_pod: str = ""
    steady_samples: int = 0
    startup_samples: int = 0
    startups: list[tuple[str, Rows, Floats, Limits | None]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.values = np.full(self.window.sample_count, np.nan)

    def add(self, pod: str, rows: Rows, values: Floats, starting: Sequence[slice], limits: Limits | None) -> Floats:
        """A pod's use on some rows; what falls into `starting` is counted as start-up and left out of the result."""
        whole = values
        for span in starting:
            values = self._without(span, rows, values)
        if values is not whole:
            aside = np.where(np.isnan(values), whole, np.nan)
            self.startups.append((pod, rows, aside, limits))
            self.startup_samples += int(np.count_nonzero(~np.isnan(aside)))
        self.steady_samples += int(np.count_nonzero(~np.isnan(values)))
        here = self.values[rows]
        hotter = ~(here >= values) & ~np.isnan(values)
        if not hotter.any():
            return values
        self.values[rows] = np.where(hotter, values, here)
        highest = float(np.fmax.reduce(values))
        if highest > self.peak:
            self.peak, self.peak_pod = highest, pod
        if limits is not None or self.limits is not None:
            if self.limits is None:
                self.limits = np.full(len(self.values), np.nan)
            allowed = math.nan if limits is None else limits.at(rows, self.window)
            self.limits[rows] = np.where(hotter, allowed, self.limits[rows])
        return values

    def take_startups_for_use(self) -> list[tuple[str, Rows, Floats]]:
        """Where pods live minutes, count their start-up as use; what was added, pod by pod.

        Its peak stays known: a step of minutes hits few of the seconds in which short-lived pods are hottest.
        """
        if self.startup_samples <= _MOSTLY_STARTUP * (self.startup_samples + self.steady_samples):
            return []
        startups, self.startups = self.startups, []
        self.startup_samples = 0
        return [(pod, rows, self.add(pod, rows, values, (), limits)) for pod, rows, values, limits in startups]

    def note_startup(self, value: float) -> None:
        """Take a use during start-up into account."""
        self.startup = value if self.startup is None else max(self.startup, value)

    def _without(self, span: slice, rows: Rows, values: Floats) -> Floats:
        numbers = _numbers(rows)
        within = (numbers >= span.start) & (numbers < span.stop)
        if not within.any():
            return values
        highest = float(np.fmax.reduce(values[within]))
        if not math.isnan(highest):
            self.note_startup(highest)
        return np.where(within, np.nan, values)


@dataclass(slots=True)
class Tally:
    """One container of one workload, over all of its pods.

    nodes: the largest node. has_quota: whether the container has CFS counters, so that a CPU limit is enforced.
    """

    window: Window
    nodes: Nodes = field(default_factory=Nodes)
    has_quota: bool = False
    cpu: Track = field(init=False)
    memory: Track = field(init=False)
    throttled_of_pods: dict[str, Floats] = field(default_factory=dict)
    throttled_spans: NDArray[np.intp] | None = None
    restarts: int = 0
    oom_kills: int = 0
    oom_rows: set[int] = field(default_factory=set)
    oom_limit_bytes: float | None = None
    pods: set[str] = field(default_factory=set)
    runs: int | None = None
    failed_pods: int = 0
    cpu_of_pods: defaultdict[str, list[tuple[int, Small]]] = field(default_factory=lambda: defaultdict(list))
    peaks_of_pods: dict[str, float] = field(default_factory=dict)
    less_cache: Track | None = None
    cache_known_by: str = ""
    has_swap: bool = False
    crash_loop: CrashLoop | None = None
    runtime: Runtime | None = None
    killed: int = 0
    sieves: dict[Target, Sieve] = field(init=False)

    def __post_init__(self) -> None:
        self.cpu, self.memory = Track(self.window), Track(self.window)
        self.sieves = {target: Sieve(target) for target in (Target.CPU, Target.MEMORY)}

    def add_throttled(self, pod: str, shares: Strip, coarse: Window) -> None:
        """A pod's throttled share of each coarse span."""
        if self.throttled_spans is None:
            self.throttled_spans = spans_of(np.arange(self.window.sample_count), self.window, coarse)
        of_pod = self.throttled_of_pods.setdefault(pod, np.full(coarse.sample_count, np.nan))
        of_pod[shares.rows] = np.fmax(of_pod[shares.rows], shares.values)

    def add_cpu(
        self,
        pod: str,
        rows: Rows,
        values: Floats,
        starting: Sequence[slice],
        limits: Limits | None,
        node: Nodes | None = None,
    ) -> None:
        """A pod's CPU on some rows; what cannot be is left out. node: its own, where that tells more."""
        ceiling = cpu_ceiling(node or self.nodes, _highest(limits), has_quota=self.has_quota)
        values = self.sieves[Target.CPU].sift(values, ceiling)
        steady = self.cpu.add(pod, rows, values, starting, limits)
        if (part := dense(rows, steady)) is not None:
            note(self.cpu_of_pods[pod], part)

    def add_memory(
        self,
        pod: str,
        rows: Rows,
        values: Floats,
        starting: Sequence[slice],
        limits: Limits | None,
        node: Nodes | None = None,
    ) -> None:
        """A pod's memory on some rows; what cannot be is left out. node: its own, where that tells more."""
        values = self.sieves[Target.MEMORY].sift(values, self._memory_ceiling(limits, node))
        steady = self.memory.add(pod, rows, values, starting, limits)
        recent = steady[np.searchsorted(_numbers(rows), self._row_before_the_end(_WEEK)) :]
        if len(recent) and not math.isnan(peak := float(np.fmax.reduce(recent))):
            self.peaks_of_pods[pod] = max(self.peaks_of_pods.get(pod, 0.0), peak)

    def add_memory_less_cache(self, pod: str, rows: Rows, values: Floats, limits: Limits | None) -> None:
        """A pod's memory without page cache on some rows, start-up included; its working set has been counted."""
        if self.less_cache is not None:
            values = Sieve(Target.MEMORY).sift(values, self._memory_ceiling(limits))
            self.less_cache.add(pod, rows, values, (), limits)

    def _memory_ceiling(self, limits: Limits | None, node: Nodes | None = None) -> Ceiling:
        # What is swapped out is on no node's memory, and no memory limit counts it.
        return memory_ceiling(Nodes()) if self.has_swap else memory_ceiling(node or self.nodes, _highest(limits))

    def note_startup(self, cores: float, limit: float | None) -> None:
        """Take the CPU of a pod's first minutes into account, where it can be."""
        ceiling = cpu_ceiling(self.nodes, limit, has_quota=self.has_quota)
        if not math.isnan(value := float(self.sieves[Target.CPU].sift(np.array([cores]), ceiling)[0])):
            self.cpu.note_startup(value)

    def leave_out_odd(self) -> None:
        """Once the CPU of all pods is added: leave out what all of it together shows to be impossible."""
        for pod, rows, used in self._startups_for_use(Target.CPU):
            if (added := dense(rows, used)) is not None:
                self.cpu_of_pods[pod].append(added)
        values = self.sieves[Target.CPU].sift_odd(self.cpu.values, self.nodes)
        if values is not self.cpu.values:
            self.cpu.values, self.cpu.peak_pod = values, ""
            highest = float(np.fmax.reduce(values, initial=0.0))
            for _, part in (part for parts in self.cpu_of_pods.values() for part in parts):
                part[part > highest] = np.nan

    def _startups_for_use(self, target: Target) -> list[tuple[str, Rows, Floats]]:
        track = self.cpu if target is Target.CPU else self.memory
        share = track.startup_samples / max(1, track.startup_samples + track.steady_samples)
        taken = track.take_startups_for_use()
        if taken:
            text = f"its pods live minutes (start-up is {share:.0%} of the samples), so start-up counts as use"
            self.sieves[target].remark = "; ".join(filter(None, (self.sieves[target].remark, text)))
        return taken

    def begin_cpu_again(self, remark: str) -> None:
        """Forget the CPU use, since it is read in another way; why, for the reasons."""
        self.cpu, self.sieves[Target.CPU] = Track(self.window), Sieve(Target.CPU, remark=remark)
        self.cpu_of_pods.clear()

    def note_crashes(self, found: CrashLoop | None) -> None:
        """Take into account that a pod keeps restarting; the one with the most restarts is named."""
        known = self.crash_loop
        if found is not None and (known is None or (found.restarts, known.pod) > (known.restarts, found.pod)):
            self.crash_loop = found

    def begin_memory_again(self, remark: str) -> None:
        """Forget the memory use, since it is read again with swap; remark: that, for the reasons."""
        self.memory, self.has_swap = Track(self.window), True
        self.sieves[Target.MEMORY] = Sieve(Target.MEMORY, remark=remark)
        self.peaks_of_pods.clear()

    def _pods(self) -> list[PodSeries]:
        return [PodSeries.of(pod, parts) for pod, parts in self.cpu_of_pods.items()]

    def _by_pod(self, pods: Sequence[PodSeries], *, throttling_is_known: bool) -> tuple[PodUse, ...]:
        """The pods that need most, each alone; empty where one runs at a time, so that all use is that of one."""
        found = places(pods, self.window.step)
        if len(found) < 2:
            return ()
        is_known = throttling_is_known and self.cpu.limits is not None
        shares = {pod: spans[self.throttled_spans] for pod, spans in self.throttled_of_pods.items()}
        return needing_most(found, self.window, shares if is_known or shares else None)

    def _spread(self, pods: Sequence[PodSeries]) -> dict[Target, PodSpread]:
        """How unevenly the pods that run now use what is sized."""
        since = self._row_before_the_end(_LATELY)
        running = [one for one in pods if one.after > since]
        week = self._row_before_the_end(_WEEK)
        recent = {one.pod: one.values[max(0, week - one.first) :] for one in running}
        needs = {pod: level for pod, values in recent.items() if (level := _p95(values)) is not None}
        peaks = {one.pod: self.peaks_of_pods[one.pod] for one in running if one.pod in self.peaks_of_pods}
        found = ((Target.CPU, spread(needs)), (Target.MEMORY, spread(peaks)))
        return {target: one for target, one in found if one is not None}

    def _row_before_the_end(self, span: timedelta) -> int:
        return self.window.sample_count - round(span / self.window.step)

    def _throttled(self) -> Floats | None:
        """The throttled share of the worst pod; None where none was throttled."""
        if self.throttled_spans is None:
            return None
        worst: Floats = np.fmax.reduce(list(self.throttled_of_pods.values()))[self.throttled_spans]
        return worst

    def history(self, name: str, *, throttling_is_known: bool) -> ContainerHistory:
        """What is known in all. Throttling is 0 where it is measured, the container has a limit, and it is not seen."""
        for pod, _, used in self._startups_for_use(Target.MEMORY):
            self.peaks_of_pods[pod] = max(self.peaks_of_pods.get(pod, 0.0), float(np.fmax.reduce(used)))
        throttled = self._throttled()
        if throttled is None and throttling_is_known and self.cpu.limits is not None:
            throttled = np.zeros(self.window.sample_count)
        if throttled is not None:
            throttled = np.where(np.isnan(self.cpu.values), np.nan, np.nan_to_num(throttled, nan=0.0))
        tracks, pods = {Target.CPU: self.cpu, Target.MEMORY: self.memory}, self._pods()
        return ContainerHistory(
            container=name,
            cpu_cores=self.cpu.values,
            mem_bytes=self.memory.values,
            startup_cpu_cores=self.cpu.startup,
            startup_mem_bytes=self.memory.startup,
            throttled=throttled,
            cpu_limit_cores=self.cpu.limits,
            mem_limit_bytes=self.memory.limits,
            oom_kills=self.oom_kills,
            oom_limit_bytes=self.oom_limit_bytes,
            restarts=self.restarts,
            pods=len(self.pods),
            runs=self.runs,
            failed_pods=self.failed_pods,
            pod_p95_cores=max((level for one in pods if (level := _p95(one.values)) is not None), default=None),
            by_pod=self._by_pod(pods, throttling_is_known=throttling_is_known),
            spread=self._spread(pods),
            peak_pods={target: track.peak_pod for target, track in tracks.items() if track.peak_pod},
            left_out={target: one for target, sieve in self.sieves.items() if (one := sieve.left_out()) is not None},
            mem_less_cache_bytes=None if self.less_cache is None else self.less_cache.values,
            cache_known_by=self.cache_known_by,
            crash_loop=self.crash_loop,
            runtime=self.runtime,
            killed=self.killed,
            oom_rows=tuple(sorted(self.oom_rows)),
        )


def _p95(values: Small) -> float | None:
    known = values[~np.isnan(values)]
    return float(np.quantile(known, 0.95)) if len(known) >= _LEAST_FOR_A_P95 else None


def _numbers(rows: Rows) -> NDArray[np.intp]:
    return np.arange(rows.start, rows.stop) if isinstance(rows, slice) else rows


def starting_rows(starts: Iterable[float], window: Window, span: timedelta) -> list[slice]:
    """The rows whose span (the `span` before them) touches the first STARTUP of a pod.

    starts: Unix seconds.

    >>> from datetime import UTC, datetime
    >>> begin = datetime(2026, 11, 1, tzinfo=UTC)
    >>> window = Window(begin, begin + timedelta(hours=1), timedelta(minutes=5))
    >>> starting_rows([begin.timestamp() + 601], window, timedelta(minutes=5))
    [slice(3, 5, None)]
    """
    step, begin = window.step.total_seconds(), window.start.timestamp()
    after = (STARTUP + span).total_seconds()
    return [slice(max(0, math.ceil((at - begin) / step)), math.ceil((at + after - begin) / step)) for at in starts]


def moved(strip: Strip, by: int) -> Strip:
    """The same series on a grid that begins `by` rows earlier."""
    rows = strip.rows
    return Strip(
        strip.labels, slice(rows.start + by, rows.stop + by) if isinstance(rows, slice) else rows + by, strip.values
    )


Key = tuple[str, str, str]
"""Namespace, pod, container."""


def by_container(strips: Iterable[Strip], *more: str) -> Mapping[tuple[str, ...], list[Strip]]:
    """Series by namespace, pod, container and further labels; what carries no container is left out.

    The counters of single cores are added up.
    """
    found: defaultdict[tuple[str, ...], list[Strip]] = defaultdict(list)
    for strip in strips:
        names = tuple(strip.labels.get(name, "") for name in ("namespace", "pod", "container", *more))
        if all(names[:3]):
            found[names].append(strip)
    return {names: of_all_cores(of_one) for names, of_one in found.items()}


def _highest(limits: Limits | None) -> float | None:
    return None if limits is None else float(np.fmax.reduce(limits.values))
