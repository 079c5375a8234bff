"""The target of an HPA follows the requests, in every form that manifests have it."""

from __future__ import annotations

import pytest

from mora.domain import Autoscaler, Target, Workload
from mora.repo.addresses import Refusal
from mora.repo.checkout import Checkout
from mora.repo.hpas import retarget
from tests.repo.conftest import MakeRepo

WEB = Workload("shop", "web")
CPU = Autoscaler("web", Target.CPU, is_utilisation=True, target=55, min_replicas=2, max_replicas=9)
HPA = """\
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: web, namespace: shop}
spec:
  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: web}
  metrics:
  - type: Resource
    resource: {name: memory, target: {type: Utilization, averageUtilization: 80}}
  - type: Resource
    resource:
      name: cpu
      target:
        type: Utilization
        averageUtilization: 70  # busy
"""


def test_the_target_of_the_resource_is_set_and_nothing_else(make_repo: MakeRepo) -> None:
    checkout = Checkout(make_repo({"hpa.yaml": HPA}))
    assert retarget(checkout, {}, WEB, CPU) == {
        "hpa.yaml": HPA.replace("averageUtilization: 70", "averageUtilization: 55")
    }
    assert retarget(checkout, {"hpa.yaml": HPA.replace(" 70", " 55")}, WEB, CPU) == {}


def test_the_first_version_has_its_own_field(make_repo: MakeRepo) -> None:
    text = HPA[: HPA.index("  metrics")].replace("/v2", "/v1") + "  targetCPUUtilizationPercentage: 70\n"
    assert retarget(Checkout(make_repo({"a.yaml": text})), {}, WEB, CPU) == {"a.yaml": text.replace(" 70", " 55")}


@pytest.mark.parametrize(
    ("files", "why"),
    [
        ({"a.yaml": "a: 1\n"}, "no file of the repository sets it"),
        ({"a.yaml": HPA.replace("name: web}", "name: api}")}, "no file of the repository sets it"),
        ({"a.yaml": HPA, "b.yaml": HPA}, "a.yaml and b.yaml set it alike"),
    ],
)
def test_a_target_that_cannot_follow_is_a_reason(make_repo: MakeRepo, files: dict[str, str], why: str) -> None:
    with pytest.raises(Refusal, match=why):
        retarget(Checkout(make_repo(files)), {}, WEB, CPU)
