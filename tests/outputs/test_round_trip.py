"""Patches applied to a strict API server: what a rollback restores, and that a second run finds nothing due.

The namespace's LimitRange gives containers limits that their templates do not set, and some set only a limit: what pods
run with is not what the templates say.
"""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from dataclasses import replace
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from mora.clusters.connection import STRATEGIC_MERGE, Api
from mora.clusters.inventory import KubernetesInventory
from mora.domain import Recommendation, WorkloadHistory
from mora.fleet.batch import Bounds, bounds_of
from mora.fleet.settings import FleetSettings
from mora.outputs.changes import is_due
from mora.outputs.patch import patch_of
from mora.outputs.patches import takes_strategic
from mora.policies import LimitPolicy, PolicySettings
from tests.clusters.fake_api import FakeApi, FakeCluster, serving
from tests.clusters.kinds import RESOURCES, ROLLOUT
from tests.clusters.test_inventory import limit_range
from tests.fleet.making import advised, container_history, history, steady

MIB = 2**20
# What a template sets of a container's resources, as the API server writes it.
RESOURCES_OF = {
    "nothing": {},
    "request": {"requests": {"cpu": "500m"}},
    "limit": {"limits": {"cpu": "800m"}},
    "memory": {"requests": {"memory": "512Mi"}},
    "all": {"requests": {"cpu": "500m", "memory": "512Mi"}, "limits": {"cpu": "1", "memory": "512Mi"}},
    "storage": {"requests": {"cpu": "500m", "ephemeral-storage": "1Gi"}, "limits": {"ephemeral-storage": "2Gi"}},
}
DEFAULTS = {
    "type": "Container",
    "default": {"cpu": "700m", "memory": "640Mi"},
    "defaultRequest": {"cpu": "300m", "memory": "256Mi"},
    "max": {"cpu": "4", "memory": "4Gi"},
}
RATIO = {"type": "Container", "default": {"cpu": "700m"}, "maxLimitRequestRatio": {"cpu": "4", "memory": "2"}}


def manifest(name: str, kind: str) -> dict[str, Any]:
    resources = RESOURCES_OF[name]
    containers = [{"name": "server", "image": "shop:1", "env": [{"name": "A", "value": "1"}], "resources": resources}]
    containers.append({"name": "helper", "image": "helper:1", "resources": {}})
    containers.append({"name": "bare", "image": "bare:1"})
    return {
        "apiVersion": "argoproj.io/v1alpha1" if kind == "Rollout" else "apps/v1",
        "kind": kind,
        "metadata": {"name": f"{kind.lower()}-{name}", "namespace": "shop"},
        "spec": {
            "replicas": 2,
            "selector": {"matchLabels": {"app": name}},
            "template": {"metadata": {"labels": {"app": name}}, "spec": {"containers": containers}},
        },
    }


KINDS = ("Deployment", "StatefulSet", "Rollout")


@pytest.fixture(params=[DEFAULTS, RATIO], ids=["defaults", "a ratio"])
def cluster(request: pytest.FixtureRequest) -> Iterator[tuple[FakeCluster, FakeApi]]:
    made = FakeCluster(resources=[*RESOURCES, ROLLOUT])
    for name in RESOURCES_OF:
        for kind in KINDS:
            made.add(manifest(name, kind))
    made.add(limit_range(request.param))
    with serving(made) as api:
        yield made, api


def recommended(kubeconfig: Path, cpu_limit: LimitPolicy) -> list[Recommendation]:
    """What is recommended for all of them now, each with the same history."""
    policy = PolicySettings(allow_any_step=True, cpu_limit=cpu_limit)
    states = KubernetesInventory(kubeconfig, backoff=timedelta(milliseconds=1)).states("shop")
    seen, bounds = used()
    return [
        advised(one, replace(seen, workload=one.workload), FleetSettings(policy=policy), bounds=bounds)
        for one in states
    ]


@cache
def used() -> tuple[WorkloadHistory, Bounds]:
    helper = container_history("helper", cpu_cores=steady(0.05), mem_bytes=steady(50 * MIB))
    seen = history(container_history(), helper)
    return seen, bounds_of([seen], FleetSettings().horizon)[0]


def send(kubeconfig: Path, advice: Recommendation, *, is_back: bool = False) -> None:
    workload = advice.workload
    group, plural = workload.api_version, f"{workload.kind.lower()}s"
    Api(kubeconfig=kubeconfig).send(
        "PATCH",
        f"/apis/{group}/namespaces/{workload.namespace}/{plural}/{workload.name}",
        patch_of(advice, is_back=is_back),
        content_type=STRATEGIC_MERGE if takes_strategic(workload.kind) else "application/json-patch+json",
    )


def specs(fake: FakeCluster) -> dict[str, Any]:
    """Every workload's spec, without the empty maps that an API server does not keep."""
    names = [(kind, f"{kind.lower()}-{name}") for kind in KINDS for name in RESOURCES_OF]
    return {name: _plain(deepcopy(fake.get(kind, name)["spec"])) for kind, name in names}


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: plain for key, inner in value.items() if (plain := _plain(inner)) != {}}
    return [_plain(inner) for inner in value] if isinstance(value, list) else value


@pytest.mark.parametrize("cpu_limit", ["unset", "keep", "request"])
def test_applied_and_rolled_back_every_workload_is_as_it_was(
    cluster: tuple[FakeCluster, FakeApi], tmp_path: Path, cpu_limit: LimitPolicy
) -> None:
    fake, api = cluster
    kubeconfig = api.kubeconfig(tmp_path / "config")
    before = specs(fake)
    advice = recommended(kubeconfig, cpu_limit)
    for one in advice:
        send(kubeconfig, one)
    assert all(specs(fake)[name] != spec for name, spec in before.items())
    for one in advice:
        send(kubeconfig, one, is_back=True)
    assert specs(fake) == before


@pytest.mark.parametrize("cpu_limit", ["unset", "keep", "request"])
def test_after_the_first_time_nothing_is_due(
    cluster: tuple[FakeCluster, FakeApi], tmp_path: Path, cpu_limit: LimitPolicy
) -> None:
    fake, api = cluster
    kubeconfig = api.kubeconfig(tmp_path / "config")
    for one in recommended(kubeconfig, cpu_limit):
        assert is_due(one), one.workload
        send(kubeconfig, one)
    first = specs(fake)
    for _ in range(5):
        again = recommended(kubeconfig, cpu_limit)
        assert [one.workload.name for one in again if is_due(one)] == []
        for one in again:
            if patch_of(one):
                send(kubeconfig, one)
    assert specs(fake) == first
