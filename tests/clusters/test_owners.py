"""Whose a pod is, by its chain of controllers."""

from __future__ import annotations

from typing import Any

import pytest

from mora.clusters.owners import controller_of, owner_of


def item(name: str, kind: str = "", owner: str = "", **metadata: Any) -> dict[str, Any]:
    owners = [{"kind": kind, "name": owner, "controller": True}] if kind else []
    return {"metadata": {"name": name, "namespace": "shop", "ownerReferences": owners, **metadata}}


BETWEEN = {
    ("shop", "ReplicaSet", "web-1"): item(
        "web-1", "Deployment", "web", annotations={"deployment.kubernetes.io/revision": "7"}
    ),
    ("shop", "ReplicaSet", "alone"): item("alone"),
    ("shop", "Job", "report-1"): item("report-1", "CronJob", "report"),
}


@pytest.mark.parametrize(
    ("pod", "owner"),
    [
        (item("x", "ReplicaSet", "web-1"), (("shop", "Deployment", "web"), 7)),
        (item("x", "ReplicaSet", "alone"), (("shop", "ReplicaSet", "alone"), 0)),
        (item("x", "Job", "report-1"), (("shop", "CronJob", "report"), 0)),
        (item("x", "Job", "etl-59"), (("shop", "Job", "etl"), 0)),
        (item("x", "DaemonSet", "agent", labels={"pod-template-generation": "3"}), (("shop", "DaemonSet", "agent"), 3)),
        (item("x", "StrimziPodSet", "kafka"), (("shop", "StrimziPodSet", "kafka"), 0)),
        (item("etcd-node-1", "Node", "node-1"), (("shop", "Pod", "etcd"), 0)),
        (item("x"), (("shop", "Pod", "x"), 0)),
    ],
)
def test_a_pod_is_of_the_workload_above_it(pod: dict[str, Any], owner: tuple[tuple[str, str, str], int]) -> None:
    assert owner_of(pod, BETWEEN) == owner


def test_only_a_controller_owns() -> None:
    pod = item("x", "ReplicaSet", "web-1")
    pod["metadata"]["ownerReferences"][0]["controller"] = False
    assert controller_of(pod) is None
    assert owner_of(pod, BETWEEN) == (("shop", "Pod", "x"), 0)


@pytest.mark.parametrize("revision", ["²", "٣", "1" * 5000, "-1", "1.5", ""])
def test_a_revision_that_is_no_number_counts_as_the_oldest(revision: str) -> None:
    pod = item("x", "DaemonSet", "agent", labels={"pod-template-generation": revision})
    assert owner_of(pod, {}) == (("shop", "DaemonSet", "agent"), 0)
