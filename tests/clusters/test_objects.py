"""Objects as the API server writes them, read as MOrA's values."""

from __future__ import annotations

from typing import Any

import pytest

from mora.clusters.objects import (
    pod_complaints,
    read_defaults,
    read_limit_range,
    read_pod_range,
    read_quota,
    read_resources,
    replicas_of,
    role_of,
    with_defaults,
)
from mora.domain import AmountRange, Container, Resources, Role

MIB = 2**20


def limit_range(**item: Any) -> dict[str, Any]:
    return {"spec": {"limits": [{"type": "Container", **item}]}}


def test_amounts_that_are_not_set_are_none_and_numbers_are_taken_for_texts() -> None:
    container = {"name": "app", "resources": {"requests": {"cpu": 1, "memory": "64Mi"}}}
    assert read_resources(container) == Resources(1000, None, 64 * MIB, None)
    assert read_resources({"name": "app"}) == Resources()


@pytest.mark.parametrize(
    ("container", "is_init", "role"),
    [
        ({"name": "app"}, False, Role.APP),
        ({"name": "istio-proxy"}, False, Role.SIDECAR),
        ({"name": "setup"}, True, Role.INIT),
        ({"name": "log", "restartPolicy": "Always"}, True, Role.NATIVE_SIDECAR),
    ],
)
def test_roles(container: dict[str, Any], is_init: bool, role: Role) -> None:
    assert role_of(container, is_init=is_init) is role


@pytest.mark.parametrize(
    ("kind", "manifest", "replicas"),
    [
        ("Deployment", {"spec": {"replicas": 0}}, 0),
        ("Deployment", {"spec": {}}, 1),
        ("DaemonSet", {"spec": {}, "status": {"desiredNumberScheduled": 3}}, 3),
        ("CronJob", {"spec": {}}, None),
    ],
)
def test_desired_replicas(kind: str, manifest: dict[str, Any], replicas: int | None) -> None:
    assert replicas_of(manifest, kind) == replicas


def test_of_several_limit_ranges_the_strictest_bounds_count_and_the_first_defaults() -> None:
    ranges = [
        limit_range(min={"cpu": "50m"}, max={"cpu": "2"}, default={"memory": "256Mi"}),
        limit_range(min={"cpu": "100m"}, max={"cpu": "1"}, default={"memory": "512Mi"}),
    ]
    allowed = read_limit_range(ranges)
    assert allowed is not None
    assert allowed.minimum.cpu_request_millicores == 100
    assert allowed.maximum.cpu_limit_millicores == 1000
    assert read_defaults(ranges).memory_limit_bytes == 256 * MIB
    assert read_limit_range([{"spec": {"limits": [{"type": "Pod", "max": {"cpu": "1"}}]}}]) is None


def test_ratios_and_the_bounds_of_a_pod_are_read_from_limit_ranges() -> None:
    ranges = [
        limit_range(maxLimitRequestRatio={"cpu": "4", "memory": "1500m"}),
        limit_range(maxLimitRequestRatio={"cpu": "2500m", "memory": "nonsense"}),
        {"spec": {"limits": [{"type": "Pod", "min": {"cpu": "500m"}, "maxLimitRequestRatio": {"memory": "2"}}]}},
    ]
    allowed, pod = read_limit_range(ranges), read_pod_range(ranges)
    assert allowed is not None
    assert (allowed.cpu_ratio, allowed.memory_ratio) == (2.5, 1.5)
    assert pod == AmountRange(Resources(500, 500), memory_ratio=2.0)
    assert read_pod_range([limit_range(min={"cpu": "50m"})]) is None


def test_what_a_container_does_not_set_comes_from_its_limit_then_from_a_limit_range() -> None:
    defaults = Resources(None, None, 64 * MIB, 128 * MIB)
    container, reasons = with_defaults(Container("app", Resources(None, 500, None, None)), defaults)
    assert container.resources == Resources(500, 500, 64 * MIB, 128 * MIB)
    assert [reason.code for reason in reasons] == ["request-from-limit", *["limit-range-default"] * 2]


def test_a_quota_with_scopes_is_none_of_every_pod() -> None:
    quota = {"metadata": {"name": "team"}, "spec": {"hard": {"requests.cpu": "4"}}, "status": {}}
    read = read_quota(quota)
    assert read is not None
    assert read.hard.cpu_request_millicores == 4000
    assert read_quota({**quota, "spec": {**quota["spec"], "scopes": ["BestEffort"]}}) is None  # type: ignore[dict-item]


def test_why_a_pod_does_not_run_is_in_kubernetes_words() -> None:
    pod = {
        "status": {
            "conditions": [
                {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes"}
            ],
            "containerStatuses": [{"name": "app", "state": {"waiting": {"reason": "ImagePullBackOff"}}}],
        }
    }
    assert list(pod_complaints(pod)) == ["Unschedulable: 0/3 nodes", "app ImagePullBackOff"]


@pytest.mark.parametrize("odd", [float("nan"), float("inf"), "5Kx", "-1", ""])
def test_an_amount_that_cannot_be_read_is_not_known_and_the_others_are(odd: object) -> None:
    container = {"name": "app", "resources": {"requests": {"cpu": odd, "memory": "64Mi"}, "limits": {"memory": odd}}}
    assert read_resources(container) == Resources(memory_request_bytes=64 * MIB)
    quota = read_quota({"metadata": {"name": "team"}, "spec": {"hard": {"requests.cpu": odd, "limits.memory": "1Gi"}}})
    assert quota is not None
    assert quota.hard == Resources(memory_limit_bytes=1024 * MIB)
