"""Patches as data: what they set, and that their rollback restores it."""

from __future__ import annotations

from mora.outputs.patches import json_patch, rollback_patch, strategic_patch, takes_strategic, template_path
from tests.outputs import examples


def test_a_strategic_patch_sets_only_what_is_recommended() -> None:
    spec = strategic_patch(examples.frontend())["spec"]
    assert spec["replicas"] == 2
    assert spec["template"]["spec"] == {
        "containers": [
            {
                "name": "server",
                "resources": {
                    "requests": {"cpu": "254m", "memory": "228Mi"},
                    "limits": {"cpu": None, "memory": "228Mi"},
                },
            }
        ]
    }


def test_the_rollback_has_the_current_numbers() -> None:
    spec = rollback_patch(examples.frontend())["spec"]
    assert spec["replicas"] == 3
    (server,) = spec["template"]["spec"]["containers"]
    assert server["resources"] == {
        "requests": {"cpu": "500m", "memory": "64Mi"},
        "limits": {"cpu": "1", "memory": "128Mi"},
    }


def test_the_template_of_a_cronjob_is_deeper() -> None:
    assert list(strategic_patch(examples.nightly())["spec"]) == ["jobTemplate"]
    assert template_path("CronJob") == ("spec", "jobTemplate", "spec", "template")


def test_a_job_gets_no_patch_of_any_kind() -> None:
    assert strategic_patch(examples.migration()) == {}
    assert json_patch(examples.migration()) == []


def test_a_json_patch_tests_each_name_before_it_changes_a_container() -> None:
    assert not takes_strategic("Rollout")
    operations = json_patch(examples.canary())
    names = [o["value"] for o in operations if o["op"] == "test" and o["path"].endswith("/name")]
    assert names == ["server", "agent"]
    assert operations[0]["op"] == "test"


def test_a_section_that_is_not_set_is_tested_to_be_absent_and_removed_by_the_rollback() -> None:
    path = "/spec/template/spec/containers/0/resources"
    assert {"op": "test", "path": path, "value": None} in json_patch(examples.canary())
    assert {"op": "remove", "path": path} in json_patch(examples.canary(), is_back=True)
