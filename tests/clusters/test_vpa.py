"""VPA objects are listed whole, and only their status is patched, with or without a status subresource."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from mora.clusters.conflicts import ChangedMeanwhile, GoneMeanwhile
from mora.clusters.vpa import KubernetesVpas
from mora.errors import ClusterError
from tests.vpa.fake_vpa import FakeVpaApi, serving
from tests.vpa.making import manifest

STATUS = {"recommendation": {"containerRecommendations": [{"containerName": "server", "target": {"cpu": "180m"}}]}}


@pytest.fixture
def api() -> Iterator[FakeVpaApi]:
    with serving() as server:
        yield server


@pytest.fixture
def vpas(api: FakeVpaApi, tmp_path: Path) -> KubernetesVpas:
    return KubernetesVpas(kubeconfig=api.kubeconfig(tmp_path / "kubeconfig"))


def version_of(api: FakeVpaApi, name: str = "web") -> str:
    return str(api.vpas["shop", name]["metadata"]["resourceVersion"])


def test_objects_are_listed_page_by_page_of_one_namespace_or_of_all(api: FakeVpaApi, vpas: KubernetesVpas) -> None:
    api.page = 2
    for name in ("a", "b", "c"):
        api.add(manifest(name))
    api.add(manifest("d", namespace="bank"))
    assert [one["metadata"]["name"] for one in vpas.list_vpas("shop")] == ["a", "b", "c"]
    assert [one["metadata"]["name"] for one in vpas.list_vpas()] == ["d", "a", "b", "c"]


def test_without_the_custom_resource_the_error_says_what_to_install(api: FakeVpaApi, vpas: KubernetesVpas) -> None:
    api.has_crd = False
    with pytest.raises(ClusterError, match=r"no VerticalPodAutoscaler(.|\n)*Install the VPA's CRDs"):
        vpas.list_vpas()


def test_a_status_goes_through_the_subresource(api: FakeVpaApi, vpas: KubernetesVpas) -> None:
    api.add(manifest("web"))
    vpas.patch_status("shop", "web", STATUS, version=version_of(api))
    assert api.status("web") == STATUS
    assert [patch.path.rpartition("/")[2] for patch in api.patches()] == ["status"]


def test_without_a_subresource_the_object_is_patched_and_the_subresource_is_asked_for_once(
    api: FakeVpaApi, vpas: KubernetesVpas
) -> None:
    api.has_subresource = False
    for name in ("web", "cart"):
        api.add(manifest(name))
        vpas.patch_status("shop", name, STATUS, version=version_of(api, name))
        assert api.status(name) == STATUS
    assert [patch.path.rpartition("/")[2] for patch in api.patches()] == ["status", "web", "cart"]


def test_an_object_that_changed_or_went_since_it_was_read_has_an_error_of_its_own(
    api: FakeVpaApi, vpas: KubernetesVpas
) -> None:
    api.add(manifest("web"))
    with pytest.raises(ChangedMeanwhile):
        vpas.patch_status("shop", "web", STATUS, version="1")
    with pytest.raises(GoneMeanwhile):
        vpas.patch_status("shop", "ghost", STATUS, version="1")
    assert api.status("web") == {}
