"""The sandbox as a Cluster."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest

import mora.sandbox
from mora.clusters.sandbox import SandboxCluster
from mora.domain import Allocation, Resources, Workload
from mora.errors import BadInput, ClusterError
from mora.quantities import MIB
from mora.sandbox.spec import SERVICES
from mora.seams import Cluster

pytestmark = pytest.mark.slow

FRONTEND = Workload("default", "frontend")
CART = Workload("default", "cartservice")
PATIENCE = timedelta(seconds=60)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SandboxCluster]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MORA_SANDBOX_HOME", str(tmp_path_factory.mktemp("home")))
        handle = mora.sandbox.start("cluster", await_metrics=False)
        yield SandboxCluster(name="cluster")
        handle.down()


def test_it_is_a_cluster(cluster: SandboxCluster) -> None:
    as_cluster: Cluster = cluster
    as_cluster.wait_ready([FRONTEND, CART], PATIENCE)


def test_an_allocation_tells_what_is_set(cluster: SandboxCluster) -> None:
    for spec in SERVICES:
        allocation = cluster.allocation(Workload("default", spec.name))
        assert allocation.replicas == 1
        assert allocation.main is not None
        assert (allocation.main.name, allocation.main.resources) == ("server", spec.resources)
        assert allocation.main.image == f"mora-sandbox/{spec.name}:v0.1.0"
        assert allocation.autoscaler is None


def test_what_is_applied_is_read_back_and_can_be_reverted(cluster: SandboxCluster) -> None:
    before = cluster.allocation(FRONTEND)
    wanted = replace(before.with_main(Resources(111, None, 40 * MIB, 50 * MIB)), replicas=2)
    cluster.apply(FRONTEND, wanted)
    cluster.wait_ready([FRONTEND], PATIENCE)
    assert cluster.allocation(FRONTEND) == wanted
    assert cluster.handle.status()["services"]["frontend"]["ready"] == 2
    cluster.apply(FRONTEND, before)
    cluster.wait_ready([FRONTEND], PATIENCE)
    assert cluster.allocation(FRONTEND) == before


def test_replicas_that_are_not_given_stay(cluster: SandboxCluster) -> None:
    before = cluster.allocation(CART)
    cluster.apply(CART, Allocation(replicas=None, containers=before.containers))
    assert cluster.allocation(CART) == before


def test_a_restart_brings_fresh_replicas_of_the_named_workloads_alone(cluster: SandboxCluster) -> None:
    def pods(service: str) -> list[str]:
        return [pod["name"] for pod in cluster.handle.status()["services"][service]["pods"]]

    frontend, cart = pods("frontend"), pods("cartservice")
    cluster.restart([FRONTEND], PATIENCE)
    assert pods("cartservice") == cart
    assert set(pods("frontend")).isdisjoint(frontend)


def test_what_is_not_there_is_refused_by_name(cluster: SandboxCluster) -> None:
    with pytest.raises(ClusterError, match=r"no Deployment 'nothing'.*\n.*cartservice, checkoutservice, frontend"):
        cluster.allocation(Workload("default", "nothing"))
    with pytest.raises(ClusterError, match="in namespace 'shop'"):
        cluster.restart([Workload("shop", "frontend")], PATIENCE)
    sidecar = Allocation(containers=(replace(cluster.allocation(CART).containers[0], name="proxy"),))
    with pytest.raises(BadInput, match="no container 'proxy'"):
        cluster.apply(CART, sidecar)
    assert cluster.services("shop") == []
    assert "frontend" in cluster.services("default")


def test_a_service_that_is_not_ready_in_time_is_reported_with_its_numbers(cluster: SandboxCluster) -> None:
    before = cluster.allocation(CART)
    # Too little memory for Python to start: the kernel kills it again and again.
    cluster.apply(CART, before.with_main(Resources(100, 200, 4 * MIB, 4 * MIB)))
    with pytest.raises(ClusterError, match="Not ready after 2s: cartservice 1 of 1 replicas"):
        cluster.wait_ready([CART], timedelta(seconds=2))
    cluster.apply(CART, before)
    cluster.wait_ready([CART], PATIENCE)
