"""What bounds a pod as a whole bounds the advice: LimitRanges of pods, the resources of the pod itself, nodes."""

from __future__ import annotations

import pytest

from mora.domain import AmountRange, Container, Resources, Workload, WorkloadState, quality_of
from mora.outputs import commands, kustomize
from mora.outputs.patch import patch_of
from mora.outputs.patches import strategic_patch
from mora.quantities import MIB
from tests.fleet.making import advised, codes, container, container_history, history, part, state, steady


def two() -> tuple[Container, ...]:
    return (
        container(cpu_request_millicores=500, cpu_limit_millicores=1000, memory_request_bytes=512 * MIB),
        container("helper", cpu_request_millicores=200, cpu_limit_millicores=400, memory_request_bytes=128 * MIB),
    )


def test_a_pod_keeps_the_minimum_and_the_limits_that_its_namespace_asks_for() -> None:
    of = state(
        *two(),
        limit_range=AmountRange(cpu_ratio=4.0),
        pod_range=AmountRange(Resources(600, 600)),
    )
    seen = history(container_history(), container_history("helper", cpu_cores=steady(0.05)))
    advice = advised(of, seen)
    requests = [one.cpu_request.value or 0 for one in advice.containers]
    assert sum(requests) == 600
    for one in advice.containers:
        assert (one.cpu_limit.value or 0) <= 4 * (one.cpu_request.value or 0)
        assert one.cpu_limit.value is not None


def test_a_ratio_of_the_pod_bounds_each_container() -> None:
    of = state(*two(), pod_range=AmountRange(cpu_ratio=2.0))
    seen = history(container_history(), container_history("helper", cpu_cores=steady(0.05)))
    helper = part(advised(of, seen), "helper")
    assert helper.cpu_limit.value == 2 * (helper.cpu_request.value or 0)


def test_a_maximum_of_the_pod_keeps_cpu_limits_since_one_is_asked_for() -> None:
    of = state(container(cpu_request_millicores=500, cpu_limit_millicores=1000))
    assert advised(of).main.cpu_limit.is_unset
    bounded = state(*of.allocation.containers, pod_range=AmountRange(maximum=Resources(2000, 2000)))
    limit = advised(bounded).main.cpu_limit
    assert (limit.value, codes(limit)[-1]) == (1000, "limit-range")


@pytest.mark.parametrize(
    ("kind", "words"),
    [("Deployment", "the largest node can give a pod 150m"), ("DaemonSet", "the smallest node that it runs on can")],
)
def test_a_raise_beyond_what_its_nodes_can_give_is_cut(kind: str, words: str) -> None:
    workload = Workload("shop", "frontend", kind)
    of = state(container(cpu_request_millicores=100), workload=workload)
    node = Resources(cpu_request_millicores=150, memory_request_bytes=1024 * MIB)
    request = advised(of, history(workload=workload, rooms=(node,))).main.cpu_request
    assert request.value == 150
    assert words in request.summary


def test_what_the_pod_itself_requests_bounds_its_containers() -> None:
    of = state(container(memory_request_bytes=64 * MIB), pod_resources=Resources(memory_request_bytes=128 * MIB))
    request = advised(of).main.memory_request
    assert (request.value, codes(request)[-1]) == (None, "cap-below-need")


def guaranteed(millicores: int, *others: Container) -> WorkloadState:
    main = Container("server", Resources(millicores, millicores, 512 * MIB, 512 * MIB), is_main=True)
    return state(main, *others)


def test_guaranteed_pods_with_whole_cores_keep_them_and_limits_of_every_container() -> None:
    helper = container(
        "helper",
        cpu_request_millicores=500,
        cpu_limit_millicores=500,
        memory_request_bytes=512 * MIB,
        memory_limit_bytes=512 * MIB,
    )
    seen = history(container_history(cpu_cores=steady(1.2)), container_history("helper", cpu_cores=steady(0.05)))
    advice = advised(guaranteed(4000, helper), seen)
    assert (advice.main.cpu_request.value, advice.main.cpu_limit.value) == (2000, 2000)
    other = part(advice, "helper")
    assert (other.cpu_request.value or 0) % 1000 != 0
    assert other.cpu_limit.value == other.cpu_request.value
    assert quality_of(advice.target.containers) == "Guaranteed"
    assert "whole-cores" in codes(advice)


def test_whole_cores_of_a_burstable_pod_are_of_no_use_and_not_kept() -> None:
    burstable = state(container(cpu_request_millicores=4000, cpu_limit_millicores=4000))
    advice = advised(burstable, history(container_history(cpu_cores=steady(1.2))))
    assert (advice.main.cpu_request.value or 0) % 1000 != 0
    assert "whole-cores" not in codes(advice)


def test_a_container_that_may_be_injected_is_sized_and_no_patch_names_it() -> None:
    unsure = Container("otc-container", Resources(200, None, 256 * MIB), may_be_injected=True)
    main = container(cpu_request_millicores=500, memory_request_bytes=512 * MIB)
    advice = advised(state(main, unsure), history(container_history(), container_history("otc-container")))
    other = part(advice, "otc-container")
    assert other.cpu_request.value is not None
    assert codes(other) == ["may-be-injected"]
    patch = strategic_patch(advice)["spec"]["template"]["spec"]
    assert [one["name"] for one in patch["containers"]] == ["server"]


def test_a_patch_goes_to_the_workload_that_has_the_template() -> None:
    rollout, deployment = Workload("shop", "frontend", "Rollout"), Workload("shop", "frontend-template")
    of = state(container(cpu_request_millicores=900), workload=rollout, template_in=deployment)
    advice = advised(of, history(workload=rollout))
    assert isinstance(patch_of(advice), dict)  # a strategic merge: no custom resource is patched
    script = commands.render([advice])
    assert "kubectl patch deployment frontend-template -n shop --type strategic" in script
    assert "kubectl patch rollouts" not in script
    assert "kind: Deployment" in kustomize.render([advice])
