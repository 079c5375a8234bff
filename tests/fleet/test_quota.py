"""Whether a ResourceQuota is large enough for all recommendations of its namespace."""

from __future__ import annotations

from mora.domain import (
    Container,
    Quota,
    Recommendation,
    Resources,
    Workload,
)
from mora.fleet.settings import FleetSettings
from mora.fleet.stream import stream
from tests.fleet.making import WINDOW, codes, container_history, history, state, steady, words


def in_a_quota(hard_millicores: int, *, requests: tuple[int, ...]) -> list[Recommendation]:
    """Workloads of 2 replicas that need about 110m each, in a namespace where 2 x requests are in use."""
    quota = Quota("compute", Resources(hard_millicores), Resources(2 * sum(requests)))
    states = [
        state(
            Container("server", Resources(request), is_main=True),
            workload=Workload("shop", f"w{number}"),
            quotas=(quota,),
        )
        for number, request in enumerate(requests)
    ]
    seen = (history(container_history(cpu_cores=steady(0.1)), workload=one.workload) for one in states)
    return list(stream(states, seen, WINDOW, FleetSettings()))


def test_a_quota_too_small_for_all_is_a_reason_for_those_that_grow() -> None:
    grown = in_a_quota(100, requests=(10, 10))
    assert all("quota" in codes(advice) for advice in grown)
    assert "is too small for all recommendations" in words(grown[0])
    assert "requests.cpu 100m, 40m of it in use" in words(grown[0])


def test_a_quota_large_enough_only_after_the_cuts_says_to_apply_them_first() -> None:
    # 2 x 10m grows by about 200m; 2 x 400m shrinks to half, 400m less; 50m are free.
    grows, shrinks = in_a_quota(870, requests=(10, 400))
    assert "apply those first" in words(grows)
    assert "quota" not in codes(shrinks)


def test_a_quota_that_is_large_enough_adds_no_reason() -> None:
    assert not any("quota" in codes(advice) for advice in in_a_quota(100_000, requests=(10, 10)))
