"""Layers in numpy: a stack computed at once is its layers one after another."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from mora.networks.layers import LstmStack, LstmWeights, lstm, sigmoid


def layers(inputs: int, units: list[int], seed: int) -> list[LstmWeights]:
    rng = np.random.default_rng(seed)
    found = []
    for size in units:
        shapes = ((inputs, 4 * size), (size, 4 * size), (4 * size,))
        kernel, recurrent, bias = (rng.normal(0, 0.5, shape) for shape in shapes)
        found.append((kernel, recurrent, bias))
        inputs = size
    return found


@given(
    inputs=st.integers(1, 5),
    units=st.lists(st.integers(1, 6), min_size=1, max_size=4),
    steps=st.integers(1, 9),
    count=st.integers(1, 4),
    seed=st.integers(0, 99),
)
@settings(max_examples=50, deadline=None)
def test_a_stack_computed_at_once_is_its_layers_one_after_another(
    inputs: int, units: list[int], steps: int, count: int, seed: int
) -> None:
    made = layers(inputs, units, seed)
    stack = LstmStack(made)
    given_ = np.random.default_rng(seed).normal(0, 1, (count, steps, inputs))
    flow, same = given_, np.repeat(given_[:, :1], steps, axis=1)
    for weights in made:
        flow, same = lstm(flow, *weights), lstm(same, *weights)
    np.testing.assert_allclose(stack.forward(given_), flow, atol=1e-12)
    np.testing.assert_allclose(stack.repeat(given_[:, 0], steps), same, atol=1e-12)


def test_a_sigmoid_of_anything_is_a_number() -> None:
    assert sigmoid(np.array([-1e9, 0.0, 1e9])).tolist() == [0.0, 0.5, 1.0]
