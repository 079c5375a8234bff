"""SHAP values: how much each input of a forecast adds to it, so that base and amounts give the forecast itself.

A forecast that is a sum has them at once, boosted trees compute theirs exactly, and those of a network are sampled over
permutations. Most forecasters here predict a logarithm, of the coming use over the last; what is additive there is
multiplicative in cores and bytes, and `in_units` divides the amount itself.
Sources: Shapley (1953), "A value for n-person games"; Lundberg & Lee (2017), "A unified approach to interpreting model
predictions"; Castro, Gomez & Tejada (2009), "Polynomial calculation of the Shapley value based on sampling", for the
permutations; Lundberg et al. (2020), "From local explanations to global understanding with explainable AI for trees";
Mitchell et al. (2022), "Sampling permutations for Shapley value estimation", for taking each with its
reverse; Ang (2004), "Decomposition analysis for policymaking in energy", for the logarithmic mean.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from mora.domain.learning import Contributions, Floats
from mora.quantities import format_duration

# How inputs are called; others go by the name of their column.
_WORDS = {
    "cpu_cores_value": "CPU",
    "mem_bytes_value": "memory",
    "net_rx_bytes_value": "received traffic",
    "net_tx_bytes_value": "sent traffic",
}


def in_words(column: str) -> str:
    """A column of the dataset as a person calls it.

    >>> in_words("cpu_cores_value"), in_words("db_connections")
    ('CPU', 'db_connections')
    """
    return _WORDS.get(column, column)


def last_horizon(horizon_seconds: float) -> str:
    """How the level that most forecasts start from is called.

    >>> last_horizon(86400)
    'mean of the last 24h'
    """
    return f"mean of the last {format_duration(horizon_seconds)}"


def of_sum(names: Sequence[str], terms: Floats, background: Floats) -> Contributions:
    """Of a forecast that is the sum of its terms: exact, what each term is over its own average.

    terms: shape (rows, inputs). background: the terms of the background, shape (rows, inputs).

    >>> found = of_sum(["a", "b"], np.array([[3.0, 1.0]]), np.array([[1.0, 1.0], [3.0, 2.0]]))
    >>> found.base, found.amounts
    (3.5, array([[ 1. , -0.5]]))
    """
    usual = background.mean(axis=0)
    return Contributions(tuple(names), float(usual.sum()), terms - usual, terms)


def sampled(
    model: Callable[[Floats], Floats],
    rows: Floats,
    background: Floats,
    groups: Sequence[np.ndarray],
    *,
    seed: int,
) -> tuple[Floats, Floats]:
    """SHAP values of groups of inputs by sampling, shape (rows, groups, outputs), and the base, shape (outputs,).

    model: inputs of shape (n, ...) -> outputs of shape (n, outputs). groups: masks over the inputs of one row, which
    together are all of them and of which no two meet. Each row of the background takes part with one permutation and
    its reverse, the same for all rows; base and values of a row add up to the model's output for it.
    """
    rng = np.random.default_rng(seed)
    count, base = len(groups), model(background)
    orders = [rng.permutation(count) for _ in background]
    ends = model(rows)
    found = np.zeros((len(rows), count, base.shape[1]))
    for number, row in enumerate(rows):
        mixed, places = [], []
        for other, order in zip(background, orders, strict=True):
            for one in (order, order[::-1]):
                has = np.zeros(row.shape, dtype=bool)
                for group in one[:-1]:
                    has |= groups[group]
                    mixed.append(np.where(has, row, other))
                places.append(one)
        between = model(np.stack(mixed)).reshape(len(places), count - 1, -1) if count > 1 else None
        for walk, order in enumerate(places):
            start = base[walk // 2][None]
            steps = [start, ends[number][None]] if between is None else [start, between[walk], ends[number][None]]
            found[number, order] += np.diff(np.concatenate(steps), axis=0) / len(places)
    return base.mean(axis=0), found


def grouped(names: Sequence[str], amounts: Floats, inputs: Floats) -> tuple[tuple[str, ...], Floats, Floats]:
    """Columns of the same name as one: what they add together, and the first one's input.

    >>> grouped(["a", "b", "a"], np.array([[1.0, 2.0, 3.0]]), np.array([[7.0, 8.0, 9.0]]))
    (('a', 'b'), array([[4., 2.]]), array([[7., 8.]]))
    """
    places: dict[str, list[int]] = {}
    for place, name in enumerate(names):
        places.setdefault(name, []).append(place)
    own = list(places.values())
    added = np.column_stack([amounts[:, columns].sum(axis=1) for columns in own])
    return tuple(places), added, inputs[:, [columns[0] for columns in own]]


class TreeArrays(Protocol):
    """Trees as mora/trees.py keeps them: nodes one after another, leaves their own children."""

    @property
    def left(self) -> NDArray[np.int32]: ...  # noqa: D102  # fields of a table, named as in mora/trees.py
    @property
    def right(self) -> NDArray[np.int32]: ...  # noqa: D102
    @property
    def feature(self) -> NDArray[np.int32]: ...  # noqa: D102
    @property
    def limit(self) -> Floats: ...  # noqa: D102
    @property
    def left_if_missing(self) -> NDArray[np.bool_]: ...  # noqa: D102
    @property
    def value(self) -> Floats: ...  # noqa: D102
    @property
    def roots(self) -> NDArray[np.int32]: ...  # noqa: D102


@dataclass(frozen=True, slots=True)
class _Leaves:
    """The leaves of all trees. feature: what each asks for on its way, each feature once, shape (leaves, slots), -1
    where there are fewer. nodes, goes_left, slot: every question on the way and what answer leads on, shape (leaves,
    depth), -1 where the way is shorter."""

    value: Floats
    feature: NDArray[np.int64]
    nodes: NDArray[np.int64]
    goes_left: NDArray[np.bool_]
    slot: NDArray[np.int64]


def of_trees(trees: TreeArrays, rows: Floats, background: Floats) -> tuple[float, Floats]:
    """SHAP values of a sum of trees over a background, exactly: the base, and shape (rows, features).

    Of each leaf it counts in which features' hands it is whether a row of the background, turned into the explained row
    one feature after another, ends there (Lundberg et al. 2020, "interventional").
    """
    leaves = _leaves_of(trees)
    mine, theirs = (_answers(trees, leaves, one) for one in (rows, background))
    by_row, by_other = _weights(leaves.feature.shape[1])
    found = np.zeros((len(rows), rows.shape[1]))
    used = leaves.feature.ravel() >= 0
    where = leaves.feature.ravel()[used]
    reached = theirs.all(axis=2)
    for number, own in enumerate(mine):
        total = np.zeros(leaves.feature.shape)
        for other in theirs:
            alive = np.flatnonzero((own | other).all(axis=1))
            only_own, only_other = own[alive] & ~other[alive], other[alive] & ~own[alive]
            first, second = only_own.sum(axis=1), only_other.sum(axis=1)
            up, down = by_row[first, second], by_other[first, second]
            total[alive] += only_own * up[:, None] - only_other * down[:, None]
        amounts = (total * (leaves.value / len(theirs))[:, None]).ravel()[used]
        found[number] = np.bincount(where, weights=amounts, minlength=rows.shape[1])
    return float((reached * leaves.value).sum(axis=1).mean()), found


def _weights(most: int) -> tuple[Floats, Floats]:
    """What a leaf's value counts for a feature that only the row, or only the other, answers as the leaf needs it.

    By how many such features each of the two has.
    """
    row, other = np.zeros((most + 1, most + 1)), np.zeros((most + 1, most + 1))
    for first in range(most + 1):
        for second in range(most + 1 - first):
            whole = math.factorial(first + second)
            if first:
                row[first, second] = math.factorial(first - 1) * math.factorial(second) / whole
            if second:
                other[first, second] = math.factorial(first) * math.factorial(second - 1) / whole
    return row, other


def _leaves_of(trees: TreeArrays) -> _Leaves:
    ways: list[tuple[int, tuple[tuple[int, bool], ...]]] = []
    open_ends: list[tuple[int, tuple[tuple[int, bool], ...]]] = [(int(root), ()) for root in trees.roots]
    while open_ends:
        node, way = open_ends.pop()
        left, right = int(trees.left[node]), int(trees.right[node])
        if left == node:
            ways.append((node, way))
        else:
            open_ends += [(left, (*way, (node, True))), (right, (*way, (node, False)))]
    depth = max(max(len(way) for _, way in ways), 1)
    shape = (len(ways), depth)
    feature, nodes, slot = (np.full(shape, -1, dtype=np.int64) for _ in range(3))
    goes_left = np.zeros(shape, dtype=bool)
    for number, (_, way) in enumerate(ways):
        slots: dict[int, int] = {}
        for step, (node, is_left) in enumerate(way):
            asked = int(trees.feature[node])
            slots.setdefault(asked, len(slots))
            nodes[number, step], goes_left[number, step], slot[number, step] = node, is_left, slots[asked]
        feature[number, : len(slots)] = list(slots)
    value = np.array([trees.value[node] for node, _ in ways], dtype=np.float64)
    return _Leaves(value, feature, nodes, goes_left, slot)


def _answers(trees: TreeArrays, leaves: _Leaves, rows: Floats) -> NDArray[np.bool_]:
    """Whether each row answers all that a leaf asks of a feature as the leaf needs it, shape (rows, leaves, slots)."""
    asked = rows[:, trees.feature].astype(np.float32)
    goes_left = (asked <= trees.limit) | (np.isnan(asked) & trees.left_if_missing)
    found = np.ones((len(rows), *leaves.feature.shape), dtype=bool)
    for step in range(leaves.nodes.shape[1]):
        there = np.flatnonzero(leaves.nodes[:, step] >= 0)
        fits = goes_left[:, leaves.nodes[there, step]] == leaves.goes_left[there, step]
        found[:, there, leaves.slot[there, step]] &= fits
    return found


def in_units(levels: Floats, base: float, changes: Floats, forecasts: Floats, *, idle: float, usual: float) -> Floats:
    """Amounts in the forecast's unit from the logarithms of its factors, shape (rows, 1 + inputs), the level's first.

    The forecast of a row is (level + idle) exp(base + changes) - idle, and never below 0. levels: shape (rows,).
    changes: SHAP values of the logarithm, shape (rows, inputs). forecasts: as they were given out. usual: the base that
    the amounts are to be added to. A difference of two amounts is divided in proportion to the logarithms (Ang 2004).

    >>> found = in_units(np.array([1.0]), 0.0, np.log([[2.0, 3.0]]), np.array([6.0]), idle=0.0, usual=1.0)
    >>> found.round(3), float(1.0 + found.sum())
    (array([[0.   , 1.934, 3.066]]), 6.0)
    """
    starts = np.log(levels + idle) + base - np.log(usual + idle)
    logs = np.column_stack([starts, changes])
    difference = logs.sum(axis=1)
    small = np.abs(difference) < 1e-12
    safe = np.where(small, 1.0, difference)
    mean = (usual + idle) * np.where(small, 1.0, np.expm1(safe) / safe)
    amounts: Floats = logs * mean[:, None]
    # What a floor of 0 adds, and what single precision left over, belongs to the level.
    amounts[:, 0] += forecasts - usual - amounts.sum(axis=1)
    return amounts
