"""The limit that belongs to a request, by each policy and within the LimitRange."""

from __future__ import annotations

from hypothesis import given

from mora.domain import (
    Advice,
    Allocation,
    AmountRange,
    Demand,
    Resources,
)
from mora.policies import PolicySettings, Surroundings, recommend
from mora.quantities import MIB
from tests.policies.making import (
    ANY,
    allocation,
    codes,
    demand,
    within,
)


@given(**ANY)
def test_a_request_is_never_above_its_limit(asked: Demand, current: Allocation, settings: PolicySettings) -> None:
    set_now = recommend(asked, current, settings).main.resources
    for request, limit in (
        (set_now.cpu_request_millicores, set_now.cpu_limit_millicores),
        (set_now.memory_request_bytes, set_now.memory_limit_bytes),
    ):
        assert request is None or limit is None or request <= limit


def test_by_default_the_cpu_limit_goes_and_the_memory_limit_is_the_request() -> None:
    advice = recommend(demand(), allocation(cpu_limit_millicores=200))
    assert (advice.main.cpu_limit.is_unset, advice.main.cpu_limit.value, advice.main.cpu_limit.now) == (True, None, 200)
    assert advice.main.memory_limit.value == advice.main.memory_request.value == 230 * MIB
    assert advice.main.resources == Resources(120, None, 230 * MIB, 230 * MIB)


def test_a_limit_below_the_new_request_moves() -> None:
    current = allocation(cpu_request_millicores=50, cpu_limit_millicores=100)
    kept = recommend(demand(), current, PolicySettings(cpu_limit="keep")).main.cpu_limit
    assert (kept.value, codes(kept)) == (120, ["limit-raised"])
    ratio = recommend(demand(), current, PolicySettings(cpu_limit="ratio")).main.cpu_limit
    assert (ratio.value, ratio.reasons[0].text) == (240, "2x the request, as now (100m to 50m)")


def test_keep_keeps_a_limit_that_is_high_enough_and_adds_none() -> None:
    settings = PolicySettings(cpu_limit="keep", memory_limit="keep")
    advice = recommend(demand(), allocation(cpu_limit_millicores=1000), settings)
    assert (advice.main.cpu_limit.value, codes(advice.main.cpu_limit)) == (1000, ["limit-kept"])
    assert (advice.main.memory_limit.value, advice.main.memory_limit.is_unset) == (None, True)


def test_ratio_takes_a_lone_limit_for_a_request_of_the_same_size() -> None:
    advice = recommend(demand(), allocation(cpu_limit_millicores=200), PolicySettings(cpu_limit="ratio")).main.cpu_limit
    assert (advice.value, codes(advice)) == (120, ["limit-equals-request"])


def test_a_ratio_below_one_is_not_kept() -> None:
    current = allocation(cpu_request_millicores=200, cpu_limit_millicores=100)
    assert recommend(demand(), current, PolicySettings(cpu_limit="ratio")).main.cpu_limit.value == 120


def test_a_memory_limit_is_cut_no_faster_than_a_request() -> None:
    advice = recommend(demand(), allocation(memory_limit_bytes=1000 * MIB))
    assert (advice.main.memory_request.value, advice.main.memory_limit.value) == (230 * MIB, 700 * MIB)
    assert codes(advice.main.memory_limit) == ["limit-equals-request", "stepped"]


def test_a_limit_that_a_limit_range_gives_is_a_reason_and_never_below_the_request() -> None:
    def given(millicores: int) -> Advice:
        resources = Resources(cpu_limit_millicores=millicores)
        allowed = Surroundings(limit_range=AmountRange(given=resources))
        return recommend(demand(), allocation(cpu_limit_millicores=400), around=allowed).main.cpu_limit

    enough = given(500)
    assert (enough.is_unset, codes(enough)) == (True, ["limit-unset", "limit-range"])
    assert "gives a container without a limit one of 500m" in enough.reasons[-1].text
    too_little = given(100)  # the API server would refuse a pod that requests 120m and is limited to 100m
    assert (too_little.is_unset, too_little.value, codes(too_little)[0]) == (False, 200, "limit-range")


def test_a_limit_stays_within_the_limit_range_too() -> None:
    settings = PolicySettings(memory_limit="ratio")
    now = allocation(memory_request_bytes=200 * MIB, memory_limit_bytes=800 * MIB)
    advice = recommend(demand(), now, settings, within(most=Resources(memory_limit_bytes=300 * MIB)))
    assert (advice.main.memory_request.value, advice.main.memory_limit.value) == (230 * MIB, 300 * MIB)
