"""What the page shows of one workload, apart from all others: it is made once, and put on any page with any others.

A piece is plain data. `mora serve` makes pieces in the process that computes, keeps them as JSON, and puts those of a
cluster or a namespace on a page when it is asked for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from mora.domain import Advice, ContainerAdvice, Recommendation
from mora.outputs.changes import changes, has_change
from mora.outputs.details import details
from mora.outputs.figures import amount, change, has_goal
from mora.outputs.many import Row, rows_of
from mora.outputs.order import grows, is_starved, place_by_need, was_killed
from mora.outputs.tally import Tally, tally_of
from mora.outputs.wording import container_name
from mora.pages.tables import Cell
from mora.savings import Prices, Savings, savings

# What a container needs, the most urgent first: the class of page.css, and the words of the table and the filter.
STATES = {
    "killed": "OOM-killed",
    "lacking": "limit-bound",
    "more": "needs more",
    "less": "requests too much",
    "right": "right-sized",
    "unknown": "no number",
}


@dataclass(frozen=True, slots=True)
class Amount:
    """What is set now and what should be; then: empty where there is nothing to change. goal: after all steps."""

    now: str
    then: str
    goal: str
    value: int | None


@dataclass(frozen=True, slots=True)
class Line:
    """A row of the table.

    place: of its workload among the details. namespace: behind its cluster, where there are several. find: what a
    search looks in, in lower case. The page that it is on fills in these three.
    """

    name: str
    kind: str
    container: str
    state: str
    words: str
    replicas: Amount | None
    cpu: Amount
    cpu_change: Cell
    memory: Amount
    memory_change: Cell
    confidence: Cell
    money: Cell | None
    place: int = 0
    namespace: str = ""
    find: str = ""


def _line(row: Row, prices: Prices) -> Line:
    recommendation, container = row.recommendation, row.container
    workload = recommendation.workload
    state = state_of(recommendation, container)
    name = container_name(recommendation, container)
    replicas = recommendation.replicas
    return Line(
        name=workload.name,
        kind=workload.kind,
        container=name,
        state=state,
        words=STATES[state],
        replicas=_amount("replicas", replicas) if container.is_main else None,
        cpu=_amount("cpu request", container.cpu_request),
        cpu_change=_change(container.cpu_request),
        memory=_amount("memory request", container.memory_request),
        memory_change=_change(container.memory_request),
        confidence=_confidence(container),
        money=money_cell(savings([recommendation], prices)) if container.is_main else None,
    )


def state_of(recommendation: Recommendation, container: ContainerAdvice) -> str:
    """The most urgent of STATES that is true of a container; replicas count for the main one."""
    numbers = [container.cpu_request, container.memory_request]
    if container.is_main and recommendation.replicas.value is not None:
        numbers.append(recommendation.replicas)
    if was_killed(container):
        return "killed"
    if is_starved(container):
        return "lacking"
    if any(map(grows, numbers)) or any(one.now is None and one.value is not None for one in numbers):
        return "more"
    if any(map(changes, numbers)):
        return "less"
    return "unknown" if all(one.value is None for one in numbers) else "right"


def _amount(name: str, advice: Advice) -> Amount:
    then = "" if advice.value is None or advice.value == advice.now else amount(name, advice.value)
    goal = amount(name, advice.at_goal.value) if has_goal(advice) else ""
    return Amount(amount(name, advice.now), then, goal, advice.now)


def _change(advice: Advice) -> Cell:
    if advice.value is None or advice.value == advice.now or advice.change is None:
        return Cell("", None)
    return Cell(change(advice), round(advice.change, 4), "less" if advice.change < 0 else "more")


def _confidence(container: ContainerAdvice) -> Cell:
    """The lower confidence of the two requests: a row is as sure as its weaker number."""
    found = [one.confidence for one in (container.cpu_request, container.memory_request) if one.value is not None]
    known = [one for one in found if one is not None]
    if not known or len(known) < len(found):
        return Cell("unknown" if found else "")
    return Cell(f"{round(min(known) * 100)} %", round(min(known), 4))


def money_cell(freed: Savings) -> Cell:
    """What is freed in money, coloured by its sign."""
    money = freed.money_per_month or 0.0
    return Cell(f"{money:,.2f}", money, "less" if money > 0 else "more" if money < 0 else "")


@dataclass(frozen=True, slots=True)
class Piece:
    """One workload. until: where its data ends (unix seconds). need: its place in the order of need.

    step, goal: what it frees, at the prices of the page. details: what its dialog shows (details.py).
    """

    cluster: str
    namespace: str
    kind: str
    until: float
    need: tuple[float, ...]
    is_to_change: bool
    is_lacking: bool
    tally: Tally
    step: Savings
    goal: Savings
    lines: tuple[Line, ...]
    details: Mapping[str, Any]


def piece_of(recommendation: Recommendation, prices: Prices) -> Piece:
    """What the page shows of one recommendation."""
    return Piece(
        cluster=recommendation.cluster,
        namespace=recommendation.workload.namespace,
        kind=recommendation.workload.kind,
        until=recommendation.as_of.timestamp(),
        need=place_by_need(recommendation, prices),
        is_to_change=has_change(recommendation),
        is_lacking=any(map(is_starved, recommendation.containers)),
        tally=tally_of([recommendation]),
        step=savings([recommendation], prices),
        goal=savings([recommendation.at_goal], prices),
        lines=tuple(_line(row, prices) for row in rows_of([recommendation])),
        details=details(recommendation),
    )


def piece_document(piece: Piece) -> dict[str, Any]:
    """A piece as JSON has it."""
    return asdict(piece)


def read_piece(found: Mapping[str, Any], prices: Prices) -> Piece:
    """A piece from its JSON; KeyError, TypeError or ValueError where it is none."""
    return Piece(
        **{
            **found,
            "need": tuple(found["need"]),
            "tally": Tally(**found["tally"]),
            "step": Savings(**{**found["step"], "prices": prices}),
            "goal": Savings(**{**found["goal"], "prices": prices}),
            "lines": tuple(_read_line(line) for line in found["lines"]),
        }
    )


def _read_line(found: Mapping[str, Any]) -> Line:
    cells = ("cpu_change", "memory_change", "confidence", "money")
    amounts = ("replicas", "cpu", "memory")
    return Line(
        **{
            **found,
            **{name: None if found[name] is None else Cell(**found[name]) for name in cells},
            **{name: None if found[name] is None else Amount(**found[name]) for name in amounts},
        }
    )


def by_need(pieces: Sequence[Piece]) -> list[Piece]:
    """The pieces in the order of need; equal ones by name."""
    return sorted(pieces, key=lambda one: (one.need, one.cluster, one.details["id"]))
