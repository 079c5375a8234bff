"""The sandbox as a Cluster."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

import mora.sandbox
from mora.clusters.conflicts import ChangedMeanwhile
from mora.clusters.sandbox import SandboxCluster, SandboxPods
from mora.domain import Allocation, Resources, Workload
from mora.domain.pods import ResizeState, RunningPod
from mora.errors import BadInput, ClusterError
from mora.quantities import MIB
from mora.sandbox.spec import SERVICES
from mora.seams import Cluster
from tests.running import until

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


def test_a_running_pod_is_resized_in_place_and_back(cluster: SandboxCluster) -> None:
    pods = SandboxPods(cluster.handle)
    before = next(pod for pod in pods.pods() if pod.workload == FRONTEND)
    pid = {one["name"]: one["pid"] for one in cluster.handle.status()["services"]["frontend"]["pods"]}[before.name]
    wanted = {"server": Resources(70, 140, 300 * MIB, 300 * MIB)}
    pods.resize(before, wanted)
    after = given(pods, before.name)
    assert after.containers[0].actual == wanted["server"]
    assert (after.uid, after.containers[0].restarts, after.is_ready) == (
        before.uid,
        before.containers[0].restarts,
        True,
    )
    (status,) = cluster.handle.status()["services"]["frontend"]["pods"]
    assert status["pid"] == pid, "the same process goes on"
    assert cluster.handle.status()["services"]["frontend"]["resources"]["cpu_request_millicores"] == 100, "the template"
    if cluster.handle.enforcement == "cgroups v1":
        folders = [Path(one) for one in cluster.handle.status()["cgroup_folders"]]
        quota = next(one for one in folders if "cpu" in one.parts) / f"pod{before.uid}" / "server" / "cpu.cfs_quota_us"
        assert quota.read_text().strip() == "14000"
    with pytest.raises(ChangedMeanwhile):
        pods.resize(before, wanted)
    pods.resize(after, before.resources)
    assert given(pods, before.name).resources == before.resources


def test_a_memory_limit_below_what_is_in_use_waits_and_kills_nothing(cluster: SandboxCluster) -> None:
    pods = SandboxPods(cluster.handle)
    before = next(pod for pod in pods.pods() if pod.workload == CART)
    pods.resize(before, {"server": Resources(100, 200, MIB, MIB)})
    until(lambda: now(pods, before.name).resize is ResizeState.ERROR, "the resize to fail")
    stuck = now(pods, before.name)
    assert "below current usage" in stuck.resize_message
    assert stuck.containers[0].actual == before.containers[0].resources
    pods.resize(stuck, before.resources)
    assert given(pods, before.name).containers[0].restarts == before.containers[0].restarts


def now(pods: SandboxPods, name: str) -> RunningPod:
    return next(pod for pod in pods.pods() if pod.name == name)


def given(pods: SandboxPods, name: str) -> RunningPod:
    until(lambda: now(pods, name).resize is ResizeState.DONE, "the resize")
    return now(pods, name)
