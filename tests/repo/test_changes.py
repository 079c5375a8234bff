"""A plan changes the place of every container, in order, and has a reason for every one that it does not change."""

from __future__ import annotations

from dataclasses import replace

from mora.domain import Autoscaler, Target
from mora.repo.changes import plan
from mora.repo.checkout import Checkout
from tests.repo.advice import advised
from tests.repo.conftest import MakeRepo
from tests.repo.manifests import deployment
from tests.repo.test_hpas import HPA

NOW = "{requests: {cpu: 500m, memory: 64Mi}, limits: {cpu: '1', memory: 128Mi}}"


def test_the_numbers_of_a_recommendation_are_set_at_its_place(make_repo: MakeRepo) -> None:
    before = deployment(resources=NOW)
    found = plan(Checkout(make_repo({"a.yaml": before})), [advised()])
    assert found.unchanged == ()
    assert found.texts["a.yaml"].splitlines()[12].strip() == (
        "resources: {requests: {cpu: 254m, memory: 228Mi}, limits: {memory: 228Mi}}"
    )
    assert "replicas: 2" in found.texts["a.yaml"]
    assert [change.workload.name for change in found.changes] == ["web"]


def test_two_workloads_of_one_file_are_two_changes_that_build_on_each_other(make_repo: MakeRepo) -> None:
    text = deployment(resources=NOW) + "---\n" + deployment("api", resources=NOW)
    found = plan(Checkout(make_repo({"a.yaml": text})), [advised(), advised("api")])
    first, second = (change.texts["a.yaml"] for change in found.changes)
    assert [change.workload.name for change in found.changes] == ["api", "web"]
    assert (first.count("228Mi"), second.count("228Mi")) == (2, 4)
    assert found.texts["a.yaml"] == second


def test_what_has_no_place_gets_the_reason_and_the_rest_goes_on(make_repo: MakeRepo) -> None:
    found = plan(Checkout(make_repo({"a.yaml": deployment(resources=NOW)})), [advised(), advised("gone")])
    assert [change.workload.name for change in found.changes] == ["web"]
    assert [(one.workload.name, one.container) for one in found.unchanged] == [("gone", "server")]
    assert "no file of the repository has a Deployment gone" in found.unchanged[0].reason


def test_what_the_files_say_already_is_no_change(make_repo: MakeRepo) -> None:
    done = "{requests: {cpu: 0.254, memory: 228Mi}, limits: {memory: 228Mi}}"
    found = plan(Checkout(make_repo({"a.yaml": deployment(resources=done)})), [advised()])
    assert (found.changes, found.unchanged) == ((), ())
    assert [workload.name for workload in found.same] == ["web"]


def test_requests_whose_hpa_cannot_follow_stay(make_repo: MakeRepo) -> None:
    before = Autoscaler("web", Target.CPU, is_utilisation=True, target=70, min_replicas=2, max_replicas=9)
    scaled = replace(advised(), autoscalers=(before,), retargets=(replace(before, target=55),))
    top = make_repo({"a.yaml": deployment(resources=NOW)})
    found = plan(Checkout(top), [scaled])
    assert found.changes == ()
    assert "no file of the repository sets it" in found.unchanged[0].reason
    (top / "hpa.yaml").write_text(HPA)
    found = plan(Checkout(top), [scaled])
    assert "averageUtilization: 55" in found.texts["hpa.yaml"]
    assert "cpu: 254m" in found.texts["a.yaml"]
    assert "replicas: 2" in found.texts["a.yaml"]
