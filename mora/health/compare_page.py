"""A comparison of detectors as one HTML page that works offline (mora/pages): two pictures and a table for each set.

The pictures: what a detector finds against how often it is wrong, and how well it ranks against what it costs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from mora.health import compare_text as text
from mora.health.ranking import Comparison, Ranked
from mora.pages.charts import PALETTE, Chart, Point, scatter
from mora.pages.page import render, section
from mora.pages.tables import Table, cell_of

_BEST = "The upper left is best."


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
    return scatter(
        f"{name}: what is found, and how often an alarm is wrong",
        _points(comparison, rows, lambda row: (row.events.false_alarms_per_day, row.events.f1)),
        labels=("false alarms for each series and day", "event F1"),
        x_scale="sqrt",
        lead=_BEST,
    )


def _cost(comparison: Comparison, name: str, rows: Sequence[Ranked]) -> Chart:
    return scatter(
        f"{name}: how well it ranks, and what it costs",
        _points(comparison, rows, lambda row: (max(row.fit_seconds + row.score_seconds, 1e-3), row.vus_pr)),
        labels=("CPU seconds for each series", "VUS-PR"),
        x_scale="log",
        lead=_BEST,
    )


def _points(
    comparison: Comparison, rows: Sequence[Ranked], figures: Callable[[Ranked], tuple[float, float]]
) -> list[Point]:
    names = comparison.detectors
    return [Point(row.detector, *figures(row), PALETTE[names.index(row.detector) % len(PALETTE)]) for row in rows]


def _table(caption: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    return Table(caption, head, [[cell_of(cell) for cell in row] for row in rows])
