"""The resize script does in place what the API server lets it, on the right pods, and says what has to wait."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mora.changes.rule import FOLLOW_ALL, ChangeRule
from mora.domain import Allocation, Container, Recommendation, Resources, Role, Workload
from mora.errors import NotEnoughData
from mora.outputs import DEFAULTS, resize
from mora.outputs.changes import plain_resources
from mora.quantities import MIB
from tests.clusters.fake_api import FakeApi, FakeCluster
from tests.outputs import examples
from tests.outputs.checks import resources_in
from tests.outputs.conftest import NEWEST
from tests.outputs.conftest import run_script as run
from tests.outputs.golden import golden
from tests.vpa.making import evidence

# The first kubectl with --subresource resize.
FIRST_MINOR = 32
needs_resize = pytest.mark.skipif(NEWEST.minor < FIRST_MINOR, reason="kubectl before 1.32 cannot resize")


EVIDENCE = evidence()
EVERY_NUMBER = replace(DEFAULTS, change_rule=FOLLOW_ALL)


def owner(kind: str, name: str) -> list[dict[str, str]]:
    return [{"apiVersion": "apps/v1", "kind": kind, "name": name, "uid": f"{kind}-{name}"}]


def pod(name: str, recommendation: Recommendation, owners: list[dict[str, str]], phase: str = "Running") -> Any:
    template = deepcopy(examples.manifest(recommendation)["spec"]["template"])
    for container in recommendation.current.containers:
        if container.is_injected:
            template["spec"]["containers"].append({"name": container.name, "image": container.image})
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "shop", "ownerReferences": owners},
        "spec": template["spec"],
        "status": {"phase": phase},
    }


def state(cluster: FakeCluster) -> None:
    """The frontend with a running and a finished pod, a pod of another Deployment with the same labels, an orphan."""
    frontend = examples.frontend()
    for name, of in (("frontend-5d4", "frontend"), ("canary-77a", "frontend-canary")):
        replica_set = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": {"name": name, "namespace": "shop"}}
        replica_set["metadata"]["ownerReferences"] = owner("Deployment", of)  # type: ignore[index]
        manifest = examples.manifest(frontend)["spec"]
        cluster.add({**replica_set, "spec": {"selector": manifest["selector"], "template": manifest["template"]}})
    cluster.add(pod("frontend-5d4-a", frontend, owner("ReplicaSet", "frontend-5d4")))
    cluster.add(pod("frontend-5d4-b", frontend, owner("ReplicaSet", "frontend-5d4"), phase="Failed"))
    cluster.add(pod("canary-77a-c", frontend, owner("ReplicaSet", "canary-77a")))
    cluster.add(pod("orphan", frontend, []))


def server(cluster: FakeCluster, name: str) -> Resources:
    containers = cluster.get("Pod", name)["spec"]["containers"]
    return resources_in(next(item for item in containers if item["name"] == "server"))


@needs_resize
def test_running_pods_of_the_workload_alone_are_resized_and_back(api: FakeApi, tmp_path: Path) -> None:
    state(api.cluster)
    text = golden("frontend.resize.sh", resize.render([examples.frontend()]))
    done = run(text, tmp_path)
    assert done.returncode == 0, done.stderr
    # The CPU limit stays: a resize cannot remove one.
    assert server(api.cluster, "frontend-5d4-a") == Resources(254, 1000, 228 * MIB, 228 * MIB)
    before = Resources(500, 1000, 64 * MIB, 128 * MIB)
    for untouched in ("frontend-5d4-b", "canary-77a-c", "orphan"):
        assert server(api.cluster, untouched) == before
    back = [line.removeprefix("# ") for line in text.splitlines() if line.startswith("# resize shop")]
    head = text[: text.index("\n# Deployment shop/frontend")]
    assert run("\n".join([head, *back]), tmp_path).returncode == 0
    assert server(api.cluster, "frontend-5d4-a") == before


@needs_resize
def test_a_refusal_ends_the_script_before_anything_is_changed(api: FakeApi, tmp_path: Path) -> None:
    state(api.cluster)
    before = deepcopy(api.cluster.objects)
    api.cluster.forbidden.add(("patch", "pods/resize"))
    done = run(resize.render([examples.frontend()]), tmp_path)
    assert done.returncode != 0
    assert "forbidden" in done.stderr.lower()
    assert api.cluster.objects == before


@needs_resize
def test_pods_that_cannot_be_listed_are_an_error_and_not_none(api: FakeApi, tmp_path: Path) -> None:
    state(api.cluster)
    api.cluster.forbidden.add(("list", "replicasets"))
    done = run(resize.render([examples.frontend()]), tmp_path)
    assert done.returncode != 0
    assert "replicasets" in done.stderr
    assert not api.cluster.patches


@needs_resize
def test_pods_of_a_cronjob_and_a_rollout_are_found_by_their_owners(api: FakeApi, tmp_path: Path) -> None:
    nightly, canary = examples.nightly(), examples.canary()
    job = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "nightly-29", "namespace": "shop"}}
    job["metadata"]["ownerReferences"] = owner("CronJob", "nightly")  # type: ignore[index]
    template = examples.manifest(nightly)["spec"]["jobTemplate"]["spec"]["template"]
    api.cluster.add({**job, "spec": {"template": template}})
    report = pod("nightly-29-x", canary, owner("Job", "nightly-29"))
    report["spec"] = deepcopy(template["spec"])
    api.cluster.add(report)
    done = run(resize.render([nightly], EVERY_NUMBER), tmp_path)
    assert done.returncode == 0, done.stderr
    item = api.cluster.get("Pod", "nightly-29-x")["spec"]["containers"][0]
    assert resources_in(item).memory_request_bytes == 900 * MIB


def test_a_number_that_moved_too_little_stays_with_its_limit_and_a_comment_says_why() -> None:
    now = Resources(200, 400, 200 * MIB, 400 * MIB)
    found = sized(now, Resources(230, 460, 100 * MIB, 200 * MIB))
    body, notes = resize.pod_patch(found, rule=ChangeRule(0.2, 0.3))
    (item,) = body["spec"]["containers"]
    assert item["resources"]["requests"] == {"cpu": "200m", "memory": "100Mi"}
    assert item["resources"]["limits"] == {"cpu": "400m", "memory": "200Mi"}
    assert (
        "container server: its cpu stays at 200m: the raise to 230m (15.0%) is deferred; raises below 20% are not "
        "worth a change"
    ) in notes
    nothing, _ = resize.pod_patch(sized(now, Resources(190, 400, 190 * MIB, 400 * MIB)), rule=ChangeRule(0.2, 0.3))
    assert nothing == {}


def test_memory_below_what_was_seen_is_raised_however_little() -> None:
    now, then = Resources(200, None, 200 * MIB, 200 * MIB), Resources(200, None, 210 * MIB, 210 * MIB)
    found = sized(now, then)
    seen = replace(found.main, evidence=replace(EVIDENCE, mem_peak_bytes=205.0 * MIB))
    body, _ = resize.pod_patch(replace(found, containers=(seen,)), rule=ChangeRule(0.2, 0.3))
    assert body["spec"]["containers"][0]["resources"]["requests"]["memory"] == "210Mi"
    enough = replace(found.main, evidence=replace(EVIDENCE, mem_peak_bytes=190.0 * MIB))
    assert resize.pod_patch(replace(found, containers=(enough,)), rule=ChangeRule(0.2, 0.3))[0] == {}


def test_what_cannot_be_done_in_place_is_explained() -> None:
    text = " ".join(golden("meshed.resize.sh", resize.render([examples.meshed()], EVERY_NUMBER)).split("\n#"))
    text = " ".join(text.split())
    assert "container web keeps a CPU limit until the next rollout" in text
    assert "container migrate is an init container" in text
    assert "container logs gets its memory limit with the next rollout" in text
    assert "a lower memory limit is refused by Kubernetes 1.33 and 1.34" in text
    body, _ = resize.pod_patch(examples.meshed())
    assert [item["name"] for item in body["spec"]["containers"]] == ["web", "cache"]
    assert [item["name"] for item in body["spec"]["initContainers"]] == ["logs"]


def sized(now: Resources, then: Resources) -> Recommendation:
    advice = examples.other("server", Role.APP, now, then)
    return replace(
        examples.frontend(),
        workload=Workload("shop", "web"),
        current=Allocation(2, (Container("server", now, is_main=True),)),
        containers=(replace(advice, is_main=True),),
    )


def test_a_guaranteed_pod_stays_so_with_its_request_and_limit_lowered_together() -> None:
    now = Resources(500, 500, 512 * MIB, 512 * MIB)
    guaranteed = sized(now, Resources(200, None, 300 * MIB, 300 * MIB))
    body, notes = resize.pod_patch(guaranteed)
    assert resources_in(body["spec"]["containers"][0]) == Resources(200, 200, 300 * MIB, 300 * MIB)
    assert any("so both become 200m until the next rollout" in note for note in notes)
    back, _ = resize.pod_patch(guaranteed, is_back=True)
    assert resources_in(back["spec"]["containers"][0]) == now
    assert "\nresize shop" in resize.render([guaranteed])


@pytest.mark.parametrize(
    ("peak_cores", "both"),
    [(None, 200), (0.1, 200), (0.3504, 351), (0.9, 500)],
    ids=["unknown", "low", "high", "above"],
)
def test_a_cpu_limit_that_follows_the_request_is_not_below_the_highest_use(peak_cores: float | None, both: int) -> None:
    advised = sized(Resources(500, 500, 512 * MIB, 512 * MIB), Resources(200, None, 300 * MIB, 300 * MIB))
    evidence = replace(examples.EVIDENCE, cpu_peak_cores=peak_cores)
    body, _ = resize.pod_patch(examples.with_main(advised, evidence=evidence))
    assert resources_in(body["spec"]["containers"][0]) == Resources(both, both, 300 * MIB, 300 * MIB)


def test_a_guaranteed_pod_whose_memory_limit_stays_above_keeps_both_there() -> None:
    now = Resources(500, 500, 512 * MIB, 512 * MIB)
    body, _ = resize.pod_patch(sized(now, Resources(500, 500, 300 * MIB, 400 * MIB)))
    assert resources_in(body["spec"]["containers"][0]) == Resources(500, 500, 400 * MIB, 400 * MIB)


def as_run(resources: Resources) -> dict[str, dict[str, str]]:
    """Resources of a running pod: a limit without a request is a request, too."""
    plain = plain_resources(resources)
    limits = plain.get("limits", {})
    return {"requests": {**limits, **plain.get("requests", {})}, "limits": limits}


def qos(item: dict[str, dict[str, str]]) -> str:
    """https://kubernetes.io/docs/concepts/workloads/pods/pod-qos/"""
    if not item["requests"]:
        return "BestEffort"
    return (
        "Guaranteed" if set(item["limits"]) == {"cpu", "memory"} and item["requests"] == item["limits"] else "Burstable"
    )


def is_valid(resources: Resources) -> bool:
    pairs = (
        (resources.cpu_request_millicores, resources.cpu_limit_millicores),
        (resources.memory_request_bytes, resources.memory_limit_bytes),
    )
    return all(request is None or limit is None or request <= limit for request, limit in pairs)


AMOUNT = st.none() | st.integers(1, 4)
RESOURCES = st.builds(Resources, AMOUNT, AMOUNT, AMOUNT, AMOUNT).filter(is_valid)


@settings(max_examples=300)
@given(now=RESOURCES, then=RESOURCES)
def test_no_resize_changes_the_qos_class_or_passes_a_limit(now: Resources, then: Resources) -> None:
    body, _ = resize.pod_patch(sized(now, then))
    if body:
        (item,) = body["spec"]["containers"]
        before = as_run(now)
        after = {part: {**before[part], **item["resources"].get(part, {})} for part in ("requests", "limits")}
        assert qos(after) == qos(before)
        assert {part: set(amounts) for part, amounts in after.items()} == {p: set(a) for p, a in before.items()}
        assert is_valid(resources_in({"resources": after}))


def test_a_change_of_the_qos_class_needs_a_rollout() -> None:
    grows = sized(Resources(500, None, 512 * MIB, 512 * MIB), Resources(200, None, 300 * MIB, 300 * MIB))
    assert resize.pod_patch(grows)[0] != {}, "it stays Burstable"
    becomes = sized(Resources(300, 500, 300 * MIB, 300 * MIB), Resources(500, 500, 300 * MIB, 300 * MIB))
    body, notes = resize.pod_patch(becomes)
    assert body == {}
    assert any("from Burstable to Guaranteed" in note for note in notes)
    assert "\nresize shop" not in resize.render([becomes])
    assert "kubectl patch deployment web" in resize.render([becomes])
    assert resize.pod_patch(sized(Resources(), Resources(200, None, 300 * MIB, None)))[0] == {}


def test_a_request_never_passes_a_limit_that_stays() -> None:
    body, _ = resize.pod_patch(sized(Resources(500, 800, 64 * MIB, None), Resources(1200, None, 64 * MIB, None)))
    assert body["spec"]["containers"][0]["resources"] == {
        "requests": {"cpu": "1200m", "memory": "64Mi"},
        "limits": {"cpu": "1200m"},
    }


def test_the_template_patch_is_a_comment() -> None:
    text = resize.render([examples.frontend()])
    assert "# kubectl patch deployment frontend -n shop --type strategic -p" in text
    assert "\nkubectl patch deployment" not in text
    assert resize.files([examples.frontend()]) == {"resize.sh": text}


def test_a_job_that_runs_can_be_resized_though_its_template_cannot_be_changed() -> None:
    text = resize.render([examples.migration()])
    assert "resize shop Job migration" in text
    assert "kubectl patch job" not in text


def test_without_a_number_there_is_no_script() -> None:
    with pytest.raises(NotEnoughData, match="12 samples"):
        resize.render([examples.unknown()])
