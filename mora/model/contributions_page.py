"""SHAP values as text and as one HTML page: bars of the coming horizon, and a beeswarm of forty moments."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from mora.columns import columns
from mora.domain import Target
from mora.domain.learning import Floats
from mora.model.contributions import ExplainedForecast
from mora.model.driven_demand import readable
from mora.model.learners import TITLES
from mora.pages.charts import Bar, Chart, Colour, Line
from mora.pages.page import render, section
from mora.pages.tables import Cell, Table
from mora.quantities import counted, format_duration, format_moment

if TYPE_CHECKING:
    from markupsafe import Markup

# Inputs that are shown one by one; the others are added up.
SHOWN = 12
_IN_WORDS = 3
# What is less than this share of the forecast is not worth a word.
_LEAST_SHARE = 0.005
# A rounding of the forecast, and no amount of its own.
_NOTHING = 1e-6
_BASE, _WHOLE = "average forecast", "forecast"
_HEAD = ("INPUT", "NOW", "ON AVERAGE")
_LEVELS: tuple[tuple[str, Colour], ...] = (("low value", "c1"), ("middle value", "dim"), ("high value", "bad"))
# Points of one row of a beeswarm lie this far apart, in rows.
_APART = 0.09
_UNITS = {Target.CPU: "cores", Target.MEMORY: "bytes"}
_TITLES = {Target.CPU: "CPU", Target.MEMORY: "Memory"}


def contributions_text(found: Sequence[ExplainedForecast]) -> str:
    """Each forecast as a sum: as sentences, then input by input."""
    lines: list[str] = []
    for one in found:
        lines += [*describe(one), ""]
        lines += [f"  {line}" for line in columns([_HEAD, *(_texts(one, row) for row in _rows(one))])]
        lines.append("")
    return "\n".join(lines)


def contributions_page(found: Sequence[ExplainedForecast]) -> str:
    """The whole page, of one workload."""
    workload = found[0].workload
    return render(
        "plain.html",
        title=f"What the forecasts of {workload.namespace}/{workload.name} are made of",
        lead=[
            "SHAP values: what each input adds to a forecast, counted from the average forecast. Base and all of them "
            "together are the forecast.",
            "It is of the mean use. The request rests on the upper bound, which is learnt from the samples themselves.",
        ],
        sections=[_section(one) for one in found],
    )


def describe(one: ExplainedForecast) -> list[str]:
    """A forecast, what it is made of and what moves it most, a sentence each."""
    span, use = format_duration(one.horizon_seconds), one.contributions
    first = (
        f"{one.workload.namespace}/{one.workload.name}, {_TITLES[one.target]} over the {span} from "
        f"{format_moment(float(one.seconds[-1]))}: a mean use of {readable(one.target, one.forecast)} is forecast. "
        f"The average of {counted(one.background, 'forecast')} since {format_moment(float(one.seconds[0]))} is "
        f"{readable(one.target, use.base)}."
    )
    now = use.amounts[-1]
    order = np.argsort(-np.abs(now), kind="stable")[:_IN_WORDS]
    counting = [int(place) for place in order if abs(now[place]) >= _LEAST_SHARE * max(one.forecast, 1e-12)]
    moved = [
        f"{use.names[place]} {'raises' if now[place] > 0 else 'lowers'} it by {readable(one.target, abs(now[place]))}"
        for place in counting
    ]
    words = f"Most of the difference: {'; '.join(moved)}." if moved else "Nothing moves it far from that average."
    return [first, words, _made_of(one)]


def _made_of(one: ExplainedForecast) -> str:
    parts = [f"{TITLES.get(m.name, m.name)} {m.share:.0%} ({readable(one.target, m.forecast)})" for m in one.members]
    text = f"Forecast by: {', '.join(parts)}."
    sampled = [TITLES.get(m.name, m.name) for m in one.members if not m.is_exact]
    opaque = [TITLES.get(m.name, m.name) for m in one.members if m.is_opaque]
    if sampled:
        text += (
            f" The values of {' and '.join(sampled)} are sampled, against {counted(one.background, 'moment')}"
            f"{'; the others are exact' if len(sampled) < len(one.members) else ''}."
        )
    if opaque:
        text += f" {' and '.join(opaque)} cannot be taken apart: each counts as one input."
    return text


def _rows(one: ExplainedForecast) -> list[tuple[str, float, float | None]]:
    """What the tables show: what it is, what it adds now, and how much it moves a forecast on average."""
    use, importance = one.contributions, one.importance
    found: list[tuple[str, float, float | None]] = [(_BASE, use.base, None)]
    shown = _shown(one)
    for place, name in enumerate(use.names[:shown]):
        found.append((name, float(use.amounts[-1, place]), float(importance[place])))
    if len(use.names) > shown:
        found.append((f"{len(use.names) - shown} other inputs", float(use.amounts[-1, shown:].sum()), None))
    return [*found, (_WHOLE, one.forecast, None)]


def _shown(one: ExplainedForecast) -> int:
    """How many inputs are shown by themselves: all, where a single one would be left."""
    count = len(one.contributions.names)
    return count if count <= SHOWN + 1 else SHOWN


def _texts(one: ExplainedForecast, row: tuple[str, float, float | None]) -> tuple[str, str, str]:
    name, now, usual = row
    amount = readable(one.target, now) if name in (_BASE, _WHOLE) else _signed(one, now)
    return name, amount, "" if usual is None else readable(one.target, usual)


def _signed(one: ExplainedForecast, amount: float) -> str:
    if abs(amount) < _NOTHING * one.forecast:
        return "0"
    return f"{'-' if amount < 0 else '+'}{readable(one.target, abs(amount))}"


def _section(one: ExplainedForecast) -> Markup:
    rows = [
        [Cell(text, value) for text, value in zip(_texts(one, row), (None, *row[1:]), strict=True)]
        for row in _rows(one)
    ]
    table = Table(f"What each input adds to the forecast of {_TITLES[one.target]}", _HEAD, rows)
    heading = f"{_TITLES[one.target]}, {format_duration(one.horizon_seconds)} ahead"
    return section(heading, describe(one), [_now(one), _usual(one), _beeswarm(one)], table)


def _now(one: ExplainedForecast) -> Chart:
    values = one.contributions.amounts[-1, : _shown(one)]
    return _bars(
        one,
        values,
        "What moves the coming forecast away from the average one",
        "added to the average forecast",
        ["bad" if value > 0 else "c1" for value in values],
    )


def _usual(one: ExplainedForecast) -> Chart:
    values = one.importance[: _shown(one)]
    title = f"By how much each input moves a forecast, the average of {len(one.seconds)}"
    return _bars(one, values, title, "mean of |SHAP value|", ["c2"] * len(values))


def _bars(one: ExplainedForecast, values: Floats, title: str, label: str, colours: Sequence[Colour]) -> Chart:
    names = one.contributions.names[: _shown(one)]
    ends = sorted({0.0, float(values.min()), float(values.max())})
    said = ", ".join(f"{name} {_signed(one, float(value))}" for name, value in zip(names[:3], values, strict=False))
    return Chart(
        title=title,
        x=ends if len(ends) > 1 else [0.0, 1.0],
        bars=[Bar(row, float(value), colours[row]) for row, value in enumerate(values)],
        rows=names,
        unit=_UNITS[one.target],  # type: ignore[arg-type]  # the values are units
        x_label=label,
        text=f"First: {said}.",
    )


def _beeswarm(one: ExplainedForecast) -> Chart:
    """A point for each moment and input: how much it added then, coloured by how large the input was."""
    use = one.contributions
    places: list[tuple[float, float, int]] = []
    for row in range(_shown(one)):
        amounts, sizes = use.amounts[:, row], use.inputs[:, row]
        heights, thirds = _swarm(amounts), _thirds(sizes)
        places += [
            (float(amount), row + float(height), int(third))
            for amount, height, third in zip(amounts, heights, thirds, strict=True)
        ]
    places.sort()
    lines = [
        Line(name, [y if third == level else None for _, y, third in places], colour, "points")
        for level, (name, colour) in enumerate(_LEVELS)
    ]
    return Chart(
        title=f"The same at {len(one.seconds)} moments: a point each, coloured by how large the input was",
        x=[x for x, _, _ in places],
        lines=lines,
        rows=use.names[: _shown(one)],
        unit=_UNITS[one.target],  # type: ignore[arg-type]  # the values are units
        x_label="added to the average forecast",
        text="Points to the right raised the forecast, points to the left lowered it.",
    )


def _swarm(values: Floats) -> Floats:
    """How far each point steps out of its row, so that points of like values lie beside one another, shape (n,).

    >>> np.abs(_swarm(np.array([1.0, 1.0, 1.0, 9.0])).round(2))
    array([0.  , 0.09, 0.09, 0.  ])
    """
    width = float(values.max() - values.min()) or 1.0
    slots = np.floor((values - values.min()) / width * 50).astype(np.int64)
    seen: dict[int, int] = {}
    found: Floats = np.zeros(len(values))
    for place, slot in enumerate(slots.tolist()):
        number = seen.get(slot, 0)
        seen[slot] = number + 1
        step = (number + 1) // 2 * _APART * (1 if number % 2 else -1)
        found[place] = max(min(step, 0.42), -0.42)
    return found


def _thirds(values: Floats) -> np.ndarray:
    """Whether each value is among the lowest third of them, the middle one or the highest, shape (n,)."""
    if float(values.max()) == float(values.min()):
        return np.ones(len(values), dtype=np.int64)
    return np.searchsorted(np.quantile(values, [1 / 3, 2 / 3]), values, side="right")
