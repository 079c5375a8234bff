"""The state of every workload from kube-state-metrics, against a real Prometheus with two weeks of a shop."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from mora.domain import (
    Allocation,
    Resources,
    Role,
    Target,
    Workload,
    WorkloadState,
)
from mora.sources.prometheus.inventory import known_namespaces
from tests.fleet import rig
from tests.fleet.tsdb import Group
from tests.sources.prometheus.shop import (
    FLEET,
    MIB,
    fleet_at,
)


def test_every_workload_is_found_once_by_its_owners_however_often_it_is_scraped(
    states: dict[str, WorkloadState], url: str
) -> None:
    assert [state.workload for state in states.values()] == sorted(service.workload for service in FLEET.services)
    assert fleet_at(url).states() == list(states.values())  # the one namespace there is
    assert all(state.known_by == "prometheus" for state in states.values())


def test_a_name_that_is_no_kubernetes_name_is_skipped_with_a_warning(url: str) -> None:
    fleet = fleet_at(url)
    fleet.states()
    assert any(repr(rig.HOSTILE_NAME)[1:-1] in warning for warning in fleet.warnings)


def test_a_workloads_state_is_that_of_its_newest_pod_and_its_own_metrics(states: dict[str, WorkloadState]) -> None:
    frontend = states["frontend"]
    server, proxy = frontend.allocation.containers
    assert (server.name, server.role, server.is_main) == ("server", Role.APP, True)
    assert server.resources == Resources(500, 1500, 256 * MIB, 512 * MIB)  # 2000m until the last rollout
    assert (proxy.name, proxy.role, proxy.is_injected) == ("istio-proxy", Role.SIDECAR, True)
    assert proxy.resources.cpu_request_millicores == 100
    assert frontend.allocation.replicas == 2
    assert frontend.labels == {"app.kubernetes.io/name": "frontend", "tier": "web"}
    assert frontend.annotations == {"mora.dev/cpu-buffer": "1.3"}


@pytest.mark.parametrize(
    ("name", "kind", "replicas"),
    [("agent", "DaemonSet", 3), ("db", "StatefulSet", 1), ("report", "CronJob", None), ("web", "Rollout", 1)],
)
def test_every_kind_has_its_replicas(
    states: dict[str, WorkloadState], name: str, kind: str, replicas: int | None
) -> None:
    assert states[name].workload == Workload("shop", name, kind)
    assert states[name].allocation.replicas == replicas
    assert [container.name for container in states[name].allocation.containers] == [name]


def test_a_workload_without_pods_is_described_by_its_last_one(states: dict[str, WorkloadState]) -> None:
    assert states["idle"].allocation.replicas == 0
    assert [container.name for container in states["idle"].allocation.containers] == ["idle"]
    assert [reason.code for reason in states["idle"].reasons] == ["no-pods"]
    assert states["report"].reasons == ()  # a CronJob between two runs is as it should be


def test_an_hpa_is_known_by_each_resource_that_it_scales_on(states: dict[str, WorkloadState]) -> None:
    on_cpu, on_memory = states["payment"].autoscalers
    assert (on_cpu.resource, on_cpu.is_utilisation, on_cpu.target) == (Target.CPU, True, 80)
    assert (on_memory.resource, on_memory.is_utilisation, on_memory.target) == (Target.MEMORY, False, 200 * MIB)
    assert (on_cpu.name, on_cpu.min_replicas, on_cpu.max_replicas) == ("payment-hpa", 2, 6)
    assert states["payment"].allocation.autoscaler == on_cpu
    assert states["cart"].autoscalers == ()


def test_a_namespace_s_limit_range_and_quota_stand_beside_each_workload(states: dict[str, WorkloadState]) -> None:
    state = states["cart"]
    assert state.limit_range is not None
    assert state.limit_range.minimum == Resources(20, 20, 16 * MIB, 16 * MIB)
    assert state.limit_range.maximum == Resources(2000, 2000, 4096 * MIB, 4096 * MIB)
    assert state.limit_range.given == Resources(cpu_limit_millicores=1000, memory_limit_bytes=512 * MIB)
    (quota,) = state.quotas
    assert quota.hard == Resources(cpu_request_millicores=20_000, memory_limit_bytes=2**35)
    assert quota.used == Resources(cpu_request_millicores=9_500, memory_limit_bytes=2**33)


def test_a_java_virtual_machine_is_known_by_its_image(states: dict[str, WorkloadState]) -> None:
    assert {name for name, state in states.items() if state.jvm} == {"young"}


def test_namespaces_are_sorted_and_each_is_there_once() -> None:
    states = [WorkloadState(Workload(namespace, name), Allocation()) for namespace, name in ("ba", "aa", "bb")]
    assert known_namespaces(states) == ("a", "b")


class NotFinite(rig.Fleet):
    """The shop, with one more kube-state-metrics that writes what is not finite, or negative, into every gauge."""

    def groups(self) -> Iterator[Group]:
        """The shop's series, and the odd ones."""
        yield from super().groups()
        web = {"pod": "web-1gg-0", "container": "web"}
        odd: list[tuple[dict[str, str], float]] = [
            ({"__name__": "kube_deployment_spec_replicas", "deployment": "odd"}, np.nan),
            ({"__name__": "kube_deployment_spec_replicas", "deployment": "cart"}, np.nan),
            ({"__name__": "kube_replicaset_spec_replicas", "replicaset": "web-1gg"}, np.nan),
            ({"__name__": "kube_pod_container_resource_limits", "resource": "memory", **web}, np.inf),
            ({"__name__": "kube_pod_container_resource_requests", "resource": "cpu", **web}, np.nan),
            ({"__name__": "kube_pod_container_resource_requests", "resource": "memory", **web}, -1.0),
            ({"__name__": "kube_resourcequota", "resourcequota": "team", "resource": "cpu", "type": "hard"}, np.nan),
            ({"__name__": "kube_limitrange", "type": "Container", "resource": "cpu", "constraint": "max"}, np.inf),
            ({"__name__": "kube_horizontalpodautoscaler_spec_max_replicas"}, np.nan),
            ({"__name__": "kube_pod_created", "pod": "web-1gg-0"}, np.nan),
            ({"__name__": "kube_pod_container_status_restarts_total", **web}, np.nan),
        ]
        labels = [{"namespace": "shop", "instance": "10.0.0.7:8080", "job": "odd", **of} for of, _ in odd]
        labels[8]["horizontalpodautoscaler"] = "payment-hpa"
        yield Group(labels, self.start, 60, np.array([value for _, value in odd]), samples=rig.DAYS * rig.DAY + 1)


def test_what_is_not_finite_is_not_known_and_everything_else_stays_as_it_is(
    states: dict[str, WorkloadState], tmp_path: Path
) -> None:
    odd_shop = NotFinite(FLEET.services, FLEET.end)
    with rig.serving(tmp_path, odd_shop) as address:
        found = {state.workload.name: state for state in fleet_at(address).states("shop")}
    assert found.pop("odd").allocation.replicas is None  # it is there, and has no pods
    assert found == states
