"""What errors say of manifests/ is what its folders contain."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from mora.clusters.connection import Api, Forbidden
from mora.clusters.grants import OF_A_NAMESPACE, OF_THE_CLUSTER, folder_of
from mora.clusters.rights import Right
from mora.doctor.cluster import PURPOSES
from tests.clusters.fake_api import FakeApi, FakeCluster

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def fake() -> FakeCluster:
    return FakeCluster()


def rules_in(folder: str, kind: str) -> dict[tuple[str, str], frozenset[str]]:
    """(API group, resource) -> verbs of the roles in a folder."""
    found: dict[tuple[str, str], frozenset[str]] = {}
    for path in sorted((ROOT / folder).glob("*.yaml")):
        documents: list[dict[str, Any]] = [one for one in yaml.safe_load_all(path.read_text(encoding="utf-8")) if one]
        for rule in [rule for one in documents if one.get("kind") == kind for rule in one["rules"]]:
            for key in ((group, resource) for group in rule["apiGroups"] for resource in rule["resources"]):
                found[key] = found.get(key, frozenset()) | set(rule["verbs"])
    return found


@pytest.mark.parametrize("folder", OF_A_NAMESPACE)
def test_the_roles_of_a_folder_are_those_that_errors_name(folder: str) -> None:
    assert rules_in(folder, "Role") == OF_A_NAMESPACE[folder]


def test_the_cluster_roles_are_those_that_errors_name() -> None:
    assert {"manifests/cluster-wide": rules_in("manifests/cluster-wide", "ClusterRole")} == OF_THE_CLUSTER


def test_no_folder_with_roles_is_left_out() -> None:
    folders = {f"manifests/{path.name}" for path in (ROOT / "manifests").iterdir() if path.is_dir()}
    assert {one for one in folders if rules_in(one, "Role")} - {"manifests/cluster-wide"} == set(OF_A_NAMESPACE)


def test_what_the_doctor_asks_for_is_in_the_folder_that_it_names() -> None:
    for purpose, rights, _, folder in PURPOSES:
        assert {Right(*right).folder for right in rights} == {folder}, purpose


@pytest.mark.parametrize(
    ("method", "path", "denied", "hint"),
    [
        ("GET", "/apis/apps/v1/namespaces/shop/deployments", ("list", "deployments"), "(see manifests/base)."),
        (
            "PATCH",
            "/apis/apps/v1/namespaces/shop/deployments/web/scale",
            ("patch", "deployments/scale"),
            "(see manifests/collect).",
        ),
        ("PATCH", "/api/v1/namespaces/shop/configmaps/mora", ("patch", "configmaps"), "(see manifests/cronjob)."),
        (
            "POST",
            "/apis/coordination.k8s.io/v1/namespaces/shop/leases",
            ("create", "leases"),
            "(see manifests/recommender).",
        ),
        ("GET", "/api/v1/services", ("list", "services"), 'resources: ["services"], verbs: ["list"]}. Or give'),
        ("GET", "/apis/apps/v1/deployments", ("list", "deployments"), "(see manifests/cluster-wide). Or give one"),
    ],
)
def test_a_forbidden_request_names_the_folder_that_allows_it(
    method: str, path: str, denied: tuple[str, str], hint: str, fake: FakeCluster, api: FakeApi, tmp_path: Path
) -> None:
    fake.forbidden = {denied}
    asked = Api(kubeconfig=api.kubeconfig(tmp_path / "config"), backoff=None)
    with pytest.raises(Forbidden) as refused:
        asked.send(method, path, {"metadata": {"name": "x"}})
    assert hint in str(refused.value.hint)


def test_a_right_that_no_folder_gives_names_none() -> None:
    assert folder_of("delete", "", "pods") is None
