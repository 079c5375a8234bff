"""Drives loads on services as they stand, and returns what was measured: the step that every experiment is made of.

A drive changes no replicas and no resources. It waits for the ramp and one rate window, measures for a while, and reads
the metrics of every service from the source. A watcher hears of every second, and can end the window early.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Protocol

from mora.domain import Allocation, Observation, Window, Workload
from mora.errors import MoraError
from mora.harness.arrivals import Offered, users_for
from mora.harness.clock import Clock, SystemClock
from mora.harness.contention import Contention, judge
from mora.harness.host import Host, HostWatch, UnknownHost
from mora.harness.load import LocustRun
from mora.harness.plan import PLAIN_LOCUST, LocustOptions
from mora.harness.preview import whole_second
from mora.harness.record import LoadFigures, LoadRecord, LoopFigures
from mora.seams import Cluster, MetricSource

# Locust writes the record of a second a few milliseconds after it.
_RECORD_SECONDS = 0.3
_SPAWN_TIMEOUT = timedelta(seconds=60)
_READY_TIMEOUT = timedelta(minutes=5)
# A window that is ended early still has this many samples, so that its CPU and memory have a mean.
MIN_SAMPLES_CUT = 10
# Locust ends by itself after twice the expected time and this much more.
_SLACK = timedelta(seconds=70)
_MAX_READERS = 4


class Load(Protocol):
    """A running load; see load.LocustRun."""

    def record(self) -> LoadRecord:
        """Every second recorded so far."""

    def spawned_at(self) -> datetime | None:
        """The first recorded second at which all users ran; None before it."""

    def check_running(self) -> None:
        """Raise MoraError if the load has ended."""

    def recent_error_ratio(self, now: datetime) -> float:
        """The share of failed requests in the last seconds."""

    def offered(self, start: datetime, end: datetime) -> Offered | None:
        """What was offered of a rate; None for a load in users."""


StartLoad = Callable[..., AbstractContextManager[Load]]
"""Starts a load with the arguments of load.LocustRun; it ends with the block."""


@dataclass(frozen=True, slots=True)
class Offer:
    """A load to drive, of a scenario whose locustfile is `scenario_file`.

    users: those who send, wait for the answer and pause. requests_per_second: in their place, the rate at which
    requests arrive, however late the answers are; `users` is then how many there are to wait for them.
    """

    scenario: str
    scenario_file: Path
    users: int
    requests_per_second: float | None = None

    @classmethod
    def at_rate(cls, scenario: str, scenario_file: Path, requests_per_second: float) -> Offer:
        """A load in requests per second, with as many users as it may need."""
        return cls(scenario, scenario_file, users_for(requests_per_second), requests_per_second)


@dataclass(frozen=True, slots=True)
class Times:
    """How long a drive takes: the ramp, the settling after it, the measured window, and the step of its samples.

    settle: at least the rate window of the source, so that no rate includes a part of the ramp.
    """

    duration: timedelta
    settle: timedelta
    ramp: timedelta
    sample_interval: timedelta


@dataclass(frozen=True, slots=True)
class Site:
    """Where a load is driven and what is measured there.

    load_url: where Locust sends the load. allow_remote: that may be another machine. options: those of Locust.
    host: the machines of the services.
    """

    cluster: Cluster
    source: MetricSource
    workloads: Sequence[Workload]
    load_url: str
    allow_remote: bool = False
    options: LocustOptions = PLAIN_LOCUST
    ready_timeout: timedelta = _READY_TIMEOUT
    clock: Clock = field(default_factory=SystemClock)
    start_load: StartLoad = LocustRun
    host: Host = field(default_factory=UnknownHost)


@dataclass(frozen=True, slots=True)
class Moment:
    """What a watcher hears of. note: what is being done. window: what is measured; None before its start is known."""

    note: str
    now: datetime
    loads: Sequence[Load] = ()
    window: Window | None = None


Watcher = Callable[[Moment], bool]
"""Hears of a drive at every step, about once a second; True ends the window early. What it raises ends the drive."""


@dataclass(frozen=True, slots=True)
class DrivenLoad:
    """One load of a drive: what Locust recorded, the figures of the measured window, and how Locust itself did.

    offered: what was offered of a rate; None for a load in users.
    """

    offer: Offer
    record: LoadRecord
    figures: LoadFigures
    loop: LoopFigures | None = None
    offered: Offered | None = None

    def remarks(self) -> list[str]:
        """What a reader of the figures must know: that the load was not offered as asked."""
        if self.offer.requests_per_second is None:
            return []
        return ["What was offered of the rate is not recorded."] if self.offered is None else self.offered.warnings()

    @property
    def busy_users(self) -> int:
        """The users who sent; for a rate, those that would send as much in a closed loop. At least 1."""
        return self.offer.users if self.offered is None else max(1, round(self.offered.busy_users))


@dataclass(frozen=True, slots=True)
class Driven:
    """What a drive measured.

    ready: when the replicas were. window: the measured samples. loads: one for each offer, in their order.
    observations: the metrics of every service from `ready` to the end of the window. allocations: how the services
    stood. was_cut: a watcher ended the window early. contention: what else the machines did in the window, and whether
    it could have changed what was measured.
    """

    ready: datetime
    window: Window
    loads: tuple[DrivenLoad, ...]
    observations: Mapping[Workload, Observation]
    allocations: Mapping[Workload, Allocation]
    was_cut: bool
    contention: Contention = field(default_factory=Contention)


def drive(
    site: Site, offers: Sequence[Offer], times: Times, *, fresh: bool = False, watch: Watcher = lambda moment: False
) -> Driven:
    """Drive loads at the same time on the services as they stand, and return what was measured.

    offers: at least one; several are driven by a Locust each, with figures of their own. fresh: replace every replica
    first. Raises MoraError where a load cannot be started, ends by itself or records nothing.
    """
    return _Drive(site, offers, times, watch).run(fresh=fresh)


@dataclass(slots=True)
class _Drive:
    """One drive, and the loads that run."""

    site: Site
    offers: Sequence[Offer]
    times: Times
    watch: Watcher
    loads: list[Load] = field(default_factory=list)

    def run(self, *, fresh: bool) -> Driven:
        site = self.site
        self._tell("fresh replicas" if fresh else "starting")
        if fresh:
            site.cluster.restart(site.workloads, site.ready_timeout)
        allocations = {workload: site.cluster.allocation(workload) for workload in site.workloads}
        ready, window, loads, was_cut, host = self._measure()
        self._tell("reading metrics")
        # Prometheus stores a scrape when it is complete, and none takes longer than its interval.
        self._sleep_until(window.end + self.times.sample_interval)
        observations = self._observe(ready, window)
        contention = judge(host.use(window), [(load.figures, load.loop) for load in loads])
        return Driven(ready, window, loads, observations, allocations, was_cut, contention)

    def _measure(self) -> tuple[datetime, Window, tuple[DrivenLoad, ...], bool, HostWatch]:
        """Ramp, settling, window: when it began, the window, the loads, whether it was ended early, and its watch."""
        times, ready = self.times, self.site.clock.now()
        with ExitStack() as stack:
            self.loads += [stack.enter_context(self._start(offer)) for offer in self.offers]
            start = whole_second(self._await_users() + times.settle)
            window = Window(start, start + times.duration - times.sample_interval, times.sample_interval)
            self._wait(window, until=window.start, note="settling")
            host = self.site.host.watch()
            cut_at = self._wait(window, until=window.end, note="measuring", host=host)
            host.end()
            if cut_at is not None:
                window = Window(start, cut_at, times.sample_interval)
            self._sleep_until(window.end + timedelta(seconds=_RECORD_SECONDS))
            loads = tuple(_driven(*one, window) for one in zip(self.offers, self.loads, strict=True))
        return ready, window, loads, cut_at is not None, host

    def _start(self, offer: Offer) -> AbstractContextManager[Load]:
        site, times = self.site, self.times
        return site.start_load(
            offer.scenario_file,
            site.load_url,
            users=offer.users,
            ramp=times.ramp,
            longest=2 * (times.ramp + times.settle + times.duration) + _SLACK,
            options=site.options,
            allow_remote=site.allow_remote,
            **({} if offer.requests_per_second is None else {"requests_per_second": offer.requests_per_second}),
        )

    def _await_users(self) -> datetime:
        """When all users run; MoraError where they do not in time."""
        clock, patience = self.site.clock, self.times.ramp + _SPAWN_TIMEOUT
        deadline = clock.now() + patience
        while True:
            spawned = [load.spawned_at() for load in self.loads]
            known = [moment for moment in spawned if moment is not None]
            if len(known) == len(spawned):
                return max(known)
            if clock.now() > deadline:
                missing = self.offers[spawned.index(None)]
                raise MoraError(
                    f"Locust did not start its {missing.users} users in {patience.total_seconds():.0f} s.",
                    hint="Start the workers if the plan asks for some. Otherwise this machine cannot drive the load: "
                    "use fewer users.",
                )
            self._tell("starting the load")
            clock.sleep(0.1)

    def _wait(self, window: Window, *, until: datetime, note: str, host: HostWatch | None = None) -> datetime | None:
        """Wait until a moment and check the loads every second; the last sample of the window where it ends early."""
        clock, step = self.site.clock, window.step
        while (now := clock.now()) < until:
            for load in self.loads:
                load.check_running()
            if host is not None:
                host.tick()
            is_enough = self._tell(note, window)
            last = window.start + math.floor((now - window.start) / step) * step
            if is_enough and note == "measuring" and last >= window.start + (MIN_SAMPLES_CUT - 1) * step:
                return min(last, window.end)
            clock.sleep(min(1.0, (until - now).total_seconds()))
        return None

    def _tell(self, note: str, window: Window | None = None) -> bool:
        return self.watch(Moment(note, self.site.clock.now(), tuple(self.loads), window))

    def _observe(self, ready: datetime, window: Window) -> dict[Workload, Observation]:
        """The metrics of every service, from the moment it was ready to the end of the window."""
        step, workloads = window.step, self.site.workloads
        before = math.floor((window.start - ready) / step)
        span = Window(window.start - before * step, window.end, step)
        with ThreadPoolExecutor(min(_MAX_READERS, len(workloads))) as readers:
            observations = list(readers.map(lambda workload: self.site.source.observe(workload, span), workloads))
        return dict(zip(workloads, observations, strict=True))

    def _sleep_until(self, moment: datetime) -> None:
        clock = self.site.clock
        clock.sleep(max(0.0, (moment - clock.now()).total_seconds()))


def _driven(offer: Offer, load: Load, window: Window) -> DrivenLoad:
    record = load.record()
    figures = record.figures(window.start, window.end)
    if figures is None:
        raise MoraError(
            f"Locust recorded nothing between {window.start:%H:%M:%S} and {window.end:%H:%M:%S} UTC.",
            hint="Check that the folder of temporary files has space, and that this machine has idle CPU.",
        )
    offered = None if offer.requests_per_second is None else load.offered(window.start, window.end)
    return DrivenLoad(offer, record, figures, record.loop(window.start, window.end), offered)
