"""All forms of Helm together, and charts that a kustomization inflates."""

from __future__ import annotations

from mora.registry import names
from tests.repo.conftest import MakeRepo
from tests.repo.placing import changed, container, live, site_of

KUSTOMIZATION = """\
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
namespace: data
helmCharts:
  - name: redis-operator
    releaseName: redis
    repo: https://charts.example.org
    valuesFile: values.yaml
"""
VALUES = "resources:\n  limits:\n    cpu: 200m\n    memory: 256Mi\n  requests:\n    cpu: 100m\n    memory: 128Mi\n"
OPERATOR = live(
    "redis-operator",
    container("redis-operator", "100m 128Mi", "200m 256Mi"),
    namespace="data",
    release="redis",
    labels={"helm.sh/chart": "redis-operator-1.0.0"},
)


def test_the_form_is_registered() -> None:
    assert "helm" in names("repo_forms")


def test_charts_of_a_kustomization_have_values_in_files_and_within(make_repo: MakeRepo) -> None:
    inline = KUSTOMIZATION + "    valuesInline:\n      resources: {requests: {cpu: 100m}}\n"
    top = make_repo({"redis/kustomization.yaml": inline, "redis/values.yaml": VALUES})
    site = site_of(top, OPERATOR)
    assert site.where == "redis/kustomization.yaml:10 (helmCharts[0].valuesInline.resources)"
    assert changed(top, site) == {
        "redis/kustomization.yaml": [
            "-      resources: {requests: {cpu: 100m}}",
            "+      resources: {requests: {cpu: 137m, memory: 321Mi}}",
        ]
    }


def test_the_file_of_values_is_changed_where_it_alone_sets_them(make_repo: MakeRepo) -> None:
    top = make_repo({"redis/kustomization.yaml": KUSTOMIZATION, "redis/values.yaml": VALUES})
    assert site_of(top, OPERATOR).where == "redis/values.yaml:1 (resources)"
