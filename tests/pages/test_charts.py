"""Charts as data for the browser."""

from __future__ import annotations

import json
import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from mora.pages.charts import Band, Bar, Chart, Level, Line, Mark, Point, Span, scatter


def test_a_gap_is_null_and_amounts_keep_six_digits() -> None:
    line = Line("use", [0.123456789, math.nan, None, math.inf], "use")
    (found,) = Chart("x", [1, 2, 3, 4], [line]).document()["lines"]
    assert found["values"] == [0.123457, None, None, None]


def test_what_has_its_default_is_not_in_the_document() -> None:
    found = Chart(
        "t",
        np.arange(2.0),
        [Line("a", np.array([1.0, 2.0]), "c1", is_dashed=True)],
        [Band("b", [0, 1], [1, 2], "c2", group="g")],
        [Level("c", 3, "target")],
        [Mark(1, "OOM kill")],
        [Span(0, 1, "warm-up")],
        unit="cores",
        is_time=True,
    ).document()
    assert found == {
        "title": "t",
        "x": [0.0, 1.0],
        "lines": [{"name": "a", "values": [1.0, 2.0], "colour": "c1", "is_dashed": True}],
        "bands": [{"name": "b", "low": [0, 1], "high": [1, 2], "colour": "c2", "group": "g"}],
        "levels": [{"name": "c", "value": 3, "colour": "target"}],
        "marks": [{"at": 1, "text": "OOM kill"}],
        "spans": [{"begin": 0, "end": 1, "text": "warm-up"}],
        "unit": "cores",
        "is_time": True,
    }


def test_moments_are_exact_to_the_second() -> None:
    at = 1_764_136_805.0
    found = Chart("t", [at, at + 1], marks=[Mark(at + 2, "x")], spans=[Span(at, at + 3, "y")], is_time=True).document()
    assert (found["x"], found["marks"][0]["at"]) == ([at, at + 1], at + 2)
    assert (found["spans"][0]["begin"], found["spans"][0]["end"]) == (at, at + 3)


@given(st.lists(st.one_of(st.none(), st.floats(), st.integers(-(2**53), 2**53)), max_size=20), st.text(max_size=20))
def test_every_chart_is_json_that_a_browser_reads(values: list[float | None], name: str) -> None:
    chart = Chart(name, list(range(len(values))), [Line(name, values, "c1")])
    json.loads(json.dumps(chart.document(), allow_nan=False))


def test_a_chart_of_rows_names_them_and_has_bars() -> None:
    found = Chart("t", [0.0, 2.0], bars=[Bar(0, 2.0, "c1"), Bar(1, -0.5, "bad")], rows=["a", "b"]).document()
    assert found["rows"] == ["a", "b"]
    assert found["bars"] == [{"row": 0, "value": 2.0, "colour": "c1"}, {"row": 1, "value": -0.5, "colour": "bad"}]


def test_a_chart_of_points_leaves_out_what_its_scale_cannot_show() -> None:
    points = [Point("a", 2.0, 1.0, "c1"), Point("b", 1.0, 3.0, "c2"), Point("c", math.nan, 1.0, "c3")]
    chart = scatter(
        "t", [*points, Point("zero", 0.0, 1.0, "c4")], labels=("x", "y"), x_scale="log", lead="Low is best."
    )
    assert list(chart.x) == [1.0, 2.0]
    assert {line.name: list(line.values) for line in chart.lines} == {"a": [None, 1.0], "b": [3.0, None]}
    assert chart.text == "Low is best. a: 2, 1.000. b: 1, 3.000."
    assert [line.name for line in scatter("t", [Point("zero", 0.0, 1.0, "c4")], labels=("x", "y")).lines] == ["zero"]
