"""Selectors of patches, images, and the objects that deploy a folder."""

from __future__ import annotations

import pytest

from mora.repo.checkout import Checkout
from mora.repo.kustomizations import deployers, of_folder, selects
from tests.repo.conftest import MakeRepo
from tests.repo.manifests import deployment


@pytest.mark.parametrize(
    ("target", "is_meant"),
    [
        ({}, True),
        ({"kind": "Deployment", "name": "web"}, True),
        ({"name": "we"}, False),
        ({"name": "w.*", "namespace": "shop"}, True),
        ({"namespace": "bank"}, False),
        ({"labelSelector": "app=web"}, True),
        ({"labelSelector": "app=api"}, False),
        ({"name": "["}, False),
    ],
)
def test_a_selector_means_what_all_of_its_patterns_match(target: dict[str, object], is_meant: bool) -> None:
    assert selects(target, "Deployment", {"web", "eu-web"}, {"shop"}, {"app": "web"}) is is_meant


def test_an_image_is_rewritten_and_others_stay(make_repo: MakeRepo) -> None:
    text = "images:\n- {name: shop/web, newName: mirror/web, newTag: '7'}\n- {name: api, digest: 'sha256:ab'}\n"
    found = of_folder(Checkout(make_repo({"kustomization.yaml": text})), "")
    assert found is not None
    images = [found.image(image) for image in ("shop/web:1", "api", "other:2", None)]
    assert images == ["mirror/web:7", "api:sha256:ab", "other:2", None]


def test_argo_and_flux_deploy_folders_without_a_kustomization(make_repo: MakeRepo) -> None:
    argo = (
        "apiVersion: argoproj.io/v1alpha1\nkind: Application\nmetadata: {name: shop, namespace: argocd}\n"
        "spec:\n  destination: {namespace: shop}\n  source: {path: apps}\n"
    )
    top = make_repo({"apps/web.yaml": deployment(), "apps/deep/api.yaml": deployment("api"), "argo.yaml": argo})
    (found,) = deployers(Checkout(top))
    assert (found.source, found.resources) == (("Application", "argocd", "shop"), ("apps/web.yaml",))
    (top / "argo.yaml").write_text(argo.replace("path: apps", "path: ../elsewhere"))
    assert list(deployers(Checkout(top))) == []
