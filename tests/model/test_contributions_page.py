"""SHAP values as a person reads them."""

from __future__ import annotations

import dataclasses
import json
import re

import pandas as pd
import pytest

from mora.model.contributions import ExplainedForecast, explain_forecasts
from mora.model.contributions_page import SHOWN, contributions_page, contributions_text, describe
from tests import fakes_learning as fakes
from tests.model import explaining


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    return fakes.observed(days=6)


@pytest.fixture(scope="module")
def found(frame: pd.DataFrame) -> list[ExplainedForecast]:
    return explain_forecasts(explaining.model(frame), frame, horizon_seconds=3600.0)


def test_sentences_name_the_strongest_inputs(found: list[ExplainedForecast]) -> None:
    first, moved, made_of = describe(found[0])
    assert re.match(
        r"default/frontend, CPU over the 1h from 2026-09-07 08:00 UTC: a mean use of \d+m is forecast", first
    )
    assert re.search(r"mean of the last 1h (raises|lowers) it by \d", moved)
    assert made_of.startswith("Forecast by: Prophet 40% (")
    assert "The values of LSTM are sampled, against 8 moments; the others are exact." in made_of


def test_the_table_ends_with_the_forecast_and_adds_up_what_it_does_not_show(found: list[ExplainedForecast]) -> None:
    text = contributions_text(found)
    assert "INPUT" in text
    assert f"{len(found[0].contributions.names) - SHOWN} other inputs" in text
    assert "Memory over the 1h" in text
    assert "e-" not in text


def test_no_others_are_called_exact_where_there_are_none(frame: pd.DataFrame) -> None:
    cpu = explain_forecasts(explaining.model(frame, {"lstm": 1.0}), frame)[0]
    assert describe(cpu)[2].endswith("The values of LSTM are sampled, against 8 moments.")


def test_a_sentence_says_that_nothing_moves(frame: pd.DataFrame) -> None:
    still = frame.assign(cpu_cores_value=0.2)
    cpu = explain_forecasts(explaining.model(frame, {"naive": 1.0}), still)[0]
    assert describe(cpu)[1] == "Nothing moves it far from that average."


def test_the_page_draws_bars_and_a_beeswarm_of_each_target(found: list[ExplainedForecast]) -> None:
    page = contributions_page(found)
    charts = [json.loads(block) for block in re.findall(r'<script type="application/json">(.*?)</script>', page)]
    assert len(charts) == 6
    now, usual, swarm = charts[:3]
    assert [bar["row"] for bar in now["bars"]] == list(range(SHOWN))
    assert now["rows"] == swarm["rows"] == list(found[0].contributions.names[:SHOWN])
    assert all(bar["value"] >= 0 for bar in usual["bars"])
    points = sum(value is not None for line in swarm["lines"] for value in line["values"])
    assert points == len(swarm["x"]) == SHOWN * len(found[0].seconds)
    assert swarm["x"] == sorted(swarm["x"])


def test_names_from_outside_are_escaped(found: list[ExplainedForecast]) -> None:
    own = found[0].contributions
    named = dataclasses.replace(own, names=("<script>alert(1)</script>", *own.names[1:]))
    page = contributions_page([dataclasses.replace(found[0], contributions=named)])
    assert "<script>alert" not in page
