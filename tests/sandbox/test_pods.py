"""Pods: names, replacement, back-off and status, without processes."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from mora.domain import Resources, check_name
from mora.errors import BadInput
from mora.quantities import MIB
from mora.sandbox.pods import Deployment, Phase, check_resources
from mora.sandbox.spec import SERVICES


@pytest.fixture
def deployment() -> Deployment:
    return Deployment(SERVICES[0], SERVICES[0].resources, replicas=2)


def test_pods_are_named_after_their_replicaset_as_in_kubernetes(deployment: Deployment) -> None:
    pod = deployment.new_pod()
    assert re.fullmatch(r"frontend-[bcdfghjklmnpqrstvwxz2456789]{10}-[bcdfghjklmnpqrstvwxz2456789]{5}", pod.name)
    assert pod.name.startswith(pod.replica_set + "-")
    assert check_name(pod.name) == pod.name


def test_every_template_has_its_own_replicaset(deployment: Deployment) -> None:
    before = deployment.replica_set
    deployment.replicas = 5
    assert deployment.replica_set == before
    shipped = deployment.resources
    deployment.resources = replace(shipped, cpu_limit_millicores=None)
    assert deployment.replica_set != before
    deployment.resources = shipped
    assert deployment.replica_set == before
    deployment.restart_count += 1
    assert deployment.replica_set != before


def test_old_pods_stay_until_the_new_ones_are_ready(deployment: Deployment) -> None:
    old = [deployment.new_pod() for _ in range(2)]
    for pod in old:
        pod.phase = Phase.READY
    deployment.pods = [*old]
    settled = [deployment.is_settled]
    deployment.restart_count += 1
    new = [deployment.new_pod() for _ in range(2)]
    deployment.pods += new
    assert list(deployment.surplus()) == []
    settled.append(deployment.is_settled)
    for pod in new:
        pod.phase = Phase.READY
    assert list(deployment.surplus()) == old
    deployment.pods = new
    assert [*settled, deployment.is_settled] == [True, False, True]


def test_scaling_down_takes_the_pods_that_are_not_ready_first(deployment: Deployment) -> None:
    pods = [deployment.new_pod() for _ in range(3)]
    for age, pod in enumerate(pods):
        pod.created_at = 100.0 + age
        pod.phase = Phase.READY
    pods[0].phase = Phase.STARTING
    deployment.pods = pods
    deployment.replicas = 2
    assert list(deployment.surplus()) == [pods[0]]
    deployment.replicas = 1
    assert list(deployment.surplus()) == [pods[0], pods[2]]


def test_back_off_grows_with_quick_failures_and_starts_again_after_a_minute(deployment: Deployment) -> None:
    pod = deployment.new_pod()
    waits = []
    for _ in range(5):
        pod.started_at = 1000.0
        pod.note_end("OOMKilled", 1001.0)
        waits.append(pod.start_after - 1001.0)
    assert waits == [1.0, 2.0, 4.0, 8.0, 8.0]
    assert (pod.restarts, pod.last_terminated_reason) == (5, "OOMKilled")
    pod.note_end("Error", 1100.0)
    assert pod.start_after == 1101.0


def test_the_status_has_the_desired_and_the_current_state(deployment: Deployment) -> None:
    pod = deployment.new_pod()
    pod.phase, pod.restarts, pod.seen_oom_kills = Phase.READY, 2, 1
    deployment.pods, deployment.past_restarts, deployment.past_oom_kills = [pod], 3, 4
    status = deployment.status()
    assert (status["replicas"], status["ready"], status["is_settled"]) == (2, 1, False)
    assert (status["restarts"], status["oom_kills"]) == (5, 5)
    assert status["resources"]["cpu_limit_millicores"] == deployment.resources.cpu_limit_millicores
    expected = {"name": pod.name, "phase": "ready", "pid": None, "restarts": 2, "last_terminated_reason": None}
    (found,) = status["pods"]
    assert expected.items() <= found.items()
    assert found["resources"] == found["actual"] == status["resources"]


def test_a_pod_that_is_resized_shows_what_is_asked_for_beside_what_it_has(deployment: Deployment) -> None:
    pod = deployment.new_pod()
    before = pod.resources
    pod.wanted, pod.resize_problem = Resources(100, 100, MIB, MIB), "below current usage"
    found = pod.status()
    assert found["resources"]["memory_limit_bytes"] == MIB
    assert found["actual"]["memory_limit_bytes"] == before.memory_limit_bytes
    assert found["resize_problem"] == "below current usage"
    pod.note_end("OOMKilled", 0.0)
    assert pod.status()["oom_killed_at"] is not None


@pytest.mark.parametrize(
    ("resources", "message"),
    [
        (Resources(cpu_request_millicores=200, cpu_limit_millicores=100), r"CPU request \(200\) is above its limit"),
        (Resources(memory_request_bytes=0), "memory request or limit must be positive"),
        (Resources(memory_limit_bytes=-MIB), "memory request or limit must be positive"),
    ],
)
def test_resources_that_no_pod_can_have_are_refused(resources: Resources, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        check_resources(resources)
    check_resources(Resources(100, 100, MIB, MIB))
    check_resources(Resources())
