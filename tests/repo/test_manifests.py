"""Manifests of every kind that runs pods, as one file, several documents, or a List."""

from __future__ import annotations

import pytest
import yaml

from mora.domain import API_VERSIONS
from mora.outputs.patches import template_path
from mora.repo.checkout import Checkout
from mora.repo.manifests import sites
from tests.repo.conftest import MakeRepo


def manifest(kind: str) -> dict[str, object]:
    container = {"name": "server", "image": "shop/web:1", "resources": {"requests": {"cpu": "100m"}}}
    inner: dict[str, object] = {"spec": {"initContainers": [{"name": "init"}], "containers": [container]}}
    for key in reversed(template_path(kind)[1:]):
        inner = {key: inner}
    return {"apiVersion": API_VERSIONS[kind], "kind": kind, "metadata": {"name": "web"}, "spec": inner}


@pytest.mark.parametrize("kind", API_VERSIONS)
def test_containers_of_every_kind_are_sites(make_repo: MakeRepo, kind: str) -> None:
    listed = {"apiVersion": "v1", "kind": "List", "items": [manifest(kind)]}
    top = make_repo({"a.yaml": yaml.safe_dump(manifest(kind)), "b.yaml": yaml.safe_dump(listed)})
    found = list(sites(Checkout(top)))
    assert [one.claim.container for one in found] == ["server", "init"] * 2
    assert [one.claim.is_init for one in found] == [False, True] * 2
    assert {one.claim.kind for one in found} == {kind}
    assert found[0].written == {("requests", "cpu"): "100m"}
    assert found[2].address.path[:2] == ("items", 0)


def test_what_holds_a_variable_says_nothing(make_repo: MakeRepo) -> None:
    text = yaml.safe_dump(manifest("Deployment")).replace("name: web", "name: ${APP}")
    (claim, _) = (one.claim for one in sites(Checkout(make_repo({"a.yaml": text}))))
    assert (claim.name, claim.kind, claim.container) == (None, "Deployment", "server")
