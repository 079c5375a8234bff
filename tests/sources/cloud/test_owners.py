"""Owners of pods, by name and by what a cloud says."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mora.domain import Workload
from mora.sources.cloud.owners import owner_by_name, owner_named

LABELS = st.from_regex(r"[a-z]([a-z0-9-]{0,12}[a-z0-9])?", fullmatch=True)
DRAWN = "bcdfghjklmnpqrstvwxz2456789"


@pytest.mark.parametrize(
    ("pod", "kind", "name"),
    [
        ("frontend-6d9f8c7b54-x2klp", "Deployment", "frontend"),
        ("redis-cart-0", "StatefulSet", "redis-cart"),
        ("backup-29384756-x2klp", "CronJob", "backup"),
        ("fluentbit-gke-x2klp", "DaemonSet", "fluentbit-gke"),
        ("toolbox", "Pod", "toolbox"),
    ],
)
def test_the_form_of_a_pods_name_tells_its_owner(pod: str, kind: str, name: str) -> None:
    assert owner_by_name("shop", pod) == Workload("shop", name, kind)


@given(LABELS, st.text(DRAWN, min_size=8, max_size=10), st.text(DRAWN, min_size=5, max_size=5))
def test_the_pods_of_a_deployment_have_one_owner(name: str, template: str, own: str) -> None:
    owner = owner_by_name("shop", f"{name}-{template}-{own}")
    assert owner == Workload("shop", name) or (template.isdigit() and owner is not None)


def test_names_that_cannot_be_have_no_owner() -> None:
    assert owner_by_name("shop", "Web_1") is None
    assert owner_by_name("--all", "web-0") is None
    assert owner_named("shop", "web", "Strange Kind") is None
    assert owner_named("shop", "a b", "Deployment") is None


def test_the_kind_that_a_cloud_names_is_kubernetes_own() -> None:
    assert owner_named("shop", "redis", "STATEFULSET") == Workload("shop", "redis", "StatefulSet")
