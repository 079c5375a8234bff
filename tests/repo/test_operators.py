"""What an operator makes has its resources in the object that it is made from."""

from __future__ import annotations

import pytest

from mora.repo.checkout import Checkout
from mora.repo.matching import place
from mora.repo.operators import sites
from tests.repo.conftest import MakeRepo
from tests.repo.placing import changed, container, live

PROMETHEUS = """\
apiVersion: monitoring.coreos.com/v1
kind: Prometheus
metadata: {name: main, namespace: monitoring}
spec:
  replicas: 2
  resources: {requests: {cpu: 100m, memory: 1Gi}}
"""
REDIS = """\
apiVersion: redis.redis.opstreelabs.in/v1beta2
kind: Redis
metadata: {name: cache}
spec:
  kubernetesConfig:
    image: redis:7
"""


@pytest.mark.parametrize(
    ("text", "kind", "name", "of", "address"),
    [
        (PROMETHEUS, "StatefulSet", "prometheus-main", "prometheus", "spec.resources"),
        (REDIS, "StatefulSet", "cache", "cache", "spec.kubernetesConfig.resources"),
    ],
)
def test_the_object_is_the_place_of_what_is_made_from_it(
    make_repo: MakeRepo, text: str, kind: str, name: str, of: str, address: str
) -> None:
    top = make_repo({"a.yaml": text})
    made = live(name, container(of, "100m 1Gi"), kind=kind, namespace="monitoring")
    (found,) = place([made], list(sites(Checkout(top))))
    assert found.site is not None, found.reason
    assert str(found.site.address) == address
    assert any("137m" in line for line in changed(top, found.site)["a.yaml"])


def test_objects_of_the_same_kind_of_another_api_are_none(make_repo: MakeRepo) -> None:
    cluster = "apiVersion: cluster.x-k8s.io/v1beta1\nkind: Cluster\nmetadata: {name: a}\nspec: {resources: {}}\n"
    assert list(sites(Checkout(make_repo({"a.yaml": cluster})))) == []
