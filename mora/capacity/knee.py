"""How much load one pod of a service carries: the knee between the loads that keep an SLO and those that break it.

Read from the driven runs of the services that a plan scales together, on the axis of the load response: users per pod.
A pod is also full where its CPU reaches the target utilisation of its limit: that is what replicas are sized by, often
long before the SLO breaks. Everything is reported in users and in requests per second.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mora.coverage import keeps
from mora.domain import Slo
from mora.quantities import counted, format_duration, significant
from mora.response import Run

# The p95 of a shop that queues is this many times its mean: 385 ms beside 230 ms (data/README.md, 60 users a pod).
_P95_TIMES = 1.7
# A pod that uses this much of its limit is throttled in most of its periods.
_AT_LIMIT = 0.95


@dataclass(frozen=True, slots=True)
class Use:
    """The CPU of one service's hottest pod in a run, and its limit; None where it has none."""

    cpu_cores: float
    cpu_limit_cores: float | None

    @property
    def utilisation(self) -> float | None:
        """The share of the limit in use."""
        return self.cpu_cores / self.cpu_limit_cores if self.cpu_limit_cores else None


@dataclass(frozen=True, slots=True)
class Trial:
    """One load on one replica count: the mean of its repeats, and what every service used.

    p95_interval: where the p95 lies with 95 % confidence; None where that was not recorded.
    """

    scenario: str
    users: int
    replicas: int
    repeats: int
    requests_per_second: float | None
    p95_seconds: float
    p95_interval: tuple[float, float] | None
    error_ratio: float
    uses: Mapping[str, Use]

    @property
    def users_per_pod(self) -> float:
        """A pod's share of the users."""
        return self.users / self.replicas

    @property
    def rate_per_pod(self) -> float | None:
        """A pod's share of the requests per second."""
        return None if self.requests_per_second is None else self.requests_per_second / self.replicas

    def keeps(self, slo: Slo) -> bool:
        """Whether the SLO was met."""
        return keeps(self.p95_seconds, self.error_ratio, slo)

    def is_doubtful(self, slo: Slo) -> bool:
        """Whether the confidence interval of the p95 has the SLO inside it: another run may decide otherwise."""
        if self.p95_interval is None or self.error_ratio > slo.error_ratio:
            return False
        return self.p95_interval[0] <= slo.p95_seconds < self.p95_interval[1]

    def miss(self, slo: Slo) -> str:
        """What of the SLO was broken, with the figure; empty where nothing was."""
        if self.error_ratio > slo.error_ratio:
            return f"{self.error_ratio:.2%} errors are over {slo.error_ratio:.2%}"
        if self.p95_seconds > slo.p95_seconds:
            return f"p95 {_shown(self.p95_seconds)} is over {format_duration(slo.p95_seconds)}"
        return ""


def trials(runs: Mapping[str, Sequence[Run]], scenario: str) -> tuple[Trial, ...]:
    """The loads of a scenario that were driven, in order of users per pod.

    runs: service -> its runs; the services of one plan, whose load tests are the same. Runs without one are left out.
    """
    found: dict[tuple[int, int], dict[str, list[Run]]] = {}
    for service, own in runs.items():
        for run in own:
            if run.scenario == scenario and run.latency_p95_seconds is not None and run.error_ratio is not None:
                found.setdefault((run.users, run.replicas), {}).setdefault(service, []).append(run)
    merged = [_merged(scenario, *cell, of) for cell, of in found.items()]
    return tuple(sorted(merged, key=lambda trial: (trial.users_per_pod, trial.replicas)))


def _merged(scenario: str, users: int, replicas: int, of: Mapping[str, Sequence[Run]]) -> Trial:
    tests = max(of.values(), key=len)
    intervals = [run.latency_p95_interval for run in tests if run.latency_p95_interval is not None]
    return Trial(
        scenario=scenario,
        users=users,
        replicas=replicas,
        repeats=len(tests),
        requests_per_second=_mean(run.requests_per_second for run in tests),
        p95_seconds=_mean(run.latency_p95_seconds for run in tests) or 0.0,
        p95_interval=(
            (float(np.mean([low for low, _ in intervals])), float(np.mean([high for _, high in intervals])))
            if intervals
            else None
        ),
        error_ratio=_mean(run.error_ratio for run in tests) or 0.0,
        uses={
            service: Use(_mean(run.cpu_mean_cores for run in own) or 0.0, own[0].cpu_limit_cores)
            for service, own in sorted(of.items())
        },
    )


# --- where a pod is full ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Full:
    """The service whose pods reach a share of their CPU limit first, and at how many users a pod."""

    service: str
    users_per_pod: float


def first_full(tried: Sequence[Trial], utilisation: float) -> Full | None:
    """The service that reaches a CPU utilisation first; None where no service has a CPU limit and uses CPU.

    Between two driven loads the use is interpolated, beyond them it grows as it did per user up to the highest load at
    which it was below the limit.
    """
    found = []
    for service in sorted({name for trial in tried for name in trial.uses}):
        points = [
            (trial.users_per_pod, use.utilisation)
            for trial in tried
            if (use := trial.uses.get(service)) is not None and use.utilisation is not None
        ]
        at = _reaches(points, utilisation)
        if at is not None:
            found.append(Full(service, at))
    return min(found, key=lambda full: full.users_per_pod, default=None)


def _reaches(points: Sequence[tuple[float, float]], level: float) -> float | None:
    """Where a line through the points, sorted by users, reaches a level; None where it never does."""
    if not points:
        return None
    before = (0.0, 0.0)
    for users, use in points:
        if use >= level:
            low = min(before[1], level)
            at = before[0] + (users - before[0]) * (level - low) / (use - low) if use > low else users
            # A pod at its limit uses what it may and not what it needs: the line to it bends down, so the straight one
            # of the load before it counts.
            return min(at, before[0] * level / low) if use >= _AT_LIMIT and low > 0 else at
        before = (users, use)
    users, use = before
    # An idle service reaches nothing: a hundred times the driven load is far from all that was measured.
    return users * level / use if use > level / 100 else None


def predicted_knee(tried: Sequence[Trial], slo: Slo) -> float | None:
    """The users a pod is expected to carry, from its use at lower loads; None where no service has a CPU limit.

    Users whose CPU fills the first service's limit, and those that may wait in its queue within the SLO. A user sends a
    request every `users / rate` seconds, so the interactive response time law (Denning & Buzen 1978) gives them as
    users x (1 + mean response time / that time).
    """
    full = first_full(tried, 1.0)
    rated = [trial for trial in tried if trial.requests_per_second]
    if full is None or not rated:
        return None
    lowest = rated[0]
    cycle_seconds = lowest.users / (lowest.requests_per_second or 1.0)
    return full.users_per_pod * (1 + slo.p95_seconds / _P95_TIMES / cycle_seconds)


# --- the knee --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Bracket:
    """The highest load that kept an SLO below every load that broke it, and the lowest that broke it."""

    kept: Trial | None
    broken: Trial | None

    @property
    def ratio(self) -> float:
        """The broken load over the kept one; infinite where one of them is not known."""
        if self.kept is None or self.broken is None:
            return math.inf
        return self.broken.users_per_pod / self.kept.users_per_pod


def bracket(tried: Sequence[Trial], slo: Slo) -> Bracket:
    """The knee between driven loads. Where loads contradict each other, the lower one counts."""
    broken = min((t for t in tried if not t.keeps(slo)), key=lambda t: t.users_per_pod, default=None)
    kept = [t for t in tried if t.keeps(slo) and (broken is None or t.users_per_pod < broken.users_per_pod)]
    return Bracket(max(kept, key=lambda t: t.users_per_pod, default=None), broken)


@dataclass(frozen=True, slots=True)
class Capacity:
    """What one pod carries of a scenario.

    users, requests_per_second: at the SLO, between the two loads of `bracket`; None where no driven load kept it.
    full: where the first service reaches the target utilisation. several: the loads on more replicas.
    """

    scenario: str
    slo: Slo
    target_utilisation: float
    trials: tuple[Trial, ...]
    bracket: Bracket
    users: float | None
    requests_per_second: float | None
    full: Full | None
    several: tuple[Trial, ...]

    @property
    def sized_users(self) -> float | None:
        """The users a pod is given: at most those of the SLO, and those of the target utilisation."""
        known = [users for users in (self.users, self.full.users_per_pod if self.full else None) if users is not None]
        return min(known, default=None)


def capacity(runs: Mapping[str, Sequence[Run]], scenario: str, slo: Slo, *, target_utilisation: float) -> Capacity:
    """What one pod carries, from driven runs of the services that a plan scales together."""
    return capacity_of(trials(runs, scenario), scenario, slo, target_utilisation=target_utilisation)


def capacity_of(tried: Sequence[Trial], scenario: str, slo: Slo, *, target_utilisation: float) -> Capacity:
    """What one pod carries, from trials in order of users per pod; those on the fewest replicas count."""
    fewest = min((trial.replicas for trial in tried), default=1)
    own = tuple(trial for trial in tried if trial.replicas == fewest)
    found = bracket(own, slo)
    users = _at_slo(found, slo)
    return Capacity(
        scenario=scenario,
        slo=slo,
        target_utilisation=target_utilisation,
        trials=own,
        bracket=found,
        users=users,
        requests_per_second=None if users is None else rate_at(own, users),
        full=first_full(own, target_utilisation),
        several=tuple(trial for trial in tried if trial.replicas != fewest),
    )


def _at_slo(found: Bracket, slo: Slo) -> float | None:
    """Users per pod at which the p95 or the errors cross the SLO, on the line between the two loads."""
    kept, broken = found.kept, found.broken
    if kept is None or broken is None:
        return None if kept is None else kept.users_per_pod
    levels = (
        (kept.p95_seconds, broken.p95_seconds, slo.p95_seconds),
        (kept.error_ratio, broken.error_ratio, slo.error_ratio),
    )
    part = min((most - low) / (high - low) for low, high, most in levels if high > most)
    return kept.users_per_pod + part * (broken.users_per_pod - kept.users_per_pod)


def rate_at(tried: Sequence[Trial], users_per_pod: float) -> float | None:
    """Requests per second of a pod with so many users, on the line between driven loads; None without any.

    Below the driven loads a user sends what one of the lowest load did; beyond them no more than was measured.
    """
    points = sorted((t.users_per_pod, t.rate_per_pod) for t in tried if t.rate_per_pod is not None)
    if not points:
        return None
    return float(np.interp(users_per_pod, [0.0, *(users for users, _ in points)], [0.0, *(rate for _, rate in points)]))


def describe(found: Capacity) -> list[str]:
    """The capacity as lines: what a pod serves, what ends it, what replicas are sized by, and the check on several."""
    kept, broken, slo = found.bracket.kept, found.bracket.broken, found.slo
    objective = f"p95 <= {format_duration(slo.p95_seconds)}"
    if kept is None or found.users is None:
        lowest = found.trials[0] if found.trials else None
        why = "" if lowest is None else f": at {significant(lowest.users_per_pod, 4)} users {lowest.miss(slo)}"
        return [f"No driven load of {found.scenario} kept {objective}{why}."]
    rate = "" if found.requests_per_second is None else f" ({significant(found.requests_per_second)} requests/s)"
    if broken is None:
        lines = [
            f"One pod serves at least {significant(kept.users_per_pod, 4)} users{rate} of {found.scenario} at "
            f"{objective}: no driven load broke it."
        ]
    else:
        lines = [
            f"One pod serves {math.floor(found.users)} users{rate} of {found.scenario} at {objective}, between "
            f"{significant(kept.users_per_pod, 4)} and {significant(broken.users_per_pod, 4)}: "
            f"there {broken.miss(slo)}."
        ]
    if found.full is not None and found.full.users_per_pod < found.users:
        at = rate_at(found.trials, found.full.users_per_pod)
        lines.append(
            f"Replicas are sized for {math.floor(found.full.users_per_pod)} users a pod"
            + ("" if at is None else f" ({significant(at)} requests/s)")
            + f": there {found.full.service} uses {found.target_utilisation:.0%} of its CPU limit."
        )
    # Of the loads on several replicas that kept the SLO the highest says all; one below the knee that broke it is news.
    checked = {trial.replicas: trial for trial in found.several if trial.keeps(found.slo)}
    failed = [trial for trial in found.several if not trial.keeps(slo) and trial.users_per_pod <= found.users]
    lines += [_on_several(found, trial) for trial in sorted([*checked.values(), *failed], key=lambda t: t.replicas)]
    return lines


def _on_several(found: Capacity, trial: Trial) -> str:
    """Whether so many replicas carried as many users a pod as one does."""
    words = f"{trial.users} users on {counted(trial.replicas, 'replica')}, {significant(trial.users_per_pod, 4)} a pod"
    if trial.keeps(found.slo):
        return f"Checked with {words}: p95 {_shown(trial.p95_seconds)}."
    return f"Not so with {words}: {trial.miss(found.slo)}. Something that the replicas share is full."


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


def _shown(seconds: float) -> str:
    return format_duration(round(seconds, 3 if seconds < 10 else 1))
