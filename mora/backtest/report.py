"""A backtest as one HTML page that works offline (mora/pages).

Three parts: the frontier (how much each rule reserves against how often use went above), the scores, and some series
with every rule's reservation drawn over their use. A rule is hidden and shown in all of them at once by its button;
`#hide=krr,vpa` in the page's address does so from the start.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from mora.backtest.fronts import Fronts, Point
from mora.backtest.policy import RESOURCES, Floats, Resource, Series
from mora.backtest.render import WORDS, foot_lines, headings, pace, table_rows
from mora.backtest.run import Backtest
from mora.backtest.scoring import Score, score_series, scored_samples
from mora.errors import BadInput
from mora.pages.charts import Band, Chart, Colour, Line, Span
from mora.pages.page import render, section
from mora.pages.tables import Cell, Table
from mora.quantities import format_duration

Rows = NDArray[np.int64]

# How many series are drawn where none are named, and how many at most.
DRAWN, MAX_DRAWN = 6, 24
# A chart shows the last so many windows: more would blur.
_MAX_WINDOWS = 240
_COLUMNS = 480
# One colour a rule, the same in every chart.
_COLOURS: Mapping[str, Colour] = {
    "mora": "c1",
    "mora-point": "c6",
    "krr": "c2",
    "vpa": "c3",
    "p99": "c4",
    "peak": "c5",
    "last": "c8",
    "oracle": "ink",
}
_SPARE_COLOURS: tuple[Colour, ...] = ("c7", "limit", "warn", "bad")


def render_report(backtest: Backtest, *, source: str, drawn: str | None = None, fronts: Fronts | None = None) -> str:
    """The complete page. source: what was replayed, e.g. the file's name. drawn: ids of series, with commas. fronts:
    cost against changes, to be drawn beside the scores."""
    settings = backtest.settings
    names = list(backtest.scores)
    series = _chosen(backtest, drawn)
    resources: list[Resource] = [r for r in RESOURCES if any(r in scores for scores in backtest.scores.values())]
    lead = (
        f"{len(backtest.series)} series of {source}. Each reservation applies for one window of "
        f"{format_duration(settings.renew_seconds)}; the first window follows a warm-up of "
        f"{format_duration(settings.warmup_seconds)}.{_renewed(backtest)}"
    )
    return render(
        "backtest.html",
        title="MOrA backtest",
        lead=lead,
        sections=[
            section(
                _title(resource),
                _skipped(backtest, resource),
                [_frontier(backtest, resource), *_changes(names, resource, (fronts or {}).get(resource, ()))],
                _table(backtest, resource),
            )
            for resource in resources
        ],
        foot=foot_lines(backtest),
        about=_about(backtest, series),
        rules=[(name, _colour(name, names)) for name in names],
        charts=[
            _series_chart(backtest, number, resource)
            for number, one in series
            for resource in resources
            if one.use(resource) is not None and len(backtest.decisions.at[number])
        ],
    )


def _title(resource: Resource) -> str:
    word = WORDS[resource]
    return word[0].upper() + word[1:]


def _skipped(backtest: Backtest, resource: Resource) -> list[str]:
    skipped = backtest.skipped[resource]
    return [f"{skipped} series are skipped: without use, or too short."] if skipped else []


def _table(backtest: Backtest, resource: Resource) -> Table:
    rows = [[Cell(row[0], group=row[0]), *map(Cell, row[1:])] for row in table_rows(backtest, resource)]
    return Table(f"Scores of each policy, {WORDS[resource]}", headings(backtest, resource), rows)


# --- charts ----------------------------------------------------------------------------------------------------------


def _frontier(backtest: Backtest, resource: Resource) -> Chart:
    scores = {name: by[resource] for name, by in backtest.scores.items() if resource in by}
    names = list(backtest.scores)
    across = sorted({score.samples_exceeded for score in scores.values()})
    return Chart(
        f"{_title(resource)}: what is reserved, and how often use exceeds it",
        across,
        [
            Line(
                name,
                [max(score.reserved_per_used, 1e-6) if at == score.samples_exceeded else None for at in across],
                _colour(name, names),
                "points",
                group=name,
                label=name,
            )
            for name, score in scores.items()
        ],
        x_scale="sqrt",
        y_scale="log",
        x_label="share of samples above the reservation",
        y_label="reserved per used",
        text=f"The lower left is best. {' '.join(_spoken(name, score) for name, score in scores.items())}",
    )


def _changes(names: Sequence[str], resource: Resource, points: Sequence[Point]) -> list[Chart]:
    """What each policy costs against how often it changes, a point a deadband; what nothing beats is named."""
    best = sorted((point for point in points if point.is_best), key=lambda point: point.changes_per_day)
    if not best:
        return []
    across = sorted({point.changes_per_day for point in points})
    lines = []
    for name in dict.fromkeys(point.policy for point in points):
        own = {point.changes_per_day: point.cost for point in points if point.policy == name}
        values = [own.get(at) for at in across]
        lines.append(Line(name, values, _colour(name, names), "points", group=name, label=name))
    reached = [min(point.cost for point in points if point.changes_per_day <= at) for at in across]
    lines.append(Line("lowest cost with so many changes", reached, "dim", "steps", is_dashed=True))
    spoken = ", ".join(
        f"{point.policy} at {point.deadband:.0%} ({point.changes_per_day:.2f} changes a day, cost {point.cost:.3f})"
        for point in best
    )
    return [
        Chart(
            f"{_title(resource)}: what it costs, and how often it changes",
            across,
            lines,
            x_scale="sqrt",
            y_scale="log",
            x_label="changes of one series per day",
            y_label="cost",
            text=f"A point for each deadband; the lower left is best. Nothing beats: {spoken}.",
        )
    ]


def _renewed(backtest: Backtest) -> str:
    words = pace(backtest.settings).removeprefix(", ")
    return f" Numbers are {words}; the oracle's are all followed." if words else ""


def _series_chart(backtest: Backtest, number: int, resource: Resource) -> Chart:
    """Use from minimum to maximum in each column of time, and what each rule reserves there."""
    one, at, until = backtest.series[number], backtest.decisions.at[number], backtest.decisions.until[number]
    use = one.use(resource)
    assert use is not None  # noqa: S101  # only such series are drawn
    names = list(backtest.scores)
    shown = slice(max(0, len(at) - _MAX_WINDOWS), len(at))
    # Where all windows are shown, so is the warm-up before them.
    first, last = (0 if shown.start == 0 else int(at[shown.start])), int(until[-1])
    edges = np.unique(np.linspace(first, last, min(_COLUMNS, last - first) + 1).astype(np.int64))
    low, high = np.fmin.reduceat(use[:last], edges[:-1]), np.fmax.reduceat(use[:last], edges[:-1])
    return Chart(
        f"{one.id}: {WORDS[resource]}",
        one.start + edges[:-1].astype(np.float64) * one.step_seconds,
        [
            Line(
                name,
                _in_force(backtest.reservations[name][resource][number], at, until, edges[:-1]),
                _colour(name, names),
                "steps",
                is_dashed=name == "oracle",
                group=name,
            )
            for name in names
        ],
        [Band("use", low, high, "use")],
        spans=[Span(one.start, one.start + int(at[0]) * one.step_seconds, "warm-up")] if first < at[0] else (),
        unit="cores" if resource == "cpu" else "bytes",
        is_time=True,
        text=f"{WORDS[resource]} used, and what each policy reserves.",
    )


def _in_force(reserved: Floats, at: Rows, until: Rows, columns: Rows) -> Floats:
    """The reservation of the window that each column begins in; NaN before the first window and between windows."""
    windows = np.searchsorted(at, columns, side="right") - 1
    known = np.maximum(windows, 0)
    is_inside = (windows >= 0) & (columns < until[known])
    return np.where(is_inside, reserved[known], np.nan)


# --- what is drawn ---------------------------------------------------------------------------------------------------


def _chosen(backtest: Backtest, drawn: str | None) -> list[tuple[int, Series]]:
    """The series that were named; else some from the cheapest to the most expensive under the leading rule."""
    numbered = list(enumerate(backtest.series))
    if drawn is not None:
        by_id = {one.id: (number, one) for number, one in numbered}
        ids = [name.strip() for name in drawn.split(",") if name.strip()][:MAX_DRAWN]
        missing = [name for name in ids if name not in by_id]
        if missing:
            raise BadInput(f"There is no series {missing[0]!r} to draw.", hint="Name series of this backtest.")
        return [by_id[name] for name in ids]
    costs = _costs(backtest)
    ranked = sorted(costs, key=lambda number: costs[number])
    count = min(DRAWN, len(ranked))
    places = [round(number * (len(ranked) - 1) / max(count - 1, 1)) for number in range(count)]
    return [numbered[ranked[place]] for place in places]


def _costs(backtest: Backtest) -> dict[int, float]:
    """What each series costs under the leading rule, by its number; CPU where it is known."""
    rule = _leading(backtest)
    for resource in RESOURCES:
        if resource not in backtest.scores[rule]:
            continue
        found = {}
        for number, one in enumerate(backtest.series):
            scored = scored_samples(one, resource, backtest.decisions.at[number], backtest.decisions.until[number])
            if float(scored.values.sum()) > 0:
                found[number] = score_series(scored, backtest.reservations[rule][resource][number]).cost
        return found
    return {}


def _leading(backtest: Backtest) -> str:
    return "mora" if "mora" in backtest.scores else next(iter(backtest.scores))


def _about(backtest: Backtest, series: Sequence[tuple[int, Series]]) -> str:
    windows = max((len(at) for at in backtest.decisions.at), default=0)
    shown = f"the last {_MAX_WINDOWS} of {windows} windows" if windows > _MAX_WINDOWS else "all windows"
    return (
        f"{len(series)} series, {shown}. Grey: use, from minimum to maximum in each column of time; gaps stay empty. "
        f"Lines: what each policy reserves. Unless named, the series range from the cheapest to the most expensive "
        f"under {_leading(backtest)}."
    )


def _spoken(name: str, score: Score) -> str:
    return (
        f"{name}: {score.reserved_per_used:.3f} times the use reserved, {score.samples_exceeded:.2%} of samples above."
    )


def _colour(name: str, names: Sequence[str]) -> Colour:
    others = [other for other in names if other not in _COLOURS]
    return _COLOURS[name] if name in _COLOURS else _SPARE_COLOURS[others.index(name) % len(_SPARE_COLOURS)]
