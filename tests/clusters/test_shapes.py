"""Reading values of an odd answer: typed, or refused with the path, and never with the value of a text."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mora.clusters.shapes import (
    MOST_CORES,
    Shape,
    Unreadable,
    amount,
    checked,
    fields,
    flag,
    generation,
    identity,
    listed,
    mapped,
    read,
    text,
    whole,
    whole_or_percent,
)
from mora.documents import Misfit

CONTAINER = fields({"name": text, "cpu": amount(MOST_CORES)}, needed=("name",))
POD = fields({"containers": listed(CONTAINER), "labels": mapped(text), "hostNetwork": flag})

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=10,
)


def test_known_fields_are_kept_and_null_is_absent() -> None:
    item = {"containers": [{"name": "web", "cpu": "250m", "odd": 1}], "labels": {"app": None, "team": "a"}, "x": []}
    assert read(POD, item) == {"containers": [{"name": "web", "cpu": "250m"}], "labels": {"team": "a"}}
    assert read(fields({"labels": mapped(text)}, keeps_rest=True), item)["x"] == []


@pytest.mark.parametrize(
    ("item", "problem"),
    [
        ([], "it is a list, not an object"),
        ({"containers": {}}, "containers is an object, not a list"),
        ({"containers": [{"cpu": "1"}]}, "containers[0].name is missing"),
        ({"containers": [{"name": None}]}, "containers[0].name is missing"),
        ({"containers": [{"name": "web"}, 5]}, "containers[1] is a number, not an object"),
        ({"containers": [{"name": "web", "cpu": "5Kx"}]}, "containers[0].cpu is '5Kx', not a Kubernetes quantity"),
        ({"containers": [{"name": "web", "cpu": "1e50"}]}, "containers[0].cpu is '1e50', more than any machine has"),
        ({"containers": [{"name": "web", "cpu": float("nan")}]}, "containers[0].cpu is nan, not a Kubernetes quantity"),
        (
            {"containers": [{"name": "web", "cpu": True}]},
            "containers[0].cpu is True, not a Kubernetes quantity",
        ),
        ({"labels": {"app": 7}}, "labels['app'] is a number, not text"),
        ({"hostNetwork": "yes"}, "hostNetwork is text, not true or false"),
    ],
)
def test_what_has_another_form_is_refused_with_its_path(item: object, problem: str) -> None:
    with pytest.raises(Unreadable) as refused:
        read(POD, item)
    assert refused.value.problem == problem


@pytest.mark.parametrize(
    ("shape", "good", "odd"),
    [
        (whole, [0, 2**31 - 1], [-1, 2**31, 1.0, "1", True, None]),
        (generation, [0, 2**40], [1.5, "1", False]),
        (whole_or_percent, [1, "25%", "3"], ["", "%", "x%", "-1", "²%", -1, 0.5, "1" * 20]),
        (amount(), ["1e3", 0.5, 2, "1Gi", ".5"], ["", "1 Gi", "-1", "1e99", float("inf"), [], "१"]),
    ],
)
def test_single_values_have_one_form(shape: Shape, good: list[object], odd: list[object]) -> None:
    for value in good:
        shape(value, "here")
    for value in odd:
        with pytest.raises(Misfit, match="here is "):
            shape(value, "here")


def test_a_refusal_names_the_object_where_its_name_can_be_read() -> None:
    item = {"metadata": {"namespace": "shop", "name": "web"}, "containers": 1}
    with pytest.raises(Unreadable, match="An object of 'web' in namespace 'shop' cannot be read") as refused:
        read(POD, item)
    assert (refused.value.namespace, refused.value.name) == ("shop", "web")
    assert identity({"metadata": {"namespace": "shop", "name": "web --kubeconfig=x"}}) == ("shop", None)
    assert identity({"metadata": []}) == identity("x") == (None, None)


def test_a_refusal_never_shows_the_value_of_a_text() -> None:
    for shape, value in (
        (whole, "s3cret"),
        (flag, "s3cret"),
        (listed(text), "s3cret"),
        (POD, "s3cret"),
        (text, "s3cret\ud800"),
    ):
        with pytest.raises(Misfit) as refused:
            shape(value, "password")
        assert "s3cret" not in str(refused.value)


def test_a_rule_between_fields_is_reported_with_its_place() -> None:
    shape = fields({"pod": checked(POD, lambda pod: None if pod.get("containers") else "has no containers")})
    with pytest.raises(Unreadable, match="pod has no containers"):
        read(shape, {"pod": {"containers": []}})


@given(values)
def test_any_value_is_read_to_the_same_again_or_refused(value: Any) -> None:
    with suppress(Unreadable):
        found = read(POD, value)
        assert read(POD, found) == found
