"""The page of a fleet: totals, a table that is sorted, filtered and searched, and a workload's history and patch.

One file for a browser, offline: `mora recommend -A -o html > report.html`. `page` is the same with further sections,
for who serves it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, dataclass, replace
from typing import TYPE_CHECKING, Any

from mora.domain import Recommendation
from mora.outputs import DEFAULTS, OutputSettings
from mora.outputs.order import ordered
from mora.outputs.pieces import STATES, Line, Piece, money_cell, piece_of
from mora.outputs.tally import Tally, tally_words
from mora.outputs.wording import clean
from mora.pages.tables import Cell, Table
from mora.quantities import counted, format_moment
from mora.savings import Prices, Savings, not_counted, summed

if TYPE_CHECKING:
    from markupsafe import Markup

TITLE = "MOrA recommendations"


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
    shown, prices = ordered(recommendations, settings.sort, settings.prices), settings.prices or Prices()
    pieces = [piece_of(one, prices) for one in shown]
    return page_of(pieces, settings.prices, title=title, lead=lead, sections=sections)


def page_of(
    pieces: Sequence[Piece],
    given: Prices | None,
    *,
    title: str = TITLE,
    lead: Sequence[str] = (),
    sections: Sequence[Markup] = (),
    template: str = "recommendations.html",
    **context: Any,
) -> str:
    """The page of some pieces in their order, made at the prices that were given, or else at OpenCost's.

    template: one that extends recommendations.html. context: what it needs in addition.
    """
    from mora.pages.page import render as render_page

    prices = given or Prices()
    has_clusters = len({piece.cluster for piece in pieces}) > 1
    spaces = {id(piece): _space(piece, has_clusters=has_clusters) for piece in pieces}
    sums = _of_namespaces([(spaces[id(piece)], piece) for piece in pieces], prices)
    return render_page(
        template,
        title=title,
        scripts=("recommendations.js",),
        lead=(*lead, _lead(pieces, sums)),
        tiles=_tiles(pieces, prices) if pieces else (),
        price_note=_price_note(prices, is_given=given is not None),
        not_counted=not_counted(summed([piece.step for piece in pieces], prices)),
        sections=sections,
        namespaces=_namespace_table(sums, prices) if len(sums) > 1 else None,
        names=sorted(one.name for one in sums),
        kinds=sorted({piece.kind for piece in pieces}),
        states=list(STATES.items()),
        currency=prices.currency,
        rows=[_placed(line, place, spaces[id(piece)]) for place, piece in enumerate(pieces) for line in piece.lines],
        details=[piece.details for piece in pieces],
        **context,
    )


def _space(piece: Piece, *, has_clusters: bool) -> str:
    """The namespace, behind its cluster where there are several: prod/shop."""
    return f"{clean(piece.cluster)}/{piece.namespace}" if has_clusters else piece.namespace


def _placed(line: Line, place: int, space: str) -> Line:
    find = f"{space}/{line.name} {line.container} {line.kind} {line.words}".lower()
    return replace(line, place=place, namespace=space, find=find)


@dataclass(frozen=True, slots=True)
class _Sum:
    """What the workloads of a namespace add up to."""

    name: str
    pieces: Sequence[Piece]
    step: Savings
    goal: Savings


def _of_namespaces(pieces: Sequence[tuple[str, Piece]], prices: Prices) -> list[_Sum]:
    """Each namespace, the one that frees most first."""
    found: dict[str, list[Piece]] = {}
    for space, piece in pieces:
        found.setdefault(space, []).append(piece)
    sums = [
        _Sum(name, those, summed([one.step for one in those], prices), summed([one.goal for one in those], prices))
        for name, those in found.items()
    ]
    return sorted(sums, key=lambda one: (-(one.goal.money_per_month or 0), one.name))


# --- above the table -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Tile:
    """A total: what it is, its figure, of what, and the share of it in percent, where there is one."""

    name: str
    figure: str
    of: str
    percent: int | None = None


def _lead(pieces: Sequence[Piece], spaces: Sequence[_Sum]) -> str:
    if not pieces:
        return "There is no workload to show."
    until = format_moment(max(one.until for one in pieces))
    where = f"namespace {spaces[0].name}" if len(spaces) == 1 else f"{len(spaces)} namespaces"
    return f"{counted(len(pieces), 'workload')} of {where}, from data until {until}."


def _tiles(pieces: Sequence[Piece], prices: Prices) -> list[Tile]:
    step, goal = summed([one.step for one in pieces], prices), summed([one.goal for one in pieces], prices)
    tally = Tally(*(sum(each) for each in zip(*(astuple(one.tally) for one in pieces), strict=True)))
    money, money_goal = step.money_per_month or 0.0, goal.money_per_month or 0.0
    return [
        _freed("CPU", step.cores, goal.cores, step.cores_now, "cores"),
        _freed("Memory", step.memory_gib, goal.memory_gib, step.memory_gib_now, "GiB"),
        Tile(
            "Money",
            f"{abs(money):,.0f} {prices.currency} a month {'less' if money >= 0 else 'more'}",
            _step_note(money, money_goal, f"{prices.currency} a month", "less").rstrip("; ")
            or "for what requests reserve",
        ),
        Tile("Workloads", f"{sum(one.is_to_change for one in pieces)} to change", tally_words(tally)),
    ]


def _freed(name: str, freed: float, goal: float, now: float, unit: str) -> Tile:
    verb = "freed" if freed >= 0 else "more"
    share = round(100 * freed / now) if now > 0 else None
    of = f"{_step_note(freed, goal, unit, 'freed')}of {_figure(now)} {unit} requested"
    return Tile(
        name,
        f"{_figure(abs(freed))} {unit} {verb}",
        of + (f" ({abs(share)} %)" if share is not None else ""),
        None if share is None else min(max(share, 0), 100),
    )


def _step_note(step: float, goal: float, unit: str, less: str) -> str:
    """That this is one of several steps, where it is; which way all of them go, where that is not the way of this."""
    if round(step, 2) == round(goal, 2):
        return ""
    turn = "" if (step >= 0) == (goal >= 0) else f" {less if goal >= 0 else 'more'}"
    return f"{_figure(abs(goal))} {unit}{turn} after all steps; "


def _price_note(prices: Prices, *, is_given: bool) -> str:
    at = f"{prices.cpu_per_core_hour:g} {prices.currency} per core-hour and {prices.memory_per_gib_hour:g} per GiB-hour"
    if is_given:
        return f"Money at {at}."
    return f"Money at OpenCost's default prices, {at}. Yours: --cpu-price and --memory-price, or [prices] in mora.toml."


def _namespace_table(sums: Sequence[_Sum], prices: Prices) -> Table:
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
            *(
                Cell(str(count), count)
                for count in (
                    len(one.pieces),
                    sum(piece.is_to_change for piece in one.pieces),
                    sum(piece.is_lacking for piece in one.pieces),
                )
            ),
            *_pair(one.step.cores_now, one.step.cores),
            *_pair(one.step.memory_gib_now, one.step.memory_gib),
            money_cell(one.step),
        )
        for one in sums
    ]
    return Table("What each namespace requests and frees", head, rows)


def _pair(now: float, freed: float) -> tuple[Cell, Cell]:
    kind = "less" if freed > 0 else "more" if freed < 0 else ""
    return Cell(_figure(now), round(now, 6)), Cell(_figure(freed), round(freed, 6), kind)


def _figure(value: float) -> str:
    text = f"{value:,.2f}" if abs(value) < 100 else f"{value:,.0f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
