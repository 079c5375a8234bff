"""The proof: the answer is applied, its load driven, and what services add is corrected by what was measured.

Pods may take no more than they reserve (limit = request): what other pods leave idle is not counted on. At most two
corrections; the answer is the cheapest that kept every SLO when it was driven.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from mora.domain import Allocation, Workload
from mora.harness.drive import Moment, Site, Times, drive
from mora.optimize.journal import Measured
from mora.optimize.learn import only_main, resources_of
from mora.optimize.problem import NoChoice
from mora.optimize.readings import offer_of, read_driven
from mora.optimize.solve import Learned, LoadClass, Solution, Terms, solve
from mora.seams import Reporter

MOST_CORRECTIONS = 2
# Prediction and measurement this close are the same.
CLOSE = 0.20
_LEAST_FACTOR, _MOST_FACTOR = 0.3, 4.0
# What services add is less than this share of an SLO: then the baseline is what is off.
_HARDLY_ANYTHING = 0.1


@dataclass(frozen=True, slots=True)
class Proof:
    """One confirmation. kept: whether every class that is served kept its SLO, errors included.

    learned: what the solution was computed from, without what this confirmation corrects.
    """

    solution: Solution
    measured: Measured
    kept: bool
    learned: Learned

    @property
    def is_without_verdict(self) -> bool:
        """Whether an SLO broke while other work on the machines could have been why."""
        return not self.kept and bool(self.measured.contended)

    def error(self, number: int) -> float | None:
        """The predicted p95 of a class over the measured one, less 1; None where it was not driven."""
        one = self.solution.classes[number]
        measured = self.measured.p95_seconds.get(one.scenario)
        return None if not measured else self.solution.p95_seconds[number] / measured - 1.0


@dataclass(slots=True)
class Prover:
    """Confirms answers at a site. originals: how the services stood before the run."""

    site: Site
    scenario_files: Mapping[str, Path]
    originals: Mapping[Workload, Allocation]
    times: Times
    reporter: Reporter

    def run(self, learned: Learned, classes: Sequence[LoadClass], terms: Terms) -> list[Proof]:
        """Solve, drive, correct; every confirmation in order. Raises NoChoice."""
        proofs: list[Proof] = []
        for attempt in range(MOST_CORRECTIONS + 1):
            try:
                solution = solve(learned, classes, terms)
            except NoChoice:
                if not proofs:
                    raise
                break
            if any(proof.kept and _is_same(proof.solution, solution) for proof in proofs):
                break
            proof = self.confirm(solution, learned, attempt)
            proofs.append(proof)
            errors = [proof.error(number) for number in range(len(classes)) if solution.shares[number]]
            if proof.kept and all(error is not None and abs(error) <= CLOSE for error in errors):
                break
            if proof.is_without_verdict:
                break  # what was measured is not what the answer does
            learned = corrected(proof)
        return proofs

    def confirm(self, solution: Solution, learned: Learned, attempt: int = 0) -> Proof:
        """Apply an answer, drive its load, and say what came of it."""
        place = {workload.name: workload for workload in self.originals}
        self.reporter.advance("confirm", attempt, MOST_CORRECTIONS + 1, "applying")
        changed = []
        for chosen in solution.chosen:
            workload, option = place[chosen.service], chosen.option
            resources = resources_of(self.originals[workload], option.millicores, option.memory_bytes)
            self.site.cluster.apply(workload, only_main(self.originals[workload], resources, option.replicas))
            changed.append(workload)
        self.site.cluster.wait_ready(changed, self.site.ready_timeout)
        offers = [
            offer_of(one, self.scenario_files[one.scenario], users)
            for one, share in zip(solution.classes, solution.shares, strict=True)
            if (users := round(one.users * share))
        ]

        def watch(moment: Moment) -> bool:
            self.reporter.advance("confirm", attempt + 0.5, MOST_CORRECTIONS + 1, moment.note)
            return False

        measured = read_driven(drive(self.site, offers, self.times, watch=watch))
        if measured.contended and not keeps_slos(solution, measured):
            measured = read_driven(drive(self.site, offers, self.times, watch=watch))
        self.reporter.advance("confirm", attempt + 1, MOST_CORRECTIONS + 1, "measured")
        return Proof(solution, measured, keeps_slos(solution, measured), learned)


def keeps_slos(solution: Solution, measured: Measured) -> bool:
    """Whether every class that is served kept its SLO."""
    for one, share in zip(solution.classes, solution.shares, strict=True):
        p95, errors = measured.p95_seconds.get(one.scenario), measured.error_ratio.get(one.scenario)
        if round(one.users * share) and (
            p95 is None or errors is None or p95 > one.slo.p95_seconds or errors > one.slo.error_ratio
        ):
            return False
    return True


def best(proofs: Sequence[Proof]) -> Proof | None:
    """The cheapest confirmation that kept every SLO; None where none did."""
    return min((proof for proof in proofs if proof.kept), key=lambda proof: proof.solution.cost, default=None)


def corrected(proof: Proof) -> Learned:
    """What the solution was computed from, with what services add scaled by measured over predicted, class by class."""
    learned = proof.learned
    correction, baseline = dict(learned.correction), dict(learned.baseline_p95)
    for number, one in enumerate(proof.solution.classes):
        measured, base = proof.measured.p95_seconds.get(one.scenario), learned.baseline_p95[one.scenario]
        if measured is None or not proof.solution.shares[number]:
            continue
        predicted = proof.solution.p95_seconds[number] - base
        if predicted < _HARDLY_ANYTHING * one.slo.p95_seconds:
            baseline[one.scenario] = min(measured, one.slo.p95_seconds * 0.95)
            continue
        factor = min(max((measured - base) / predicted, _LEAST_FACTOR), _MOST_FACTOR)
        correction[one.scenario] = correction.get(one.scenario, 1.0) * factor
    return replace(learned, correction=correction, baseline_p95=baseline)


def _is_same(one: Solution, other: Solution) -> bool:
    return [(c.service, c.option.replicas, c.option.millicores) for c in one.chosen] == [
        (c.service, c.option.replicas, c.option.millicores) for c in other.chosen
    ] and one.shares == other.shares
