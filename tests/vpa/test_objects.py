"""What a VPA object says is read as the VPA itself reads it, and what cannot be honoured becomes words."""

from __future__ import annotations

from typing import Any

import pytest

from mora.domain import Workload
from mora.vpa.objects import ContainerPolicy, asks_for, read_vpa
from tests.vpa.making import manifest


def test_only_a_vpa_that_names_this_recommender_is_ours() -> None:
    assert asks_for(manifest(recommenders=("mora",)), "mora")
    assert not asks_for(manifest(recommenders=("default",)), "mora")
    assert not asks_for(manifest(recommenders=()), "mora")
    assert asks_for(manifest(recommenders=("default", "mora-lab")), "mora-lab")


@pytest.mark.parametrize(
    ("reference", "workload"),
    [
        ({"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}, Workload("shop", "web")),
        ({"apiVersion": "apps/v1beta2", "kind": "StatefulSet", "name": "db"}, Workload("shop", "db", "StatefulSet")),
        ({"kind": "DaemonSet", "name": "agent"}, Workload("shop", "agent", "DaemonSet")),
        ({"apiVersion": "batch/v1", "kind": "CronJob", "name": "mail"}, Workload("shop", "mail", "CronJob")),
        ({"apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout", "name": "web"}, Workload("shop", "web", "Rollout")),
    ],
)
def test_a_target_is_the_workload_it_names(reference: dict[str, str], workload: Workload) -> None:
    vpa = read_vpa(manifest(target=reference))
    assert (vpa.workload, vpa.problem) == (workload, None)


@pytest.mark.parametrize(
    ("reference", "word"),
    [
        ({}, "names no workload"),
        ({"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web-1"}, "apps/v1 ReplicaSet"),
        ({"apiVersion": "example.com/v1", "kind": "Deployment", "name": "web"}, "example.com/v1 Deployment"),
        ({"apiVersion": "apps/v1", "kind": "Deployment", "name": 'web"} or up{x="'}, "not a valid workload name"),
    ],
)
def test_a_target_that_cannot_be_sized_is_a_problem(reference: dict[str, str], word: str) -> None:
    vpa = read_vpa(manifest(target=reference))
    assert vpa.workload is None
    assert word in (vpa.problem or "")


def test_a_container_has_its_own_policy_or_that_of_every_other() -> None:
    policies: list[dict[str, Any]] = [
        {"containerName": "*", "mode": "Off"},
        {"containerName": "server", "minAllowed": {"cpu": "50m"}},
    ]
    vpa = read_vpa(manifest(policies=policies))
    assert vpa.policy("server").minimum == {"cpu": 50}
    assert not vpa.policy("server").is_off
    assert vpa.policy("sidecar").is_off
    assert read_vpa(manifest()).policy("server") == ContainerPolicy()


def test_bounds_are_read_exactly_and_a_zero_is_none() -> None:
    policy = {
        "containerName": "server",
        "minAllowed": {"cpu": 1, "memory": "100.5"},
        "maxAllowed": {"cpu": "2500500u", "memory": "0"},
        "controlledResources": ["memory"],
    }
    read = read_vpa(manifest(policies=[policy])).policy("server")
    assert (read.minimum, read.maximum) == ({"cpu": 1000, "memory": 101}, {"cpu": 2500})
    assert read.controlled == {"memory"}


def test_a_bound_that_is_no_quantity_is_a_problem() -> None:
    vpa = read_vpa(manifest(policies=[{"containerName": "server", "maxAllowed": {"memory": "lots"}}]))
    assert vpa.workload is None
    assert vpa.problem == "maxAllowed of memory: 'lots' is not a Kubernetes quantity."


@pytest.mark.parametrize(("resource", "amount"), [("cpu", "1e50"), ("cpu", "100001"), ("memory", "2Ei")])
def test_a_minimum_that_no_machine_has_is_a_problem_and_a_maximum_is_none(resource: str, amount: str) -> None:
    vpa = read_vpa(manifest(policies=[{"containerName": "*", "minAllowed": {resource: amount}}]))
    assert vpa.workload is None
    assert f"minAllowed of {resource} is '{amount}', more than any machine has" in (vpa.problem or "")
    assert read_vpa(manifest(policies=[{"containerName": "*", "maxAllowed": {resource: amount}}])).problem is None
