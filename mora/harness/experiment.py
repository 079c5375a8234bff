"""Running a plan: scale, start fresh, load, settle, measure, check, write, and put everything back.

The order of one experiment: scale the targets, replace every replica, wait until all are ready, start the load, let it
ramp and settle for a rate window, measure for a window, and read what Prometheus saw of every service in it. What ends
a run, be it an error, Ctrl-C or the machine, loses at most the experiment that it was in.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

import pandas as pd

from mora import __version__
from mora.dataset import assess_quality, unify, write_experiment
from mora.domain import Allocation, Observation, Quality, Window, Workload
from mora.errors import BadConfig, BadInput, MoraError
from mora.harness.ledger import Ledger, latest_run_id, locked
from mora.harness.load import LoadFigures, LoadRecord, LocustRun, check_url, is_loopback
from mora.harness.plan import Cell, Plan
from mora.harness.restore import (
    Place,
    RestorePoint,
    look,
    mark_restored,
    put_back,
    refuse_unrestored,
    remember,
)
from mora.quantities import format_duration, format_moment
from mora.seams import Cluster, MetricSource, Reporter, Silent

# Locust's record of the last second is written a few milliseconds after it.
_RECORD_SECONDS = 0.3
# Past this, what Locust wrote down is not of the whole window; Locust itself was starved of CPU.
_MAX_LAG_SECONDS = 2.0
_SPAWN_TIMEOUT = timedelta(seconds=60)
_READY_TIMEOUT = timedelta(minutes=5)
# What an experiment takes beside ramp, settling and window, until one has been measured: fresh replicas, reading.
_OVERHEAD = timedelta(seconds=8)
# Load columns are over the same span as the CPU rates; where a source does not tell, over the sandbox's.
_DEFAULT_RATE_WINDOW = timedelta(seconds=10)
_MAX_READERS = 4


class Clock(Protocol):
    """The time, and waiting for it."""

    def now(self) -> datetime:
        """The time, aware UTC."""

    def sleep(self, seconds: float) -> None:
        """Return after `seconds`."""


class SystemClock:
    """The machine's own clock."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


class Load(Protocol):
    """A running load, as load.LocustRun."""

    def record(self) -> LoadRecord: ...
    def is_spawned(self) -> bool: ...
    def check_running(self) -> None: ...
    def recent_error_ratio(self, now: datetime) -> float: ...


StartLoad = Callable[..., AbstractContextManager[Load]]


@dataclass(frozen=True, slots=True)
class RunReport:
    """What a run did: ids of the entry service's experiments, and those whose quality check failed, with the flags."""

    run_id: str
    written: tuple[str, ...]
    skipped: tuple[str, ...]
    incomplete: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class DryRun:
    """What a run would do: its experiments in order, how long it takes, and the queries, service -> name -> text."""

    cells: tuple[Cell, ...]
    duration: timedelta
    queries: Mapping[str, Mapping[str, str]]


@dataclass(frozen=True, slots=True)
class _Measured:
    """One experiment's times and load, before the metrics are read."""

    ready: datetime
    window: Window
    record: LoadRecord
    figures: LoadFigures


def experiment_duration(plan: Plan) -> timedelta:
    """How long one experiment of a plan is expected to take, all in all."""
    return plan.ramp + plan.settle + plan.duration + _OVERHEAD


def dry_run(plan: Plan, source: MetricSource, workloads: Sequence[Workload], *, clock: Clock | None = None) -> DryRun:
    """The experiments of a plan, the time they take, and the queries that would be sent; nothing is touched."""
    target_workloads(plan, workloads)
    start = _whole_second((clock or SystemClock()).now())
    window = Window(start, start + plan.duration - plan.sample_interval, plan.sample_interval)
    cells = plan.experiments()
    queries = {workload.name: source.queries(workload, window) for workload in workloads}
    return DryRun(tuple(cells), len(cells) * experiment_duration(plan), queries)


def target_workloads(plan: Plan, workloads: Sequence[Workload]) -> list[Workload]:
    """The workloads that a plan scales: those it names, else all."""
    known = {workload.name: workload for workload in workloads}
    for name in plan.targets:
        if name not in known:
            raise BadConfig(
                f"{plan.path}: targets: {name!r} is not among the services that are measured.",
                hint=f"Measured are: {', '.join(sorted(known))}.",
            )
    return [known[name] for name in plan.targets] or list(workloads)


def run_plan(
    plan: Plan,
    cluster: Cluster,
    source: MetricSource,
    *,
    workloads: Sequence[Workload],
    entry_service: str,
    load_url: str,
    data_dir: Path | str = "data",
    resume: bool = False,
    allow_remote: bool = False,
    ready_timeout: timedelta = _READY_TIMEOUT,
    reporter: Reporter | None = None,
    clock: Clock | None = None,
    start_load: StartLoad = LocustRun,
    place: Place | None = None,
) -> RunReport:
    """Run every experiment of a plan that is not there yet, and write each as it ends.

    workloads: what is measured; the plan's targets among them are scaled. entry_service: the one that Locust talks to
    at `load_url`. allow_remote: drive a load beyond loopback; the plan's [remote] limits then hold. place: a cluster
    that outlives the run; how it stood is then written down before the first change, and what an earlier run left
    changed is to be put back first (restore.py).
    Replicas are put back as they were before the run began, whatever ends it; a run that ends well waits for them.
    Raises BadConfig and BadInput before anything is touched; MoraError where the load or a limit ends the run.
    """
    check_url(load_url, allow_remote=allow_remote)
    if not is_loopback(load_url) and plan.remote is None:
        raise BadConfig(
            f"{plan.path}: remote: a load beyond this machine needs abort_error_ratio and max_duration.",
            hint='Add for example: [remote] abort_error_ratio = "50%" max_duration = "2h"',
        )
    if entry_service not in {workload.name for workload in workloads}:
        names = ", ".join(sorted(workload.name for workload in workloads))
        raise BadInput(f"The load enters at {entry_service!r}, which is not measured.", hint=f"Measured are: {names}.")
    targets = target_workloads(plan, workloads)
    clock = clock or SystemClock()
    with locked(Path(data_dir)):
        if place is not None:
            refuse_unrestored(Path(data_dir), run_id=latest_run_id(Path(data_dir), plan) if resume else None)
        ledger = Ledger.open(
            Path(data_dir),
            plan,
            workloads,
            entry_service=entry_service,
            original_replicas=_replicas(cluster, targets),
            now=clock.now(),
            resume=resume,
        )
        runner = _Runner(
            plan=plan,
            cluster=cluster,
            source=source,
            workloads=workloads,
            targets=targets,
            entry_service=entry_service,
            load_url=load_url,
            data_dir=Path(data_dir),
            allow_remote=allow_remote,
            ready_timeout=ready_timeout,
            reporter=reporter or Silent(),
            clock=clock,
            start_load=start_load,
            ledger=ledger,
            started=clock.now(),
            place=place,
        )
        return runner.run()


def _replicas(cluster: Cluster, targets: Sequence[Workload]) -> dict[str, int]:
    """Target -> replicas as they stand; BadInput where an autoscaler would undo what the plan sets."""
    replicas: dict[str, int] = {}
    for workload in targets:
        allocation = cluster.allocation(workload)
        if allocation.autoscaler is not None:
            raise BadInput(
                f"{workload.name} is scaled by {allocation.autoscaler.name}, which would undo the plan's replicas.",
                hint=f"Take it away for the run (kubectl delete hpa {allocation.autoscaler.name}), "
                "or leave the service out of the plan's targets.",
            )
        if allocation.replicas is None:
            raise BadInput(f"{workload.name} ({workload.kind}) has no replicas to set; leave it out of the targets.")
        replicas[workload.name] = allocation.replicas
    return replicas


@dataclass(slots=True)
class _Runner:
    """One run: what it needs, and how far it is."""

    plan: Plan
    cluster: Cluster
    source: MetricSource
    workloads: Sequence[Workload]
    targets: Sequence[Workload]
    entry_service: str
    load_url: str
    data_dir: Path
    allow_remote: bool
    ready_timeout: timedelta
    reporter: Reporter
    clock: Clock
    start_load: StartLoad
    ledger: Ledger
    started: datetime
    place: Place | None = None
    seconds: list[float] = field(default_factory=list)
    """What each experiment of this process took."""
    left: int = 0
    """Experiments still to do, the current one included."""

    def run(self) -> RunReport:
        cells = self.plan.experiments()
        done = [self.ledger.is_done(cell) for cell in cells]
        self.left = done.count(False)
        written: list[str] = []
        incomplete: dict[str, tuple[str, ...]] = {}
        if self.left:
            originals = self._remember()
            try:
                for order, cell in enumerate(cells, start=1):
                    if done[order - 1]:
                        continue
                    self.ledger.discard(cell)
                    began = self.clock.now()
                    incomplete |= self._run_cell(cell, order, began)
                    self.seconds.append((self.clock.now() - began).total_seconds())
                    self.left -= 1
                    written.append(cell.experiment(self.entry_service).id)
            finally:
                self._restore(originals)
            self.cluster.wait_ready(self.targets, self.ready_timeout)
        skipped = [c.experiment(self.entry_service).id for c, is_done in zip(cells, done, strict=True) if is_done]
        return RunReport(self.ledger.run.run_id, tuple(written), tuple(skipped), incomplete)

    def _remember(self) -> dict[Workload, int]:
        """What is to be put back; on a cluster that outlives the run, written down before the first change."""
        originals = self.ledger.run.original_replicas
        if self.place is None:
            return {workload: originals[workload.name] for workload in self.targets}
        run_id, written = self.ledger.run.run_id, format_moment(self.clock.now(), "seconds")
        now = RestorePoint(run_id, written, self.place, look(self.cluster, self.targets))
        point = remember(self.data_dir, now)
        return {original.workload: original.replicas for original in point.targets}

    def _restore(self, originals: Mapping[Workload, int]) -> None:
        put_back(self.cluster, originals)
        if self.place is not None:
            mark_restored(self.data_dir, self.ledger.run.run_id, now=self.clock.now())

    def _run_cell(self, cell: Cell, order: int, began: datetime) -> dict[str, tuple[str, ...]]:
        """Run one experiment and write it; the flags of the services whose samples are incomplete."""
        self._report(cell, "fresh replicas", began)
        for workload in self.targets:
            self.cluster.apply(workload, Allocation(replicas=cell.replicas))
        self.cluster.restart(self.workloads, self.ready_timeout)
        allocations = {workload: self.cluster.allocation(workload) for workload in self.workloads}
        measured = self._measure(cell, began)
        self._report(cell, "reading metrics", began)
        # What was scraped by the window's end is stored when that scrape is over; none lasts longer than its interval.
        self._sleep_until(measured.window.end + self.plan.sample_interval)
        observations = self._observe(measured)
        incomplete: dict[str, tuple[str, ...]] = {}
        for workload in self.workloads:
            quality = self._write(cell, order, measured, observations[workload], allocations[workload])
            if not quality.is_complete:
                incomplete[cell.experiment(workload.name).id] = quality.flags
        return incomplete

    def _measure(self, cell: Cell, began: datetime) -> _Measured:
        """Drive the load through ramp, settling and window."""
        plan, ready = self.plan, self.clock.now()
        with self.start_load(
            plan.scenario_files[cell.scenario],
            self.load_url,
            users=cell.users,
            ramp=plan.ramp,
            longest=2 * experiment_duration(plan) + _SPAWN_TIMEOUT,
            options=plan.locust,
            allow_remote=self.allow_remote,
        ) as load:
            self._await_users(load, cell, began)
            start = _whole_second(self.clock.now() + plan.settle)
            window = Window(start, start + plan.duration - plan.sample_interval, plan.sample_interval)
            self._watch(load, cell, until=window.start, note="settling", began=began)
            self._watch(load, cell, until=window.end, note="measuring", began=began)
            self._sleep_until(window.end + timedelta(seconds=_RECORD_SECONDS))
            record = load.record()
        figures = record.figures(window.start, window.end)
        if figures is None:
            raise MoraError(
                f"Locust wrote nothing down between {window.start:%H:%M:%S} and {window.end:%H:%M:%S} UTC.",
                hint="Is the disk of temporary files full, or the machine too busy to drive this load?",
            )
        return _Measured(ready, window, record, figures)

    def _await_users(self, load: Load, cell: Cell, began: datetime) -> None:
        deadline = self.clock.now() + self.plan.ramp + _SPAWN_TIMEOUT
        while not load.is_spawned():
            if self.clock.now() > deadline:
                raise MoraError(
                    f"Locust did not have its {cell.users} users running after {deadline - began}.",
                    hint="Where the plan asks for workers, are they started? Else the machine cannot drive this load.",
                )
            self._check_limits(load)
            self._report(cell, "starting the load", began)
            self.clock.sleep(0.1)

    def _watch(self, load: Load, cell: Cell, *, until: datetime, note: str, began: datetime) -> None:
        """Wait, second by second, while the load runs."""
        while (now := self.clock.now()) < until:
            load.check_running()
            self._check_limits(load)
            self._report(cell, note, began)
            self.clock.sleep(min(1.0, (until - now).total_seconds()))

    def _check_limits(self, load: Load) -> None:
        """Beyond loopback, end the run where the plan says so; here an overloaded shop is data."""
        limits = self.plan.remote
        if limits is None or is_loopback(self.load_url):
            return
        now = self.clock.now()
        if now - self.started > limits.max_duration:
            raise MoraError(
                f"The run was stopped after {limits.max_duration}, the plan's remote.max_duration.",
                hint="What was finished is kept; go on with --resume.",
            )
        ratio = load.recent_error_ratio(now)
        if ratio > limits.abort_error_ratio:
            raise MoraError(
                f"The run was stopped: {ratio:.0%} of the requests failed in the last ten seconds, the plan allows "
                f"{limits.abort_error_ratio:.0%} (remote.abort_error_ratio).",
                hint="What was finished is kept; lower the plan's users, or raise its limit.",
            )

    def _observe(self, measured: _Measured) -> dict[Workload, Observation]:
        """Every service from the moment it was ready to the window's end."""
        step = measured.window.step
        before = math.floor((measured.window.start - measured.ready) / step)
        span = Window(measured.window.start - before * step, measured.window.end, step)
        with ThreadPoolExecutor(min(_MAX_READERS, len(self.workloads))) as readers:
            observations = list(readers.map(lambda workload: self.source.observe(workload, span), self.workloads))
        return dict(zip(self.workloads, observations, strict=True))

    def _write(
        self, cell: Cell, order: int, measured: _Measured, observation: Observation, allocation: Allocation
    ) -> Quality:
        workload, window = observation.workload, measured.window
        experiment = cell.experiment(workload.name)
        start = pd.Timestamp(window.start)
        metrics = observation.metrics.loc[observation.metrics.index >= start]
        if workload.name == self.entry_service:
            span = observation.rate_window or _DEFAULT_RATE_WINDOW
            loaded = measured.record.columns([time.to_pydatetime() for time in metrics.index], span)
            metrics = metrics.drop(columns=list(loaded.columns), errors="ignore").join(loaded)
        # A service that is not a target keeps its own replicas; its id still tells the experiment that it was part of.
        is_target = workload in self.targets
        frame = unify(
            metrics,
            experiment_id=experiment.id,
            service=workload.name,
            scenario=cell.scenario,
            replica_count=cell.replicas if is_target else allocation.replicas,
            load_users=cell.users,
        )
        quality = assess_quality(frame, window)
        card = observation_card(observation, frame, quality, window) | {
            "run_id": self.ledger.run.run_id,
            "repeat": cell.repeat,
            "image": allocation.main.image if allocation.main else None,
            "plan": self.plan.name,
            "order": order,
            "seed": self.plan.seed,
            "load_test": {"users": cell.users, **asdict(measured.figures)},
            "entry_service": self.entry_service,
            "startup": _startup(observation.metrics.loc[observation.metrics.index < start]),
            "resources": asdict(allocation.main.resources) if allocation.main else None,
            # What ran before the plan scaled it: "now", where a recommendation has no cluster to ask.
            "standing_replicas": self.ledger.run.original_replicas.get(workload.name, allocation.replicas),
        }
        card["warnings"] += self._warnings(measured, observation)
        containers = observation.containers
        if len(containers):
            containers = containers[containers["timestamp"] >= start]
        write_experiment(self.data_dir, frame, card, containers, namespace=workload.namespace)
        return quality

    def _warnings(self, measured: _Measured, observation: Observation) -> list[str]:
        """What a reader of the figures must know of how they were driven."""
        warnings: list[str] = []
        rate_window, lag_seconds = observation.rate_window, measured.record.lag_seconds(measured.window.end)
        if rate_window is not None and rate_window > self.plan.settle:
            warnings.append(
                f"The first rates reach back into the ramp: the rate window is {format_duration(rate_window)}, "
                f"the plan settles for {format_duration(self.plan.settle)}."
            )
        if lag_seconds > _MAX_LAG_SECONDS:
            warnings.append(
                f"Locust's record ends {format_duration(lag_seconds, about=True)} before the window: "
                "the machine was too busy to drive it."
            )
        return warnings

    def _sleep_until(self, moment: datetime) -> None:
        self.clock.sleep(max(0.0, (moment - self.clock.now()).total_seconds()))

    def _report(self, cell: Cell, note: str, began: datetime) -> None:
        expected = experiment_duration(self.plan).total_seconds()
        each = sum(self.seconds) / len(self.seconds) if self.seconds else expected
        current = min((self.clock.now() - began).total_seconds() / each, 1.0)
        left = 60 * math.ceil((self.left - current) * each / 60)
        total = len(self.plan.cells) * self.plan.repeats
        self.reporter.advance(
            "collect", total - self.left + current, total, f"{cell}: {note}, {format_duration(left, about=True)} left"
        )


def observation_card(observation: Observation, frame: pd.DataFrame, quality: Quality, window: Window) -> dict[str, Any]:
    """The part of an experiment's JSON that driven and observed data share; the rest is None until it is filled."""
    workload, first = observation.workload, frame.iloc[0]
    return {
        "experiment_id": str(first["experiment_id"]),
        "run_id": None,
        "repeat": None,
        "service": workload.name,
        "namespace": workload.namespace,
        "kind": workload.kind,
        "container": observation.main_container,
        "container_chosen_by": observation.main_container_chosen_by,
        "image": None,
        "scenario": str(first["scenario"]),
        "replica_count": _whole_or_none(first["replica_count"]),
        "load_users": _whole_or_none(first["load_users"]),
        "plan": None,
        "order": None,
        "seed": None,
        "window": {
            "start": format_moment(window.start, "seconds"),
            "end": format_moment(window.end, "seconds"),
            "step_seconds": window.step.total_seconds(),
        },
        "rate_window_seconds": observation.rate_window.total_seconds() if observation.rate_window else None,
        "queries": dict(observation.queries),
        "warnings": list(observation.warnings),
        "load_test": None,
        "entry_service": None,
        "startup": None,
        "quality": asdict(quality),
        "resources": None,
        "standing_replicas": None,
        "mora_version": __version__,
    }


def _startup(metrics: pd.DataFrame) -> dict[str, float | None] | None:
    """The peaks between ready and window; None where nothing was seen."""
    cpu, memory = _peak(metrics, "cpu_cores_value"), _peak(metrics, "mem_bytes_value")
    return None if cpu is None and memory is None else {"cpu_cores": cpu, "mem_bytes": memory}


def _peak(metrics: pd.DataFrame, column: str) -> float | None:
    peak = float(metrics[column].max()) if column in metrics and len(metrics) else math.nan
    return None if math.isnan(peak) else round(peak, 9)


def _whole_or_none(value: float) -> int | None:
    return None if math.isnan(value) else int(value)


def _whole_second(moment: datetime) -> datetime:
    """The first whole second that is not before `moment`: Prometheus is asked at whole seconds."""
    return moment if moment.microsecond == 0 else moment.replace(microsecond=0) + timedelta(seconds=1)
