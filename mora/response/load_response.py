"""What a load response answers: use per pod, latency and errors at a load, and the fewest replicas that keep an SLO."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from mora.coverage import keeps
from mora.domain import Load, Reason, Slo, Target
from mora.errors import BadInput, NotEnoughData
from mora.metrics import OBSERVED_SCENARIO
from mora.quantities import MIB, counted, format_duration, significant
from mora.response.curves import Curve, fit_scenario
from mora.response.runs import Run, cells_of, run_from, run_of

if TYPE_CHECKING:
    import pandas as pd

# Further out than half as much again, the shop may be limited by something that no run has touched.
MAX_EXTRAPOLATION = 1.5
# The API server's own advice is at most 150,000 pods a cluster; no service is meant to have more than this.
MOST_REPLICAS = 10_000
# Pods this idle are hardly what keeps the shop from its SLO; half of the usual target utilisation.
IDLE_UTILISATION = 0.35


@dataclass(frozen=True, slots=True)
class ResponsePoint:
    """Use per pod at a load: its mean and its high level (p95 of CPU, peak of memory), in cores or bytes.

    value, upper: None where there is no number; then `reasons` says why.
    is_at_least: the runs it rests on are limit-bound, so the need may be higher.
    """

    value: float | None
    upper: float | None
    is_at_least: bool = False
    reasons: tuple[Reason, ...] = ()


@dataclass(frozen=True, slots=True)
class ReplicaChoice:
    """The fewest replicas that meet the SLO; None where none does, and why."""

    replicas: int | None
    reasons: tuple[Reason, ...] = ()


@dataclass(frozen=True, slots=True)
class LoadResponse:
    """Per-pod use, latency and errors of one service, per scenario. See the package's words.

    curves: scenario -> curve name -> curve; `utilisation` only where pods had a CPU limit, `latency` and `errors` only
    where the cards have load tests.
    """

    runs: tuple[Run, ...]
    curves: Mapping[str, Mapping[str, Curve]]

    @classmethod
    def fit(cls, frame: pd.DataFrame, cards: Mapping[str, Mapping[str, Any]]) -> LoadResponse:
        """Learn from the driven runs of one service.

        frame: rows of dataset.read_dataset; observed rows are left out. cards: experiment_id -> its JSON.
        Raises NotEnoughData where no driven run has CPU and memory samples.
        """
        driven = frame[(frame["scenario"] != OBSERVED_SCENARIO) & frame["replica_count"].gt(0)]
        runs = tuple(
            run
            for name, rows in driven.groupby("experiment_id", sort=True)
            if (run := run_of(str(name), rows, cards.get(str(name), {}))) is not None
        )
        return cls._of(runs, experiments=frame["experiment_id"].nunique())

    def without(self, names: Collection[str]) -> LoadResponse:
        """What is learnt where these experiments have never been run. Raises NotEnoughData where none is left."""
        runs = tuple(run for run in self.runs if run.experiment_id not in names)
        return self._of(runs, experiments=len(runs))

    @classmethod
    def _of(cls, runs: tuple[Run, ...], *, experiments: int) -> LoadResponse:
        if not runs:
            raise NotEnoughData(
                f"No load response: 0 of {experiments} experiments are driven runs with CPU and "
                "memory samples, and at least 1 is needed.",
                hint="Drive some: mora collect --plan quick",
            )
        scenarios = sorted({run.scenario for run in runs})
        return cls(runs, {name: fit_scenario([run for run in runs if run.scenario == name]) for name in scenarios})

    @property
    def scenarios(self) -> tuple[str, ...]:
        """The scenarios that were driven, sorted."""
        return tuple(sorted(self.curves))

    def runs_of(self, scenario: str) -> tuple[Run, ...]:
        """The runs of one scenario."""
        return tuple(run for run in self.runs if run.scenario == scenario)

    def use(self, target: Target, load: Load, replicas: int) -> ResponsePoint:
        """What a pod uses at `load` spread over `replicas`; monotone in users per pod."""
        if target is Target.REPLICAS:
            raise BadInput("Pods use CPU and memory; replicas are chosen with choose_replicas().")
        share = _share(load, replicas)
        refusal = self._refusal(load, replicas)
        if refusal:
            return ResponsePoint(None, None, reasons=(refusal,))
        curves = self.curves[load.scenario]
        mean, upper = curves[target.value], curves[f"{target.value}_upper"]
        is_at_least = mean.is_at_least(share) or upper.is_at_least(share)
        reasons = [*self._distance(load, share)]
        if is_at_least:
            reasons.append(
                Reason(
                    "limit-bound",
                    f"limit-bound: {'CPU' if target is Target.CPU else target.value} use at "
                    f"{_users(upper.limit_bound_from or share)} users per pod was capped by its limit, so real demand "
                    f"may be higher than {_amount(target, upper.at(share))}",
                )
            )
        value = mean.at(share)
        return ResponsePoint(value, max(value, upper.at(share)), is_at_least, tuple(reasons))

    def latency_p95_seconds(self, load: Load, replicas: int) -> float | None:
        """The 95th percentile of the response time; None where unknown (scenario, more users per pod)."""
        return self._answered("latency", load, replicas)

    def error_ratio(self, load: Load, replicas: int) -> float | None:
        """The share of failed requests; None where no run shows it (unknown scenario, more users per pod)."""
        return self._answered("errors", load, replicas)

    def choose_replicas(
        self,
        load: Load,
        slo: Slo,
        *,
        min_replicas: int = 1,
        target_utilisation: float = 0.7,
        max_replicas: int | None = None,
    ) -> ReplicaChoice:
        """The fewest replicas that keep `slo`, and mean CPU under `target_utilisation` of the pods' CPU limit.

        Never fewer than `min_replicas`, nor than a count that was measured to fail at this load or a lower one.
        """
        if min_replicas < 1 or (max_replicas is not None and max_replicas < min_replicas):
            raise BadInput(f"Replicas must lie between 1 and a maximum, not {min_replicas} and {max_replicas}.")
        if not 0 < target_utilisation <= 1:
            raise BadInput(f"The target utilisation must lie above 0 and at most at 1, not {target_utilisation}.")
        refusal = self._refusal(load, None) or self._without_latency(load)
        if refusal:
            return ReplicaChoice(None, (refusal,))
        runs = self.runs_of(load.scenario)
        # With more pods than this each has fewer users than any that was driven: nothing more is known.
        most = max(min_replicas, *(run.replicas for run in runs), _least_for(load, min(r.users_per_pod for r in runs)))
        most = most if max_replicas is None else min(most, max_replicas)
        most = max(min(most, MOST_REPLICAS), min_replicas)

        def miss(replicas: int) -> str | None:
            return self._miss(load, replicas, slo, target_utilisation)

        # A further replica never worsens an answer, so the first that misses nothing is found by halving.
        counts = range(min_replicas, most + 1)
        first = bisect_left(counts, True, key=lambda replicas: miss(replicas) is None)
        if first < len(counts):
            replicas = counts[first]
            fewer = miss(replicas - 1) if replicas > min_replicas else None
            return ReplicaChoice(replicas, self._why(load, replicas, slo, fewer, min_replicas))
        return ReplicaChoice(
            None,
            (
                Reason(
                    "no-replicas-keep-slo",
                    f"{load.users} users of {load.scenario}: {_counts(min_replicas, most)} cannot keep {_slo(slo)}; "
                    f"at {most}: {miss(most)}",
                ),
            ),
        )

    def highest_load_within(self, slo: Slo, scenario: str | None = None) -> Load | None:
        """The highest load driven that kept `slo` at some replica count; of equal loads the one that uses more."""
        kept = [
            cell
            for name in self.scenarios
            if scenario in (None, name)
            for cell in cells_of(self.runs_of(name))
            if cell.keeps(slo)
        ]
        if not kept:
            return None
        best = max(kept, key=lambda cell: (cell.users, cell.cpu_cores, cell.scenario))
        return Load(best.scenario, best.users)

    def requests_of_a_user(self, scenario: str, slo: Slo) -> float | None:
        """The requests per second that a user sends where the SLO is kept: the median of those runs, else of all.

        A user waits for the answer, so in runs that break the SLO each sends less. None where no run shows it.
        """
        runs = [run for run in self.runs_of(scenario) if run.requests_per_second]
        kept = [run for run in runs if keeps(run.latency_p95_seconds, run.error_ratio, slo)]
        rates = [(run.requests_per_second or 0.0) / run.users for run in kept or runs if run.users]
        return float(np.median(rates)) if rates else None

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON; from_dict() gives the same answers to the last digit."""
        return {
            "runs": [asdict(run) for run in self.runs],
            "curves": {s: {name: asdict(curve) for name, curve in of.items()} for s, of in self.curves.items()},
        }

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> LoadResponse:
        """What to_dict() gave, of this schema or of the one before."""

        def curve(fields: Mapping[str, Any]) -> Curve:
            # Models of schema 1 say pinned_from.
            limit_bound_from = fields.get("limit_bound_from", fields.get("pinned_from"))
            return Curve(tuple(fields["users_per_pod"]), tuple(fields["level"]), fields["slope"], limit_bound_from)

        return cls(
            tuple(run_from(run) for run in plain["runs"]),
            {s: {name: curve(fields) for name, fields in of.items()} for s, of in plain["curves"].items()},
        )

    # --- what one answer is made of ----------------------------------------------------------------------------------

    def _refusal(self, load: Load, replicas: int | None) -> Reason | None:
        """Why this load has no number, or None where it has one."""
        if load.scenario not in self.curves:
            known = ", ".join(self.scenarios)
            return Reason("unknown-scenario", f"no run drove the scenario {load.scenario!r}; driven were {known}")
        runs = self.runs_of(load.scenario)
        most_users = max(run.users for run in runs)
        if load.users > MAX_EXTRAPOLATION * most_users:
            return Reason(
                "beyond-driven-load",
                f"{load.users} users of {load.scenario} are more than {MAX_EXTRAPOLATION:g}x the highest load driven "
                f"({most_users} users); drive a higher one to learn what it needs",
            )
        most_share = max(run.users_per_pod for run in runs)
        if replicas is not None and load.users / replicas > MAX_EXTRAPOLATION * most_share:
            return Reason(
                "beyond-driven-load",
                f"{_users(load.users / replicas)} users per pod are more than {MAX_EXTRAPOLATION:g}x what was driven "
                f"({_users(most_share)}); use more replicas, or drive that many users per pod",
            )
        return None

    def _without_latency(self, load: Load) -> Reason | None:
        if {"latency", "errors"} <= self.curves[load.scenario].keys():
            return None
        return Reason(
            "no-load-test",
            f"the runs of {load.scenario} have no response times and errors, so they cannot show how many replicas "
            "meet an SLO",
        )

    def _distance(self, load: Load, share: float) -> Iterable[Reason]:
        """How far the answer lies from what was driven, where it lies outside."""
        shares = [run.users_per_pod for run in self.runs_of(load.scenario)]
        if share > max(shares):
            yield Reason(
                "extrapolated",
                f"{_users(share)} users per pod are more than the {_users(max(shares))} driven: extrapolated "
                "by a straight line",
            )
        if share < min(shares):
            yield Reason(
                "below-driven",
                f"{_users(share)} users per pod are fewer than the {_users(min(shares))} driven: the use "
                "at those is taken",
            )

    def _answered(self, name: str, load: Load, replicas: int) -> float | None:
        curve = self.curves.get(load.scenario, {}).get(name)
        share = _share(load, replicas)
        # Queues grow faster than any line: beyond the last knot latency and errors are not known, only "worse".
        return None if curve is None or share > curve.users_per_pod[-1] else curve.at(share)

    def _miss(self, load: Load, replicas: int, slo: Slo, target_utilisation: float) -> str | None:
        """What this replica count misses, with the figure; None where it meets everything."""
        latency, errors = self.latency_p95_seconds(load, replicas), self.error_ratio(load, replicas)
        if latency is None or errors is None:
            return f"{_users(load.users / replicas)} users per pod were never driven"
        if latency > slo.p95_seconds:
            return f"p95 {format_duration(latency)} is over {format_duration(slo.p95_seconds)}"
        if errors > slo.error_ratio:
            return f"{errors:.2%} errors are over {slo.error_ratio:.2%}"
        utilisation = self._answered("utilisation", load, replicas)
        if utilisation is not None and utilisation > target_utilisation:
            return f"pods run at {utilisation:.0%} of their CPU limit, over {target_utilisation:.0%}"
        return self._measured_miss(load, replicas, slo)

    def _measured_miss(self, load: Load, replicas: int, slo: Slo) -> str | None:
        """A cell that failed with as many replicas at no higher load, unless a harder cell met the SLO.

        Where cells contradict each other (more replicas did worse), the monotone curve has already judged.
        """
        cells = cells_of(self.runs_of(load.scenario))
        if any(cell.users >= load.users and cell.replicas <= replicas and cell.keeps(slo) for cell in cells):
            return None
        failed = [c for c in cells if c.users <= load.users and c.replicas >= replicas and not c.keeps(slo)]
        if not failed:
            return None
        worst = max(failed, key=lambda cell: cell.replicas)
        return (
            f"{worst.replicas} replicas were measured to fail at {worst.users} users "
            f"(p95 {format_duration(worst.latency_p95_seconds)}, {worst.error_ratio:.2%} errors)"
        )

    def _why(self, load: Load, replicas: int, slo: Slo, missed: str | None, min_replicas: int) -> tuple[Reason, ...]:
        latency, errors = self.latency_p95_seconds(load, replicas), self.error_ratio(load, replicas)
        assert latency is not None and errors is not None  # noqa: S101, PT018  # _miss() has just seen both
        utilisation = self._answered("utilisation", load, replicas)
        use = "" if utilisation is None else f", {utilisation:.0%} of the CPU limit"
        fewer = f"; with {replicas - 1}: {missed}" if missed else ""
        reasons = [
            Reason(
                "replicas-keep-slo",
                f"{load.users} users of {load.scenario} on {counted(replicas, 'replica')}: "
                f"p95 {format_duration(latency)}, {errors:.2%} errors{use}; SLO: {_slo(slo)}{fewer}",
            )
        ]
        if missed:
            reasons += self._other_culprit(load, replicas - 1)
        if not missed and min_replicas > 1:
            reasons.append(Reason("replicas-floor", f"never fewer than the {min_replicas} asked for"))
        runs = self.runs_of(load.scenario)
        driven = sorted({run.replicas for run in runs})
        if replicas not in driven or load.users > max(run.users for run in runs):
            counts = ", ".join(map(str, driven))
            reasons.append(
                Reason(
                    "replicas-extrapolated",
                    f"{load.users} users on {counted(replicas, 'replica')} were not driven (replicas {counts}, up to "
                    f"{max(run.users for run in runs)} users): judged by {_users(load.users / replicas)} users per pod",
                )
            )
        return tuple(reasons)

    def _other_culprit(self, load: Load, replicas: int) -> Iterable[Reason]:
        """A plan scales services together, so an idle one follows the one that missed the SLO: a reason for it."""
        share = _share(load, replicas)
        utilisation = self._answered("utilisation", load, replicas)
        was_bound = any(
            (run.is_cpu_limit_bound or run.is_memory_limit_bound) and run.users_per_pod <= share
            for run in self.runs_of(load.scenario)
        )
        if utilisation is not None and utilisation <= IDLE_UTILISATION and not was_bound:
            yield Reason(
                "scaled-together",
                f"with {replicas} this service's own pods were at {utilisation:.0%} of their CPU limit and never "
                "limit-bound: another service that is scaled together with it may be what missed the SLO",
            )


def _share(load: Load, replicas: int) -> float:
    if replicas < 1 or load.users < 0:
        raise BadInput(f"A load needs at least 0 users and 1 replica, not {load.users} and {replicas}.")
    return load.users / replicas


def _least_for(load: Load, share: float) -> int:
    """The fewest replicas with which no pod has more than `share` users."""
    return math.ceil(round(load.users / share, 6)) if share > 0 else 1


def _users(share: float) -> str:
    return significant(share, 4)


def _counts(least: int, most: int) -> str:
    """
    >>> _counts(1, 3), _counts(2, 2), _counts(1, 1)
    ('1 to 3 replicas', '2 replicas', '1 replica')
    """
    return f"{least} to {most} replicas" if most > least else counted(most, "replica")


def _slo(slo: Slo) -> str:
    return f"p95 {format_duration(slo.p95_seconds)}, {slo.error_ratio:.2%} errors"


def _amount(target: Target, value: float) -> str:
    return f"{value * 1000:.0f}m" if target is Target.CPU else f"{value / MIB:.0f}Mi"
