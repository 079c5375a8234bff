"""From a trained service to a Demand: the numbers, each with its arithmetic as text.

Pure and quick: numpy over a handful of runs. Numbers are cut to six digits, since exp and tanh may differ in their last
bits between machines and advice must not.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from mora.domain import Demand, Load, Question, Reason, Slo, Target, TargetDemand, Workload
from mora.errors import BadInput, NotEnoughData
from mora.features import WINDOW_STEPS, segments, six_digits
from mora.fusion import BOUND_LEVEL, NAIVE
from mora.model.calibration import Calibration
from mora.model.cells import SIZED, cell_of, memory_peak, nearest_runs, runs_up_to
from mora.model.learners import TITLES, Fitted
from mora.model.parts import Outlook, Parts, outlooks_of, window_readers
from mora.quantities import format_duration, readable_bytes, readable_cores
from mora.response import LoadResponse

if TYPE_CHECKING:
    import pandas as pd

# What validation runs were judged at in training: the default of LoadResponse.choose_replicas().
TESTED_UTILISATION = 0.7


def readable(target: Target, use: float) -> str:
    """Use for a person.

    >>> readable(Target.CPU, 0.2314), readable(Target.MEMORY, 2**28)
    ('231m', '256 MiB')
    """
    return readable_cores(use) if target is Target.CPU else readable_bytes(use)


@dataclass(frozen=True, slots=True)
class DrivenAnswer:
    """Answers from load experiments: the load first, then the replicas, then the pod at that count."""

    workload: Workload
    card: Mapping[str, Any]
    forecasters: Fitted
    response: LoadResponse
    calibrations: Mapping[str, Mapping[str, Calibration]]

    def demand(self, recent: pd.DataFrame, question: Question, *, current_replicas: int | None = None) -> Demand:
        """The numbers for the load that is asked for. current_replicas: those that run now."""
        users, scenario, replicas = question.users, question.scenario, question.replicas
        if users is not None and users < 1:
            raise BadInput(f"A load needs at least 1 user, not {users}.", hint="For example: --users 50.")
        if users is not None and question.requests_per_second is not None:
            raise BadInput("A load is in users, or in requests per second; not both.")
        if replicas is not None and replicas < 1:
            raise BadInput(f"A pod is sized at 1 replica or more, not {replicas}.")
        if scenario is not None and scenario not in self.response.scenarios:
            known = ", ".join(self.response.scenarios)
            raise BadInput(
                f"No run of {self.workload.name!r} drove the scenario {scenario!r}.", hint=f"Driven: {known}."
            )
        if question.requests_per_second is None:
            loads, reasons = self._loads(users, scenario, question.slo)
        else:
            loads, reasons = self._loads_at(question.requests_per_second, scenario, question.slo)
        # At one user a pod only the load itself can be refused, not how it is spread.
        refusals = [why for load in loads for why in self._refusals(load)]
        if refusals:
            return self._without_numbers((*reasons, *refusals))
        count, replica_demand, why = self._replicas(loads, question, current_replicas)
        reasons += why
        nearest = {
            (target, load): nearest_runs(self.response, target, load, count, windowed=self.card["windowed"])
            for target in SIZED
            for load in loads
        }
        names = {run.experiment_id for runs in nearest.values() for run in runs}
        outlooks, missing = _look(recent, names, window_readers(self.forecasters, self.response))
        reasons += missing
        sized = {target: largest([self._pod(target, load, count, outlooks) for load in loads]) for target in SIZED}
        runs = {run.experiment_id: run for load in loads for run in runs_up_to(self.response, load, count)}
        killed = [run for run in runs.values() if run.oom_kills]
        # The load that asks for the most CPU is the one that the answer is for.
        cpu, ruling_load, _ = sized[Target.CPU]
        ruling = loads[ruling_load or 0]
        startups = [self.card["runs"][name] for name in sorted(runs) if name in self.card["runs"]]
        return Demand(
            workload=self.workload,
            load=ruling,
            as_of=datetime.fromisoformat(self.card["last_sample"]),
            cpu=cpu,
            memory=sized[Target.MEMORY][0],
            replicas=replica_demand,
            startup_cpu_cores=_largest_known([startup["cpu_cores"] for startup in startups]),
            startup_memory_bytes=_largest_known([startup["mem_bytes"] for startup in startups]),
            oom_kills=sum(run.oom_kills for run in killed),
            oom_peak_bytes=max((max(r.memory_peak_bytes, r.memory_limit_bytes or 0.0) for r in killed), default=None),
            reasons=(*reasons, *sized[Target.CPU][2], *sized[Target.MEMORY][2]),
        )

    def _loads_at(self, rate: float, scenario: str | None, slo: Slo) -> tuple[list[Load], list[Reason]]:
        """The loads in users that send so many requests per second, one a scenario; and how they were found."""
        loads, reasons = [], []
        for name in (scenario,) if scenario is not None else self.response.scenarios:
            found = self.response.requests_of_a_user(name, slo)
            if found is None:
                raise NotEnoughData(
                    f"The runs of {name} have no requests per second, so {rate:g} of them are no number of users.",
                    hint=f"Train again (mora train {self.workload.name}); or ask with --users.",
                )
            load = Load(name, max(1, math.ceil(round(rate / found, 6))))
            loads.append(load)
            text = (
                f"{rate:g} requests/s of {name} are those of {load.users} users, who sent {found:.3g} requests/s each"
            )
            reasons.append(Reason("rate-as-users", text))
        return loads, reasons

    def _loads(self, users: int | None, scenario: str | None, slo: Slo) -> tuple[list[Load], list[Reason]]:
        """The loads to size for, one a scenario; and why these."""
        scenarios = (scenario,) if scenario is not None else self.response.scenarios
        if users is not None:
            return [Load(name, users) for name in scenarios], []
        kept = {name: self.response.highest_load_within(slo, name) for name in scenarios}
        loads = [load for load in kept.values() if load is not None]
        objective = _objective(slo)
        if loads:
            words = ", ".join(f"{load.users} users of {load.scenario}" for load in loads)
            text = f"sized for the highest load that kept {objective}: {words}"
            left_out = [name for name, load in kept.items() if load is None]
            if left_out:
                text += f"; not for {', '.join(left_out)}, of which no driven load kept it"
            return loads, [Reason("highest-load-within-slo", text)]
        # No load kept the SLO, or no run has a load test: the lowest load is the nearest to keeping it.
        lowest = [Load(name, min(run.users for run in self.response.runs_of(name))) for name in scenarios]
        if all(run.latency_p95_seconds is None for run in self.response.runs):
            highest = [Load(name, max(run.users for run in self.response.runs_of(name))) for name in scenarios]
            words = ", ".join(f"{load.users} users of {load.scenario}" for load in highest)
            return highest, [
                Reason("no-load-test", f"no run has response times: sized for the highest load driven: {words}")
            ]
        words = ", ".join(f"{load.users} users of {load.scenario}" for load in lowest)
        return lowest, [
            Reason("no-load-kept-slo", f"no driven load kept {objective}: sized for the lowest one driven: {words}")
        ]

    def _replicas(
        self, loads: list[Load], question: Question, current: int | None
    ) -> tuple[int, TargetDemand | None, list[Reason]]:
        """How many replicas, as a target and as the count that the pod is sized at.

        Where no count is known to keep the SLO, the current one stays, so the pod is sized for it: at a higher count
        it would be too small.
        """
        asked, slo, utilisation = question.replicas, question.slo, question.target_utilisation
        if asked is not None:
            return asked, None, [Reason("replicas-asked", f"the pod is sized at the {asked} replicas asked for")]
        choices = [
            self.response.choose_replicas(
                load,
                slo,
                min_replicas=question.min_replicas,
                target_utilisation=utilisation,
                max_replicas=question.max_replicas,
            )
            for load in loads
        ]
        why = tuple(reason for choice in choices for reason in choice.reasons)
        counts = [choice.replicas for choice in choices if choice.replicas is not None]
        if len(counts) == len(choices):
            return max(counts), self._replica_demand(loads, max(counts), slo, utilisation, why), []
        if current:
            text = f"no replica count is known to keep the SLO: the pod is sized at the current count ({current})"
            return current, None, [*why, Reason("sized-at-current-replicas", text)]
        count = min(run.replicas for load in loads for run in self.response.runs_of(load.scenario))
        text = f"no replica count is known to keep the SLO: the pod is sized at the fewest that were driven ({count})"
        return count, None, [*why, Reason("sized-at-fewest-replicas", text)]

    def _replica_demand(
        self, loads: list[Load], count: int, slo: Slo, target_utilisation: float, why: tuple[Reason, ...]
    ) -> TargetDemand:
        """A count that keeps the SLO, with the confidence of such counts at driven loads, or at those never driven."""
        cells = {cell_of(run) for run in self.response.runs}
        is_driven = all((load.scenario, count, load.users) in cells for load in loads)
        calibration = self.calibrations["driven" if is_driven else "undriven"][Target.REPLICAS.value]
        tested = self.card["settings"]["slo_p95_seconds"], self.card["settings"]["slo_error_ratio"]
        if tested != (slo.p95_seconds, slo.error_ratio):
            text = f"the confidence is that of {_objective(Slo(*tested))}: that SLO was tested in training"
            why = (*why, Reason("confidence-in-other-slo", text))
        if target_utilisation > TESTED_UTILISATION:
            text = (
                f"the confidence is that of counts with a target utilisation of {TESTED_UTILISATION:.0%}, not of "
                f"{target_utilisation:.0%}"
            )
            why = (*why, Reason("confidence-in-other-utilisation", text))
        return TargetDemand(
            point_forecast=float(count),
            bound=float(count),
            peak=float(count),
            confidence=calibration.confidence,
            windows=calibration.windows,
            reasons=why,
        )

    def _pod(
        self, target: Target, load: Load, replicas: int, outlooks: Mapping[str, Outlook]
    ) -> tuple[TargetDemand | None, tuple[Reason, ...]]:
        """One target at one cell; None with the reason where no number is known."""
        point = self.response.use(target, load, replicas)
        if point.value is None or point.upper is None:
            return None, point.reasons
        is_driven_cell = any(cell_of(run) == (load.scenario, replicas, load.users) for run in self.response.runs)
        calibration = self.calibrations["driven" if is_driven_cell else "undriven"][target.value]
        parts = Parts(self.forecasters, self.response, outlooks).levels(target, load, replicas)
        point_forecast = calibration.point_forecast(parts)
        bound = max(point_forecast * calibration.multiplier, point.upper, point_forecast)
        own = runs_up_to(self.response, load, replicas)
        peak = (
            memory_peak(self.response, load, replicas) if target is Target.MEMORY else max(r.cpu_p95_cores for r in own)
        )
        counted = f"{replicas} replica{'' if replicas == 1 else 's'}"
        reasons = (
            point_forecast_reason(
                target, point_forecast, parts, calibration, f"{load.users} users of {load.scenario} on {counted}"
            ),
            _bound_reason(target, point_forecast, bound, point.upper, calibration),
            *calibration.reasons,
            *point.reasons,
        )
        return (
            TargetDemand(
                point_forecast=six_digits(point_forecast),
                bound=max(six_digits(bound), six_digits(point_forecast)),
                peak=six_digits(peak),
                peak_label="peak of the runs",
                confidence=calibration.confidence,
                windows=calibration.windows,
                is_limit_bound=point.is_at_least,
                reasons=reasons,
            ),
            (),
        )

    def _refusals(self, load: Load) -> tuple[Reason, ...]:
        point = self.response.use(Target.CPU, load, load.users)
        return point.reasons if point.value is None else ()

    def _without_numbers(self, reasons: tuple[Reason, ...]) -> Demand:
        as_of = datetime.fromisoformat(self.card["last_sample"])
        return Demand(self.workload, None, as_of, None, None, None, reasons=reasons)


def largest(
    answers: list[tuple[TargetDemand | None, tuple[Reason, ...]]],
) -> tuple[TargetDemand | None, int | None, tuple[Reason, ...]]:
    """The most that any scenario needs, figure by figure; nothing where one of them has no number."""
    missing = tuple(reason for found, why in answers if found is None for reason in why)
    demands = [found for found, _ in answers if found is not None]
    if missing or not demands:
        return None, None, missing
    ruling = max(range(len(demands)), key=lambda index: demands[index].bound)
    most = demands[ruling]
    busiest = max(demands, key=lambda d: d.point_forecast)
    point_forecast, bound = busiest.point_forecast, most.bound
    # What another scenario adds has its reason, too: the larger mean use, and that its runs were limit-bound.
    added = [r for r in busiest.reasons if r.code == "point-forecast" and point_forecast > most.point_forecast]
    added += [reason for d in demands for reason in d.reasons if reason.code == "limit-bound" and d.is_limit_bound]
    return (
        TargetDemand(
            point_forecast=point_forecast,
            bound=max(bound, point_forecast),
            peak=max(d.peak for d in demands),
            confidence=min(d.confidence for d in demands),
            windows=min(d.windows for d in demands),
            is_limit_bound=any(d.is_limit_bound for d in demands),
            reasons=tuple(dict.fromkeys((*most.reasons, *added))),
        ),
        ruling,
        (),
    )


def _objective(slo: Slo) -> str:
    return f"p95 {format_duration(slo.p95_seconds)} and {slo.error_ratio:.2%} errors"


def _look(recent: pd.DataFrame, names: set[str], readers: Fitted) -> tuple[dict[str, Outlook], list[Reason]]:
    """What is expected after the last window of each named experiment; and what is missing, and why."""
    pieces, reasons = [], []
    positions = recent.groupby("experiment_id", sort=False).indices
    for name in sorted(names):
        rows = recent.iloc[positions.get(name, [])]
        long = [piece for piece in segments(rows) if len(piece) >= WINDOW_STEPS] if len(rows) > 1 else []
        if long:
            pieces.append(max(long, key=len))
        else:
            text = f"the data has no {WINDOW_STEPS} samples of {name}: what follows its last window is not known"
            reasons.append(Reason("window-missing", text))
    found: dict[str, dict[str, Mapping[Target, float]]] = {piece.name: {} for piece in pieces}
    for name, forecaster in readers.items():
        try:
            for piece, outlook in outlooks_of(pieces, {name: forecaster}).items():
                found[piece].update(outlook)
        except NotEnoughData as failure:
            reasons.append(Reason(f"{name}-without-inputs", failure.message))
    return dict(found), reasons


def _largest_known(values: list[float | None]) -> float | None:
    return max((six_digits(value) for value in values if value is not None), default=None)


def point_forecast_reason(
    target: Target, point_forecast: float, parts: Mapping[str, float], calibration: Calibration, where: str
) -> Reason:
    """The point forecast as the sum of its weighted terms. where: what it is of, as the beginning of the reason."""
    counting = [name for name, share in calibration.shares.items() if share > 0 and name in parts] or [NAIVE]
    total = sum(calibration.shares.get(name, 0.0) for name in counting) or 1.0
    terms = " + ".join(
        f"{calibration.shares.get(name, 1.0) / total:.2g} x {TITLES.get(name, name)} {readable(target, parts[name])}"
        for name in counting
    )
    return Reason("point-forecast", f"{where}: {readable(target, point_forecast)} mean use = {terms}")


def _bound_reason(
    target: Target, point_forecast: float, bound: float, upper: float | None, calibration: Calibration
) -> Reason:
    """Which of the figures sets the bound, and what the multiplier rests on."""
    rests_on = (
        f"{calibration.multiplier_windows} validation windows and other services"
        if calibration.is_prior
        else f"{BOUND_LEVEL:.0%} of {calibration.multiplier_windows} validation windows need no more (split conformal)"
    )
    text = f"bound {readable(target, bound)}: {calibration.multiplier:.3g} x mean use = "
    text += f"{readable(target, point_forecast * calibration.multiplier)}, {rests_on}"
    if upper is not None and upper > point_forecast * calibration.multiplier:
        text += f"; raised to what the runs at this load used, {readable(target, upper)}"
    return Reason("bound", text)
