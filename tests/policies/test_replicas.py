"""How many replicas, what an HPA is set to, and requests that an HPA scales on."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given

from mora.domain import (
    Allocation,
    Autoscaler,
    Container,
    Demand,
    Resources,
    Target,
    Workload,
)
from mora.policies import PolicySettings, Surroundings, recommend, size
from mora.quantities import MIB
from tests.policies.making import (
    ANY,
    DEMANDS,
    allocation,
    allocations,
    codes,
    demand,
    needs,
    pairs,
    policy_settings,
)


@given(**ANY)
def test_an_autoscaled_request_and_autoscaled_replicas_are_unchanged(
    asked: Demand, current: Allocation, settings: PolicySettings
) -> None:
    settings = replace(settings, touch_autoscaled=False)
    advice = recommend(asked, current, settings)
    scaler = current.autoscaler
    if scaler is None:
        return
    assert advice.replicas.value is None
    if scaler.is_utilisation:
        request, limit = pairs(advice)[0 if scaler.resource is Target.CPU else 1]
        assert (request.value, limit.value) == (None, None)
        assert not limit.is_unset or limit.now is None


@given(asked=DEMANDS, current=allocations(), settings=policy_settings())
def test_an_hpa_has_room_between_its_replicas(asked: Demand, current: Allocation, settings: PolicySettings) -> None:
    advice = recommend(asked, current, settings)
    if advice.hpa_average_value_millicores is not None:
        assert advice.hpa_average_value_millicores >= 1
        assert advice.hpa_min_replicas is not None
        assert advice.hpa_max_replicas is not None
        assert settings.min_replicas <= advice.hpa_min_replicas <= advice.hpa_max_replicas


def test_replicas_are_those_that_the_demand_asks_for_between_floor_and_cap() -> None:
    assert recommend(demand(), allocation(5)).replicas.value == 2
    floored = recommend(demand(), allocation(None), PolicySettings(min_replicas=3)).replicas
    assert (floored.value, codes(floored)[-1]) == (3, "replicas-floor")
    capped = recommend(demand(replicas=needs(4.0)), allocation(2), PolicySettings(max_replicas=3))
    assert (capped.replicas.value, codes(capped.replicas)[-1]) == (None, "replicas-cap")
    assert capped.target.replicas == 2


def test_a_daemonset_has_as_many_pods_as_nodes() -> None:
    advice = recommend(demand(workload=Workload("shop", "agent", "DaemonSet")), allocation(3))
    assert (advice.replicas.value, codes(advice.replicas)) == (None, ["replicas-by-nodes"])
    assert advice.hpa_average_value_millicores is None


HPA = Autoscaler("frontend-hpa", Target.CPU, is_utilisation=True, target=70, min_replicas=2, max_replicas=10)


def test_a_request_that_an_hpa_measures_against_is_left_with_two_ways_out() -> None:
    current = allocation(4, HPA, cpu_request_millicores=200, cpu_limit_millicores=400)
    advice = recommend(demand(), current)
    assert advice.main.resources.cpu_request_millicores == 200
    assert advice.main.resources.cpu_limit_millicores == 400
    assert advice.main.memory_request.value == 230 * MIB
    reason = advice.main.cpu_request.reasons[0]
    assert reason.code == "autoscaler-utilisation"
    assert "120m would do: let the HPA scale on averageValue first (mora recommend -o hpa)" in reason.text
    assert "set its target from 70% of 200m to 116% of 120m" in reason.text
    assert codes(advice.replicas) == ["replicas-by-autoscaler"]
    assert (advice.hpa_min_replicas, advice.hpa_max_replicas) == (2, 10)


def test_an_hpa_on_average_value_leaves_the_request_free() -> None:
    current = allocation(4, replace(HPA, is_utilisation=False, target=100), cpu_request_millicores=200)
    advice = recommend(demand(), current)
    assert advice.main.cpu_request.value == 120
    assert advice.replicas.value is None


def test_an_autoscaled_request_may_be_changed_together_with_the_target() -> None:
    current = allocation(4, HPA, cpu_request_millicores=200)
    advice = recommend(demand(), current, PolicySettings(touch_autoscaled=True)).main.cpu_request
    assert advice.value == 120
    assert codes(advice)[-1] == "autoscaler-retarget"


def test_another_container_of_the_pod_moves_the_hpa_as_well() -> None:
    sidecar = Container("proxy", Resources(cpu_request_millicores=300))
    whole_pod = Surroundings((HPA,), shares_pod=True)
    left = size(demand(), sidecar, PolicySettings(), whole_pod).cpu_request
    assert (left.value, codes(left)) == (None, ["autoscaler-utilisation"])
    assert "--retarget-hpa" in left.reasons[0].text
    assert "%" not in left.reasons[0].text.partition("would do")[2]  # the pod's sum decides, which one container lacks
    of_the_server = Surroundings((replace(HPA, container="server"),), shares_pod=True)
    assert size(demand(), sidecar, PolicySettings(), of_the_server).cpu_request.value == 150


def test_a_second_metric_of_the_hpa_is_seen() -> None:
    by_memory = replace(HPA, resource=Target.MEMORY)
    current = allocation(4, HPA, cpu_request_millicores=200, memory_request_bytes=500 * MIB)
    advice = recommend(demand(), current, around=Surroundings((HPA, by_memory)))
    assert codes(advice.main.cpu_request) == codes(advice.main.memory_request) == ["autoscaler-utilisation"]


def test_the_hpa_target_is_the_use_at_which_the_driven_load_kept_its_slo() -> None:
    advice = recommend(demand(), allocation())
    assert advice.hpa_average_value_millicores == 100
    assert (advice.hpa_min_replicas, advice.hpa_max_replicas) == (2, 4)
    assert advice.reasons[-1].code == "hpa-average-value"


def test_without_a_driven_load_the_hpa_target_is_a_share_of_the_request() -> None:
    advice = recommend(demand(load=None), allocation())
    assert advice.hpa_average_value_millicores == 84  # 70 % of 120m


@pytest.mark.parametrize(("running", "least"), [(1, 1), (3, 3), (None, 1), (0, 1)])
def test_an_hpa_where_there_is_none_keeps_as_many_replicas_as_run(running: int | None, least: int) -> None:
    advice = recommend(demand(replicas=None, load=None), allocation(running))
    assert advice.hpa_min_replicas == least
