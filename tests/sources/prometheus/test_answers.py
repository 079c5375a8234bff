"""What an answer of the Prometheus API must look like."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mora.documents import Misfit
from mora.sources.prometheus import answers

JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def series(**fields: Any) -> list[Any]:
    return [{"metric": {"pod": "web-1"}, **fields}]


def test_what_prometheus_answers_is_taken() -> None:
    assert answers.rows(series(value=[1.5, "NaN"]))[0]["metric"] == {"pod": "web-1"}
    assert len(answers.rows_of_many(series(values=[[1, "2"], [3, "+Inf"]]))) == 1
    assert answers.rows_of_many(series(values=[])) == []
    assert answers.texts(["up", "kube_pod_info"]) == ["up", "kube_pod_info"]
    assert math.isnan(answers.number("NaN"))


@pytest.mark.parametrize(
    ("found", "words"),
    [
        ({}, "an object stands where a list of series should be"),
        ([3], "a series is a number"),
        ([{"metric": [], "value": [1, "2"]}], "the labels of a series are a list"),
        ([{"metric": {"pod": 7}, "value": [1, "2"]}], "the label 'pod' is a number, not text"),
        ([{"metric": {}}], "a sample is no pair"),
        ([{"metric": {}, "value": ["now", "2"]}], "the moment of a sample is text"),
        ([{"metric": {}, "value": [1e300, "2"]}], "the moment of a sample is a number"),
        ([{"metric": {}, "value": [1, 2]}], "the value of a sample is a number, not text"),
        ([{"metric": {}, "value": [1, "abc"]}], "the value of a sample is not a number"),
    ],
)
def test_what_it_cannot_answer_is_a_misfit_with_the_reason(found: Any, words: str) -> None:
    with pytest.raises(Misfit, match=words):
        answers.rows(found)


def test_more_parts_than_any_cluster_has_are_not_read_as_json() -> None:
    answers.check_size(json.dumps(series(value=[1, "2"])).encode())
    with pytest.raises(Misfit, match="more than any cluster has"):
        answers.check_size(b"[" * 2_000_000)


@given(JSON)
def test_any_json_is_taken_or_a_misfit_and_half_a_character_is_never_handed_on(found: Any) -> None:
    for read in (answers.rows, answers.rows_of_many, answers.label_sets, answers.texts):
        try:
            taken = read(found)
        except Misfit:
            continue
        json.dumps(taken, ensure_ascii=False).encode("utf-8")
