"""The load response: what a service uses and how it answers, against users and replicas, per scenario.

It is learnt from driven runs and answers loads that no window of a time series contains. Everything is a monotone curve
over **users per pod** (users / replicas), so a rising load never lowers an answer and a further replica never worsens
one. Use per pod is what a pod's share of the users costs; latency and errors follow the same share because a plan
scales the shop's services together. One axis instead of two lets the few cells of a plan check each other (40 users on
two pods speak for 20 on one), and it is valid for replica counts that were never driven. What one axis gets wrong, the
measured cells put right: a replica count that was measured to miss the SLO is not chosen.

Curves are fitted with scikit-learn's isotonic regression, kept as knots, and read with numpy.

One file, longer than most: runs, curves, cells and the choice of replicas are one subject, and each needs the others.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import numpy as np

from mora.coverage import keeps
from mora.domain import Load, Reason, Slo, Target
from mora.errors import BadInput, NotEnoughData
from mora.extras import require
from mora.metrics import OBSERVED_SCENARIO
from mora.quantities import MIB, counted, format_duration, significant
from mora.saturation import Floats, limit_bound

if TYPE_CHECKING:
    import pandas as pd

# Further out than half as much again, the shop may be limited by something that no run has touched.
MAX_EXTRAPOLATION = 1.5
# The API server's own advice is at most 150,000 pods a cluster; no service is meant to have more than this.
MOST_REPLICAS = 10_000
# Pods this idle are hardly what keeps the shop from its SLO; half of the usual target utilisation.
IDLE_UTILISATION = 0.35


@dataclass(frozen=True, slots=True)
class Run:
    """One driven experiment of one service, in the figures that the response is made of.

    CPU and memory are of the hottest pod's main container. A limit-bound level is "at least".
    latency_p95_seconds, error_ratio, requests_per_second: of the run's load test, None where it has none.
    latency_p95_interval: the 95 % confidence interval of its p95, where it was recorded.
    """

    experiment_id: str
    scenario: str
    users: int
    replicas: int
    cpu_mean_cores: float
    cpu_p95_cores: float
    cpu_limit_cores: float | None
    is_cpu_limit_bound: bool
    memory_mean_bytes: float
    memory_peak_bytes: float
    memory_limit_bytes: float | None
    is_memory_limit_bound: bool
    oom_kills: int
    latency_p95_seconds: float | None
    error_ratio: float | None
    requests_per_second: float | None = None
    latency_p95_interval: tuple[float, float] | None = None

    @property
    def users_per_pod(self) -> float:
        """A pod's share of the users."""
        return self.users / self.replicas


@dataclass(frozen=True, slots=True)
class Curve:
    """A monotone function of users per pod: knots, a slope beyond the last, and from where it says "at least".

    >>> curve = Curve((10.0, 20.0), (1.0, 3.0), slope=0.2, limit_bound_from=None)
    >>> [curve.at(users) for users in (5, 15, 30)]
    [1.0, 2.0, 5.0]
    """

    users_per_pod: tuple[float, ...]
    level: tuple[float, ...]
    slope: float
    limit_bound_from: float | None

    def at(self, users_per_pod: float) -> float:
        """The level; the first knot's below it, a straight line beyond the last."""
        beyond = max(users_per_pod - self.users_per_pod[-1], 0.0)
        return float(np.interp(users_per_pod, self.users_per_pod, self.level)) + self.slope * beyond

    def is_at_least(self, users_per_pod: float) -> bool:
        """From `limit_bound_from` on, and past the knot before it, where the level leans on a limit-bound run."""
        if self.limit_bound_from is None:
            return False
        before = [knot for knot in self.users_per_pod if knot < self.limit_bound_from]
        return users_per_pod >= self.limit_bound_from or bool(before and users_per_pod > before[-1])


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


# Fields of a run as models of schema 1 name them.
_RENAMED = {"is_cpu_pinned": "is_cpu_limit_bound", "is_memory_pinned": "is_memory_limit_bound"}
_CURVES = ("cpu", "cpu_upper", "memory", "memory_upper", "utilisation", "latency", "errors")


@dataclass(frozen=True, slots=True)
class LoadResponse:
    """Per-pod use, latency and errors of one service, per scenario. See the module's words.

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
        return cls(runs, {name: _fit_scenario([run for run in runs if run.scenario == name]) for name in scenarios})

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
            for cell in _cells(self.runs_of(name))
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
            tuple(_run_from(run) for run in plain["runs"]),
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
        cells = _cells(self.runs_of(load.scenario))
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


# --- fitting ---------------------------------------------------------------------------------------------------------


def run_of(experiment_id: str, rows: pd.DataFrame, card: Mapping[str, Any]) -> Run | None:
    """One experiment's figures; None where it has no CPU or no memory samples.

    rows: those of the experiment, of dataset.read_dataset. card: the JSON beside it.
    """
    cpu, memory = rows["cpu_cores_value"].dropna(), rows["mem_bytes_value"].dropna()
    if cpu.empty or memory.empty:
        return None
    cpu_mean, cpu_p95 = float(cpu.mean()), float(cpu.quantile(0.95))
    memory_peak = float(memory.max())
    cpu_limit, memory_limit = _lowest(rows, "cpu_limit_cores"), _lowest(rows, "mem_limit_bytes")
    oom_kills = math.ceil(_highest(rows, "oom_kills"))
    ordered = rows.sort_values("timestamp", kind="stable")
    # The card's figures are of the whole window; the entry service's own columns are taken where there is no card.
    load_test = card.get("load_test") or {
        column: _mean(rows, column) for column in ("latency_p95_seconds", "error_ratio", "requests_per_second")
    }
    interval = load_test.get("latency_p95_interval_seconds")
    return Run(
        experiment_id=experiment_id,
        scenario=str(rows["scenario"].iloc[0]),
        users=int(rows["load_users"].iloc[0]),
        replicas=int(rows["replica_count"].iloc[0]),
        cpu_mean_cores=cpu_mean,
        cpu_p95_cores=cpu_p95,
        cpu_limit_cores=cpu_limit,
        is_cpu_limit_bound=_is_limit_bound(Target.CPU, ordered, oom_kills),
        memory_mean_bytes=float(memory.mean()),
        memory_peak_bytes=memory_peak,
        memory_limit_bytes=memory_limit,
        is_memory_limit_bound=_is_limit_bound(Target.MEMORY, ordered, oom_kills),
        oom_kills=oom_kills,
        latency_p95_seconds=_known(load_test.get("latency_p95_seconds")),
        error_ratio=_known(load_test.get("error_ratio")),
        requests_per_second=_known(load_test.get("requests_per_second")),
        latency_p95_interval=(float(interval[0]), float(interval[1])) if interval else None,
    )


def _is_limit_bound(target: Target, ordered: pd.DataFrame, oom_kills: int) -> bool:
    """Whether a run's use is limit-bound (mora/saturation.py). ordered: its rows, in time."""
    is_cpu = target is Target.CPU
    steps = np.diff(ordered["timestamp"].to_numpy(dtype="datetime64[us]").astype(np.int64))
    found = limit_bound(
        target,
        ordered["cpu_cores_value" if is_cpu else "mem_bytes_value"].to_numpy(dtype=np.float64),
        step=timedelta(microseconds=max(float(np.median(steps)), 1.0)) if len(steps) else timedelta(seconds=1),
        limit=_column(ordered, "cpu_limit_cores" if is_cpu else "mem_limit_bytes"),
        throttled=_column(ordered, "throttled_ratio"),
        oom_kills=oom_kills,
    )
    return found is not None


def _fit_scenario(runs: Sequence[Run]) -> dict[str, Curve]:
    require("train", by="Fitting a load response")

    def at_least_cpu(run: Run, level: float) -> float:
        return max(level, run.cpu_limit_cores or 0.0) if run.is_cpu_limit_bound else level

    def at_least_memory(run: Run, level: float) -> float:
        # A killed container starts again from nothing: the mean over its sawtooth is not the need, the limit is.
        return max(level, run.memory_limit_bytes or 0.0) if run.is_memory_limit_bound else level

    shares = np.array([run.users_per_pod for run in runs])
    is_cpu_limit_bound = np.array([run.is_cpu_limit_bound for run in runs])
    is_memory_limit_bound = np.array([run.is_memory_limit_bound for run in runs])
    cpu_upper = np.array([at_least_cpu(run, run.cpu_p95_cores) for run in runs])
    memory_mean = np.array([at_least_memory(run, run.memory_mean_bytes) for run in runs])
    memory_peak = np.array([at_least_memory(run, run.memory_peak_bytes) for run in runs])
    # A throttled run still has a mean, kept down by its quota: it stays as measured, and is flagged as "at least".
    curves = {
        "cpu": _fit(shares, np.array([run.cpu_mean_cores for run in runs]), is_cpu_limit_bound),
        "cpu_upper": _fit(shares, cpu_upper, is_cpu_limit_bound),
        "memory": _fit(shares, memory_mean, is_memory_limit_bound),
        "memory_upper": _fit(shares, memory_peak, is_memory_limit_bound, is_envelope=True),
    }
    tested = [run for run in runs if run.latency_p95_seconds is not None and run.error_ratio is not None]
    limited = [run for run in runs if run.cpu_limit_cores]
    for name, part, level in (
        ("latency", tested, [run.latency_p95_seconds for run in tested]),
        ("errors", tested, [run.error_ratio for run in tested]),
        ("utilisation", limited, [run.cpu_mean_cores / (run.cpu_limit_cores or 1.0) for run in limited]),
    ):
        if part:
            shares = np.array([run.users_per_pod for run in part])
            curves[name] = _fit(shares, np.array(level, dtype=float), np.zeros(len(part), dtype=bool))
    return {name: curves[name] for name in _CURVES if name in curves}


def _fit(
    shares: np.ndarray[Any, Any],
    levels: np.ndarray[Any, Any],
    is_bound: np.ndarray[Any, Any],
    *,
    is_envelope: bool = False,
) -> Curve:
    """A monotone curve through the runs: isotonic regression, or the highest so far where `is_envelope` (peaks).

    shares, levels, is_bound: shape (runs,). A limit-bound run is a bound: the curve never passes below it.
    """
    knots = np.unique(shares)
    if is_envelope:
        fitted = np.array([levels[shares <= knot].max() for knot in knots])
    else:
        from sklearn.isotonic import IsotonicRegression

        # What is limit-bound bounds the curve from below; averaged in, it would pull down what ran freely.
        own = ~is_bound if not is_bound.all() else is_bound
        fitted = IsotonicRegression(out_of_bounds="clip").fit(shares[own], levels[own]).predict(knots)
        for share, level in zip(shares[is_bound], levels[is_bound], strict=True):
            fitted = np.where(knots >= share, np.maximum(fitted, level), fitted)
    free = ~is_bound
    # A bound that a freely running, more loaded run has overtaken is no longer the end of what is known.
    last_free = shares[free].max() if free.any() else -math.inf
    binding = shares[is_bound & (shares >= last_free)]
    return Curve(
        users_per_pod=tuple(map(float, knots)),
        level=tuple(map(float, fitted)),
        slope=_slope(shares[free], levels[free], fallback=float(fitted[-1] / knots[-1])),
        limit_bound_from=float(binding.min()) if binding.size else None,
    )


def _slope(shares: np.ndarray[Any, Any], levels: np.ndarray[Any, Any], *, fallback: float) -> float:
    """Growth per user and pod over the runs that ran freely, at least 0; through the origin where they are too few."""
    if np.unique(shares).size < 2:
        return fallback
    centred = shares - shares.mean()
    return max(float(centred @ (levels - levels.mean()) / (centred @ centred)), 0.0)


# --- cells -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Cell:
    """The repeats of one scenario, load and replica count: their mean answer."""

    scenario: str
    users: int
    replicas: int
    cpu_cores: float
    latency_p95_seconds: float
    error_ratio: float

    def keeps(self, slo: Slo) -> bool:
        return keeps(self.latency_p95_seconds, self.error_ratio, slo)


def _cells(runs: Sequence[Run]) -> list[_Cell]:
    """The cells whose runs all have a load test, in order of users and replicas."""
    cells: dict[tuple[int, int], list[Run]] = {}
    for run in runs:
        if run.latency_p95_seconds is not None and run.error_ratio is not None:
            cells.setdefault((run.users, run.replicas), []).append(run)
    return [
        _Cell(
            scenario=of[0].scenario,
            users=users,
            replicas=replicas,
            cpu_cores=float(np.mean([run.cpu_mean_cores for run in of])),
            latency_p95_seconds=float(np.mean([run.latency_p95_seconds or 0.0 for run in of])),
            error_ratio=float(np.mean([run.error_ratio or 0.0 for run in of])),
        )
        for (users, replicas), of in sorted(cells.items())
    ]


def _run_from(plain: Mapping[str, Any]) -> Run:
    """A run of to_dict(); models of before have fewer figures."""
    fields = {_RENAMED.get(name, name): value for name, value in plain.items()}
    interval = fields.get("latency_p95_interval")
    return Run(**{**fields, "latency_p95_interval": None if interval is None else (interval[0], interval[1])})


# --- small things ----------------------------------------------------------------------------------------------------


def _share(load: Load, replicas: int) -> float:
    if replicas < 1 or load.users < 0:
        raise BadInput(f"A load needs at least 0 users and 1 replica, not {load.users} and {replicas}.")
    return load.users / replicas


def _least_for(load: Load, share: float) -> int:
    """The fewest replicas with which no pod has more than `share` users."""
    return math.ceil(round(load.users / share, 6)) if share > 0 else 1


def _lowest(rows: pd.DataFrame, column: str) -> float | None:
    values = rows[column].dropna() if column in rows else ()
    return float(np.min(values)) if len(values) else None


def _column(rows: pd.DataFrame, column: str) -> Floats | None:
    return rows[column].to_numpy(dtype=np.float64) if column in rows else None


def _mean(rows: pd.DataFrame, column: str) -> float | None:
    values = rows[column].dropna() if column in rows else ()
    return float(np.mean(values)) if len(values) else None


def _highest(rows: pd.DataFrame, column: str) -> float:
    values = rows[column].dropna() if column in rows else ()
    return float(np.max(values)) if len(values) else 0.0


def _known(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None


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
