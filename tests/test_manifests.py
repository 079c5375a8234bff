"""The manifests build with every kubectl at hand, hold to Kubernetes' schemas, give the rights they say, no more."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from mora.errors import ToolMissing
from mora.tools import find_tool

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = ("base", "collect")


def kubectls() -> list[Path]:
    """The kubectl that MOrA uses, and those that were fetched to check with."""
    try:
        found = [find_tool("kubectl"), *(ROOT / ".tools" / folder / "kubectl" for folder in ("debian", "newer"))]
    except ToolMissing as error:
        pytest.fail(str(error))
    return [path for path in dict.fromkeys(found) if shutil.which(path)]


def built(folder: str, kubectl: Path) -> list[dict[str, Any]]:
    command = [str(kubectl), "kustomize", str(ROOT / "manifests" / folder)]
    return list(yaml.safe_load_all(subprocess.run(command, capture_output=True, text=True, check=True).stdout))


def rules(folder: str) -> dict[tuple[str, str], set[str]]:
    """(group, resource) -> verbs."""
    given: dict[tuple[str, str], set[str]] = {}
    for document in built(folder, kubectls()[0]):
        for rule in document.get("rules", []):
            for group in rule["apiGroups"]:
                for resource in rule["resources"]:
                    given.setdefault((group, resource), set()).update(rule["verbs"])
    return given


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_folder_builds_alike_with_every_kubectl_at_hand(folder: str) -> None:
    first, *others = [built(folder, kubectl) for kubectl in kubectls()]
    assert {document["metadata"]["labels"]["app.kubernetes.io/name"] for document in first} == {"mora"}
    for other in others:
        assert sorted(other, key=str) == sorted(first, key=str)


@pytest.mark.parametrize("folder", FOLDERS)
@pytest.mark.parametrize("version", ["1.25", "1.37"])
def test_every_object_holds_to_the_schema_of_kubernetes(folder: str, version: str) -> None:
    for document in built(folder, kubectls()[0]):
        kubernetes_validate.validate(document, version, strict=True)


def test_advice_may_read_and_nothing_else() -> None:
    given = rules("base")
    assert set().union(*given.values()) == {"get", "list", "watch"}
    assert set(given) == {
        ("apps", "deployments"),
        ("apps", "statefulsets"),
        ("apps", "daemonsets"),
        ("apps", "replicasets"),
        ("", "pods"),
        ("autoscaling", "horizontalpodautoscalers"),
    }


def test_experiments_may_patch_and_scale_on_top_and_never_create_or_delete() -> None:
    given = rules("collect")
    assert given == {
        ("apps", "deployments"): {"patch"},
        ("apps", "statefulsets"): {"patch"},
        ("apps", "deployments/scale"): {"get", "patch"},
        ("apps", "statefulsets/scale"): {"get", "patch"},
    }


def test_every_role_is_bound_to_the_account_that_the_base_makes() -> None:
    accounts = [
        document["metadata"]["name"]
        for document in built("base", kubectls()[0])
        if document["kind"] == "ServiceAccount"
    ]
    for folder in FOLDERS:
        documents = built(folder, kubectls()[0])
        roles = {document["metadata"]["name"] for document in documents if document["kind"] == "Role"}
        bindings = [document for document in documents if document["kind"] == "RoleBinding"]
        assert {binding["roleRef"]["name"] for binding in bindings} == roles
        assert [subject["name"] for binding in bindings for subject in binding["subjects"]] == accounts


@pytest.mark.parametrize("folder", FOLDERS)
def test_rights_stay_within_a_namespace_and_name_no_wildcard(folder: str) -> None:
    for document in built(folder, kubectls()[0]):
        assert not document["kind"].startswith("Cluster")
        assert "*" not in str(document.get("rules", ""))
