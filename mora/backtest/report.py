"""A backtest as one self-contained HTML page: it needs no network, no library and no second file.

Three parts: the frontier (how much each rule reserves against how often use went above), the scores, and some series
with every rule's reservation drawn over their use. All of it is drawn here, as SVG, and put into report.html. The
page's script only hides and shows rules; `#hide=krr,vpa` in its address does so from the start.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from html import escape
from importlib.resources import files
from string import Template

import numpy as np

from mora.backtest.policy import RESOURCES, Floats, Resource, Series
from mora.backtest.render import FOOT, HEADINGS, LAST_HEADING, WORDS, table_rows
from mora.backtest.run import Backtest
from mora.backtest.scoring import Score, score_series, scored_samples
from mora.columns import printable
from mora.errors import BadInput
from mora.quantities import format_duration, readable_bytes

# How many series are drawn where none are named, and how many at most.
DRAWN, MAX_DRAWN = 6, 24
# A chart shows the last so many windows: more would blur.
_MAX_WINDOWS = 240
_COLUMNS = 640
# One colour a rule, the same in every chart; from the palette of Okabe and Ito, which most eyes can tell apart.
_COLOURS: Mapping[str, str] = {
    "mora": "#0072b2",
    "mora-point": "#56b4e9",
    "krr": "#d55e00",
    "vpa": "#009e73",
    "p99": "#cc79a7",
    "peak": "#b8860b",
    "last": "#8a8f98",
    "oracle": "currentColor",
}
_SPARE_COLOURS = ("#7b5ea7", "#a0522d", "#4b8b3b", "#c2185b")


@dataclass(frozen=True, slots=True)
class _Axis:
    """Values on a line of pixels; `is_log` for ratios, else linear."""

    low: float
    high: float
    start: float
    stop: float
    is_log: bool = False

    def __call__(self, value: float) -> float:
        low, high, at = (math.log(v) if self.is_log else v for v in (self.low, self.high, value))
        return self.start + (at - low) / (high - low) * (self.stop - self.start)


def render_report(backtest: Backtest, *, source: str, drawn: str | None = None) -> str:
    """The complete page. source: what was replayed, e.g. the file's name. drawn: ids of series, with commas."""
    settings = backtest.settings
    names = list(backtest.scores)
    series = _chosen(backtest, drawn)
    resources: list[Resource] = [r for r in RESOURCES if any(r in scores for scores in backtest.scores.values())]
    head = (
        f"{len(backtest.series)} series of {source}. Each reservation applies for one window of "
        f"{format_duration(settings.horizon_seconds)}; the first window follows a warm-up of "
        f"{format_duration(settings.warmup_seconds)}."
    )
    sections = [_section(backtest, resource) for resource in resources]
    charts = "".join(
        f"<figure><figcaption>{_safe(one.id)}: {WORDS[resource]}</figcaption>"
        f"{_series_chart(backtest, number, resource)}</figure>"
        for number, one in series
        for resource in resources
        if one.use(resource) is not None and len(backtest.decisions.at[number])
    )
    buttons = "".join(
        f'<button type="button" data-rule="{_safe(name)}" aria-pressed="true">{_swatch(name, names)}{_safe(name)}'
        "</button>"
        for name in names
    )
    page = Template(files("mora.backtest").joinpath("report.html").read_text(encoding="utf-8"))
    return page.substitute(
        head=_safe(head),
        sections="".join(sections),
        foot=_safe(FOOT).replace("\n", "<br>"),
        buttons=buttons,
        charts=charts or "<p>No series could be drawn.</p>",
        about=_safe(_about(backtest, series)),
    )


def _section(backtest: Backtest, resource: Resource) -> str:
    skipped = backtest.skipped[resource]
    remark = f"<p>{skipped} series are skipped: without use, or too short.</p>" if skipped else ""
    word = WORDS[resource]
    return (
        f"<section><h2>{word[0].upper()}{word[1:]}</h2>{remark}"
        f'<div class="pair"><figure><figcaption>Vertical: reserved per used. Horizontal: how often use '
        f"exceeds the reservation. The lower left is best.</figcaption>{_frontier(backtest, resource)}</figure>"
        f'<div class="scroll">{_table(backtest, resource)}</div></div></section>'
    )


def _table(backtest: Backtest, resource: Resource) -> str:
    names = list(backtest.scores)
    head = "".join(f"<th>{_safe(cell)}</th>" for cell in (*HEADINGS, LAST_HEADING[resource]))
    rows = "".join(
        f'<tr data-of="{_safe(row[0])}"><th>{_swatch(row[0], names)}{_safe(row[0])}</th>'
        + "".join(f"<td>{_safe(cell)}</td>" for cell in row[1:])
        + "</tr>"
        for row in table_rows(backtest, resource)
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"


# --- charts ----------------------------------------------------------------------------------------------------------


def _frontier(backtest: Backtest, resource: Resource) -> str:
    width, height, left, right, top, bottom = 560, 340, 52, 84, 12, 44
    scores = {name: by[resource] for name, by in backtest.scores.items() if resource in by}
    names = list(backtest.scores)
    # The square root spreads what is rare: between never and a hundredth lies most of what is worth telling apart.
    highest = max(0.01, *(score.samples_exceeded for score in scores.values()))
    across = _Axis(0.0, math.sqrt(highest) * 1.04, left, width - right)
    ratios = [max(score.reserved_per_used, 1e-6) for score in scores.values()]
    up = _Axis(min(ratios) / 1.15, max(ratios) * 1.15, height - bottom, top, is_log=True)
    parts = []
    for tick in _log_ticks(up.low, up.high):
        y = up(tick)
        parts.append(f'<line class="grid" x1="{left}" x2="{width - right}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text x="{left - 8}" y="{y + 4:.1f}" text-anchor="end">{tick:g}x</text>')
    last_x = -100.0
    for tick in (0, 0.001, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0):
        x = across(math.sqrt(tick))
        if tick > highest * 1.05 or x - last_x < 34:
            continue
        last_x = x
        parts.append(f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{top}" y2="{height - bottom}"/>')
        parts.append(f'<text x="{x:.1f}" y="{height - bottom + 16}" text-anchor="middle">{tick:.3g}</text>')
    middle = (left + width - right) / 2
    parts.append(
        f'<text x="{middle:.0f}" y="{height - 8}" text-anchor="middle">share of samples above the reservation</text>'
    )
    places = {
        name: (across(math.sqrt(s.samples_exceeded)), up(max(s.reserved_per_used, 1e-6))) for name, s in scores.items()
    }
    labels = _label_places(places, (left, width - 4), (top, height - bottom))
    for name, (x, y) in places.items():
        label_x, label_y = labels[name]
        # A name that had to go further away is tied to its point.
        leader = f'<line class="leader" x1="{x:.1f}" y1="{y:.1f}" x2="{label_x:.1f}" y2="{label_y - 4:.1f}"/>'
        parts.append(
            f'<g data-of="{_safe(name)}" style="color:{_colour(name, names)}">'
            f"<title>{_safe(_spoken(name, scores[name]))}</title>"
            f"{leader if abs(label_y - y) > 22 else ''}"
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{7 if name == "mora" else 5}" fill="currentColor"/>'
            f'<text class="label" x="{label_x:.1f}" y="{label_y:.1f}">{_safe(name)}</text></g>'
        )
    words = f"{WORDS[resource]}: reserved per used against the share of samples above it, {len(scores)} policies"
    return f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="{words}">{"".join(parts)}</svg>'


def _label_places(
    points: Mapping[str, tuple[float, float]], across: tuple[float, float], up: tuple[float, float]
) -> dict[str, tuple[float, float]]:
    """Where each point's name is written: beside it, on neither another point nor another name, within the chart.

    Values are (x, y) of the text's left end and its baseline.
    """
    high = 12.0
    taken = [(x - 7, y - 7, x + 7, y + 7) for x, y in points.values()]
    found: dict[str, tuple[float, float]] = {}
    for name, (x, y) in sorted(points.items(), key=lambda point: point[1][1]):
        wide = 7.8 * len(name)
        beside = [(x + 10, y + 4), (x - 10 - wide, y + 4), (x - wide / 2, y - 10), (x - wide / 2, y + 20)]
        further = [(x + 10, y + 4 + step) for step in (-14, 14, -28, 28, -42, 42, -56, 56)]
        for left, base in (*beside, *further):
            box = (left, base - high, left + wide, base + 2)
            is_inside = across[0] <= box[0] and box[2] <= across[1] and up[0] <= box[1] and box[3] <= up[1]
            if is_inside and not any(_overlap(box, other) for other in taken):
                break
        else:
            left, base = beside[0]
        found[name] = (left, base)
        taken.append((left, base - high, left + wide, base + 2))
    return found


def _overlap(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def _series_chart(backtest: Backtest, number: int, resource: Resource) -> str:
    width, height, left, right, top, bottom = 960, 260, 64, 8, 10, 26
    one, at, until = backtest.series[number], backtest.decisions.at[number], backtest.decisions.until[number]
    use = one.use(resource)
    if use is None:
        return ""
    names = list(backtest.scores)
    shown = slice(max(0, len(at) - _MAX_WINDOWS), len(at))
    # Where all windows are shown, so is the warm-up before them.
    first, last = (0 if shown.start == 0 else int(at[shown.start])), int(until[-1])
    reserved = {name: backtest.reservations[name][resource][number] for name in names}
    known = [values[shown][np.isfinite(values[shown])] for values in reserved.values()]
    highest = max(float(np.nanmax(use[first:last], initial=0.0)), *(float(v.max(initial=0.0)) for v in known))
    if highest <= 0:
        return "<p>No use.</p>"
    across, up = _Axis(first, last, left, width - right), _Axis(0.0, highest * 1.05, height - bottom, top)
    parts = []
    # Round amounts of memory are so many MiB or GiB.
    unit = 1.0 if resource == "cpu" else 2.0 ** (10 * max(0, math.floor(math.log2(highest) / 10)))
    for tick in (unit * amount for amount in _ticks(highest / unit)):
        y = up(tick)
        text = f"{tick:g}" if resource == "cpu" else readable_bytes(tick) if tick else "0"
        parts.append(f'<line class="grid" x1="{left}" x2="{width - right}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text x="{left - 8}" y="{y + 4:.1f}" text-anchor="end">{_safe(text)}</text>')
    for sample, text in _dates(one, first, last):
        parts.append(f'<text x="{across(sample):.1f}" y="{height - 8}" text-anchor="middle">{text}</text>')
    if first < at[0]:
        parts.append(
            f'<rect class="warmup" x="{left}" y="{top}" width="{across(at[0]) - left:.1f}" '
            f'height="{height - bottom - top}"><title>warm-up</title></rect>'
        )
    parts.append(f'<path class="use" d="{_band(use, first, last, across, up)}"><title>use</title></path>')
    for name, values in reserved.items():
        steps = _steps(values[shown], at[shown], until[shown], across, up)
        dash = ' stroke-dasharray="3 3"' if name == "oracle" else ""
        thick = 2.4 if name == "mora" else 1.4
        parts.append(
            f'<path class="reserved" data-of="{_safe(name)}" style="color:{_colour(name, names)}" '
            f'stroke-width="{thick}"{dash} d="{steps}"><title>{_safe(name)}</title></path>'
        )
    words = f"{one.id}: {WORDS[resource]} used, and what each policy reserves"
    return f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="{_safe(words)}">{"".join(parts)}</svg>'


def _band(use: Floats, first: int, last: int, across: _Axis, up: _Axis) -> str:
    """Use from minimum to maximum in each column of the chart; nothing where there are gaps."""
    edges = np.unique(np.linspace(first, last, min(_COLUMNS, last - first) + 1).astype(np.int64))
    low, high = np.fmin.reduceat(use[:last], edges[:-1]), np.fmax.reduceat(use[:last], edges[:-1])
    middles = (edges[:-1] + edges[1:]) / 2
    parts = []
    for run in np.split(np.arange(len(middles)), np.flatnonzero(np.isnan(high))):
        inside = run[~np.isnan(high[run])]
        if len(inside):
            above = [f"{across(middles[i]):.1f} {up(high[i]):.1f}" for i in inside]
            below = [f"{across(middles[i]):.1f} {up(low[i]):.1f}" for i in inside[::-1]]
            parts.append("M" + "L".join(above + below) + "Z")
    return "".join(parts)


def _steps(values: Floats, at: Iterable[int], until: Iterable[int], across: _Axis, up: _Axis) -> str:
    """A level for each window, joined where one follows the other."""
    parts, is_open = [], False
    for value, begin, end in zip(values, at, until, strict=True):
        if math.isfinite(value):
            y = up(value)
            parts.append(f"V{y:.1f}" if is_open else f"M{across(begin):.1f} {y:.1f}")
            parts.append(f"H{across(end):.1f}")
        is_open = math.isfinite(value)
    return "".join(parts)


def _ticks(highest: float) -> list[float]:
    """Some four round steps from 0."""
    raw = highest / 4
    size = 10.0 ** math.floor(math.log10(raw))
    step = next(step * size for step in (1, 2, 2.5, 5, 10) if step * size >= raw * 0.999)
    return [step * number for number in range(int(highest * 1.05 / step) + 1)]


def _log_ticks(low: float, high: float) -> list[float]:
    """Round ratios between two: 1, 2, 5 of every ten, finer where these are too few."""
    for steps in ((1, 2, 5), (1, 1.5, 2, 3, 4, 5, 7), tuple(1 + number / 5 for number in range(45))):
        found = [
            step * 10.0**power
            for power in range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
            for step in steps
            if low <= step * 10.0**power <= high
        ]
        if len(found) >= 3:
            break
    return found


def _dates(one: Series, first: int, last: int) -> list[tuple[float, str]]:
    """Some eight round moments, as samples and as text, UTC."""
    seconds = (last - first) * one.step_seconds
    every = next(
        (step for step in (3600, 3 * 3600, 6 * 3600, 86400, 2 * 86400, 7 * 86400, 14 * 86400) if seconds / step <= 10),
        math.ceil(seconds / 10 / 86400) * 86400,
    )
    begin = one.start + first * one.step_seconds
    moment = math.ceil(begin / every) * every
    form = "%d %b" if every >= 86400 else "%d %b %H:%M"
    found = []
    while moment <= begin + seconds * 0.97:
        if moment >= begin + seconds * 0.02:
            found.append(((moment - one.start) / one.step_seconds, f"{datetime.fromtimestamp(moment, UTC):{form}}"))
        moment += every
    return found


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
        f"{len(series)} series, {shown}. Grey: use, from minimum to maximum in each column; gaps stay empty. "
        f"Lines: what each policy reserves. Unless named, the series range from the cheapest to the most expensive "
        f"under {_leading(backtest)}."
    )


def _spoken(name: str, score: Score) -> str:
    return (
        f"{name}: reserves {score.reserved_per_used:.3f} times the use, "
        f"{score.samples_exceeded:.2%} of samples above, cost {score.cost:.3f}"
    )


def _colour(name: str, names: Sequence[str]) -> str:
    others = [other for other in names if other not in _COLOURS]
    return _COLOURS[name] if name in _COLOURS else _SPARE_COLOURS[others.index(name) % len(_SPARE_COLOURS)]


def _swatch(name: str, names: Sequence[str]) -> str:
    return f'<i style="color:{_colour(name, names)}"></i>'


def _safe(text: str) -> str:
    """Text for a page; the names of series come from a file."""
    return escape(printable(text))
