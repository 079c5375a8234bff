"""The loop tried on sandboxes: live processes, a changing load, faults, and numbers that are wrong on purpose.

Time is compressed: a second of the sandbox counts as five minutes of history (a "day" is 288 s), so the product's own
rule (mora/fleet, mora/bounds) sizes from days of history after minutes. What guards a change is in real seconds, since
processes fare ill in real seconds. Everything else is the product: the loop, its change rule, its audit log, and limits
of live cgroups.
"""

from __future__ import annotations

import os
import random
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mora.changes.rule import RULES
from mora.clusters.sandbox import SandboxPods
from mora.domain import (
    Advice,
    Allocation,
    Container,
    Recommendation,
    Resources,
    Workload,
    WorkloadState,
)
from mora.errors import ClusterError, MoraError
from mora.files import json_text, write_files
from mora.fleet.settings import FleetSettings
from mora.fleet.stream import stream
from mora.harness.load import LocustRun
from mora.harness.plan import experiments_folder
from mora.inplace.compressed import FACTOR, histories_of
from mora.inplace.guards import GuardSettings
from mora.inplace.journal import Event, Journal, read_log
from mora.inplace.loop import Loop, LoopSettings
from mora.inplace.service import Alone
from mora.inplace.signals import PrometheusSignals
from mora.inplace.telemetry import Telemetry
from mora.sandbox.spec import CONTAINER
from mora.seams import Reporter
from mora.sources.prometheus.observe import PrometheusSource

if TYPE_CHECKING:
    from mora.sandbox.handle import SandboxHandle

DAY_SECONDS = 86_400 // FACTOR
_LONGEST_HISTORY = timedelta(days=14) / FACTOR
_GUARDS = GuardSettings(
    canary_for=timedelta(seconds=12),
    watch_for=timedelta(seconds=30),
    start_up=timedelta(seconds=15),
    pending_for=timedelta(seconds=20),
    not_ready_for=timedelta(seconds=6),
)
_RENEW_SECONDS, _LOOK_SECONDS = 15.0, 2.0
_SLO_SECONDS, _SLO_ERRORS, _SLO_SPAN = 0.5, 0.01, timedelta(seconds=10)
# Faults that a service survives by itself, and those that break its SLO while they last.
_FAULTS = (("cpu-hog", 0.5), ("noisy-neighbour", 0.5), ("latency", 0.2), ("pod-kill", 1.0), ("memory-leak", 0.2))
_FAULT_SECONDS, _BETWEEN_SECONDS = 20.0, 60.0
_WRONG_SECONDS = 75.0
# Questions in a row that a sandbox does not answer within ten seconds, until the run is given up.
_MOST_UNANSWERED = 6


@dataclass(frozen=True, slots=True)
class TrialSettings:
    """length: of the run, after the sandboxes are up. users: of each sandbox at the top of its day."""

    length: timedelta = timedelta(minutes=30)
    sandboxes: int = 1
    replicas: int = 2
    users: int = 10
    seed: int = 1


@dataclass(slots=True)
class PartRun:
    """What one sandbox did. seconds: (moment, p95 or None, share of failures) of the last ten seconds, every second.

    faults, wrong: (start, end, kind or nothing, service). container_hours: of containers that were ready.
    """

    number: int
    began: float = 0.0
    ended: float = 0.0
    container_hours: float = 0.0
    requests: int = 0
    failures: int = 0
    oom_kills: int = 0
    seconds: list[tuple[float, float | None, float]] = field(default_factory=list)
    faults: list[tuple[float, float, str, str]] = field(default_factory=list)
    wrong: list[tuple[float, float, str]] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    cores: tuple[float, float] = (0.0, 0.0)
    """CPU requests of all pods at the beginning and, on average, in the second half."""
    gibibytes: tuple[float, float] = (0.0, 0.0)


def run_trial(folder: Path, settings: TrialSettings, *, reporter: Reporter) -> list[PartRun]:
    """Run the sandboxes side by side; what each did is in `folder` as PART.json when it has ended."""
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()):
        raise MoraError(f"{folder} is not empty.", hint="Name another folder for this run: --out DIR")
    stop = threading.Event()

    def run(number: int) -> PartRun:
        try:
            part = _run_part(number, folder, settings, reporter, stop)
        except BaseException:
            stop.set()
            raise
        write_files([(folder / f"part-{number}.json", json_text(asdict(part)))])
        return part

    with ThreadPoolExecutor(settings.sandboxes, thread_name_prefix="mora-trial") as pool:
        try:
            running = [pool.submit(run, number) for number in range(1, settings.sandboxes + 1)]
            return [one.result() for one in running]
        finally:
            stop.set()  # Ctrl-C


def _run_part(number: int, folder: Path, settings: TrialSettings, reporter: Reporter, stop: threading.Event) -> PartRun:
    from mora import sandbox

    part = PartRun(number)
    handle = sandbox.start(f"trial-{os.getpid()}-{number}", owner_pid=os.getpid())
    try:
        handle.scale(dict.fromkeys(handle.services, settings.replicas))
        handle.wait_ready(timeout=timedelta(minutes=5))
        os.environ["MORA_LOAD_PERIOD"] = str(DAY_SECONDS)
        load = LocustRun(
            experiments_folder() / "scenarios" / "_daily.py",
            handle.shop_url,
            users=settings.users,
            ramp=timedelta(seconds=3),
            longest=settings.length + timedelta(minutes=2),
            process_files=handle.load_files,
        )
        with load:
            _Part(part, handle, load, folder, settings, reporter, stop).run()
    finally:
        handle.down()
    return part


class _Signals(PrometheusSignals):
    """Throttling from the sandbox's Prometheus, the SLO from what its users saw."""

    def __init__(self, source: PrometheusSource, namespace: str, breach: Callable[[], str | None]) -> None:
        super().__init__(source, namespace, span=timedelta(seconds=15))
        self._breach = breach

    def breach(self, workload: Workload) -> str | None:
        return self._breach()


class _Part:
    """One sandbox while it runs: everything in one thread, a second at a time."""

    def __init__(
        self,
        part: PartRun,
        handle: SandboxHandle,
        load: LocustRun,
        folder: Path,
        settings: TrialSettings,
        reporter: Reporter,
        stop: threading.Event,
    ) -> None:
        self.part, self.handle, self.load, self.settings = part, handle, load, settings
        self.reporter, self.stop = reporter, stop
        self.chance = random.Random(f"{settings.seed}/{part.number}")  # noqa: S311  # repeatable, hides nothing
        self.source = PrometheusSource(handle.prometheus_url)
        self.journal = Journal(folder / f"part-{part.number}", handle.namespace)
        rule = replace(
            RULES["in-place"],
            changes_per_day=None,  # a compressed day has minutes
            startup_seconds=_GUARDS.start_up.total_seconds(),
            backoff_seconds=RULES["in-place"].backoff_seconds / FACTOR,
            longest_backoff_seconds=RULES["in-place"].longest_backoff_seconds / FACTOR,
        )
        self.loop = Loop(
            SandboxPods(handle),
            self._advise,
            _Signals(self.source, handle.namespace, self._breach),
            self.journal,
            settings=LoopSettings(rule=rule, guards=_GUARDS, look=timedelta(seconds=_LOOK_SECONDS)),
            log=lambda level, message, **about: None,
            observer=Telemetry(),
            leadership=Alone(),
        )
        self.requests: list[tuple[float, float, float]] = []
        self.unanswered = 0

    def run(self) -> None:
        part, length = self.part, self.settings.length.total_seconds()
        part.began = time.time()
        kills = self._kills()
        with self.journal.opened() as events:
            self.loop.open_log(events)
            renew_at, look_at, disturb_at, wrong_at = 0.0, 0.0, DAY_SECONDS * 1.1, DAY_SECONDS * 1.3
            while not self.stop.is_set() and (since := time.time() - part.began) < length:
                self.load.check_running()
                if not self._observe():
                    continue
                if since >= disturb_at:
                    disturb_at = since + _BETWEEN_SECONDS
                    self._disturb()
                if since >= wrong_at:
                    wrong_at = since + 3 * _WRONG_SECONDS
                    self._go_wrong()
                if since >= look_at:
                    is_due = since >= renew_at
                    renew_at = since + _RENEW_SECONDS if is_due else renew_at
                    self.loop.run_pass(renew=is_due)
                    look_at = since + _LOOK_SECONDS
                self.reporter.advance(f"sandbox {part.number}", since, length, f"{len(self.loop.desk.book.open)} open")
                time.sleep(max(0.0, 1.0 - (time.time() - part.began - since)))
            self._settle()
            part.events = list(read_log(self.journal.folder))
        part.ended, part.oom_kills = time.time(), self._kills() - kills
        figures = self.load.record().seconds
        part.requests, part.failures = (figures[-1].requests, figures[-1].failures) if figures else (0, 0)
        half = part.began + length / 2
        for name, place in (("cores", 1), ("gibibytes", 2)):
            late = [one[place] for one in self.requests if one[0] >= half] or [0.0]
            setattr(part, name, (self.requests[0][place] if self.requests else 0.0, float(np.mean(late))))

    def _settle(self) -> None:
        """Let open changes end, so that the report can say how."""
        until = time.monotonic() + 120.0
        while self.loop.desk.book.open and time.monotonic() < until and not self.stop.is_set():
            self.loop.run_pass(renew=False)
            self._observe()
            time.sleep(1.0)

    # --- what is seen ---

    def _observe(self) -> bool:
        """Note how everything does; whether the sandbox answers. A busy machine may keep it from that for a while."""
        try:
            status = self.handle.status()["services"]
        except ClusterError:
            self.unanswered += 1
            if self.unanswered >= _MOST_UNANSWERED:
                raise
            return False
        self.unanswered, now = 0, time.time()
        pods = [pod for service in status.values() for pod in service["pods"]]
        self.part.container_hours += sum(pod["phase"] == "ready" for pod in pods) * 1.0 / 3600
        given = [pod["actual"] for pod in pods]
        cores = sum(one["cpu_request_millicores"] or 0 for one in given) / 1000
        memory = sum(one["memory_request_bytes"] or 0 for one in given) / 2**30
        self.requests.append((now, cores, memory))
        p95, errors = self._service_level()
        self.part.seconds.append((now, p95, errors))
        return True

    def _service_level(self) -> tuple[float | None, float]:
        now = datetime.now(UTC)
        found = self.load.record().figures(now - _SLO_SPAN, now)
        if found is None:
            return None, 0.0
        return found.latency_p95_seconds, found.error_ratio or 0.0

    def _breach(self) -> str | None:
        p95, errors = self._service_level()
        if not is_broken(p95, errors):
            return None
        return f"its SLO is broken: p95 {(p95 or 0.0) * 1000:.0f} ms, {errors:.1%} errors"

    def _kills(self) -> int:
        return sum(service["oom_kills"] for service in self.handle.status()["services"].values())

    # --- what is done to it ---

    def _disturb(self) -> None:
        (kind, strength), service = self.chance.choice(_FAULTS), self.chance.choice(self.handle.services)
        self.handle.inject(kind, service, seconds=_FAULT_SECONDS, strength=strength, owner_pid=os.getpid())
        now = time.time()
        self.part.faults.append((now, now + _FAULT_SECONDS, kind, service))

    def _go_wrong(self) -> None:
        """From now on, for a while, a tenth is recommended of what a service needs."""
        now = time.time()
        self.part.wrong.append((now, now + _WRONG_SECONDS, self.chance.choice(self.handle.services)))

    # --- what is recommended ---

    def _advise(self) -> Iterable[Recommendation]:
        now = datetime.fromtimestamp(int(time.time()), UTC)
        start = max(now - _LONGEST_HISTORY, datetime.fromtimestamp(int(self.part.began), UTC))
        if now - start < timedelta(seconds=30):
            return []
        status = self.handle.status()["services"]
        states = [
            WorkloadState(
                Workload(self.handle.namespace, name),
                Allocation(one["replicas"], (Container(CONTAINER, Resources(**one["resources"]), is_main=True),)),
                known_by="kubernetes",
            )
            for name, one in status.items()
        ]
        window, histories = histories_of(self.source, states, start, now)
        settings = FleetSettings(horizon=timedelta(hours=6), holds_cuts=False)
        policy = replace(settings.policy, allow_any_step=True, min_change=0.0, cpu_floor_millicores=20)
        advice = list(stream(states, histories, window, replace(settings, policy=policy)))
        at = now.timestamp()
        wrong = {service for begun, end, service in self.part.wrong if begun <= at < end}
        return [_a_tenth(one) if one.workload.name in wrong else one for one in advice]


def _a_tenth(one: Recommendation) -> Recommendation:
    """A recommendation of a tenth of the CPU, with evidence that hides the use."""
    main = one.main
    if main.cpu_request.value is None:
        return one
    cpu = Advice(main.cpu_request.now, max(main.cpu_request.value // 10, 5), 1.0, summary="wrong on purpose: a tenth")
    return replace(one, containers=(replace(main, cpu_request=cpu, evidence=None), *one.others))


def is_broken(p95: float | None, errors: float) -> bool:
    """Whether an SLO of 500 ms at the 95th percentile and 1 % of errors is broken."""
    return (p95 is not None and p95 > _SLO_SECONDS) or errors > _SLO_ERRORS
