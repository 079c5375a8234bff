"""The curves of a response: monotone, never below what is limit-bound, a straight line beyond."""

from __future__ import annotations

import pytest

from mora.domain import Load, Target
from mora.quantities import MIB
from mora.response import Curve
from tests.response.driven import fit, grid, run


def test_use_is_read_between_what_was_driven() -> None:
    response = fit(*grid())
    assert response.use(Target.CPU, Load("browsing", 30), 2).value == pytest.approx(0.02 + 0.005 * 15)
    assert response.use(Target.MEMORY, Load("browsing", 30), 2).value == pytest.approx(90 * MIB)


def test_the_memory_level_is_never_below_a_peak_that_a_lighter_pod_reached() -> None:
    response = fit(run(10, 1, cpu=0.1, memory_mib=150), run(20, 1, cpu=0.2, memory_mib=100))
    assert response.use(Target.MEMORY, Load("browsing", 20), 1).upper == pytest.approx(150 * MIB)


def test_repeats_of_a_cell_are_averaged() -> None:
    response = fit(run(20, 1, cpu=0.1, latency=0.2), run(20, 1, cpu=0.2, latency=0.3, repeat=2))
    assert response.use(Target.CPU, Load("browsing", 20), 1).value == pytest.approx(0.15)
    assert response.latency_p95_seconds(Load("browsing", 20), 1) == pytest.approx(0.25)


def test_a_throttled_run_does_not_pull_a_free_one_down() -> None:
    response = fit(run(10, 1, cpu=0.17, cpu_limit=0.2), run(20, 1, cpu=0.11, cpu_limit=0.2, throttled=0.6))
    assert response.use(Target.CPU, Load("browsing", 10), 1).value == pytest.approx(0.17)
    assert response.use(Target.CPU, Load("browsing", 20), 1).value == pytest.approx(0.17)


def test_a_free_run_at_a_higher_load_ends_the_at_least() -> None:
    pinned = run(10, 1, cpu=0.09, cpu_limit=0.1, throttled=0.5)
    response = fit(pinned, run(20, 1, cpu=0.3, cpu_limit=0.5, throttled=0.0))
    assert not response.use(Target.CPU, Load("browsing", 20), 1).is_at_least
    assert not response.use(Target.CPU, Load("browsing", 12), 1).is_at_least
    upper = response.use(Target.CPU, Load("browsing", 10), 1).upper
    assert upper is not None
    assert upper >= 0.1


def test_a_bound_is_not_averaged_away_by_a_free_run_that_used_less() -> None:
    response = fit(
        run(10, 1, cpu=0.1, memory_mib=100, memory_limit_mib=200, oom_kills=1), run(20, 1, cpu=0.1, memory_mib=60)
    )
    assert response.use(Target.MEMORY, Load("browsing", 10), 1).value == 200 * MIB
    assert response.use(Target.MEMORY, Load("browsing", 20), 1).value == 200 * MIB


def test_one_run_goes_on_through_the_origin() -> None:
    response = fit(run(20, 1, cpu=0.1))
    assert response.use(Target.CPU, Load("browsing", 30), 1).value == pytest.approx(0.15)


def test_a_curve_is_flat_before_its_first_knot() -> None:
    assert Curve((10.0,), (1.0,), slope=0.1, limit_bound_from=None).at(0) == 1.0
