"""Rights in a cluster, asked by MOrA's own client of a server that stands in for a cluster's API."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from mora.doctor import Check, State, cluster, examine
from mora.settings import Settings
from tests.clusters.fake_api import FakeApi, FakeCluster, serving
from tests.doctor.test_doctor import found


@pytest.fixture
def fake() -> FakeCluster:
    return FakeCluster()


@pytest.fixture
def api(fake: FakeCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, empty: Settings) -> Iterator[FakeApi]:
    with serving(fake) as server:
        monkeypatch.setenv("KUBECONFIG", str(server.kubeconfig(tmp_path / "config")))
        yield server


def test_rights_that_the_cluster_refuses_are_named(empty: Settings, api: FakeApi, fake: FakeCluster) -> None:
    fake.forbidden = {("patch", "deployments"), ("patch", "deployments/scale"), ("list", "limitranges")}
    reading, bounds, scaling = found(examine(empty), "cluster")
    assert reading == Check("cluster", State.OK, "in namespace default: allowed to read workloads")
    assert (bounds.state, bounds.words.endswith(": list limitranges")) == (State.WARNING, True)
    assert scaling.state is State.WARNING
    assert scaling.words.endswith(": patch deployments.apps, patch deployments.apps/scale")
    assert (bounds.remedy, scaling.remedy) == (
        "Ask for the roles in manifests/base.",
        "Ask for the roles in manifests/collect.",
    )


def test_without_the_right_to_read_workloads_something_is_missing(
    empty: Settings, api: FakeApi, fake: FakeCluster
) -> None:
    fake.forbidden = {("list", "pods")}
    assert found(examine(empty), "cluster")[0].state is State.MISSING


def test_rights_are_asked_without_kubectl(
    empty: Settings, api: FakeApi, fake: FakeCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    assert [check.state for check in found(examine(empty), "cluster")] == [State.OK] * 3
    assert all(one.path.endswith("selfsubjectaccessreviews") for one in fake.sent)


def test_every_kind_that_the_inventory_lists_is_asked_about(
    empty: Settings, api: FakeApi, fake: FakeCluster, tmp_path: Path
) -> None:
    from mora.clusters.inventory import KubernetesInventory
    from tests.clusters.test_kubernetes import deployment

    fake.add(deployment("frontend"))
    KubernetesInventory(tmp_path / "config").states("shop")
    listed = {one.path.rpartition("/")[2] for one in fake.sent}
    asked = {resource for _, rights, _, _ in cluster.PURPOSES for _, resource, _ in rights}
    assert listed - asked <= {"shop", "rollouts"}  # the namespace itself, and a kind that most clusters do not have


def test_a_cluster_that_does_not_answer_is_reported(
    empty: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = FakeApi(FakeCluster())
    server.server_close()
    monkeypatch.setenv("KUBECONFIG", str(server.kubeconfig(tmp_path / "config", port=9)))
    (check,) = found(examine(empty), "cluster")
    assert check.state is State.MISSING
    assert "kubectl cluster-info" in check.remedy


def test_a_kubeconfig_that_does_not_exist_is_not_taken_for_no_cluster(
    empty: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "missing"))
    (check,) = found(examine(empty), "cluster")
    assert (check.state, str(tmp_path / "missing") in check.words) == (State.WARNING, True)
    assert check.remedy
