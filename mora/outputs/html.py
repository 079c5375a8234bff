"""The page of a fleet: totals, a table that is sorted, filtered and searched, and a workload's history and patch.

One file for a browser, offline: `mora recommend -A -o html > report.html`. `page` is the same with further sections,
for who serves it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mora.domain import Advice, ContainerAdvice, Recommendation
from mora.outputs import DEFAULTS, OutputSettings
from mora.outputs.changes import changes, has_change
from mora.outputs.details import details, key
from mora.outputs.figures import amount, change, has_goal
from mora.outputs.many import (
    NamespaceSum,
    Row,
    counts,
    has_several_clusters,
    namespace_of,
    of_namespaces,
    rows_of,
)
from mora.outputs.order import grows, is_starved, ordered, was_killed
from mora.outputs.wording import container_name
from mora.pages.tables import Cell, Table
from mora.quantities import counted, format_moment
from mora.savings import Prices, Savings, savings

if TYPE_CHECKING:
    from markupsafe import Markup

TITLE = "MOrA recommendations"
# What a container needs, the most urgent first: the class of page.css, and the words of the table and the filter.
STATES = {
    "killed": "OOM-killed",
    "lacking": "limit-bound",
    "more": "needs more",
    "less": "requests too much",
    "right": "right-sized",
    "unknown": "no number",
}


def render(recommendations: Sequence[Recommendation], settings: OutputSettings = DEFAULTS) -> str:
    """The whole page; every workload is in it, those without a number with the reason."""
    return page(recommendations, settings)


def page(
    recommendations: Sequence[Recommendation],
    settings: OutputSettings = DEFAULTS,
    *,
    title: str = TITLE,
    lead: Sequence[str] = (),
    sections: Sequence[Markup] = (),
) -> str:
    """The page. lead: sentences below the title. sections: made by mora.pages.page.section, put below the totals."""
    from mora.pages.page import render as render_page

    shown = ordered(recommendations, settings.sort, settings.prices)
    prices = settings.prices or Prices()
    summed, has_clusters = of_namespaces(shown, prices), has_several_clusters(shown)
    return render_page(
        "recommendations.html",
        title=title,
        scripts=("recommendations.js",),
        lead=(*lead, _lead(shown, summed)),
        tiles=_tiles(shown, prices) if shown else (),
        price_note=_price_note(prices, is_given=settings.prices is not None),
        sections=sections,
        namespaces=_namespace_table(summed, prices) if len(summed) > 1 else None,
        names=[one.name for one in sorted(summed, key=lambda one: one.name)],
        kinds=sorted({one.workload.kind for one in shown}),
        states=list(STATES.items()),
        currency=prices.currency,
        rows=[_line(row, number, prices, has_clusters) for row, number in _numbered(shown)],
        details=[details(one) for one in shown],
    )


def _numbered(recommendations: Sequence[Recommendation]) -> list[tuple[Row, int]]:
    """The rows of the table, each with the place of its workload."""
    return [(row, number) for number, one in enumerate(recommendations) for row in rows_of([one])]


# --- above the table -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Tile:
    """A total: what it is, its figure, of what, and the share of it in percent, where there is one."""

    name: str
    figure: str
    of: str
    percent: int | None = None


def _lead(recommendations: Sequence[Recommendation], summed: Sequence[NamespaceSum]) -> str:
    if not recommendations:
        return "There is no workload to show."
    until = format_moment(max(one.as_of for one in recommendations))
    where = f"namespace {summed[0].name}" if len(summed) == 1 else f"{len(summed)} namespaces"
    return f"{counted(len(recommendations), 'workload')} of {where}, from data until {until}."


def _tiles(recommendations: Sequence[Recommendation], prices: Prices) -> list[Tile]:
    step, goal = (savings(which, prices) for which in (recommendations, [one.at_goal for one in recommendations]))
    money, money_goal = step.money_per_month or 0.0, goal.money_per_month or 0.0
    return [
        _freed("CPU", step.cores, goal.cores, step.cores_now, "cores"),
        _freed("Memory", step.memory_gib, goal.memory_gib, step.memory_gib_now, "GiB"),
        Tile(
            "Money",
            f"{abs(money):,.0f} {prices.currency} a month {'less' if money >= 0 else 'more'}",
            _step_note(money, money_goal, f"{prices.currency} a month").rstrip("; ") or "for what requests reserve",
        ),
        Tile("Workloads", f"{sum(map(has_change, recommendations))} to change", counts(recommendations)),
    ]


def _freed(name: str, freed: float, goal: float, now: float, unit: str) -> Tile:
    verb = "freed" if freed >= 0 else "more"
    share = round(100 * freed / now) if now > 0 else None
    of = f"{_step_note(freed, goal, unit)}of {_figure(now)} {unit} requested"
    return Tile(
        name,
        f"{_figure(abs(freed))} {unit} {verb}",
        of + (f" ({share} %)" if share is not None else ""),
        None if share is None else min(max(share, 0), 100),
    )


def _step_note(step: float, goal: float, unit: str) -> str:
    """That this is one of several steps, where it is."""
    return "" if round(step, 2) == round(goal, 2) else f"{_figure(goal)} {unit} after all steps; "


def _price_note(prices: Prices, *, is_given: bool) -> str:
    at = f"{prices.cpu_per_core_hour:g} {prices.currency} per core-hour and {prices.memory_per_gib_hour:g} per GiB-hour"
    if is_given:
        return f"Money at {at}."
    return f"Money at OpenCost's default prices, {at}. Yours: --cpu-price and --memory-price, or [prices] in mora.toml."


def _namespace_table(summed: Sequence[NamespaceSum], prices: Prices) -> Table:
    head = (
        "Namespace",
        "Workloads",
        "To change",
        "Lacking",
        "Cores",
        "Cores freed",
        "GiB",
        "GiB freed",
        f"{prices.currency}/month",
    )
    rows = [
        (
            Cell(one.name),
            *(Cell(str(count), count) for count in (len(one.recommendations), one.to_change, one.lacking)),
            *_pair(one.step.cores_now, one.step.cores),
            *_pair(one.step.memory_gib_now, one.step.memory_gib),
            _money(one.step),
        )
        for one in summed
    ]
    return Table("What each namespace requests and frees", head, rows)


def _pair(now: float, freed: float) -> tuple[Cell, Cell]:
    kind = "less" if freed > 0 else "more" if freed < 0 else ""
    return Cell(_figure(now), round(now, 6)), Cell(_figure(freed), round(freed, 6), kind)


def _money(freed: Savings) -> Cell:
    money = freed.money_per_month or 0.0
    return Cell(f"{money:,.2f}", money, "less" if money > 0 else "more" if money < 0 else "")


def _figure(value: float) -> str:
    text = f"{value:,.2f}" if abs(value) < 100 else f"{value:,.0f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


# --- the table -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Amount:
    """What is set now and what should be; then: empty where there is nothing to change. goal: after all steps."""

    now: str
    then: str
    goal: str
    value: int | None


@dataclass(frozen=True, slots=True)
class Line:
    """A row of the table. place: of its workload among the details. find: what a search looks in, in lower case."""

    place: int
    key: str
    name: str
    namespace: str
    kind: str
    container: str
    state: str
    words: str
    find: str
    replicas: Amount | None
    cpu: Amount
    cpu_change: Cell
    memory: Amount
    memory_change: Cell
    confidence: Cell
    money: Cell | None


def _line(row: Row, place: int, prices: Prices, has_clusters: bool) -> Line:
    recommendation, container = row.recommendation, row.container
    workload = recommendation.workload
    state = state_of(recommendation, container)
    name = container_name(recommendation, container)
    replicas = recommendation.replicas
    namespace = namespace_of(recommendation, has_clusters=has_clusters)
    return Line(
        place=place,
        key=key(recommendation),
        name=workload.name,
        namespace=namespace,
        kind=workload.kind,
        container=name,
        state=state,
        words=STATES[state],
        find=f"{namespace}/{workload.name} {name} {workload.kind} {STATES[state]}".lower(),
        replicas=_amount("replicas", replicas) if container.is_main else None,
        cpu=_amount("cpu request", container.cpu_request),
        cpu_change=_change(container.cpu_request),
        memory=_amount("memory request", container.memory_request),
        memory_change=_change(container.memory_request),
        confidence=_confidence(container),
        money=_money(savings([recommendation], prices)) if container.is_main else None,
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
