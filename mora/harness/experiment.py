"""Runs a plan of load experiments, writes the data of each, and restores the replicas at the end.

One experiment: scale the targets, replace every replica, wait until all are ready, start the load, wait for the ramp
and one rate window, measure for a window, then read the metrics of every service from Prometheus. An error, Ctrl-C or
a killed process loses at most the experiment that was running.

What the steps do alone is in modules of their own (drive, load, restore, ledger, preview, card).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

import pandas as pd

from mora.capacity import Capacity
from mora.dataset import assess_quality, unify, write_experiment
from mora.domain import Allocation, Observation, Quality, Workload
from mora.errors import MoraError
from mora.harness.card import observation_card, startup_peaks
from mora.harness.choosing import Choosing, choosing_of
from mora.harness.clock import Clock, SystemClock
from mora.harness.drive import Driven, Load, Moment, Offer, Site, StartLoad, Times, Watcher, drive
from mora.harness.host import Host, UnknownHost
from mora.harness.ledger import Ledger, latest_run_id, locked
from mora.harness.load import LocustRun
from mora.harness.plan import Cell, Plan
from mora.harness.preview import check_load, current_replicas, experiment_duration, target_workloads, usual_patience
from mora.harness.restore import (
    Place,
    RestorePoint,
    mark_restored,
    read_originals,
    record_restore_point,
    refuse_unrestored,
    restore_replicas,
)
from mora.harness.sequential import p95_interval
from mora.quantities import format_duration, format_moment
from mora.seams import Cluster, MetricSource, Reporter, Silent
from mora.values import is_loopback

# A record that ends earlier before the end of the window does not cover it: Locust itself had too little CPU.
_MAX_LAG_SECONDS = 2.0
_READY_TIMEOUT = timedelta(minutes=5)
# A contended window is driven again after these pauses.
_FIRST_PAUSE, _LONGEST_PAUSE = timedelta(seconds=5), timedelta(minutes=1)
# Load columns cover the same time range as the CPU rates; where a source does not report it, that of the sandbox.
_DEFAULT_RATE_WINDOW = timedelta(seconds=10)


@dataclass(frozen=True, slots=True)
class RunReport:
    """What a run did.

    written, skipped: experiment ids of the entry service. incomplete: experiment id -> quality flags, for every service
    whose samples failed the quality check. contended: experiment id of the entry service -> what else the machines did
    that could have changed what was measured; training leaves these out. repeated: how many windows were driven again
    because of that. capacities: what one pod carries, per scenario of an adaptive plan. remarks: loads that were not
    offered as asked.
    """

    run_id: str
    written: tuple[str, ...]
    skipped: tuple[str, ...]
    incomplete: Mapping[str, tuple[str, ...]]
    contended: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    repeated: int = 0
    capacities: tuple[Capacity, ...] = ()
    remarks: tuple[str, ...] = ()


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
    host: Host | None = None,
    patience: timedelta | None = None,
    place: Place | None = None,
) -> RunReport:
    """Run every experiment of a plan that is not finished yet, and write each as it ends.

    workloads: the measured services; the plan's targets among them are scaled. entry_service: the service that Locust
    sends requests to, at `load_url`. host: the machines of the services, where they are known. allow_remote: drive load
    beyond loopback, within the plan's [remote] limits. patience: the time for driving contended windows again (see
    contention.py); half of what the plan takes where it is None. One that stays contended is kept and flagged.
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
            original_replicas=current_replicas(cluster, targets),
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
            host=host or UnknownHost(),
            ledger=ledger,
            started=clock.now(),
            place=place,
            patience=usual_patience(plan) if patience is None else patience,
        )
        return runner.run()


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
    host: Host
    ledger: Ledger
    started: datetime
    place: Place | None = None
    skipped: list[Cell] = field(default_factory=list)
    """The experiments that an earlier process of this run had finished."""
    written: list[Cell] = field(default_factory=list)
    """Those that this one has finished, in order."""
    coming: list[Cell] = field(default_factory=list)
    """Those that are expected: the one that runs, and what follows."""
    seconds: float = 0.0
    """What the written ones took."""
    patience: timedelta = timedelta()
    """What is left of the time for driving contended windows again."""
    contended: dict[str, tuple[str, ...]] = field(default_factory=dict)
    repeated: int = 0
    remarks: list[str] = field(default_factory=list)

    def run(self) -> RunReport:
        choosing = choosing_of(
            self.plan,
            self.ledger,
            data_dir=self.data_dir,
            targets=self.targets,
            workloads=self.workloads,
            entry_service=self.entry_service,
        )
        incomplete: dict[str, tuple[str, ...]] = {}
        self.skipped = choosing.finished()
        self.coming = choosing.coming()
        if self.coming:
            originals = self._remember()
            try:
                while self.coming:
                    cell = self.coming[0]
                    self.ledger.discard(cell)
                    began = self.clock.now()
                    incomplete |= self._run_cell(cell, choosing, began)
                    self.seconds += (self.clock.now() - began).total_seconds()
                    self.written.append(cell)
                    self.coming = choosing.coming()
            finally:
                self._restore(originals)
            self.cluster.wait_ready(self.targets, self.ready_timeout)
        written, before = (
            tuple(cell.experiment(self.entry_service).id for cell in cells) for cells in (self.written, self.skipped)
        )
        return RunReport(
            self.ledger.run.run_id,
            written,
            before,
            incomplete,
            self.contended,
            self.repeated,
            choosing.capacities(),
            tuple(self.remarks),
        )

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

    def _run_cell(self, cell: Cell, choosing: Choosing, began: datetime) -> dict[str, tuple[str, ...]]:
        """Run one experiment and write it; experiment id -> flags of the services whose samples are incomplete."""
        for workload in self.targets:
            self.cluster.apply(workload, Allocation(replicas=cell.replicas))
        order = choosing.order(cell)
        driven = self._drive(cell, choosing, began)
        choosing.check(cell, driven)
        self.remarks += [f"{cell}: {text}" for load in driven.loads for text in load.remarks()]
        if driven.contention.is_contended:
            self.contended[cell.experiment(self.entry_service).id] = driven.contention.reasons
        incomplete: dict[str, tuple[str, ...]] = {}
        for workload in self.workloads:
            quality = self._write(cell, order, driven, workload)
            if not quality.is_complete and not driven.contention.is_contended:
                incomplete[cell.experiment(workload.name).id] = quality.flags
        return incomplete

    def _drive(self, cell: Cell, choosing: Choosing, began: datetime) -> Driven:
        """Drive a cell, and again while its window is contended, after pauses, as long as patience lasts."""
        pause = _FIRST_PAUSE
        while True:
            since = self.clock.now()
            watch = self._watcher(cell, choosing, began)
            driven = drive(self._site(), [self._offer(cell)], self._times(cell), fresh=True, watch=watch)
            again = pause + experiment_duration(self.plan, cell)
            if not driven.contention.is_contended or again > self.patience:
                return driven
            self.repeated += 1
            self._report(cell, f"contended ({driven.contention.reasons[0]}), again in {format_duration(pause)}", began)
            self.clock.sleep(pause.total_seconds())
            self.patience -= pause + (self.clock.now() - since)
            pause = min(2 * pause, _LONGEST_PAUSE)

    def _site(self) -> Site:
        return Site(
            cluster=self.cluster,
            source=self.source,
            workloads=self.workloads,
            load_url=self.load_url,
            allow_remote=self.allow_remote,
            options=self.plan.locust,
            ready_timeout=self.ready_timeout,
            clock=self.clock,
            start_load=self.start_load,
            host=self.host,
        )

    def _offer(self, cell: Cell) -> Offer:
        file = self.plan.scenario_files[cell.scenario]
        if cell.requests_per_second:
            return Offer.at_rate(cell.scenario, file, cell.requests_per_second)
        return Offer(cell.scenario, file, cell.users)

    def _times(self, cell: Cell) -> Times:
        plan = self.plan
        return Times(plan.duration_of(cell), plan.settle, plan.ramp, plan.sample_interval)

    def _watcher(self, cell: Cell, choosing: Choosing, began: datetime) -> Watcher:
        """Reports the progress of an experiment, ends it where it has shown enough, and the run at its limits."""

        def watch(moment: Moment) -> bool:
            for load in moment.loads:
                self._check_limits(load)
            self._report(cell, moment.note, began)
            return choosing.is_enough(cell, moment)

        return watch

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

    def _write(self, cell: Cell, order: int, driven: Driven, workload: Workload) -> Quality:
        window, (load,) = driven.window, driven.loads
        observation, allocation = driven.observations[workload], driven.allocations[workload]
        experiment = cell.experiment(workload.name)
        start = pd.Timestamp(window.start)
        metrics = observation.metrics.loc[observation.metrics.index >= start]
        if workload.name == self.entry_service:
            span = observation.rate_window or _DEFAULT_RATE_WINDOW
            loaded = load.record.columns([time.to_pydatetime() for time in metrics.index], span)
            metrics = metrics.drop(columns=list(loaded.columns), errors="ignore").join(loaded)
        # A service that is not a target keeps its own replicas; its id still names the experiment it was part of.
        is_target = workload in self.targets
        frame = unify(
            metrics,
            experiment_id=experiment.id,
            service=workload.name,
            scenario=cell.scenario,
            replica_count=cell.replicas if is_target else allocation.replicas,
            load_users=load.busy_users,
        )
        quality = driven.contention.mark(assess_quality(frame, window))
        card = observation_card(observation, frame, quality, window) | {
            "run_id": self.ledger.run.run_id,
            "repeat": cell.repeat,
            "image": allocation.main.image if allocation.main else None,
            "plan": self.plan.name,
            "order": order,
            "seed": self.plan.seed,
            "load_test": {
                "users": load.busy_users,
                **asdict(load.figures),
                "latency_p95_interval_seconds": p95_interval(load.record.between(window.start, window.end)),
            },
            "ended_early": driven.was_cut,
            "offered": None if load.offered is None else asdict(load.offered),
            "contention": driven.contention.to_dict(),
            "entry_service": self.entry_service,
            "startup": startup_peaks(observation.metrics.loc[observation.metrics.index < start]),
            "resources": asdict(allocation.main.resources) if allocation.main else None,
            # The replicas before the run: the current state for a recommendation that has no cluster to ask.
            "standing_replicas": self.ledger.run.original_replicas.get(workload.name, allocation.replicas),
        }
        card["warnings"] += self._warnings(load.record.lag_seconds(window.end), observation)
        card["warnings"] += load.remarks()
        containers = observation.containers
        if len(containers):
            containers = containers[containers["timestamp"] >= start]
        write_experiment(self.data_dir, frame, card, containers, namespace=workload.namespace)
        return quality

    def _warnings(self, lag_seconds: float, observation: Observation) -> list[str]:
        """What a reader of the figures must know about the load."""
        warnings: list[str] = []
        rate_window = observation.rate_window
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

    def _report(self, cell: Cell, note: str, began: datetime) -> None:
        current, *others = (experiment_duration(self.plan, one).total_seconds() for one in self.coming)
        before = sum(experiment_duration(self.plan, one).total_seconds() for one in self.written)
        # Experiments that took longer than expected lengthen the estimate of the others.
        pace = self.seconds / before if before else 1.0
        passed = min((self.clock.now() - began).total_seconds() / (current * pace), 1.0)
        left = 60 * math.ceil((sum(others) + (1 - passed) * current) * pace / 60)
        done = len(self.skipped) + len(self.written) + passed
        total = len(self.skipped) + len(self.written) + len(self.coming)
        self.reporter.advance("collect", done, total, f"{cell}: {note}, {format_duration(left, about=True)} left")
