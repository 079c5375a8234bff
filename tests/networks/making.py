"""Weights as they would be, drawn: for tests that need no fit."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from mora.domain.learning import Floats


def drawn(shapes: Mapping[str, tuple[int, ...]], seed: int = 0) -> dict[str, Floats]:
    rng = np.random.default_rng(seed)
    return {name: rng.normal(0, 0.3, shape).astype(np.float32).astype(np.float64) for name, shape in shapes.items()}
