"""The running pods of a namespace as the API server lists them, and their resize: by its words, kept or refused."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from mora.clusters.conflicts import ChangedMeanwhile
from mora.clusters.pods import KubernetesPods
from mora.domain import Resources, Target
from mora.domain.pods import ResizeState
from mora.errors import ClusterError
from mora.quantities import MIB
from tests.clusters.fake_api import FakeApi, FakeCluster
from tests.inplace.rig import add_pod, add_workload, resources


@pytest.fixture
def fake() -> FakeCluster:
    cluster = FakeCluster(version="1.35.1+k3s1")
    add_workload(cluster, pods=2)
    return cluster


@pytest.fixture
def pods(api: FakeApi, tmp_path: Path) -> KubernetesPods:
    return KubernetesPods("shop", kubeconfig=api.kubeconfig(tmp_path / "kubeconfig"))


def test_pods_come_with_their_workload_and_what_they_run_with(fake: FakeCluster, pods: KubernetesPods) -> None:
    first, second = pods.pods()
    assert (first.workload.kind, first.workload.name, second.name) == ("Deployment", "web", "web-abc-1")
    assert first.container("server").resources == Resources(400, None, 512 * MIB, 512 * MIB)  # type: ignore[union-attr]
    assert (first.is_ready, first.resize, first.revision) == (True, ResizeState.DONE, "abc")
    assert pods.version() == (1, 35)


def test_what_ends_does_not_run_yet_or_is_of_a_job_is_left_out(fake: FakeCluster, pods: KubernetesPods) -> None:
    container = {"name": "server", "image": "a:1", "resources": resources()}
    add_pod(fake, "web-abc-8", container)
    add_pod(fake, "web-abc-9", container)
    fake.get("Pod", "web-abc-8")["metadata"]["deletionTimestamp"] = "2026-11-26T12:00:00Z"
    fake.get("Pod", "web-abc-9")["status"]["phase"] = "Pending"
    add_pod(fake, "job-1", container)
    fake.get("Pod", "job-1")["metadata"]["ownerReferences"][0] |= {"kind": "Job", "name": "job"}
    assert [one.name for one in pods.pods()] == ["web-abc-0", "web-abc-1"]


@pytest.mark.parametrize(
    ("condition", "state"),
    [
        ({"type": "PodResizePending", "status": "True", "reason": "Deferred"}, ResizeState.DEFERRED),
        ({"type": "PodResizePending", "status": "True", "reason": "Infeasible"}, ResizeState.INFEASIBLE),
        ({"type": "PodResizeInProgress", "status": "True"}, ResizeState.IN_PROGRESS),
        ({"type": "PodResizeInProgress", "status": "True", "reason": "Error"}, ResizeState.ERROR),
        ({"type": "PodResizePending", "status": "False", "reason": "Deferred"}, ResizeState.DONE),
    ],
)
def test_what_the_node_makes_of_a_resize_is_read(
    fake: FakeCluster, pods: KubernetesPods, condition: dict[str, str], state: ResizeState
) -> None:
    fake.get("Pod", "web-abc-0")["status"]["conditions"].append(condition)
    assert pods.pods()[0].resize is state


def test_restarts_kills_and_resize_policies_are_read(fake: FakeCluster, pods: KubernetesPods) -> None:
    pod = fake.get("Pod", "web-abc-0")
    pod["spec"]["containers"][0]["resizePolicy"] = [
        {"resourceName": "cpu", "restartPolicy": "NotRequired"},
        {"resourceName": "memory", "restartPolicy": "RestartContainer"},
    ]
    killed = {"terminated": {"reason": "OOMKilled", "exitCode": 137, "finishedAt": "2026-11-26T12:00:00Z"}}
    pod["status"]["containerStatuses"][0] |= {"restartCount": 3, "lastState": killed}
    one = pods.pods()[0].containers[0]
    assert (one.restarts, one.restarted_by) == (3, frozenset({Target.MEMORY}))
    assert one.oom_killed_at == datetime(2026, 11, 26, 12, tzinfo=UTC)


def test_a_resize_changes_the_pod_alone_and_a_dry_run_nothing(fake: FakeCluster, pods: KubernetesPods) -> None:
    pod = pods.pods()[0]
    wanted = {"server": Resources(200, None, 512 * MIB, 512 * MIB)}
    pods.resize(pod, wanted, dry_run=True)
    assert fake.get("Pod", "web-abc-0")["spec"]["containers"][0]["resources"] == resources()
    assert pods.resize(pod, wanted).resources == wanted
    assert fake.get("Deployment", "web")["spec"]["template"]["spec"]["containers"][0]["resources"] == resources()


def test_a_pod_that_changed_since_is_a_conflict(fake: FakeCluster, pods: KubernetesPods) -> None:
    pod = pods.pods()[0]
    fake.get("Pod", "web-abc-0")["metadata"]["resourceVersion"] = "999"
    with pytest.raises(ChangedMeanwhile):
        pods.resize(pod, {"server": Resources(200)})


def test_another_qos_class_is_refused_in_the_servers_words(pods: KubernetesPods) -> None:
    wanted = {"server": Resources(200, 200, 512 * MIB, 512 * MIB)}
    with pytest.raises(ClusterError, match="Pod QOS Class may not change"):
        pods.resize(pods.pods()[0], wanted)


def test_the_namespace_has_an_identity(fake: FakeCluster, pods: KubernetesPods) -> None:
    before = pods.identity()
    fake.objects["namespaces", "", "shop"]["metadata"]["uid"] = "another"
    assert pods.identity() == "another" != before
