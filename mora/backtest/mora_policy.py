"""MOrA's own rules as the replay asks for them: `mora`, and `mora-point` beside it. What they are: mora.bounds."""

from __future__ import annotations

import numpy as np

from mora.backtest.policy import Decisions, Floats, Indices, LoneRule, Resource, Series
from mora.backtest.rules import round_up
from mora.bounds.cpu import cpu_bounds
from mora.bounds.memory import memory_bounds, memory_requests
from mora.bounds.point import CPU_FACTOR, MEMORY_FACTOR, point_requests
from mora.policies import PolicySettings

_CPU_STEP_CORES, _MEMORY_STEP_BYTES = 0.001, 1.0


def _mora(one: Series, resource: Resource, at: Indices, decisions: Decisions) -> Floats:
    use = one.use(resource)
    if use is None:
        return np.full(len(at), np.nan)
    if resource == "cpu":
        found = cpu_bounds(use, step_seconds=one.step_seconds, decisions=at, horizon_seconds=decisions.horizon_seconds)
        need = found.requests
        step, minimum = _CPU_STEP_CORES, PolicySettings().cpu_floor_millicores / 1000
    else:
        need = memory_requests(use, step_seconds=one.step_seconds, decisions=at)
        step, minimum = _MEMORY_STEP_BYTES, float(PolicySettings().memory_floor_bytes)
    return np.maximum(round_up(need, step), minimum) if decisions.with_minimums else need


def _mora_confidence(one: Series, resource: Resource, at: Indices, decisions: Decisions) -> Floats:
    use = one.use(resource)
    if use is None:
        return np.full(len(at), np.nan)
    bounds = cpu_bounds if resource == "cpu" else memory_bounds
    return bounds(
        use, step_seconds=one.step_seconds, decisions=at, horizon_seconds=decisions.horizon_seconds
    ).confidence


def _mora_point(one: Series, resource: Resource, at: Indices, decisions: Decisions) -> Floats:
    use = one.use(resource)
    if use is None:
        return np.full(len(at), np.nan)
    factor = CPU_FACTOR if resource == "cpu" else MEMORY_FACTOR
    return point_requests(
        use, step_seconds=one.step_seconds, decisions=at, horizon_seconds=decisions.horizon_seconds, factor=factor
    )


mora = LoneRule(_mora, _mora_confidence)
# The blend of point forecasts alone: no bound, no floor, no rounding.
mora_point = LoneRule(_mora_point)
