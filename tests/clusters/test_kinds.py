"""The shapes of objects: real ones are read; whatever is changed in one, it is read or refused."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mora.clusters import kinds
from mora.clusters.shapes import Shape, Unreadable, read
from tests.clusters.odd import samples, with_a_change

SHAPES: Mapping[str, Shape] = {
    **kinds.WORKLOADS,
    "ReplicaSet": kinds.OWNED,
    "Pod": kinds.POD,
    "HorizontalPodAutoscaler": kinds.HPA,
    "LimitRange": kinds.LIMIT_RANGE,
    "ResourceQuota": kinds.QUOTA,
    "Namespace": kinds.NAMESPACE,
    "Service": kinds.SERVICE,
    "VerticalPodAutoscaler": kinds.VPA,
    "Lease": kinds.LEASE,
}


@pytest.mark.parametrize("kind", SHAPES)
def test_a_real_object_is_read(kind: str) -> None:
    item = samples()[kind]
    found = read(SHAPES[kind], deepcopy(item))
    assert found["metadata"]["name"] == item["metadata"]["name"]
    assert read(SHAPES[kind], found) == found


@settings(max_examples=300)
@given(st.data())
def test_a_changed_object_is_read_or_refused(data: st.DataObject) -> None:
    kind = data.draw(st.sampled_from(sorted(SHAPES)))
    changed = data.draw(with_a_change(samples()[kind]))
    with suppress(Unreadable):
        found = read(SHAPES[kind], changed)
        assert read(SHAPES[kind], found) == found


@pytest.mark.parametrize(
    ("target", "problem"),
    [
        ({"type": "Utilization"}, "has no averageUtilization"),
        ({"type": "AverageValue", "averageUtilization": 70}, "has no averageValue"),
        ({"type": "Value", "value": "1"}, "has the type 'Value', not Utilization or AverageValue"),
        ({"type": "Utilization", "averageUtilization": 0}, "has an averageUtilization of 0"),
        ({"type": "AverageValue", "averageValue": "0m"}, "has an averageValue of 0"),
        ({}, ".type is missing"),
    ],
)
def test_an_hpas_target_has_the_field_of_its_type(target: dict[str, Any], problem: str) -> None:
    item = samples()["HorizontalPodAutoscaler"]
    item["spec"]["metrics"] = [{"type": "Resource", "resource": {"name": "cpu", "target": target}}]
    with pytest.raises(Unreadable, match="cannot be read") as refused:
        read(kinds.HPA, item)
    assert refused.value.problem.startswith("spec.metrics[0].resource.target")
    assert refused.value.problem.endswith(problem)


@pytest.mark.parametrize(("least", "most"), [(3, 2), (1, 0), (0, 0)])
def test_an_hpa_has_as_many_replicas_at_most_as_at_least(least: int, most: int) -> None:
    item = samples()["HorizontalPodAutoscaler"]
    item["spec"] |= {"minReplicas": least, "maxReplicas": most}
    with pytest.raises(Unreadable, match=f"spec has a maxReplicas of {most}, below its minReplicas"):
        read(kinds.HPA, item)


def test_what_others_wrote_into_a_status_or_a_lease_is_kept() -> None:
    vpa, lease = samples()["VerticalPodAutoscaler"], samples()["Lease"]
    assert read(kinds.VPA, vpa)["status"]["conditions"] == vpa["status"]["conditions"]
    assert read(kinds.LEASE, lease) == lease
