"""KubernetesLease: read, created and replaced, with what happens when another instance was faster."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from mora.clusters.lease import KubernetesLease, pod_namespace
from mora.errors import ClusterError
from tests.vpa.fake_vpa import FakeVpaApi, serving

SPEC = {"holderIdentity": "a", "leaseDurationSeconds": 15}


@pytest.fixture
def api() -> Iterator[FakeVpaApi]:
    with serving() as server:
        yield server


@pytest.fixture
def lease(api: FakeVpaApi, tmp_path: Path) -> KubernetesLease:
    return KubernetesLease("mora", "mora-recommender", kubeconfig=api.kubeconfig(tmp_path / "config"))


def test_there_is_none_until_it_is_created_and_only_once(lease: KubernetesLease) -> None:
    assert lease.read() is None
    created = lease.create(SPEC)
    assert created is not None
    assert created["spec"]["holderIdentity"] == "a"
    assert lease.create(SPEC) is None


def test_a_lease_that_another_instance_changed_is_not_replaced(lease: KubernetesLease, api: FakeVpaApi) -> None:
    before = lease.create(SPEC)
    assert before is not None
    assert lease.replace(before, {**SPEC, "holderIdentity": "b"}) is not None
    assert lease.replace(before, {**SPEC, "holderIdentity": "c"}) is None
    assert api.holder() == "b"


def test_a_failure_is_not_tried_again_so_that_a_request_cannot_outlast_the_lease(
    lease: KubernetesLease, api: FakeVpaApi
) -> None:
    api.failing = [503]
    with pytest.raises(ClusterError, match="503"):
        lease.read()
    assert len(api.requests) == 1


def test_the_lease_is_written_as_the_user_that_the_kubeconfig_impersonates(api: FakeVpaApi, tmp_path: Path) -> None:
    config = api.kubeconfig(tmp_path / "config")
    config.write_text(config.read_text().replace("token: ada", "token: ada\n    as: eve"), encoding="utf-8")
    client = KubernetesLease("mora", "mora-recommender", kubeconfig=config)._api.client
    assert client.default_headers["Impersonate-User"] == "eve"


def test_outside_a_cluster_there_is_no_pod_namespace() -> None:
    assert pod_namespace() is None
