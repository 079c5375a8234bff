"""Clusters whose objects can be read and make no sense: every workload still has a row in every output."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mora import registry
from mora.clusters.inventory import KubernetesInventory
from mora.domain import Recommendation, WorkloadState
from mora.errors import MoraError
from mora.fleet.settings import FleetSettings, check_overrides
from mora.fleet.stream import stream
from mora.outputs import OutputSettings
from tests.clusters.fake_api import serving
from tests.clusters.odd import Path as At
from tests.clusters.odd import paths
from tests.fleet.making import WINDOW, container_history, history
from tests.fuzz.budget import budget
from tests.fuzz.test_kubernetes import OddCluster, a_cluster

# What is said of every workload, whatever it is; the others write only what can be applied.
TELLING = ("table", "wide", "json", "csv", "explain")
QUANTITIES = ("0", "1n", "1m", "0.5", "1", "64Mi", "1e3", "100000", "1Ei", "8E")
NUMBERS = (0, 1, 2, 100, 1000, 2**31 - 1)
TEXTS = (
    *("", "x", "web", "server", "db", "-", "²", "1" * 5000, "a" * 300, "web-1\nkind: Pod", "../..", "\u202e"),
    *("Deployment", "StatefulSet", "CronJob", "Job", "ReplicaSet", "Node", "Workflow", "Pod"),
    *("Always", "Utilization", "AverageValue", "Container", "Off", "Auto", "Failed"),
)
PLACES = ("labels", "annotations", "ownerReferences")


def nonsense(objects: dict[Any, dict[str, Any]], seed: int) -> None:
    """Changes a few values of a cluster to others of the same kind, repeats some and takes some away."""
    chance = random.Random(seed)  # repeatable, hides nothing
    for _ in range(chance.randint(1, 8)):
        item = objects[chance.choice(sorted(objects))]
        every = [
            path for path in paths(item) if path[0] in ("spec", "status") or path[:2] == ("metadata", "annotations")
        ]
        if every:
            _spoil(item, chance.choice(every), chance)


def _spoil(item: dict[str, Any], path: At, chance: random.Random) -> None:
    at: Any = item
    for key in path[:-1]:
        at = at[key]
    value = at[path[-1]]
    if chance.random() < 0.15:
        del at[path[-1]]
    elif isinstance(value, list):
        at[path[-1]] = value * 2 if chance.random() < 0.5 else []
    elif isinstance(value, bool):
        at[path[-1]] = not value
    elif isinstance(value, int):
        at[path[-1]] = chance.choice(NUMBERS)
    elif isinstance(value, str):
        is_amount = value[:1].isdigit() or chance.random() < 0.2
        at[path[-1]] = chance.choice(QUANTITIES if is_amount else TEXTS)


@pytest.fixture(scope="module")
def odd() -> OddCluster:
    return OddCluster()


@pytest.fixture(scope="module")
def inventory(odd: OddCluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[KubernetesInventory]:
    with serving(odd) as running:
        config: Path = running.kubeconfig(tmp_path_factory.mktemp("kube") / "config")
        yield KubernetesInventory(config)


def sized(states: list[WorkloadState]) -> list[Recommendation]:
    """Each with two weeks of steady use of a container named server."""
    settings = FleetSettings()
    checked = check_overrides(states, settings)
    seen = (history(container_history(), workload=one.workload) for one in checked)
    return list(stream(checked, seen, WINDOW, settings))


@budget(80)
@given(seed=st.integers(0, 2**32))
def test_no_workload_is_hidden_by_the_nonsense_of_another(
    seed: int, odd: OddCluster, inventory: KubernetesInventory
) -> None:
    fresh = a_cluster()
    odd.objects, odd.resources, odd.sent = fresh.objects, fresh.resources, []
    nonsense(odd.objects, seed)
    assert {state.workload.name for state in inventory.states("shop")} >= {"web", "db", "agent", "nightly", "canary"}


@budget(12)
@given(seed=st.integers(0, 2**32))
def test_every_workload_of_a_cluster_that_makes_no_sense_is_in_every_output(
    seed: int, odd: OddCluster, inventory: KubernetesInventory
) -> None:
    fresh = a_cluster()
    odd.objects, odd.resources, odd.sent = fresh.objects, fresh.resources, []
    nonsense(odd.objects, seed)
    states = inventory.states("shop")
    assert {state.workload.name for state in states} >= {"web", "db", "agent", "nightly", "canary"}
    try:
        advised = sized(states)
    except MoraError:  # annotations that nobody can mean
        return
    assert {one.workload for one in advised} == {state.workload for state in states}
    for name in registry.names("outputs"):
        render = registry.load("outputs", name)
        if name in TELLING:
            text = render(advised, OutputSettings())
            assert all(one.workload.name in text for one in advised)
        with suppress(MoraError):
            render(advised, OutputSettings())


@budget(8)
@given(seed=st.integers(0, 2**32))
def test_no_number_is_above_its_limit_or_none_at_all(
    seed: int, odd: OddCluster, inventory: KubernetesInventory
) -> None:
    fresh = a_cluster()
    odd.objects, odd.resources, odd.sent = fresh.objects, fresh.resources, []
    nonsense(odd.objects, seed)
    with suppress(MoraError):
        for advice in sized(inventory.states("shop")):
            for one in advice.containers:
                asked = one.resources
                pairs = (
                    (one.cpu_request.value, asked.cpu_limit_millicores),
                    (one.memory_request.value, asked.memory_limit_bytes),
                )
                for request, limit in pairs:
                    assert request is None or request > 0
                    assert request is None or limit is None or request <= limit
