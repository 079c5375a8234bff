"""What an inventory reads: whose values count, what is asked, and what is told of what cannot be read."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from mora.clusters.connection import Api
from mora.clusters.lists import Listing, Lists, Pods
from mora.domain import Reason, Workload
from tests.clusters.fake_api import FakeApi, FakeCluster
from tests.clusters.test_inventory import SERVER, only_container, owned, pod


@pytest.fixture
def fake() -> FakeCluster:
    return FakeCluster()


def test_only_pods_of_the_newest_template_count() -> None:
    pods = Pods()
    pods.add(pod("a", None, {"name": "old", "image": "x"}), 1)
    pods.add(pod("b", None, SERVER), 2)
    pods.add(pod("c", None, {"name": "old", "image": "x"}), 1)
    assert list(pods.containers) == ["server"]


def test_where_labels_choose_no_workload_nothing_else_is_asked(fake: FakeCluster, api: FakeApi, tmp_path: Path) -> None:
    listing = Listing(Api(kubeconfig=api.kubeconfig(tmp_path / "config")), "shop", "app=none")
    assert listing.lists().workloads == []
    asked = [one.path.rpartition("/")[2] for one in fake.sent]
    assert asked == ["deployments", "statefulsets", "daemonsets", "cronjobs", "jobs", "rollouts"]


def test_jobs_that_nothing_owns_are_one_workload_which_the_newest_describes(
    fake: FakeCluster, api: FakeApi, tmp_path: Path
) -> None:
    for number, image in ((9, "old:1"), (10, "new:1"), (8, "older:1")):
        spec = {"template": {"spec": {"containers": [{"name": "etl", "image": image}], "restartPolicy": "Never"}}}
        fake.add(owned("Job", f"etl-{number}", None, spec=spec))
        made = fake.objects["jobs", "shop", f"etl-{number}"]["metadata"]
        made["creationTimestamp"] = f"2026-11-{number:02}T00:00:00Z"
    fake.add(owned("Job", "scaled-1", ("ScaledJob", "scaled"), spec=spec))
    fake.add(owned("Job", "once", None, spec=spec, metadata={"labels": {"mora.dev/group": "etl"}}))
    fake.objects["jobs", "shop", "once"]["metadata"]["creationTimestamp"] = "2026-11-01T00:00:00Z"
    fake.add(pod("once-x", ("Job", "once")))
    lists = Listing(Api(kubeconfig=api.kubeconfig(tmp_path / "config")), "shop", None).lists()
    ((workload, manifest),) = lists.workloads
    assert workload == Workload("shop", "etl", "Job")
    assert ("shop", "Job", "etl") in lists.pods
    assert manifest["spec"]["template"]["spec"]["containers"][0]["image"] == "new:1"


def test_an_object_that_cannot_be_read_is_reported_where_it_may_matter(
    fake: FakeCluster, api: FakeApi, tmp_path: Path
) -> None:
    fake.add(only_container("web"))
    fake.objects["pods", "shop", "odd"] = {"metadata": {"name": "odd", "namespace": "shop"}, "spec": 5}
    moment = timedelta(milliseconds=1)
    lists = Listing(Api(kubeconfig=api.kubeconfig(tmp_path / "config"), backoff=moment), None, None).lists()
    (reason,) = lists.reasons_of(Workload("shop", "web"))
    assert reason.text == "Its containers do not count: pod odd cannot be read: spec is a number, not an object"
    assert lists.reasons_of(Workload("bank", "web")) == []


def test_a_reason_that_is_known_from_several_sides_is_reported_once() -> None:
    twice = Reason("pods-unknown", "injected sidecars are not known")
    lists = Lists(unknown=[twice], unknown_in={"shop": [twice]})
    assert lists.reasons_of(Workload("shop", "web")) == [twice]
