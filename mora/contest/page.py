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
from mora.pages.charts import Band, Chart, Colour, Line, Scale, Unit
from mora.pages.page import render, section
from mora.pages.tables import Cell, Table

_COLOURS: tuple[Colour, ...] = ("c1", "c2", "c3", "c4", "c5", "c6", "c7", "c8", "ink", "limit", "warn", "bad")
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
    return _points(
        comparison,
        f"{text.title(table)}: skill, and what it takes",
        table.rows,
        lambda row: max(row.fit_seconds + row.ask_seconds, 1e-3),
        lambda row: max(row.skill.value, -1.0),
        ("CPU seconds for each series", "skill (-1 at least)"),
        "log",
    )


def _requests(comparison: Comparison, table: Ranks) -> Chart:
    return _points(
        comparison,
        f"{text.title(table)}: error, and the cost of a request around the forecast",
        table.rows,
        lambda row: row.relative,
        lambda row: row.cost,
        ("MAE over the mean use", "cost of requests"),
        "log",
    )


def _points(
    comparison: Comparison,
    title: str,
    rows: Sequence[Ranked],
    across: Callable[[Ranked], float],
    up: Callable[[Ranked], float],
    labels: tuple[str, str],
    scale: Scale,
) -> Chart:
    shown = [row for row in rows if math.isfinite(across(row)) and across(row) > 0 and math.isfinite(up(row))]
    x = sorted({across(row) for row in shown})
    return Chart(
        title,
        x,
        [
            Line(
                row.entrant,
                [up(row) if at == across(row) else None for at in x],
                _colour(comparison, row.entrant),
                "points",
                group=row.entrant,
                label=row.entrant,
            )
            for row in shown
        ],
        x_scale=scale,
        x_label=labels[0],
        y_label=labels[1],
        text=" ".join(f"{row.entrant}: {across(row):.3g}, {up(row):.3f}." for row in shown),
    )


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
    return _COLOURS[comparison.models.index(name) % len(_COLOURS)]


def _table(caption: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    return Table(caption, head, [[Cell(row[0], group=row[0]), *map(_cell, row[1:])] for row in rows])


def _cell(shown: str) -> Cell:
    try:
        return Cell(shown, float(shown.rstrip("%*")))
    except ValueError:
        return Cell(shown)
