"""What a chart shows, as data: the browser draws it (static/charts.js), so that a page of many charts stays small.

Amounts are in base units (cores, bytes, seconds, shares of 1), moments in seconds since 1970 (UTC).

>>> Chart("p95", [10, 20, 40], [Line("measured", [0.1, 0.12, None], "c1")], unit="seconds").document()["lines"]
[{'name': 'measured', 'values': [0.1, 0.12, None], 'colour': 'c1'}]
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import MISSING, dataclass, fields, is_dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Values = Sequence[float | None] | NDArray[np.float64]

Unit = Literal["cores", "bytes", "seconds", "ratio", "number"]
Scale = Literal["linear", "log", "sqrt"]
Style = Literal["line", "steps", "points", "area"]
# The names of colours that page.css defines, for light and dark alike.
Colour = Literal[
    "use",
    "request",
    "limit",
    "target",
    "bound",
    "bad",
    "ink",
    "dim",
    "warn",
    "c1",
    "c2",
    "c3",
    "c4",
    "c5",
    "c6",
    "c7",
    "c8",
]


PALETTE: tuple[Colour, ...] = ("c1", "c2", "c3", "c4", "c5", "c6", "c7", "c8", "ink", "limit", "warn", "bad")
"""Colours for things that differ by name alone, in this order."""


@dataclass(frozen=True, slots=True)
class Line:
    """One value for each x of the chart; None or NaN leaves a gap.

    group: lines, bands and levels of one name are hidden and shown together, in every chart of the page. label: text
    beside the last point, for charts of single points.
    """

    name: str
    values: Values
    colour: Colour
    style: Style = "line"
    is_dashed: bool = False
    group: str = ""
    label: str = ""


@dataclass(frozen=True, slots=True)
class Band:
    """The area between two values for each x, such as an interval or the range of samples in a column."""

    name: str
    low: Values
    high: Values
    colour: Colour
    group: str = ""


@dataclass(frozen=True, slots=True)
class Level:
    """One value over the whole chart, such as a request or an SLO.

    is_outside: named with its value and not drawn, since it lies far above everything else.
    """

    name: str
    value: float
    colour: Colour
    is_dashed: bool = False
    group: str = ""
    is_outside: bool = False


@dataclass(frozen=True, slots=True)
class Mark:
    """A place on the x axis with its text, such as an OOM kill or the knee of a curve."""

    at: float
    text: str
    colour: Colour = "bad"


@dataclass(frozen=True, slots=True)
class Span:
    """A part of the x axis that is shaded, such as a warm-up or a time of throttling."""

    begin: float
    end: float
    text: str
    colour: Colour = "dim"


@dataclass(frozen=True, slots=True)
class Bar:
    """A bar from 0 to a value of the x axis, in the row of its number; of charts that have `rows`."""

    row: int
    value: float
    colour: Colour


@dataclass(frozen=True, slots=True)
class Chart:
    """A chart: a title, what it says in a sentence for who cannot see it, an x axis, and what is drawn over it.

    x: increasing; seconds since 1970 where `is_time`. Every line and band has a value for each.
    rows: names of rows, the first one on top; y is then the number of a row, `unit` that of x, and bars can be drawn.
    """

    title: str
    x: Sequence[float] | NDArray[np.float64]
    lines: Sequence[Line] = ()
    bands: Sequence[Band] = ()
    levels: Sequence[Level] = ()
    marks: Sequence[Mark] = ()
    spans: Sequence[Span] = ()
    bars: Sequence[Bar] = ()
    rows: Sequence[str] = ()
    unit: Unit = "number"
    x_label: str = ""
    y_label: str = ""
    is_time: bool = False
    x_scale: Scale = "linear"
    y_scale: Scale = "linear"
    text: str = ""

    def document(self) -> dict[str, Any]:
        """The chart as JSON for static/charts.js: what has its default is not in it, and a gap is null."""
        document: dict[str, Any] = _plain(self)
        return document


@dataclass(frozen=True, slots=True)
class Point:
    """One named thing in a chart of points, such as a model: two figures of it."""

    name: str
    x: float
    y: float
    colour: Colour


def scatter(
    title: str, points: Sequence[Point], *, labels: tuple[str, str], x_scale: Scale = "linear", lead: str = ""
) -> Chart:
    """A chart of named points; one whose figures cannot be drawn on its scale is left out.

    labels: of the x and the y axis. lead: a sentence before the points in the chart's text.

    >>> scatter("t", [Point("a", 1.0, 2.0, "c1"), Point("b", 0.0, 2.0, "c2")], labels=("x", "y"), x_scale="log").text
    'a: 1, 2.000.'
    """
    shown = [one for one in points if math.isfinite(one.x) and math.isfinite(one.y) and (one.x > 0 or x_scale != "log")]
    x = sorted({one.x for one in shown})
    return Chart(
        title,
        x,
        [
            Line(
                one.name,
                [one.y if at == one.x else None for at in x],
                one.colour,
                "points",
                group=one.name,
                label=one.name,
            )
            for one in shown
        ],
        x_scale=x_scale,
        x_label=labels[0],
        y_label=labels[1],
        text=" ".join([*([lead] if lead else []), *(f"{one.name}: {one.x:.3g}, {one.y:.3f}." for one in shown)]),
    )


# Six digits of an amount are more than a screen shows; a moment in seconds has ten before its point.
_DIGITS = {"x": 12, "at": 12, "begin": 12, "end": 12}


def _plain(value: Any, digits: int = 6) -> Any:
    if isinstance(value, float):
        return float(f"{value:.{digits}g}") if math.isfinite(value) else None
    if isinstance(value, (str, int, type(None))):
        return value
    if is_dataclass(value):
        given = ((one, getattr(value, one.name)) for one in fields(value))
        return {
            one.name: _plain(what, _DIGITS.get(one.name, 6))
            for one, what in given
            if not _is_default(what, one.default)
        }
    return [_plain(float(one) if hasattr(one, "dtype") else one, digits) for one in value]


def _is_default(value: Any, default: Any) -> bool:
    return len(value) == 0 if isinstance(default, tuple) else default is not MISSING and value == default
