"""The containers of workloads by the pod that stands for each: roles, amounts, overhead."""

from __future__ import annotations

from mora.domain import Resources, Role, WorkloadState
from mora.sources.prometheus import inventory
from mora.sources.prometheus.fleet_promql import Scope
from tests.sources.prometheus.test_inventory_names import NOW, POD, shop, wire


def test_init_containers_are_distinguished_from_native_sidecars(states: dict[str, WorkloadState]) -> None:
    roles = {container.name: container.role for container in states["cart"].allocation.containers}
    assert roles == {"cart": Role.APP, "log-shipper": Role.NATIVE_SIDECAR, "migrate": Role.INIT}


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
