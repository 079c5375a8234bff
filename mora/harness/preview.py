"""What a run of a plan would do, before anything is changed: its experiments, its duration, its queries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from mora.domain import Window, Workload
from mora.errors import BadConfig, BadInput
from mora.harness.adaptive import expected_cells
from mora.harness.clock import Clock, SystemClock
from mora.harness.load import check_url
from mora.harness.plan import Cell, Plan
from mora.seams import Cluster, MetricSource
from mora.values import is_loopback

# First guess of what an experiment takes beside ramp, settling and window: fresh replicas, start of Locust, reading.
_OVERHEAD = timedelta(seconds=4)
_PATIENCE = 0.5


@dataclass(frozen=True, slots=True)
class DryRun:
    """What a run would do: its experiments in order, its duration, and its queries (service -> name -> text)."""

    cells: tuple[Cell, ...]
    duration: timedelta
    queries: Mapping[str, Mapping[str, str]]


def experiment_duration(plan: Plan, cell: Cell) -> timedelta:
    """How long one experiment of a plan is expected to take, from scaling to writing."""
    return plan.ramp + plan.settle + plan.duration_of(cell) + _OVERHEAD


def usual_patience(plan: Plan) -> timedelta:
    """The time for driving contended windows again: half of what the plan takes, at least two windows."""
    expected = [experiment_duration(plan, cell) for cell in expected_of(plan)]
    return max(_PATIENCE * sum(expected, timedelta()), 2 * max(expected))


def dry_run(plan: Plan, source: MetricSource, workloads: Sequence[Workload], *, clock: Clock | None = None) -> DryRun:
    """The experiments of a plan, the time they take, and the queries that would be sent; changes nothing."""
    target_workloads(plan, workloads)
    start = whole_second((clock or SystemClock()).now())
    window = Window(start, start + plan.duration - plan.sample_interval, plan.sample_interval)
    cells = expected_of(plan)
    queries = {workload.name: source.queries(workload, window) for workload in workloads}
    duration = sum((experiment_duration(plan, cell) for cell in cells), timedelta())
    return DryRun(tuple(cells), duration, queries)


def expected_of(plan: Plan) -> list[Cell]:
    """The experiments of a plan; of an adaptive one, those it would choose if every knee lay where knees often do."""
    if plan.adaptive is None:
        return plan.experiments()
    return [cell for scenario in plan.scenario_files for cell in expected_cells(plan.adaptive, scenario, ())]


def target_workloads(plan: Plan, workloads: Sequence[Workload]) -> list[Workload]:
    """The workloads that a plan scales: those it names, else all. Raises BadConfig where one is not measured."""
    known = {workload.name: workload for workload in workloads}
    for name in plan.targets:
        if name not in known:
            raise BadConfig(
                f"{plan.path}: targets: {name!r} is not one of the measured services.",
                hint=f"Measured services: {', '.join(sorted(known))}.",
            )
    return [known[name] for name in plan.targets] or list(workloads)


def check_load(
    plan: Plan, workloads: Sequence[Workload], *, entry_service: str, load_url: str | None, allow_remote: bool
) -> None:
    """Raise BadInput or BadConfig where a plan's load cannot be driven; load_url: None where it is not known yet."""
    if load_url is not None:
        check_url(load_url, allow_remote=allow_remote)
        if not is_loopback(load_url) and plan.remote is None:
            raise BadConfig(
                f"{plan.path}: remote: a load on another machine needs abort_error_ratio and max_duration.",
                hint='Add for example: [remote] abort_error_ratio = "50%" max_duration = "2h"',
            )
    if entry_service not in {workload.name for workload in workloads}:
        names = ", ".join(sorted(workload.name for workload in workloads))
        raise BadInput(
            f"The load goes to {entry_service!r}, which is not one of the measured services.",
            hint=f"Name the service that receives it: --entry NAME. Measured services: {names or 'none'}.",
        )


def current_replicas(cluster: Cluster, targets: Sequence[Workload]) -> dict[str, int]:
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


def whole_second(moment: datetime) -> datetime:
    """The first whole second that is not before `moment`; queries go to Prometheus at whole seconds."""
    return moment if moment.microsecond == 0 else moment.replace(microsecond=0) + timedelta(seconds=1)
