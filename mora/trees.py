"""Trees as plain arrays: what scikit-learn, XGBoost or LightGBM grew is kept without pickle, and read without them.

What was trained is small files of numbers, and a service that only scores or forecasts needs no library that trains.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mora.errors import BadModel

# Rows at a time: (rows, trees) stays in the processor's cache.
_CHUNK_CELLS = 200_000
MOST_TREES = 10_000
_ARRAYS = ("left", "right", "feature", "limit", "left_if_missing", "value", "roots")


@dataclass(frozen=True, slots=True)
class Trees:
    """Binary trees, their nodes one after another.

    A row goes left where float32(row[feature]) <= limit, or where it is NaN and `left_if_missing`. Leaves are their own
    children. value: of a leaf what it adds to a prediction; of an inner node whatever `steps` should compare it with.
    roots: the node that each tree begins with.
    """

    left: NDArray[np.int32]
    right: NDArray[np.int32]
    feature: NDArray[np.int32]
    limit: NDArray[np.float64]
    left_if_missing: NDArray[np.bool_]
    value: NDArray[np.float64]
    roots: NDArray[np.int32]

    def sums(self, rows: NDArray[np.float64]) -> NDArray[np.float64]:
        """The values of the leaves that each row ends in, added up over all trees, shape (rows,)."""
        total = np.zeros(len(rows))
        for part in self._chunks(len(rows)):
            nodes = self._start(rows[part])
            for _ in range(self._depth()):
                nodes = self._next(rows[part], nodes)
            total[part] = self.value[nodes].sum(axis=1)
        return total

    def steps(self, rows: NDArray[np.float64], features: int) -> NDArray[np.float64]:
        """How much each feature moves each row's sum down from the roots' values, shape (rows, features).

        A step from a node to its child is the work of the feature that the node asks for; steps upward count nothing.
        Source: Saabas (2014), "Interpreting random forests".
        """
        moved = np.zeros((len(rows), features))
        for part in self._chunks(len(rows)):
            nodes = self._start(rows[part])
            lines = np.broadcast_to(np.arange(len(nodes))[:, None], nodes.shape)
            for _ in range(self._depth()):
                after = self._next(rows[part], nodes)
                lowered = np.maximum(self.value[nodes] - self.value[after], 0.0)
                asked = (lines * features + self.feature[nodes]).ravel()
                counted = np.bincount(asked, weights=lowered.ravel(), minlength=len(nodes) * features)
                moved[part] += counted.reshape(len(nodes), features)
                nodes = after
        return moved

    def arrays(self, prefix: str = "") -> dict[str, NDArray[Any]]:
        """The arrays by name, for `Saved`."""
        return {f"{prefix}{name}": getattr(self, name) for name in _ARRAYS}

    @classmethod
    def restore(cls, arrays: Mapping[str, NDArray[Any]], *, features: int, prefix: str = "") -> Trees:
        """What `arrays` gave; BadModel where they are no trees of so many features."""
        try:
            found = [np.asarray(arrays[f"{prefix}{name}"]) for name in _ARRAYS]
        except (KeyError, TypeError, ValueError) as wrong:
            raise BadModel("The saved trees are not complete.", hint="Train it again.") from wrong
        *nodes, roots = found
        count = len(nodes[0]) if nodes[0].ndim == 1 else -1
        sound = all(array.shape == (count,) for array in nodes) and roots.ndim == 1 and len(roots) > 0
        sound = sound and count > 0 and all(array.dtype.kind in "iubf" for array in found)
        if sound:
            left, right, feature, limit, missing, value, roots = found
            here = np.arange(count)
            is_leaf = (left == here) & (right == here)
            # Children come after their parents, so every walk ends.
            sound = bool(
                (is_leaf | ((left > here) & (right > here))).all()
                and max(left.max(), right.max(), roots.max()) < count
                and roots.min() >= 0
                and feature.min() >= 0
                and feature.max() < features
                and np.isfinite(value).all()
                and not np.isnan(limit).any()
            )
        if not sound:
            raise BadModel("The saved trees do not fit together.", hint="Train it again.")
        return cls(
            left=left.astype(np.int32),
            right=right.astype(np.int32),
            feature=feature.astype(np.int32),
            limit=limit.astype(np.float64),
            left_if_missing=missing.astype(bool),
            value=value.astype(np.float64),
            roots=roots.astype(np.int32),
        )

    def _start(self, rows: NDArray[np.float64]) -> NDArray[np.int32]:
        return np.broadcast_to(self.roots, (len(rows), len(self.roots)))

    def _next(self, rows: NDArray[np.float64], nodes: NDArray[np.int32]) -> NDArray[np.int32]:
        # Both libraries grow their trees on float32.
        asked = np.take_along_axis(rows, self.feature[nodes], axis=1).astype(np.float32)
        goes_left = (asked <= self.limit[nodes]) | (np.isnan(asked) & self.left_if_missing[nodes])
        return np.where(goes_left, self.left[nodes], self.right[nodes])

    def _depth(self) -> int:
        """The most steps from a root to a leaf."""
        level, depth = np.unique(self.roots), 0
        while True:
            children = np.concatenate([self.left[level], self.right[level]])
            inner = np.concatenate([self.left[level] != level, self.right[level] != level])
            level = np.unique(children[inner])
            if not len(level):
                return depth
            depth += 1

    def _chunks(self, rows: int) -> list[slice]:
        size = max(1, _CHUNK_CELLS // len(self.roots))
        return [slice(start, start + size) for start in range(0, rows, size)]


def joined(parts: list[dict[str, NDArray[Any]]]) -> Trees:
    """Trees of one array set each, with children as places in their own tree and below 0 in leaves, as one."""
    starts = np.cumsum([0, *(len(part["feature"]) for part in parts)])
    whole: dict[str, NDArray[Any]] = {}
    for name in ("left", "right"):
        pieces = []
        for start, part in zip(starts, parts, strict=False):
            own = np.arange(start, start + len(part[name]))
            pieces.append(np.where(part[name] < 0, own, part[name] + start))
        whole[name] = np.concatenate(pieces)
    for name in ("feature", "limit", "left_if_missing", "value"):
        whole[name] = np.concatenate([part[name] for part in parts])
    return Trees(
        left=whole["left"].astype(np.int32),
        right=whole["right"].astype(np.int32),
        feature=np.where(whole["feature"] < 0, 0, whole["feature"]).astype(np.int32),
        limit=whole["limit"].astype(np.float64),
        left_if_missing=whole["left_if_missing"].astype(bool),
        value=whole["value"].astype(np.float64),
        roots=starts[:-1].astype(np.int32),
    )


def of_xgboost(trees: Sequence[Mapping[str, Any]]) -> Trees:
    """The trees of XGBoost's JSON model; they go left where a value is below the limit."""
    parts: list[dict[str, NDArray[Any]]] = []
    for tree in trees:
        limit = np.asarray(tree["split_conditions"], dtype=np.float32)
        left = np.asarray(tree["left_children"], dtype=np.int32)
        parts.append(
            {
                "left": left,
                "right": np.asarray(tree["right_children"], dtype=np.int32),
                "feature": np.asarray(tree["split_indices"], dtype=np.int32),
                "limit": np.nextafter(limit, np.float32(-np.inf)).astype(np.float64),
                "left_if_missing": np.asarray(tree["default_left"], dtype=bool),
                "value": np.where(left < 0, limit, 0).astype(np.float64),
            }
        )
    return joined(parts)


def of_lightgbm(text: str) -> Trees:
    """The trees of LightGBM's text model; they go left where a value is at most the limit.

    A node's decision_type has, in its bits, whether it is of categories (never here), which way what is missing goes,
    and what counts as missing: 2 is NaN, and with 0 a NaN is taken for 0.
    """
    return joined([_of_block(block) for block in text.split("\nTree=")[1:]])


def _of_block(block: str) -> dict[str, NDArray[Any]]:
    lines = dict(line.split("=", 1) for line in block.split("\n\n")[0].splitlines() if "=" in line)
    leaves = np.array(lines["leaf_value"].split(), dtype=np.float64)
    inner, nothing = len(leaves) - 1, np.full(len(leaves), -1, dtype=np.int32)

    def numbers(name: str) -> NDArray[np.float64]:
        return np.array(lines[name].split(), dtype=np.float64) if inner else np.empty(0)

    def children(name: str) -> NDArray[np.int32]:
        # Leaves are numbered -1, -2, ... there; here they follow the inner nodes.
        found = numbers(name).astype(np.int32)
        return np.concatenate([np.where(found < 0, inner - 1 - found, found), nothing]).astype(np.int32)

    kinds, limits = numbers("decision_type").astype(np.int32), numbers("threshold")
    missing = np.where((kinds >> 2) & 3 == 2, (kinds & 2) != 0, limits >= 0)
    return {
        "left": children("left_child"),
        "right": children("right_child"),
        "feature": np.concatenate([numbers("split_feature").astype(np.int32), nothing]),
        "limit": np.concatenate([limits, np.zeros(len(leaves))]),
        "left_if_missing": np.concatenate([missing.astype(bool), np.zeros(len(leaves), dtype=bool)]),
        "value": np.concatenate([np.zeros(inner), leaves]),
    }
