"""How many workloads change, stay, or have no recommendation: numbers that parts of a fleet add up to, then words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mora.domain import Recommendation
from mora.outputs.changes import has_change, is_due, numbers
from mora.outputs.many import is_skipped
from mora.outputs.order import is_starved
from mora.quantities import counted


@dataclass(frozen=True, slots=True)
class Tally:
    """How many workloads there are, and of them: to change by a patch, Jobs to create again, to change by hand, without
    a number, lacking memory or CPU. skipped: how many sidecars and init containers are."""

    workloads: int
    due: int
    jobs: int
    others: int
    unknown: int
    starved: int
    skipped: int


def tally_of(recommendations: Sequence[Recommendation]) -> Tally:
    """Count some recommendations."""
    due = sum(map(is_due, recommendations))
    jobs = sum(has_change(r) and r.workload.kind == "Job" for r in recommendations)
    return Tally(
        workloads=len(recommendations),
        due=due,
        jobs=jobs,
        others=sum(has_change(r) and not is_due(r) for r in recommendations) - jobs,
        unknown=sum(all(a.value is None for _, a in numbers(r)) and not has_change(r) for r in recommendations),
        starved=sum(any(map(is_starved, r.containers)) for r in recommendations),
        skipped=sum(is_skipped(other) for r in recommendations for other in r.others),
    )


def tally_words(tally: Tally) -> str:
    """How many workloads change, stay, or have no recommendation."""
    right = tally.workloads - tally.due - tally.jobs - tally.others - tally.unknown
    text = f"{counted(tally.workloads, 'workload')}: {tally.due} to change, {right} already right-sized"
    text += f", {counted(tally.jobs, 'Job')} to create again" if tally.jobs else ""
    text += f", {tally.others} to change by hand (no patch is written for their kind)" if tally.others else ""
    text += f", {tally.unknown} without a recommendation."
    starved = tally.starved
    text += f" {starved} of all lack{'s' if starved == 1 else ''} memory or CPU now." if starved else ""
    return f"{text} {counted(tally.skipped, 'sidecar or init container')} skipped." if tally.skipped else text


def counts(recommendations: Sequence[Recommendation]) -> str:
    """How many workloads change, stay, or have no recommendation."""
    return tally_words(tally_of(recommendations))
