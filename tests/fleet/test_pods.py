"""Several pods of one workload: the request is that of the one that needs most, and uneven pods are told."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest

from mora.bounds.cpu import cpu_bounds
from mora.domain import PodSpread, PodUse, Target
from mora.fleet.batch import bounds_of
from mora.fleet.spans import parse_span
from mora.quantities import GIB, MIB
from tests.fleet.making import (
    AT_ONCE,
    DAY,
    NOW,
    SAMPLES,
    advised,
    codes,
    container,
    container_history,
    history,
    state,
    steady,
    words,
)

BURSTS = np.full(SAMPLES, 1.0)
"""What the hottest of many pods uses, where they burst in turns."""


def bound(use: np.ndarray) -> float:
    found = cpu_bounds(use, step_seconds=300, decisions=np.array([len(use)]), horizon_seconds=86_400)
    return float(found.requests[0])


def test_a_request_is_that_of_the_pod_that_needs_most_not_of_the_hottest_at_each_moment() -> None:
    pods = (PodUse(steady(0.1)), PodUse(steady(0.2, seed=3)))
    seen = history(container_history(cpu_cores=BURSTS, by_pod=pods, pods=60))
    found = bounds_of([seen], timedelta(hours=24))[0]["server"][Target.CPU]
    assert found.amount == max(bound(one.cpu_cores) for one in pods)
    request = advised(seen=seen).main.cpu_request
    assert request.value == pytest.approx(1000 * found.amount, abs=1)
    assert "of the pod that needs most, of 60" in words(request)


def test_one_pod_at_a_time_is_sized_on_all_that_was_seen() -> None:
    (found,) = bounds_of([history()], timedelta(hours=24))
    assert found["server"][Target.CPU].amount == bound(steady())
    assert not found["server"][Target.CPU].is_of_one_pod


def test_pods_that_reach_a_limit_in_turns_are_not_limit_bound_but_one_that_stays_there_is() -> None:
    limit = np.full(SAMPLES, 1.0)
    turns = np.where(np.random.default_rng(1).random(SAMPLES) < 0.02, 1.0, 0.1)
    seen = container_history(cpu_cores=BURSTS, cpu_limit_cores=limit, by_pod=(PodUse(turns),))
    assert "limit-bound" not in codes(advised(seen=history(seen)).main.cpu_request)
    seen = replace(seen, by_pod=(PodUse(turns), PodUse(BURSTS)))
    assert "limit-bound" in codes(advised(seen=history(seen)).main.cpu_request)


def test_throttling_counts_where_the_pod_itself_was_throttled() -> None:
    limit, worst = np.full(SAMPLES, 4.0), np.full(SAMPLES, 0.5)
    hottest = container_history(cpu_cores=BURSTS, cpu_limit_cores=limit, throttled=worst)
    calm = replace(hottest, by_pod=(PodUse(steady(0.1), np.zeros(SAMPLES)),))
    assert "limit-bound" not in codes(advised(seen=history(calm)).main.cpu_request)
    held = replace(hottest, by_pod=(PodUse(steady(0.1), np.full(SAMPLES, 0.5)),))
    assert "limit-bound" in codes(advised(seen=history(held)).main.cpu_request)


def test_an_excluded_time_range_is_left_out_of_every_pod() -> None:
    use = steady(0.1)
    use[SAMPLES - DAY :] = 2.0
    seen = history(container_history(cpu_cores=use, by_pod=(PodUse(use, np.zeros(SAMPLES)),)))
    begin = NOW - timedelta(days=1, minutes=5)
    span = parse_span(f"{begin:%Y-%m-%dT%H:%M}/{NOW:%Y-%m-%dT%H:%M}")
    kept = advised(seen=seen, settings=replace(AT_ONCE, excluded=(span,))).main
    assert (kept.cpu_request.value or 0) < 150
    assert kept.evidence is not None
    assert kept.evidence.cpu_level_cores == pytest.approx(0.109, abs=0.002)


def test_uneven_pods_are_named_with_what_the_others_waste() -> None:
    spread = {
        Target.CPU: PodSpread(10, "db-0", 3.0, 0.15, 25.5),
        Target.MEMORY: PodSpread(10, "db-0", 6.0 * GIB, 800.0 * MIB, 47.0 * GIB),
    }
    seen = history(container_history(spread=spread))
    (told,) = [one.text for one in advised(seen=seen).reasons if one.code == "pods-uneven"]
    assert "CPU (p95) 3 cores on db-0, 150m on the median pod, so the 9 others leave 25.5 cores unused" in told
    assert "memory (peak) 6 GiB on db-0, 800 MiB on the median pod, so the 9 others leave 47 GiB unused" in told


@pytest.mark.parametrize(
    "spread",
    [
        pytest.param(PodSpread(3, "web-a", 0.3, 0.2, 0.3), id="not twice the median"),
        pytest.param(PodSpread(3, "web-a", 0.05, 0.01, 0.08), id="too little to matter"),
    ],
)
def test_pods_that_are_much_alike_are_not_remarked_on(spread: PodSpread) -> None:
    seen = history(container_history(spread={Target.CPU: spread}))
    assert "pods-uneven" not in codes(advised(seen=seen))


def test_a_container_that_is_gone_has_no_remark_on_its_pods() -> None:
    spread = {Target.CPU: PodSpread(10, "db-0", 3.0, 0.15, 25.5)}
    gone = history(container_history(), container_history("old", spread=spread))
    assert "pods-uneven" not in codes(advised(state(container()), gone))
