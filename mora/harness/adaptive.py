"""An adaptive plan: each run is chosen by what the runs before it measured, until a pod's knee lies between two loads.

A scenario begins with one run at a low load, whose CPU per user predicts the knee. Runs at 0.85 and 1.15 times of it
find a load that keeps the SLO and one that breaks it, runs between the two bring them within ten percent of each other,
and a run on two replicas checks that they carry twice as much. A run is repeated only where the confidence interval of
its p95 has the SLO inside it and the knee rests on it.

`next_cell` is a pure function of what was measured, so that a killed run continues with the same experiments.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from mora.capacity import Trial, Use, bracket, capacity_of, predicted_knee
from mora.errors import MoraError
from mora.harness.plan import Adaptive, Cell
from mora.quantities import format_duration

# Around the predicted knee: the CPU of one run at a low load is within about 15 % of that of the next.
_BELOW, _ABOVE = 0.85, 1.15
# From there upwards as long as no load breaks the SLO; without a prediction a load is doubled.
_GROWTH, _DOUBLE = 1.3, 2.0
# Where even the first load breaks the SLO, the next has this share of its users.
_SHRINK = 0.3
# With more loads than this the p95 has misled: the loads between are halved.
_MOST_BY_P95 = 4
# A target that fails at nearly every request of a low load is no target that can be measured.
_ONLY_ERRORS = 0.95
# What a dry run expects of a scenario of which nothing is known: a knee at so many times the first load.
USUAL_KNEE = 5.0


def next_cell(aim: Adaptive, scenario: str, tried: Sequence[Trial]) -> Cell | None:
    """The next experiment of a scenario; None where its knee is known as well as the plan asks, or runs are used up.

    tried: what was measured so far (capacity.trials). Raises MoraError where no load can keep the SLO.
    """
    runs = sum(trial.repeats for trial in tried)
    single = [trial for trial in tried if trial.replicas == 1]
    if not single:
        return Cell(scenario, 1, aim.first_users)
    short = Cell(scenario, 1, 1, duration=aim.short)
    last = aim.max_runs - 1 if aim.check_replicas > 1 else aim.max_runs
    users = _next_users(aim, single) if runs < last else None
    if users is not None:
        return replace(short, users=users, duration=aim.below if _is_below(aim, single, users) else aim.short)
    doubtful = _doubtful(aim, single) if runs < last else None
    if doubtful is not None:
        return replace(short, users=doubtful.users, repeat=doubtful.repeats + 1)
    on_several = [trial for trial in tried if trial.replicas > 1]
    found = capacity_of(single, scenario, aim.slo, target_utilisation=aim.target_utilisation)
    if aim.check_replicas > 1 and not on_several and found.sized_users and runs < aim.max_runs:
        users = round(aim.check_replicas * found.sized_users)
        return Cell(scenario, aim.check_replicas, users, duration=aim.below)
    return None


def _next_users(aim: Adaptive, single: Sequence[Trial]) -> int | None:
    """The load that says most about the knee next; None where it is bracketed narrowly enough."""
    found = bracket(single, aim.slo)
    kept, broken = found.kept, found.broken
    if kept is None:
        lowest = single[0]
        if lowest.users == 1:
            raise MoraError(
                f"No load of {lowest.scenario} can keep the SLO: with one user {lowest.miss(aim.slo)}.",
                hint=f"Ask for a slower answer, e.g. --slo-p95 {_above(lowest.p95_seconds)}, or allow more errors "
                "(--slo-errors).",
            )
        return max(1, math.floor(lowest.users * _SHRINK))
    if broken is None:
        return _higher(aim, single, kept.users)
    if found.ratio <= 1 + aim.within or broken.users - kept.users <= 1:
        return None
    # By its p95, the knee is often close to one of the two: a load just beyond it closes the bracket. A shop whose p95
    # jumps is found by halving.
    close = 1 + aim.within
    crossing = _crossing(kept, broken, aim) if len(single) <= _MOST_BY_P95 else None
    if crossing is None:
        middle = math.sqrt(kept.users * broken.users)
    elif crossing >= broken.users / close:
        middle = math.ceil(broken.users / close)
    elif crossing <= kept.users * close:
        middle = math.floor(kept.users * close)
    else:
        middle = crossing / math.sqrt(close)
    return min(max(round(middle), kept.users + 1), broken.users - 1)


def _crossing(kept: Trial, broken: Trial, aim: Adaptive) -> float | None:
    """The users at which the p95 crosses the SLO, by a power law through two loads; None where errors broke it."""
    slo = aim.slo.p95_seconds
    if broken.error_ratio > aim.slo.error_ratio or not 0 < kept.p95_seconds < slo < broken.p95_seconds:
        return None
    part = math.log(slo / kept.p95_seconds) / math.log(broken.p95_seconds / kept.p95_seconds)
    return float(kept.users * (broken.users / kept.users) ** part)


def _is_below(aim: Adaptive, single: Sequence[Trial], users: int) -> bool:
    """Whether a load is expected to keep the SLO: below the predicted knee, with nothing broken so far."""
    expected = predicted_knee(single[:1], aim.slo)
    return bracket(single, aim.slo).broken is None and (expected is None or users < expected)


def _higher(aim: Adaptive, single: Sequence[Trial], kept: int) -> int | None:
    """A load above all that kept the SLO; None at the plan's highest."""
    if kept >= aim.max_users:
        return None
    # The lowest load predicts best: it is far from queues, and the knee that it predicts does not move between runs.
    expected = predicted_knee(single[:1], aim.slo)
    aims = [] if expected is None else [expected * _BELOW, expected * _ABOVE]
    first = next((users for users in map(round, aims) if users > kept), None)
    if first is None:
        first = math.ceil(kept * (_DOUBLE if expected is None else _GROWTH))
    return min(first, aim.max_users)


def _doubtful(aim: Adaptive, single: Sequence[Trial]) -> Trial | None:
    """A load on which the knee rests and whose p95 may lie on either side of the SLO; one that was driven once."""
    found = bracket(single, aim.slo)
    edges = [trial for trial in (found.kept, found.broken) if trial is not None]
    return next((trial for trial in edges if trial.repeats == 1 and trial.is_doubtful(aim.slo)), None)


def check_first(trial_requests: int, error_ratio: float | None, scenario: str) -> None:
    """Raise MoraError where the first load of a scenario shows that nothing can be measured with it."""
    if not trial_requests:
        raise MoraError(
            f"The scenario {scenario} sent no request.",
            hint="Try it alone: locust -f LOCUSTFILE --headless -u 1 -t 10s -H URL",
        )
    if error_ratio is not None and error_ratio >= _ONLY_ERRORS:
        raise MoraError(
            f"The target answers {scenario} with errors only: {error_ratio:.0%} of {trial_requests} requests failed.",
            hint="Check the address of the load (--url) and the service that receives it, then continue with --resume.",
        )


def expected_cells(aim: Adaptive, scenario: str, tried: Sequence[Trial]) -> list[Cell]:
    """The experiments that are still to come if the knee lies where it is expected now."""
    known = [trial for trial in tried if trial.replicas == 1]
    usual = known[0].users if known else aim.first_users
    knee = (predicted_knee(known[:1], aim.slo) if known else None) or usual * USUAL_KNEE
    simulated, cells = list(tried), []
    while (cell := _without_refusal(aim, scenario, simulated)) is not None:
        cells.append(cell)
        simulated = sorted([*simulated, _imagined(cell, knee, aim)], key=lambda t: (t.users_per_pod, t.replicas))
    return cells


def _without_refusal(aim: Adaptive, scenario: str, tried: Sequence[Trial]) -> Cell | None:
    try:
        return next_cell(aim, scenario, tried)
    except MoraError:
        return None


def _imagined(cell: Cell, knee: float, aim: Adaptive) -> Trial:
    """A trial of a shop with its knee at so many users a pod, whose CPU predicts it."""
    share = cell.users / cell.replicas
    cycle = 1 + aim.slo.p95_seconds / 1.7
    return Trial(
        scenario=cell.scenario,
        users=cell.users,
        replicas=cell.replicas,
        repeats=1,
        requests_per_second=float(cell.users),
        p95_seconds=aim.slo.p95_seconds * (share / knee) ** 4,
        p95_interval=None,
        error_ratio=0.0,
        uses={"": Use(share * cycle / knee, 1.0)},
    )


def _above(seconds: float) -> str:
    """A response time above one that was measured, as a flag takes it."""
    return format_duration(math.ceil(seconds * 1.5 * 100) / 100)
