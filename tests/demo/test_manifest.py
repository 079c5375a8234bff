"""The demo's manifests are those that the API server takes, and say what runs."""

from __future__ import annotations

from mora.demo.manifest import deployment_manifest
from mora.domain import Allocation, Container, Resources, Workload
from tests.outputs.checks import validate

SIZED = Resources(250, None, 256 * 2**20, 512 * 2**20)


def test_a_manifest_complies_with_kubernetes_schema_and_has_what_runs() -> None:
    containers = (
        Container("frontend", SIZED, image="shop/frontend:1"),
        Container("proxy", Resources(), image="shop/proxy:2"),
    )
    manifest = deployment_manifest(Workload("shop", "frontend"), Allocation(3, containers))
    validate(manifest)
    assert manifest["metadata"] == {"name": "frontend", "namespace": "shop"}
    spec = manifest["spec"]
    assert isinstance(spec, dict)
    assert spec["replicas"] == 3
    assert [(one["name"], one["image"], one["resources"]) for one in spec["template"]["spec"]["containers"]] == [
        (
            "frontend",
            "shop/frontend:1",
            {"requests": {"cpu": "250m", "memory": "256Mi"}, "limits": {"memory": "512Mi"}},
        ),
        ("proxy", "shop/proxy:2", {}),
    ]
    assert spec["selector"]["matchLabels"].items() <= spec["template"]["metadata"]["labels"].items()
