"""Keys of values name containers in many ways; the right one has to lead, and a foreign one must not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mora.domain import Container, Role
from mora.repo.affinity import affinity, named

KEYS = (
    (),
    ("webhook",),
    ("certController",),
    ("hubble", "relay"),
    ("hubble", "ui", "backend"),
    ("node", "driver"),
    ("controller", "driver"),
    ("rbacProxy",),
    ("prometheus", "prometheusSpec"),
    ("prometheusOperator",),
)


@pytest.mark.parametrize(
    ("release", "kind", "workload", "container", "keys"),
    [
        ("external-secrets", "Deployment", "external-secrets", "external-secrets", ()),
        ("external-secrets", "Deployment", "external-secrets-webhook", "webhook", ("webhook",)),
        ("external-secrets", "Deployment", "external-secrets-cert-controller", "cert-controller", ("certController",)),
        ("cilium", "Deployment", "hubble-relay", "hubble-relay", ("hubble", "relay")),
        ("cilium", "Deployment", "hubble-ui", "backend", ("hubble", "ui", "backend")),
        ("zfs", "DaemonSet", "zfs-node", "csi-driver", ("node", "driver")),
        ("zfs", "Deployment", "zfs-controller", "csi-driver", ("controller", "driver")),
        ("dragonfly", "Deployment", "dragonfly", "kube-rbac-proxy", ("rbacProxy",)),
        ("stack", "StatefulSet", "prometheus-stack", "prometheus", ("prometheus", "prometheusSpec")),
        ("stack", "Deployment", "stack-prometheus-operator", "stack", ("prometheusOperator",)),
    ],
)
def test_the_keys_that_name_a_container_lead(
    release: str, kind: str, workload: str, container: str, keys: tuple[str, ...]
) -> None:
    name = named(Container(container), workload, kind, {}, release, None)
    points = {one: affinity(name, one)[0] for one in KEYS}
    assert max(points, key=lambda one: points[one]) == keys, points


def test_resources_of_init_containers_are_for_those() -> None:
    app = named(Container("cilium-agent"), "cilium", "DaemonSet", {}, "cilium", None)
    init = named(Container("config", role=Role.INIT), "cilium", "DaemonSet", {}, "cilium", None)
    assert affinity(init, ("initResources",))[0] > affinity(init, ())[0]
    assert affinity(app, ("initResources",))[0] < affinity(app, ())[0]


words = st.lists(st.text("abcXY-_ 0", max_size=8), max_size=5)


@given(words, st.sampled_from(["web", "a-b", "x"]))
def test_more_foreign_keys_never_speak_for_a_container(keys: list[str], name: str) -> None:
    known = named(Container(name), name, "Deployment", {}, "shop", None)
    before = affinity(known, [*keys, name])[0]
    assert affinity(known, [*keys, name, "zzzz"])[0] < before
