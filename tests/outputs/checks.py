"""What the output tests ask of a workload after a change."""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from typing import Any

import kubernetes_validate

from mora.domain import Recommendation, Resources
from mora.outputs.changes import in_template, list_name
from mora.outputs.patches import template_path
from mora.quantities import parse_cpu, parse_memory

KUBERNETES = "1.37"


def validate(manifest: dict[str, Any]) -> None:
    """Kubernetes' own schema, where an unknown field is an error; a custom resource has none there."""
    if manifest["apiVersion"] != "argoproj.io/v1alpha1":
        kubernetes_validate.validate(manifest, KUBERNETES, strict=True)


def pod_spec(manifest: dict[str, Any]) -> dict[str, Any]:
    spec: dict[str, Any] = manifest
    for key in (*template_path(manifest["kind"]), "spec"):
        spec = spec[key]
    return spec


def containers(manifest: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The containers of both lists."""
    for name in ("containers", "initContainers"):
        yield from pod_spec(manifest).get(name, [])


def container(manifest: dict[str, Any], name: str) -> dict[str, Any]:
    return next(item for item in containers(manifest) if item["name"] == name)


def resources(manifest: dict[str, Any], name: str) -> Resources:
    return resources_in(container(manifest, name))


def resources_in(item: dict[str, Any]) -> Resources:
    """The numbers of a container, read back by MOrA's own parser: a schema takes "banana" for a quantity."""
    fields = item.get("resources", {})
    requests, limits = fields.get("requests", {}), fields.get("limits", {})
    return Resources(
        cpu_request_millicores=parse_cpu(requests["cpu"]) if "cpu" in requests else None,
        cpu_limit_millicores=parse_cpu(limits["cpu"]) if "cpu" in limits else None,
        memory_request_bytes=parse_memory(requests["memory"]) if "memory" in requests else None,
        memory_limit_bytes=parse_memory(limits["memory"]) if "memory" in limits else None,
    )


def assert_only_the_advice_changed(
    before: dict[str, Any], after: dict[str, Any], recommendation: Recommendation
) -> None:
    """`after` is a valid workload with exactly the recommended numbers, and everything else of `before`."""
    validate(after)
    for advice in in_template(recommendation):
        assert resources(after, advice.container) == advice.resources
        assert advice.container in {item["name"] for item in pod_spec(after)[list_name(advice.role)]}
    assert after["spec"].get("replicas") == recommendation.target.replicas
    for manifest in (before, after):
        assert set(manifest) == {"apiVersion", "kind", "metadata", "spec"}
    assert _without_advice(after, recommendation) == _without_advice(before, recommendation)


def _without_advice(manifest: dict[str, Any], recommendation: Recommendation) -> dict[str, Any]:
    """The manifest without what MOrA sets; containers in the order of their names."""
    rest = deepcopy(manifest)
    rest["spec"].pop("replicas", None)
    for item in containers(rest):
        item.pop("resources", None)
    spec = pod_spec(rest)
    for name in ("containers", "initContainers"):
        if name in spec:
            spec[name] = sorted(spec[name], key=lambda item: str(item["name"]))
    return rest


def without_empty(value: Any) -> Any:
    """A tree without empty mappings: a container whose resources are `{}` has none. Lists in any order."""
    if isinstance(value, dict):
        kept = {key: without_empty(item) for key, item in value.items()}
        return {key: item for key, item in kept.items() if item not in ({}, None)}
    if isinstance(value, list):
        return sorted((without_empty(item) for item in value), key=repr)
    return value
