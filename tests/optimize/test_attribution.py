"""Curves from experiments: bounds of a p95, isotonic fits, what users cost."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mora.optimize.attribution import Step, fit, fit_service, p95_bounds, split_use

POINTS = st.lists(st.tuples(st.floats(0.05, 1.0), st.floats(0.0, 10.0)), min_size=1, max_size=8)


@given(st.lists(st.floats(1.0, 5000.0), min_size=1, max_size=300))
def test_the_estimate_lies_between_its_bounds(times: list[float]) -> None:
    low, middle, high = p95_bounds(Counter(times)) or (1.0, 0.0, 0.0)
    assert low <= middle <= high <= max(times) / 1000 + 1e-9


def test_without_requests_there_is_no_p95() -> None:
    assert p95_bounds(Counter()) is None


def test_more_requests_bring_the_bounds_closer() -> None:
    rng = np.random.default_rng(1)
    few, many = (p95_bounds(Counter(rng.lognormal(4, 0.5, count).round(1))) for count in (200, 20_000))
    assert few is not None
    assert many is not None
    assert many[2] - many[0] < (few[2] - few[0]) / 3


@given(POINTS)
def test_a_curve_never_falls_and_is_unknown_beyond_its_last_point(points: list[tuple[float, float]]) -> None:
    curve = fit(points)
    asked = np.linspace(0.0, curve.utilisation[-1], 30)
    levels = [curve.at(float(one)) for one in asked]
    known = [level for level in levels if level is not None]
    assert len(known) == len(levels)
    assert all(after >= before - 1e-9 for before, after in pairwise(known))
    assert min(known) >= 0
    assert curve.at(curve.utilisation[-1] + 0.01) is None


def step(utilisation: float, cores: float, p95: float | None, *, upper: float | None = None) -> Step:
    high = p95 if upper is None else upper
    return Step(utilisation, cores, {"a": p95}, {"a": high}, {"a": None if p95 is None else 0.0}, is_broken=False)


def test_what_a_service_adds_scales_with_the_speed_of_its_pods() -> None:
    """Half the cores at half the load: everything takes twice as long."""
    steps = [step(0.5, 0.2, 0.1, upper=0.12), step(0.8, 0.1, 0.4, upper=0.5)]
    curves = fit_service(
        "web",
        replicas=1,
        ample_cores=1.0,
        ample_utilisation=0.1,
        cores_per_user={"a": 0.01},
        idle_cores=0.0,
        memory_bytes=1,
        baseline_p95={"a": 0.05},
        baseline_errors={"a": 0.0},
        steps=steps,
    )
    assert curves.delay["a"].at(0.5) == pytest.approx((0.1 - 0.05) * 0.2)
    assert curves.delay["a"].at(0.1) == 0.0
    assert curves.delay_upper["a"].at(0.5) == pytest.approx((0.12 - 0.05) * 0.2)
    assert curves.delay["a"].at(0.9) is None


def test_a_step_that_no_class_was_answered_in_is_no_point_of_a_curve() -> None:
    curves = fit_service(
        "web",
        replicas=1,
        ample_cores=1.0,
        ample_utilisation=0.1,
        cores_per_user={"a": 0.01},
        idle_cores=0.0,
        memory_bytes=1,
        baseline_p95={"a": 0.05},
        baseline_errors={"a": 0.0},
        steps=[step(0.5, 0.2, 0.1), step(0.9, 0.1, None)],
    )
    assert curves.delay["a"].utilisation[-1] == 0.5


@given(st.floats(0.001, 0.02), st.floats(0.001, 0.02), st.floats(0.0, 0.01), st.integers(1, 3))
def test_the_use_of_users_and_of_idle_pods_is_split(one: float, other: float, idle: float, replicas: int) -> None:
    runs = [
        (users, users.get("a", 0) * one + users.get("b", 0) * other + idle * replicas)
        for users in ({"a": 10}, {"b": 15}, {"a": 30, "b": 45})
    ]
    # Three runs at proportional loads do not tell all three apart, but any load like them.
    costs, each = split_use(runs, ["a", "b"], replicas)
    for users, cores in runs:
        assert users.get("a", 0) * costs["a"] + users.get("b", 0) * costs["b"] + each * replicas == pytest.approx(
            cores, rel=0.05
        )


def test_a_service_without_cpu_use_costs_nothing() -> None:
    assert split_use([({"a": 10}, 0.0), ({"a": 20}, 0.0)], ["a"], 2) == ({"a": 0.0}, 0.0)
