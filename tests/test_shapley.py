"""SHAP values: those of sampling are those of the definition, and in any unit they add up to the forecast."""

from __future__ import annotations

import itertools
import math
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mora import shapley
from mora.domain.learning import Floats

WEIGHTS = np.array([0.5, -1.0, 2.0, 0.3])


def model(inputs: Floats) -> Floats:
    """Two outputs, with products of inputs."""
    found: Floats = np.column_stack(
        [inputs @ WEIGHTS + inputs[:, 0] * inputs[:, 1], np.tanh(inputs[:, 2]) + inputs[:, 3]]
    )
    return found


def masks(*groups: tuple[int, ...]) -> list[np.ndarray]:
    return [np.isin(np.arange(4), group) for group in groups]


def by_definition(row: Floats, background: Floats, groups: list[np.ndarray]) -> Floats:
    """The average over every order of the groups and every row of the background."""
    found = np.zeros((len(groups), 2))
    orders = list(itertools.permutations(range(len(groups))))
    for other in background:
        for order in orders:
            has = np.zeros(4, dtype=bool)
            before = model(other[None])[0]
            for group in order:
                has |= groups[group]
                now = model(np.where(has, row, other)[None])[0]
                found[group] += (now - before) / (len(orders) * len(background))
                before = now
    return found


def test_of_products_of_two_inputs_a_permutation_and_its_reverse_are_exact() -> None:
    rng = np.random.default_rng(0)
    rows, background, groups = rng.normal(size=(3, 4)), rng.normal(size=(5, 4)), masks((0,), (1,), (2,), (3,))
    base, found = shapley.sampled(model, rows, background, groups, seed=1)
    np.testing.assert_allclose(base, model(background).mean(axis=0))
    for row, values in zip(rows, found, strict=True):
        np.testing.assert_allclose(values, by_definition(row, background, groups), atol=1e-12)


@given(st.integers(0, 10_000))
def test_sampled_values_add_up_to_the_output_whatever_the_groups(seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows, background = rng.normal(size=(2, 4)), rng.normal(size=(3, 4))
    for groups in (masks((0, 1, 2, 3)), masks((0, 2), (1, 3)), masks((0,), (1, 2), (3,))):
        base, found = shapley.sampled(model, rows, background, groups, seed=seed)
        np.testing.assert_allclose(base + found.sum(axis=1), model(rows), atol=1e-12)


def test_an_input_that_changes_nothing_has_no_part_in_it() -> None:
    rng = np.random.default_rng(2)
    _, found = shapley.sampled(
        model, rng.normal(size=(2, 4)), rng.normal(size=(4, 4)), masks((0, 1), (2,), (3,)), seed=0
    )
    np.testing.assert_allclose(found[:, 0, 1], 0.0, atol=1e-15)


amounts = st.floats(1e-3, 1e10)
logs = st.floats(-3.0, 3.0)


@given(amounts, st.lists(logs, min_size=1, max_size=5), logs, amounts, st.floats(0.0, 1.0))
def test_amounts_add_up_to_the_forecast_in_its_unit(
    level: float, changes: list[float], base: float, usual: float, idle: float
) -> None:
    forecast = max((level + idle) * math.exp(base + sum(changes)) - idle, 0.0)
    found = shapley.in_units(np.array([level]), base, np.array([changes]), np.array([forecast]), idle=idle, usual=usual)
    assert usual + found.sum() == pytest.approx(forecast, rel=1e-9, abs=1e-9 * usual)
    # What raises the logarithm raises the amount.
    assert (np.sign(found[0, 1:]) == np.sign(changes)).all()


@given(st.floats(0.01, 100.0))
def test_scaling_a_forecast_scales_its_amounts(scale: float) -> None:
    changes = np.array([[0.2, -0.7]])

    def of(factor: float) -> Floats:
        forecast = np.array([2.0 * factor * math.exp(-0.4)])
        return shapley.in_units(np.array([2.0 * factor]), 0.1, changes, forecast, idle=0.0, usual=3.0 * factor)

    np.testing.assert_allclose(of(scale), scale * of(1.0), rtol=1e-9)


def test_a_forecast_that_was_raised_to_zero_still_adds_up() -> None:
    found = shapley.in_units(np.array([0.0]), 0.0, np.array([[-1.0]]), np.array([0.0]), idle=0.1, usual=2.0)
    assert 2.0 + found.sum() == pytest.approx(0.0)


def test_the_terms_of_a_sum_are_counted_from_their_average() -> None:
    terms = np.array([[1.0, 5.0], [3.0, 5.0]])
    found = shapley.of_sum(["trend", "season"], terms, terms)
    assert found.base == 7.0
    np.testing.assert_allclose(found.forecasts, [6.0, 8.0])
    np.testing.assert_array_equal(found.amounts[:, 1], [0.0, 0.0])
    assert found.is_exact


def random_trees(seed: int, *, features: int = 4, trees: int = 3, depth: int = 4) -> SimpleNamespace:
    """Trees as mora/trees.py keeps them, that ask for a feature more than once on a way."""
    rng = np.random.default_rng(seed)
    nodes: list[dict[str, float]] = []
    roots = []

    def grow(left_depth: int) -> int:
        place = len(nodes)
        nodes.append({"left": place, "right": place, "feature": 0, "limit": 0.0, "missing": 0, "value": rng.normal()})
        if left_depth and rng.random() < 0.9:
            own = {"feature": int(rng.integers(features)), "limit": rng.normal(), "missing": int(rng.integers(2))}
            nodes[place] |= {**own, "left": grow(left_depth - 1), "right": grow(left_depth - 1)}
        return place

    for _ in range(trees):
        roots.append(grow(depth))
    table = {name: np.array([node[name] for node in nodes]) for name in nodes[0]}
    return SimpleNamespace(
        left=table["left"].astype(np.int32),
        right=table["right"].astype(np.int32),
        feature=table["feature"].astype(np.int32),
        limit=table["limit"].astype(np.float32).astype(np.float64),
        left_if_missing=table["missing"].astype(bool),
        value=table["value"].astype(np.float64),
        roots=np.array(roots, dtype=np.int32),
    )


def walk(trees: SimpleNamespace, rows: Floats) -> Floats:
    """The sum over the trees, one row and one node at a time."""
    found = np.zeros(len(rows))
    for number, row in enumerate(rows):
        for node in trees.roots:
            while trees.left[node] != node:
                value = np.float32(row[trees.feature[node]])
                is_left = trees.left_if_missing[node] if np.isnan(value) else value <= trees.limit[node]
                node = trees.left[node] if is_left else trees.right[node]
            found[number] += trees.value[node]
    return found


@given(st.integers(0, 10_000))
@settings(max_examples=25, deadline=None)
def test_values_of_trees_are_those_of_the_definition(seed: int) -> None:
    trees, rng = random_trees(seed), np.random.default_rng(seed)
    rows, background = rng.normal(size=(2, 4)), rng.normal(size=(3, 4))
    rows[0, rng.integers(4)] = np.nan
    base, found = shapley.of_trees(trees, rows, background)
    assert base == pytest.approx(walk(trees, background).mean())
    np.testing.assert_allclose(base + found.sum(axis=1), walk(trees, rows), atol=1e-9)
    for row, values in zip(rows, found, strict=True):
        truth = np.zeros(4)
        for other in background:
            for order in itertools.permutations(range(4)):
                mixed = other.copy()
                for feature in order:
                    before = walk(trees, mixed[None])[0]
                    mixed[feature] = row[feature]
                    truth[feature] += (walk(trees, mixed[None])[0] - before) / (24 * len(background))
        np.testing.assert_allclose(values, truth, atol=1e-9)


def test_a_stump_and_a_tree_that_asks_nothing() -> None:
    trees = random_trees(0, trees=1, depth=0)
    base, found = shapley.of_trees(trees, np.ones((2, 3)), np.ones((1, 3)))
    assert base == pytest.approx(trees.value[0])
    np.testing.assert_array_equal(found, np.zeros((2, 3)))
