"""What the output tests ask of a workload after a change."""

from __future__ import annotations

from typing import Any

import kubernetes_validate

from mora.domain import Recommendation, Resources
from mora.quantities import parse_cpu, parse_memory

KUBERNETES = "1.37"


def validate(manifest: dict[str, Any]) -> None:
    """Kubernetes' own schema, where an unknown field is an error."""
    kubernetes_validate.validate(manifest, KUBERNETES, strict=True)


def container(manifest: dict[str, Any], name: str) -> dict[str, Any]:
    containers: list[dict[str, Any]] = manifest["spec"]["template"]["spec"]["containers"]
    return next(item for item in containers if item["name"] == name)


def resources(manifest: dict[str, Any], name: str) -> Resources:
    """The numbers of a container, read back by MOrA's own parser: a schema takes "banana" for a quantity."""
    fields = container(manifest, name).get("resources", {})
    requests, limits = fields.get("requests", {}), fields.get("limits", {})
    return Resources(
        cpu_request_millicores=parse_cpu(requests["cpu"]) if "cpu" in requests else None,
        cpu_limit_millicores=parse_cpu(limits["cpu"]) if "cpu" in limits else None,
        memory_request_bytes=parse_memory(requests["memory"]) if "memory" in requests else None,
        memory_limit_bytes=parse_memory(limits["memory"]) if "memory" in limits else None,
    )


def assert_only_the_advice_changed(
    before: dict[str, Any], after: dict[str, Any], recommendation: Recommendation, *, namespace: bool = True
) -> None:
    """`after` is a valid workload that holds exactly the recommended numbers, and everything else of `before`."""
    validate(after)
    assert resources(after, recommendation.container) == recommendation.resources
    assert after["spec"].get("replicas") == recommendation.target.replicas
    for manifest in (before, after):
        assert set(manifest) == {"apiVersion", "kind", "metadata", "spec"}
    assert _without_advice(after, recommendation) == _without_advice(before, recommendation)


def _without_advice(manifest: dict[str, Any], recommendation: Recommendation) -> dict[str, Any]:
    """The manifest without what MOrA sets; containers in the order of their names."""
    template = manifest["spec"]["template"]
    containers = [
        {k: v for k, v in item.items() if not (k == "resources" and item["name"] == recommendation.container)}
        for item in sorted(template["spec"]["containers"], key=lambda item: str(item["name"]))
    ]
    spec = {k: v for k, v in manifest["spec"].items() if k not in ("replicas", "template")}
    return {
        **manifest,
        "spec": {**spec, "template": {**template, "spec": {**template["spec"], "containers": containers}}},
    }
