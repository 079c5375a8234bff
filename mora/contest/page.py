"""A contest as one HTML page that works offline (mora/pages).

For each target and horizon: the table; how skilled each model is against what it costs; how an error and the cost of a
request go together; and, of a series, what was forecast beside what was used.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from mora.contest import text
from mora.contest.ranking import Ranked
from mora.contest.ranking import Table as Ranks
from mora.contest.scores import interval
from mora.contest.text import Comparison
from mora.domain import Target
from mora.fusion import NAIVE
from mora.pages.charts import PALETTE, Band, Chart, Colour, Line, Point, Unit, scatter
from mora.pages.page import render, section
from mora.pages.tables import Cell, Table, cell_of

_UNITS: dict[Target, Unit] = {Target.CPU: "cores", Target.MEMORY: "bytes"}
# Beside the naive forecast, so many of the best are drawn over the use.
_DRAWN = 3


def render_page(comparison: Comparison) -> str:
    """The complete page."""
    sections = []
    for table in comparison.tables:
        charts = [_skill(comparison, table), _requests(comparison, table)]
        drawn = _over_time(comparison, table)
        sections.append(
            section(
                text.title(table),
                text.verdict(table),
                [chart for chart in (*charts, drawn) if chart.lines],
                _table(text.title(table), text.HEADINGS, text.cells(table)),
            )
        )
    remarks = [f"{name} has no forecast: {why}" for name, why in comparison.failures().items()]
    return render(
        "plain.html",
        title="MOrA: models compared",
        lead=[text.lead(comparison)],
        sections=sections,
        foot=[" ".join(text.FOOT), *remarks, *comparison.skipped],
    )


def _skill(comparison: Comparison, table: Ranks) -> Chart:
    return scatter(
        f"{text.title(table)}: skill, and what it takes",
        _points(
            comparison, table, lambda row: (max(row.fit_seconds + row.ask_seconds, 1e-3), max(row.skill.value, -1.0))
        ),
        labels=("CPU seconds for each series", "skill (-1 at least)"),
        x_scale="log",
    )


def _requests(comparison: Comparison, table: Ranks) -> Chart:
    return scatter(
        f"{text.title(table)}: error, and the cost of a request around the forecast",
        _points(comparison, table, lambda row: (row.relative, row.cost)),
        labels=("MAE over the mean use", "cost of requests"),
        x_scale="log",
    )


def _points(comparison: Comparison, table: Ranks, figures: Callable[[Ranked], tuple[float, float]]) -> list[Point]:
    return [Point(row.entrant, *figures(row), _colour(comparison, row.entrant)) for row in table.rows]


def _over_time(comparison: Comparison, table: Ranks) -> Chart:
    """The use of the windows of the first series, and what the best models forecast of it."""
    contest = table.contests[0]
    windows = contest.windows
    best = [row.entrant for row in table.rows if row.entrant != NAIVE and math.isfinite(row.skill.value)][:_DRAWN]
    low, high = interval(windows, contest.answers[best[0]].mean) if best else (np.empty(0), np.empty(0))
    middle = windows.seconds + windows.horizon_seconds / 2
    names = [*best, NAIVE]
    return Chart(
        f"{windows.series}: mean use of each window, and what was forecast of it",
        middle,
        [
            Line("used", windows.truth, "use", "steps"),
            *(Line(name, contest.answers[name].mean, _colour(comparison, name), group=name) for name in names),
        ],
        bands=[Band(f"90 % interval of {best[0]}", low, high, _colour(comparison, best[0]), group=best[0])]
        if best
        else [],
        unit=_UNITS.get(windows.target, "number"),
        is_time=True,
        text=f"{len(windows)} windows, each at its middle; forecast by {', '.join(names)}.",
    )


def _colour(comparison: Comparison, name: str) -> Colour:
    return PALETTE[comparison.models.index(name) % len(PALETTE)]


def _table(caption: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    return Table(caption, head, [[Cell(row[0], group=row[0]), *map(cell_of, row[1:])] for row in rows])
