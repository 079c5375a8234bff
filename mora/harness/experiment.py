"""Runs a plan of load experiments, writes the data of each, and restores the replicas at the end.

One experiment: scale the targets, replace every replica, wait until all are ready, start the load, wait for the ramp
and one rate window, measure for a window, then read the metrics of every service from Prometheus. An error, Ctrl-C or
a killed process loses at most the experiment that was running.

One file, longer than most: the steps of an experiment share its clock, its load and its progress, and what each of them
does alone is in a module of its own (load, restore, ledger, preview, card).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Protocol

import pandas as pd

from mora.dataset import assess_quality, unify, write_experiment
from mora.domain import Allocation, Observation, Quality, Window, Workload
from mora.errors import BadInput, MoraError
from mora.harness.card import observation_card, startup_peaks
from mora.harness.clock import Clock, SystemClock
from mora.harness.ledger import Ledger, latest_run_id, locked
from mora.harness.load import LoadFigures, LoadRecord, LocustRun
from mora.harness.plan import Cell, Plan
from mora.harness.preview import check_load, experiment_duration, target_workloads, whole_second
from mora.harness.restore import (
    Place,
    RestorePoint,
    mark_restored,
    read_originals,
    record_restore_point,
    refuse_unrestored,
    restore_replicas,
)
from mora.quantities import format_duration, format_moment
from mora.seams import Cluster, MetricSource, Reporter, Silent
from mora.values import is_loopback

# Locust writes the record of a second a few milliseconds after it.
_RECORD_SECONDS = 0.3
# A record that ends earlier before the end of the window does not cover it: Locust itself had too little CPU.
_MAX_LAG_SECONDS = 2.0
_SPAWN_TIMEOUT = timedelta(seconds=60)
_READY_TIMEOUT = timedelta(minutes=5)
# Load columns cover the same time range as the CPU rates; where a source does not report it, that of the sandbox.
_DEFAULT_RATE_WINDOW = timedelta(seconds=10)
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


StartLoad = Callable[..., AbstractContextManager[Load]]
"""Starts a load with the arguments of load.LocustRun; it ends with the block."""


@dataclass(frozen=True, slots=True)
class RunReport:
    """What a run did.

    written, skipped: experiment ids of the entry service. incomplete: experiment id -> quality flags, for every service
    whose samples failed the quality check.
    """

    run_id: str
    written: tuple[str, ...]
    skipped: tuple[str, ...]
    incomplete: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class _Measured:
    """The times and the load of one experiment, before the metrics are read."""

    ready: datetime
    window: Window
    record: LoadRecord
    figures: LoadFigures


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
    """Run every experiment of a plan that is not finished yet, and write each as it ends.

    workloads: the measured services; the plan's targets among them are scaled. entry_service: the service that Locust
    sends requests to, at `load_url`. allow_remote: drive load beyond loopback, within the plan's [remote] limits.
    place: a cluster that outlives the run; its replicas are then written to disk before the first change, and a run is
    refused until the changes of an earlier killed one are restored (restore.py).
    However the run ends, it restores the replicas; after a complete run it also waits until they are ready.
    Raises BadConfig and BadInput before anything is changed; MoraError where the load or a limit ends the run.
    """
    check_load(plan, workloads, entry_service=entry_service, load_url=load_url, allow_remote=allow_remote)
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
    """Target -> current replicas; BadInput where an autoscaler would undo what the plan sets."""
    replicas: dict[str, int] = {}
    for workload in targets:
        allocation = cluster.allocation(workload)
        if allocation.autoscaler is not None:
            raise BadInput(
                f"The autoscaler {allocation.autoscaler.name} scales {workload.name} and would undo the plan's "
                "replicas.",
                hint=f"Delete it for the run (kubectl delete hpa {allocation.autoscaler.name}), "
                "or leave the service out of the plan's targets.",
            )
        if allocation.replicas is None:
            raise BadInput(
                f"{workload.name} ({workload.kind}) has no replicas to set.",
                hint="Leave it out of the plan's targets.",
            )
        replicas[workload.name] = allocation.replicas
    return replicas


@dataclass(slots=True)
class _Runner:
    """One run of a plan, and its progress."""

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
    cells: list[Cell] = field(default_factory=list)
    """The experiments of this process, in order: those that an earlier one had finished are not among them."""
    finished: int = 0
    """How many of them are written."""
    seconds: float = 0.0
    """What the finished ones took."""

    def run(self) -> RunReport:
        ordered = self.plan.experiments()
        skipped = [cell for cell in ordered if self.ledger.is_done(cell)]
        self.cells = [cell for cell in ordered if cell not in skipped]
        incomplete: dict[str, tuple[str, ...]] = {}
        if self.cells:
            originals = self._remember()
            try:
                for cell in self.cells:
                    self.ledger.discard(cell)
                    began = self.clock.now()
                    incomplete |= self._run_cell(cell, ordered.index(cell) + 1, began)
                    self.seconds += (self.clock.now() - began).total_seconds()
                    self.finished += 1
            finally:
                self._restore(originals)
            self.cluster.wait_ready(self.targets, self.ready_timeout)
        written, before = (
            tuple(cell.experiment(self.entry_service).id for cell in cells) for cells in (self.cells, skipped)
        )
        return RunReport(self.ledger.run.run_id, written, before, incomplete)

    def _remember(self) -> dict[Workload, int]:
        """The replicas to restore; on a cluster that outlives the run, written to disk before the first change."""
        originals = self.ledger.run.original_replicas
        if self.place is None:
            return {workload: originals[workload.name] for workload in self.targets}
        run_id, written = self.ledger.run.run_id, format_moment(self.clock.now(), "seconds")
        now = RestorePoint(run_id, written, self.place, read_originals(self.cluster, self.targets))
        point = record_restore_point(self.data_dir, now)
        return {original.workload: original.replicas for original in point.targets}

    def _restore(self, originals: Mapping[Workload, int]) -> None:
        restore_replicas(self.cluster, originals)
        if self.place is not None:
            mark_restored(self.data_dir, self.ledger.run.run_id, now=self.clock.now())

    def _run_cell(self, cell: Cell, order: int, began: datetime) -> dict[str, tuple[str, ...]]:
        """Run one experiment and write it; experiment id -> flags of the services whose samples are incomplete."""
        self._report(cell, "fresh replicas", began)
        for workload in self.targets:
            self.cluster.apply(workload, Allocation(replicas=cell.replicas))
        self.cluster.restart(self.workloads, self.ready_timeout)
        allocations = {workload: self.cluster.allocation(workload) for workload in self.workloads}
        measured = self._measure(cell, began)
        self._report(cell, "reading metrics", began)
        # Prometheus stores a scrape when it is complete, and none takes longer than its interval.
        self._sleep_until(measured.window.end + self.plan.sample_interval)
        observations = self._observe(measured)
        incomplete: dict[str, tuple[str, ...]] = {}
        for workload in self.workloads:
            quality = self._write(cell, order, measured, observations[workload], allocations[workload])
            if not quality.is_complete:
                incomplete[cell.experiment(workload.name).id] = quality.flags
        return incomplete

    def _measure(self, cell: Cell, began: datetime) -> _Measured:
        """Drive the load: ramp, settling, window."""
        plan, ready = self.plan, self.clock.now()
        with self.start_load(
            plan.scenario_files[cell.scenario],
            self.load_url,
            users=cell.users,
            ramp=plan.ramp,
            longest=2 * experiment_duration(plan, cell) + _SPAWN_TIMEOUT,
            options=plan.locust,
            allow_remote=self.allow_remote,
        ) as load:
            spawned = self._await_users(load, cell, began)
            start = whole_second(spawned + plan.settle)
            window = Window(start, start + plan.duration_of(cell) - plan.sample_interval, plan.sample_interval)
            self._watch(load, cell, until=window.start, note="settling", began=began)
            self._watch(load, cell, until=window.end, note="measuring", began=began)
            self._sleep_until(window.end + timedelta(seconds=_RECORD_SECONDS))
            record = load.record()
        figures = record.figures(window.start, window.end)
        if figures is None:
            raise MoraError(
                f"Locust recorded nothing between {window.start:%H:%M:%S} and {window.end:%H:%M:%S} UTC.",
                hint="Check that the folder of temporary files has space, and that this machine has idle CPU.",
            )
        return _Measured(ready, window, record, figures)

    def _await_users(self, load: Load, cell: Cell, began: datetime) -> datetime:
        """When all users run; MoraError where they do not in time."""
        patience = self.plan.ramp + _SPAWN_TIMEOUT
        deadline = self.clock.now() + patience
        while (spawned := load.spawned_at()) is None:
            if self.clock.now() > deadline:
                raise MoraError(
                    f"Locust did not start its {cell.users} users in {patience.total_seconds():.0f} s.",
                    hint="Start the workers if the plan asks for some. Otherwise this machine cannot drive the load: "
                    "use fewer users.",
                )
            self._check_limits(load)
            self._report(cell, "starting the load", began)
            self.clock.sleep(0.1)
        return spawned

    def _watch(self, load: Load, cell: Cell, *, until: datetime, note: str, began: datetime) -> None:
        """Wait until a moment, and check the load every second."""
        while (now := self.clock.now()) < until:
            load.check_running()
            self._check_limits(load)
            self._report(cell, note, began)
            self.clock.sleep(min(1.0, (until - now).total_seconds()))

    def _check_limits(self, load: Load) -> None:
        """End a run beyond loopback at the plan's limits; on this machine an overloaded service is data."""
        limits = self.plan.remote
        if limits is None or is_loopback(self.load_url):
            return
        now = self.clock.now()
        if now - self.started > limits.max_duration:
            raise MoraError(
                f"The run stopped after {limits.max_duration}, the plan's remote.max_duration.",
                hint="Finished experiments are kept. Continue with --resume.",
            )
        ratio = load.recent_error_ratio(now)
        if ratio > limits.abort_error_ratio:
            raise MoraError(
                f"The run stopped: {ratio:.0%} of the requests failed in the last ten seconds, and the plan allows "
                f"{limits.abort_error_ratio:.0%} (remote.abort_error_ratio).",
                hint="Finished experiments are kept. Lower the plan's users, or raise its limit.",
            )

    def _observe(self, measured: _Measured) -> dict[Workload, Observation]:
        """The metrics of every service, from the moment it was ready to the end of the window."""
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
        # A service that is not a target keeps its own replicas; its id still names the experiment it was part of.
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
            "startup": startup_peaks(observation.metrics.loc[observation.metrics.index < start]),
            "resources": asdict(allocation.main.resources) if allocation.main else None,
            # The replicas before the run: the current state for a recommendation that has no cluster to ask.
            "standing_replicas": self.ledger.run.original_replicas.get(workload.name, allocation.replicas),
        }
        card["warnings"] += self._warnings(measured, observation)
        containers = observation.containers
        if len(containers):
            containers = containers[containers["timestamp"] >= start]
        write_experiment(self.data_dir, frame, card, containers, namespace=workload.namespace)
        return quality

    def _warnings(self, measured: _Measured, observation: Observation) -> list[str]:
        """What a reader of the figures must know about the load."""
        warnings: list[str] = []
        rate_window, lag_seconds = observation.rate_window, measured.record.lag_seconds(measured.window.end)
        if rate_window is not None and rate_window > self.plan.settle:
            warnings.append(
                f"The first rates include part of the ramp: the rate window is {format_duration(rate_window)}, "
                f"and the plan settles for {format_duration(self.plan.settle)}."
            )
        if lag_seconds > _MAX_LAG_SECONDS:
            warnings.append(
                f"Locust's record ends {format_duration(lag_seconds, about=True)} before the window does: "
                "the machine was too busy for it."
            )
        return warnings

    def _sleep_until(self, moment: datetime) -> None:
        self.clock.sleep(max(0.0, (moment - self.clock.now()).total_seconds()))

    def _report(self, cell: Cell, note: str, began: datetime) -> None:
        expected = [experiment_duration(self.plan, one).total_seconds() for one in self.cells]
        before, current = sum(expected[: self.finished]), expected[self.finished]
        # Experiments that took longer than expected lengthen the estimate of the others.
        pace = self.seconds / before if before else 1.0
        passed = min((self.clock.now() - began).total_seconds() / (current * pace), 1.0)
        left = 60 * math.ceil((sum(expected) - before - passed * current) * pace / 60)
        total = len(self.plan.cells) * self.plan.repeats
        done = total - len(self.cells) + self.finished + passed
        self.reporter.advance("collect", done, total, f"{cell}: {note}, {format_duration(left, about=True)} left")
