"""The load of the demo, fitted to the speed of this machine.

CPU limits are the same on every machine, and a slower one needs more CPU for the same page. So a few users are driven
first, and the plan gets as many users as bring the busiest service to a chosen share of its CPU limit on the most
replicas of the plan. Then one replica is too few, and the most are enough, however fast the machine is. What other
programs do can make a page dearer than it was for the few: the cell of the most replicas is driven first, and again
with fewer users where it took too much.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from mora.errors import MoraError
from mora.seams import Reporter

if TYPE_CHECKING:
    from mora.harness.contention import Contention
    from mora.harness.drive import Driven, Site
    from mora.harness.plan import Cell, Plan
    from mora.pipeline import Place

# Well below the 70 % that a recommendation keeps on three replicas, and over all of the limit on one.
_UTILISATION = 0.52
_TOO_MUCH = 0.65
_TRIES = 3
_PROBE_USERS = (12, 4)
_PROBE_SAMPLES = 3
# Nearer to its limit than this, a pod may have wanted more CPU than it got.
_CAPPED = 0.9
_FEWEST_USERS, _MOST_USERS = 6, 150
# The shop and Locust together are to use no more than this of the machine, or of what is idle where others compete.
_MOST_OF_MACHINE = 0.8


@dataclass(frozen=True, slots=True)
class Scaling:
    """How many users fit this machine, and why.

    limit_share_per_user: share of its CPU limit that the busiest service needs for one user on one replica.
    service: that service.
    """

    users: int
    service: str
    limit_share_per_user: float

    def __str__(self) -> str:
        """For people: what was measured, and what follows."""
        return (
            f"On this machine a user takes {self.limit_share_per_user:.1%} of the CPU limit of one pod of "
            f"{self.service}, so the load is {self.users} users"
        )


def fitting_users(limit_share_per_user: float, most_replicas: int) -> int:
    """The users with whom the busiest service runs at the chosen share of its CPU limit on the most replicas.

    >>> fitting_users(0.0385, 3), fitting_users(0.077, 3), fitting_users(0.0, 3)
    (41, 20, 150)
    """
    if limit_share_per_user <= 0:
        return _MOST_USERS
    return min(max(round(_UTILISATION * most_replicas / limit_share_per_user), _FEWEST_USERS), _MOST_USERS)


def with_users(plan: Plan, users: int) -> Plan:
    """The plan with so many users in every cell."""
    return replace(plan, cells=tuple(replace(cell, users=users) for cell in plan.cells))


def collect_scaled(plan: Plan, place: Place, *, data_dir: Path, reporter: Reporter, say: Callable[[str], None]) -> Plan:
    """Run the plan's experiments, with fewer users where its most replicas cannot carry them; the plan as driven."""
    from mora import pipeline

    most = max(cell.replicas for cell in plan.cells)
    for attempt in range(_TRIES):
        cells = tuple(cell for cell in plan.cells if cell.replicas == most)
        first = replace(plan, name=f"{plan.name}-{attempt + 1}", cells=cells)
        pipeline.collect(first, place, data_dir=data_dir, reporter=reporter)
        share = max(_limit_share(workload.name, cell, data_dir) for workload in place.workloads for cell in cells)
        if share <= _TOO_MUCH or attempt + 1 == _TRIES:
            break
        users = max(round(cells[0].users * _UTILISATION / share), 1)
        say(f"     {cells[0].users} users took {share:.0%} of a CPU limit on {most} replicas: again with {users}")
        plan = with_users(plan, users)
    rest = replace(plan, cells=tuple(cell for cell in plan.cells if cell.replicas != most))
    pipeline.collect(rest, place, data_dir=data_dir, reporter=reporter)
    return plan


def _limit_share(service: str, cell: Cell, data_dir: Path) -> float:
    """The mean share of its CPU limit that a service's hottest pod used in a cell; 0 without a limit."""
    from mora.dataset import read_dataset

    rows = read_dataset(service, data_dir, include_flagged=True)
    rows = rows[rows["experiment_id"] == cell.experiment(service).id]
    share = float((rows["cpu_cores_value"] / rows["cpu_limit_cores"]).mean())
    return 0.0 if math.isnan(share) else share


def measure_scaling(plan: Plan, cell: Cell, site: Site, *, reporter: Reporter) -> Scaling:
    """Drive a few users of a cell's scenario on the replicas of now, and say how many users the plan should have here.

    cell: its replicas are those of now.
    """
    for users in _PROBE_USERS:
        driven = _drive_few(plan, cell.scenario, users, site, reporter)
        shares = _limit_shares(driven)
        if not shares:
            raise MoraError(
                f"The shop's CPU use was not measured while {users} users of {cell.scenario} were driven.",
                hint="Check that this machine has idle CPU, and run `mora demo` again.",
            )
        if max(shares.values()) < _CAPPED:
            break
    service = max(shares, key=lambda name: shares[name])
    each = shares[service] * cell.replicas / users
    fitting = fitting_users(each, max(one.replicas for one in plan.cells))
    return Scaling(max(min(fitting, _users_within(driven.contention, users)), _FEWEST_USERS), service, each)


def _users_within(contention: Contention, users: int) -> int:
    """The most users that this machine has CPU for; where other programs compete for it, what they leave idle."""
    host = contention.host
    if host is None or not host.target_cores:
        return _MOST_USERS
    used = host.target_cores + (contention.load_cpu_cores or 0.0)
    room = used + (host.idle_cores or 0.0) if contention.is_contended else float(host.cores)
    return int(_MOST_OF_MACHINE * room * users / used)


def _drive_few(plan: Plan, scenario: str, users: int, site: Site, reporter: Reporter) -> Driven:
    from mora.harness.drive import Moment, Offer, Times, drive

    # Rates cover the settling, so a few samples say what it took.
    times = Times(_PROBE_SAMPLES * plan.sample_interval, plan.settle, plan.ramp, plan.sample_interval)

    def watch(moment: Moment) -> bool:
        reporter.advance("measure", 0, 1, f"{scenario}, {users} users: {moment.note}")
        return False

    driven = drive(site, [Offer(scenario, plan.scenario_files[scenario], users)], times, watch=watch)
    reporter.advance("measure", 1, 1, f"{scenario}, {users} users")
    return driven


def _limit_shares(driven: Driven) -> dict[str, float]:
    """Service -> share of its CPU limit that its hottest pod used; without one that is not known."""
    shares: dict[str, float] = {}
    for workload, seen in driven.observations.items():
        last = seen.metrics.tail(driven.window.sample_count)
        share = float((last["cpu_cores_value"] / last["cpu_limit_cores"]).mean())
        if not math.isnan(share):
            shares[workload.name] = share
    return shares
