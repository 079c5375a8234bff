"""What the answer hangs on: the constraint that binds, the cores that are missing, and what the SLO costs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from mora.domain import Slo
from mora.optimize.problem import NoChoice
from mora.optimize.solve import Learned, LoadClass, Solution, Terms, solve

_RELAXED = 1.1
_A_TENTH = "a tenth more of it"
_FACTORS = (2 / 3, 1.0, 5 / 3)
_LEAST_CHANGE = 1e-4
_AT_ITS_LAST = 0.95


@dataclass(frozen=True, slots=True)
class Price:
    """The cores that an SLO takes: factor x every class's p95. millicores: None where nothing keeps it."""

    factor: float
    millicores: int | None


@dataclass(frozen=True, slots=True)
class Sensitivity:
    """What the answer hangs on.

    binding: the constraint whose relaxation frees most; None where none does. relaxed: how it was relaxed, as the
    subject of a sentence. freed_millicores: what that frees; serves_more: that it lets more users be served.
    lacking_millicores: what the whole load would take beyond the cap; None where nothing is lacking, or more cores
    alone do not help. prices: at two thirds of the SLO, at it, at five thirds.
    """

    binding: str | None
    relaxed: str
    freed_millicores: int
    serves_more: bool
    lacking_millicores: int | None
    prices: tuple[Price, ...]


def sensitivity(learned: Learned, classes: Sequence[LoadClass], terms: Terms, solution: Solution) -> Sensitivity:
    """Solve again with each constraint relaxed in turn, without the cap, and at other SLOs."""
    binding = _binding(learned, classes, terms, solution)
    lacking: int | None = None
    if not solution.is_whole and terms.millicores is not None:
        free = _try(learned, classes, replace(terms, millicores=None, nodes=()))
        if free is not None and free.is_whole:
            lacking = max(free.millicores - terms.millicores, 0)
    roomy = replace(terms, millicores=None, memory_bytes=None, pods=None, nodes=())
    prices = []
    for factor in _FACTORS:
        answer = _try(learned, [with_p95(one, factor) for one in classes], roomy)
        prices.append(Price(factor, answer.millicores if answer is not None and answer.is_whole else None))
    return Sensitivity(*binding, lacking, tuple(prices))


def with_p95(one: LoadClass, factor: float) -> LoadClass:
    """The class with its p95 objective times a factor."""
    return replace(one, slo=Slo(one.slo.p95_seconds * factor, one.slo.error_ratio))


def _try(learned: Learned, classes: Sequence[LoadClass], terms: Terms) -> Solution | None:
    try:
        return solve(learned, classes, terms)
    except NoChoice:
        return None


def _binding(
    learned: Learned, classes: Sequence[LoadClass], terms: Terms, solution: Solution
) -> tuple[str | None, str, int, bool]:
    """The constraint that binds most, how it was relaxed, the millicores that frees, whether it serves more users."""
    tried: list[tuple[str, str, Sequence[LoadClass], Terms]] = []
    for number, one in enumerate(classes):
        if not solution.shares[number]:
            continue
        slower = [with_p95(other, _RELAXED) if other is one else other for other in classes]
        tried.append((f"p95 of {one.scenario} <= {one.slo.p95_seconds * 1000:.0f} ms", _A_TENTH, slower, terms))
        more = [
            replace(other, slo=Slo(other.slo.p95_seconds, other.slo.error_ratio * _RELAXED)) if other is one else other
            for other in classes
        ]
        tried.append((f"errors of {one.scenario} <= {one.slo.error_ratio:.3g}", _A_TENTH, more, terms))
    fuller = replace(terms, most_utilisation=min(terms.most_utilisation * _RELAXED, 1.0))
    tried.append(
        (
            f"utilisation <= {terms.most_utilisation:.0%} of what is reserved",
            f"{fuller.most_utilisation:.0%} of it",
            classes,
            fuller,
        )
    )
    if terms.min_replicas > 1:
        fewer = replace(terms, min_replicas=terms.min_replicas - 1)
        tried.append((f"at least {terms.min_replicas} replicas", "one fewer", classes, fewer))
    if terms.millicores is not None or terms.memory_bytes is not None:
        wider = replace(
            terms,
            millicores=None if terms.millicores is None else int(terms.millicores * _RELAXED),
            memory_bytes=None if terms.memory_bytes is None else int(terms.memory_bytes * _RELAXED),
        )
        tried.append((terms.cap_name, _A_TENTH, classes, wider))
    if terms.nodes:
        tried.append(("pods fit on the nodes", "leaving that out", classes, replace(terms, nodes=())))
    if terms.pods is not None:
        tried.append((f"at most {terms.pods} pods (quota)", "one more", classes, replace(terms, pods=terms.pods + 1)))
    best: tuple[tuple[float, ...], float, str, str, int, bool] | None = None
    for name, relaxed, with_classes, with_terms in tried:
        answer = _try(learned, with_classes, with_terms)
        if answer is None:
            continue
        freed = solution.cost - answer.cost
        serves_more = answer.shares > solution.shares
        if not serves_more and (answer.shares != solution.shares or freed < _LEAST_CHANGE * solution.cost):
            continue
        gain = (answer.shares, freed)
        if best is None or gain > (best[0], best[1]):
            best = *gain, name, relaxed, 0 if serves_more else solution.millicores - answer.millicores, serves_more
    if best is not None:
        return best[2:]
    return _not_measured(learned, solution), "", 0, False


def _not_measured(learned: Learned, solution: Solution) -> str | None:
    """The services that nothing was measured of beyond where they are now; None where there are none."""
    last = {
        curves.service: max((curve.utilisation[-1] for curve in curves.delay.values()), default=0.0)
        for curves in learned.services
    }
    names = [one.service for one in solution.chosen if one.utilisation >= last[one.service] * _AT_ITS_LAST]
    return f"nothing is known of {', '.join(names)} beyond the use that was measured" if names else None
