"""Trees of two libraries, walked with numpy, give what the libraries give."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from mora.errors import BadModel
from mora.trees import Trees, joined

# x0 <= 1 ? (x1 <= 2 ? 10 : 20) : 30, the inner nodes worth 25 and 15.
ONE: dict[str, NDArray[Any]] = {
    "left": np.array([1, 3, -1, -1, -1]),
    "right": np.array([2, 4, -1, -1, -1]),
    "feature": np.array([0, 1, -2, -2, -2]),
    "limit": np.array([1.0, 2.0, 0.0, 0.0, 0.0]),
    "left_if_missing": np.array([True, False, False, False, False]),
    "value": np.array([25.0, 15.0, 30.0, 10.0, 20.0]),
}
LEAF: dict[str, NDArray[Any]] = {
    "left": np.array([-1]),
    "right": np.array([-1]),
    "feature": np.array([-2]),
    "limit": np.array([0.0]),
    "left_if_missing": np.array([False]),
    "value": np.array([0.5]),
}


def test_a_row_ends_in_the_leaf_that_the_questions_lead_to() -> None:
    rows = np.array([[1.0, 2.0], [1.0, 2.1], [1.1, 0.0], [np.nan, np.nan]])
    assert joined([ONE, LEAF, ONE]).sums(rows).tolist() == [20.5, 40.5, 60.5, 40.5]


def test_steps_downward_are_the_work_of_the_feature_that_was_asked_for() -> None:
    steps = joined([ONE]).steps(np.array([[0.0, 0.0], [0.0, 9.0], [9.0, 0.0]]), 2)
    assert steps.tolist() == [[10.0, 5.0], [10.0, 0.0], [0.0, 0.0]]


@given(st.integers(0, 1000), st.integers(1, 3000))
def test_rows_are_independent_of_each_other(seed: int, rows: int) -> None:
    values = np.random.default_rng(seed).normal(1, 1, (rows, 2))
    trees = joined([ONE, LEAF] * 40)
    whole = trees.sums(values)
    assert whole[-1] == trees.sums(values[-1:])[0]
    assert trees.steps(values, 2)[-1].tolist() == trees.steps(values[-1:], 2)[0].tolist()


def test_what_is_restored_gives_the_same() -> None:
    rows = np.random.default_rng(0).normal(1, 1, (50, 2))
    trees = joined([ONE, LEAF])
    again = Trees.restore(trees.arrays("cpu."), features=2, prefix="cpu.")
    assert again.sums(rows).tolist() == trees.sums(rows).tolist()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("left", [0, 3, 2, 3, 4, 5]),  # the root is its own child on one side: a walk without an end
        ("right", [2, 4, 2, 3, 99, 5]),  # a child that is not there
        ("roots", [-1, 5]),
        ("roots", [[0, 5]]),
        ("feature", [0, 2, 0, 0, 0, 0]),  # a third metric of two
        ("value", [np.nan] * 6),
        ("limit", [0.0]),
        ("limit", ["one"] * 6),
    ],
)
def test_trees_that_cannot_be_are_refused(name: str, value: list[Any]) -> None:
    arrays = {**joined([ONE, LEAF]).arrays(), name: np.array(value)}
    with pytest.raises(BadModel, match="do not fit together"):
        Trees.restore(arrays, features=2)
    arrays.pop(name)
    with pytest.raises(BadModel, match="not complete"):
        Trees.restore(arrays, features=2)


def test_trees_without_a_node_are_refused() -> None:
    arrays = {name: array[:0] for name, array in joined([ONE]).arrays().items()}
    arrays["roots"] = np.array([0])
    with pytest.raises(BadModel, match="do not fit together"):
        Trees.restore(arrays, features=2)
