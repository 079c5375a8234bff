"""Containers without requests, by the repository alone."""

from __future__ import annotations

from pathlib import Path

from mora.domain import Allocation, Container, Workload, WorkloadState
from mora.repo.changes import all_sites
from mora.repo.check import bare, placed
from mora.repo.checkout import Checkout
from tests.repo.conftest import MakeRepo
from tests.repo.test_review import WEB

RESOURCES = """\
        resources:
          requests: {cpu: 500m, memory: 64Mi}
          limits: {cpu: 1, memory: 128Mi}
"""
BARE = WEB.replace(RESOURCES, "")
JOB = """\
apiVersion: batch/v1
kind: Job
metadata: {name: import}
spec:
  template:
    spec:
      initContainers:
      - {name: wait, image: example/wait:1}
      containers:
      - {name: run, image: example/run:1, resources: {requests: {cpu: 1}}}
"""


def missing(top: Path, *within: str) -> list[tuple[str, str, tuple[str, ...]]]:
    return [(one.site.file, one.who, one.missing) for one in bare(all_sites(Checkout(top)), within)]


def test_each_container_without_a_request_is_named_with_what_is_missing(make_repo: MakeRepo) -> None:
    top = make_repo({"web.yaml": WEB, "bare.yaml": BARE.replace("web", "bare"), "job.yaml": JOB})
    assert missing(top) == [
        ("bare.yaml", "Deployment shop/bare, container server", ("cpu", "memory")),
        ("job.yaml", "Job import, container run", ("memory",)),
    ]


def test_an_overlay_is_judged_as_it_is_built(make_repo: MakeRepo) -> None:
    top = make_repo(
        {
            "base/web.yaml": BARE,
            "base/kustomization.yaml": "resources: [web.yaml]\n",
            "prod/kustomization.yaml": "namespace: prod\nresources: [../base]\npatches:\n- path: sizes.yaml\n",
            "prod/sizes.yaml": WEB.replace("        image: example/shop:1.4\n", ""),
            "staging/kustomization.yaml": "namespace: staging\nresources: [../base]\n",
        }
    )
    assert missing(top) == [
        ("staging/kustomization.yaml", "Deployment staging/web, container server", ("cpu", "memory"))
    ]


def test_values_of_charts_may_have_defaults_and_are_left_out(make_repo: MakeRepo) -> None:
    chart = "apiVersion: v2\nname: shop\nversion: 1.0.0\n"
    assert missing(make_repo({"Chart.yaml": chart, "values.yaml": "web:\n  image: x\n  resources: {}\n"})) == []


def test_only_what_is_asked_for_is_reported(make_repo: MakeRepo) -> None:
    top = make_repo({"a/web.yaml": BARE, "ab/web.yaml": BARE.replace("shop", "bank")})
    assert [file for file, _, _ in missing(top, "a")] == ["a/web.yaml"]
    assert [file for file, _, _ in missing(top, "ab/web.yaml")] == ["ab/web.yaml"]
    assert len(missing(top, ".")) == 2


def test_each_container_of_a_cluster_has_its_place_or_the_reason(make_repo: MakeRepo) -> None:
    top = make_repo({"kustomization.yaml": "resources: [web.yaml]\n", "web.yaml": WEB})
    states = [
        WorkloadState(Workload("shop", name), Allocation(2, (Container("server", image="example/shop:1.4"),)))
        for name in ("web", "gone")
    ]
    first, second = placed(states, all_sites(Checkout(top)))
    assert first.site is not None
    assert first.site.file == "web.yaml"
    assert second.site is None
    assert "no file of the repository has a Deployment gone" in second.reason
