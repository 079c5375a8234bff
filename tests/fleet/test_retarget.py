"""Workloads that an HPA scales: left alone, or changed together with its target so that it scales at the same use."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mora.domain import (
    Advice,
    Allocation,
    Autoscaler,
    Container,
    ContainerAdvice,
    Recommendation,
    Resources,
    Role,
    Target,
    WorkloadState,
)
from mora.fleet.retarget import with_retargets
from mora.fleet.settings import FleetSettings
from mora.policies import PolicySettings
from mora.quantities import MIB
from tests.fleet.making import NOW, advised, codes, container, container_history, history, part, state, words

ON_CPU = Autoscaler("frontend", Target.CPU, is_utilisation=True, target=70, min_replicas=2, max_replicas=10)
RETARGET = FleetSettings(policy=PolicySettings(touch_autoscaled=True, allow_any_step=True, min_change=0.0))


def autoscaled(*scalers: Autoscaler, sidecar_millicores: int | None = None) -> WorkloadState:
    own = container(cpu_request_millicores=500, memory_request_bytes=512 * MIB)
    if sidecar_millicores is None:
        return state(own, replicas=4, autoscalers=scalers)
    sidecar = Container("istio-proxy", Resources(sidecar_millicores), role=Role.SIDECAR, is_injected=True)
    return state(own, sidecar, replicas=4, autoscalers=scalers)


def test_a_request_that_an_hpa_scales_on_is_unchanged_and_the_way_out_is_named() -> None:
    advice = advised(autoscaled(ON_CPU))
    assert (advice.main.cpu_request.value, codes(advice.main.cpu_request)) == (None, ["autoscaler-utilisation"])
    assert "--retarget-hpa" in words(advice.main.cpu_request)
    assert "averageValue" in words(advice.main.cpu_request)
    assert codes(advice.replicas) == ["replicas-by-autoscaler"]
    assert advice.main.memory_request.value is not None
    assert advice.retargets == ()


def test_retargeting_keeps_the_absolute_use_at_which_it_scales() -> None:
    advice = advised(autoscaled(ON_CPU), settings=RETARGET)
    request = advice.main.cpu_request.value
    assert request is not None
    assert advice.retargets == (replace(ON_CPU, target=math.floor(70 * 500 / request)),)
    assert "autoscaler-retarget" in codes(advice)


def test_the_whole_pod_counts_for_an_hpa_on_the_pod() -> None:
    advice = advised(autoscaled(ON_CPU, sidecar_millicores=100), settings=RETARGET)
    request = advice.main.cpu_request.value
    assert request is not None
    (scaler,) = advice.retargets
    assert scaler.target == math.floor(70 * 600 / (request + 100))
    assert "autoscaler-retarget" not in codes(advice.main.cpu_request)  # said once, of the pod


def test_a_metric_of_one_container_looks_at_that_one_alone() -> None:
    of_server = replace(ON_CPU, container="server")
    advice = advised(autoscaled(of_server, sidecar_millicores=100), settings=RETARGET)
    assert advice.retargets[0].target == math.floor(70 * 500 / (advice.main.cpu_request.value or 1))
    of_sidecar = replace(ON_CPU, container="istio-proxy")
    free = advised(autoscaled(of_sidecar, sidecar_millicores=100))
    assert free.main.cpu_request.value is not None
    assert free.retargets == ()


def test_several_metrics_are_each_unchanged_and_each_retargeted() -> None:
    on_memory = replace(ON_CPU, resource=Target.MEMORY, target=80)
    left = advised(autoscaled(ON_CPU, on_memory))
    assert codes(left.main.cpu_request) == codes(left.main.memory_request) == ["autoscaler-utilisation"]
    assert "autoscaler-several" in codes(left)
    changed = advised(autoscaled(ON_CPU, on_memory), settings=RETARGET)
    memory = changed.main.memory_request.value or 1
    assert changed.retargets[1] == replace(on_memory, target=math.floor(80 * 512 * MIB / memory))


def test_an_hpa_on_average_value_leaves_requests_free() -> None:
    average = replace(ON_CPU, is_utilisation=False, target=300)
    advice = advised(autoscaled(average), settings=RETARGET)
    assert advice.main.cpu_request.value is not None
    assert advice.retargets == ()


def test_keda_s_hpa_is_changed_at_its_scaled_object() -> None:
    advice = advised(autoscaled(replace(ON_CPU, name="keda-hpa-frontend")), settings=RETARGET)
    assert "ScaledObject frontend" in words(advice)


def test_an_hpa_without_a_request_to_measure_against_is_named() -> None:
    advice = advised(autoscaled(ON_CPU, sidecar_millicores=0), settings=RETARGET)
    assert "autoscaler-blind" in codes(advice)
    assert "istio-proxy has no cpu request" in words(advice)
    assert advice.retargets == ()


def test_an_autoscaler_of_the_allocation_alone_counts_too() -> None:
    plain = state(container(cpu_request_millicores=500))
    scaled = replace(plain, allocation=replace(plain.allocation, autoscaler=ON_CPU))
    assert codes(advised(scaled).main.cpu_request) == ["autoscaler-utilisation"]


@given(
    before=st.integers(10, 10_000), after=st.integers(10, 10_000), target=st.integers(1, 100), side=st.integers(1, 500)
)
def test_a_retargeted_hpa_never_scales_later_and_at_most_a_percent_of_the_requests_earlier(
    before: int, after: int, target: int, side: int
) -> None:
    scaler = replace(ON_CPU, target=target)
    advice = with_retargets(_advice(before, after, side, scaler))
    percent = advice.retargets[0].target if advice.retargets else target
    was, now = target * (before + side) / 100, percent * (after + side) / 100
    assert now <= was + 1e-6 or percent == 1
    assert now >= was - (after + side) / 100 - 1e-6


def _advice(before: int, after: int, side: int, scaler: Autoscaler) -> Recommendation:
    pod = Allocation(2, (container(cpu_request_millicores=before), Container("side", Resources(side))))
    nothing = Advice(None, None)
    server = ContainerAdvice("server", Advice(before, after), nothing, nothing, nothing, is_main=True)
    return Recommendation(state().workload, pod, None, NOW, (server,), nothing, autoscalers=(scaler,))


def test_another_container_of_an_autoscaled_pod_is_unchanged_too() -> None:
    pod = state(
        container(cpu_request_millicores=500), Container("cache", Resources(100)), replicas=4, autoscalers=(ON_CPU,)
    )
    advice = advised(pod, history(container_history(), container_history("cache")))
    assert codes(part(advice, "cache").cpu_request) == ["autoscaler-utilisation"]
    assert part(advice, "cache").memory_request.value is not None


@pytest.mark.parametrize("kind", ["Job", "CronJob"])
def test_jobs_are_no_matter_for_an_hpa(kind: str) -> None:
    job = state(workload=replace(state().workload, kind=kind))
    advice = advised(job, history(container_history(pods=9), workload=job.workload))
    assert advice.hpa_average_value_millicores is None
    assert "hpa-average-value" not in codes(advice)
    assert ("job-immutable" in codes(advice)) == (kind == "Job")
