"""The containers of workloads by the pod that stands for each: roles, amounts, overhead."""

from __future__ import annotations

from mora.domain import Resources, Role, WorkloadState
from mora.sources.prometheus import inventory
from mora.sources.prometheus.fleet_promql import Scope
from tests.sources.prometheus.test_inventory_names import NOW, POD, shop, wire


def test_init_containers_are_distinguished_from_native_sidecars(states: dict[str, WorkloadState]) -> None:
    roles = {container.name: container.role for container in states["cart"].allocation.containers}
    assert roles == {"cart": Role.APP, "log-shipper": Role.NATIVE_SIDECAR, "migrate": Role.INIT}


def old_kube_state_metrics(**running: float) -> dict[str, Role]:
    """The roles of a pod's containers where no restart policy is exported and cAdvisor sees these run."""
    init = [({**POD, "container": name, "image": "shop/web:1"}, 1.0) for name in ("proxy", "migrate")]
    used = [({**POD, "container": name}, amount) for name, amount in running.items()]
    asked = wire(shop(kube_pod_init_container_info=init, container_memory_working_set_bytes=used))
    ((state,), _) = inventory.read(asked, Scope(("shop",)), NOW)
    return {container.name: container.role for container in state.allocation.containers}


def test_an_init_container_that_runs_beside_the_others_is_a_native_sidecar() -> None:
    roles = old_kube_state_metrics(proxy=5e6, server=1e8)
    assert roles == {"server": Role.APP, "proxy": Role.NATIVE_SIDECAR, "migrate": Role.INIT}


def test_an_init_container_that_runs_before_the_others_is_none() -> None:
    assert old_kube_state_metrics(proxy=5e6)["proxy"] is Role.INIT
    assert old_kube_state_metrics(server=1e8)["proxy"] is Role.INIT


def test_what_is_not_set_is_none(states: dict[str, WorkloadState]) -> None:
    assert [container.resources for container in states["bare"].allocation.containers] == [Resources()]


def test_the_overhead_of_a_runtime_class_is_read_with_the_pod() -> None:
    asked = wire(
        shop(
            kube_pod_overhead_cpu_cores=[({**POD, "node": "a"}, 0.25)],
            kube_pod_overhead_memory_bytes=[({**POD, "node": "a"}, 2.0**27), ({**POD, "pod": "other"}, 1.0)],
        )
    )
    ((state,), _) = inventory.read(asked, Scope(("shop",)), NOW)
    assert state.allocation.overhead == Resources(250, None, 2**27, None)
