"""Pods as they run: their containers by name, and their QoS class."""

from __future__ import annotations

from mora.domain import Container, Resources, Workload
from mora.domain.pods import RunningContainer, RunningPod

ONE = RunningContainer(Container("server", Resources(100, 100, 1024, 1024)))
OTHER = RunningContainer(Container("proxy", Resources(50)))


def pod(*containers: RunningContainer) -> RunningPod:
    return RunningPod(Workload("shop", "web"), "web-1", "u", "1", containers)


def test_a_container_is_found_by_its_name() -> None:
    assert pod(ONE, OTHER).container("proxy") is OTHER
    assert pod(ONE).container("proxy") is None
    assert pod(ONE, OTHER).resources == {"server": ONE.resources, "proxy": OTHER.resources}


def test_the_qos_class_is_of_all_containers() -> None:
    assert pod(ONE).quality == "Guaranteed"
    assert pod(ONE, OTHER).quality == "Burstable"
