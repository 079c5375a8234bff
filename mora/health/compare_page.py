"""A comparison of detectors as one HTML page that works offline (mora/pages): two pictures and a table for each set.

The pictures: what a detector finds against how often it is wrong, and how well it ranks against what it costs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from mora.health import compare_text as text
from mora.health.ranking import Comparison, Ranked
from mora.pages.charts import Chart, Colour, Line, Scale
from mora.pages.page import render, section
from mora.pages.tables import Cell, Table

_COLOURS: tuple[Colour, ...] = ("c1", "c2", "c3", "c4", "c5", "c6", "c7", "c8", "ink", "limit", "warn", "bad")


def render_page(comparison: Comparison) -> str:
    """The complete page."""
    means = text.mean_rows(comparison)
    sections = []
    if means:
        table = _table("Mean VUS-PR of the sets", text.mean_headings(comparison), means)
        sections.append(section("Mean of the sets", ["VUS-PR of the detectors that scored every series."], [], table))
    for name in comparison.sets:
        rows = [row for row in comparison.ranked() if row.set_name == name]
        sections.append(
            section(
                text.title(comparison, name),
                [],
                [_alarms(comparison, name, rows), _cost(comparison, name, rows)],
                _table(text.title(comparison, name), text.headings(comparison), text.cells(comparison, name)),
            )
        )
    failures = [f"{detector} failed on {why}" for detector, why in comparison.failures().items()]
    return render(
        "plain.html",
        title="MOrA: detectors compared",
        lead=["Each detector learns from the first part of each series, without labels, and is judged on the rest."],
        sections=sections,
        foot=[" ".join(text.FOOT), *failures],
    )


def _alarms(comparison: Comparison, name: str, rows: Sequence[Ranked]) -> Chart:
    return _points(
        comparison,
        f"{name}: what is found, and how often an alarm is wrong",
        rows,
        lambda row: row.events.false_alarms_per_day,
        lambda row: row.events.f1,
        ("false alarms for each series and day", "event F1"),
        "sqrt",
    )


def _cost(comparison: Comparison, name: str, rows: Sequence[Ranked]) -> Chart:
    return _points(
        comparison,
        f"{name}: how well it ranks, and what it costs",
        rows,
        lambda row: max(row.fit_seconds + row.score_seconds, 1e-3),
        lambda row: row.vus_pr,
        ("CPU seconds for each series", "VUS-PR"),
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
    shown = [row for row in rows if math.isfinite(across(row)) and math.isfinite(up(row))]
    x = sorted({across(row) for row in shown})
    names = comparison.detectors
    return Chart(
        title,
        x,
        [
            Line(
                row.detector,
                [up(row) if at == across(row) else None for at in x],
                _COLOURS[names.index(row.detector) % len(_COLOURS)],
                "points",
                group=row.detector,
                label=row.detector,
            )
            for row in shown
        ],
        x_scale=scale,
        x_label=labels[0],
        y_label=labels[1],
        text=" ".join(
            ["The upper left is best.", *(f"{row.detector}: {across(row):.3g}, {up(row):.3f}." for row in shown)]
        ),
    )


def _table(caption: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    return Table(caption, head, [[_cell(cell) for cell in row] for row in rows])


def _cell(shown: str) -> Cell:
    try:
        return Cell(shown, float(shown.rstrip("%*")))
    except ValueError:
        return Cell(shown)
