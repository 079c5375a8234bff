"""What kubectl asks an API server before it asks for anything: versions, groups, kinds, and the OpenAPI of patches."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tests.clusters.kinds import Resource

Manifest = dict[str, Any]
_VERBS = ["create", "delete", "get", "list", "patch", "update", "watch"]


def discover(path: str, resources: Sequence[Resource], version: str) -> Manifest | None:
    """The answer to a path of discovery; None where it is none."""
    parts = path.strip("/").split("/")
    if path == "/version":
        major, minor, _ = version.split(".")
        return {"major": major, "minor": minor, "gitVersion": f"v{version}", "platform": "linux/amd64"}
    if path == "/api":
        return {"kind": "APIVersions", "versions": ["v1"]}
    if path == "/apis":
        return {"kind": "APIGroupList", "apiVersion": "v1", "groups": _groups(resources)}
    if parts[0] == "api" and len(parts) == 2:
        return _kinds("v1", resources)
    if parts[0] == "apis" and len(parts) == 3:
        return _kinds("/".join(parts[1:]), resources)
    if path == "/openapi/v3":
        paths = sorted({_root(one) for one in resources})
        return {"paths": {root: {"serverRelativeURL": f"/openapi/v3/{root}"} for root in paths}}
    if path.startswith("/openapi/v3/"):
        return _openapi(path.removeprefix("/openapi/v3/"), resources)
    return None


def _root(resource: Resource) -> str:
    return f"apis/{resource.api_version}" if resource.group else "api/v1"


def _groups(resources: Sequence[Resource]) -> list[Manifest]:
    found: dict[str, str] = {one.group: one.version for one in resources if one.group}
    versions = {group: {"groupVersion": f"{group}/{version}", "version": version} for group, version in found.items()}
    return [{"name": group, "versions": [one], "preferredVersion": one} for group, one in versions.items()]


def _kinds(api_version: str, resources: Sequence[Resource]) -> Manifest | None:
    listed = []
    for one in resources:
        if one.api_version != api_version:
            continue
        entry = {
            "name": one.plural,
            "singularName": one.kind.lower(),
            "namespaced": one.is_namespaced,
            "kind": one.kind,
            "verbs": ["create"] if one.plural.endswith("reviews") else _VERBS,
            "shortNames": list(one.short),
        }
        listed += [entry, *({**entry, "name": f"{one.plural}/{sub}", "shortNames": []} for sub in one.subresources)]
    if not listed:
        return None
    return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": api_version, "resources": listed}


def _openapi(root: str, resources: Sequence[Resource]) -> Manifest:
    """Just what kubectl looks for there: that a patch takes fieldValidation and dryRun."""
    parameters = [
        {"name": name, "in": "query", "schema": {"type": "string"}}
        for name in ("dryRun", "fieldManager", "fieldValidation")
    ]
    paths = {
        f"/{root}/{'namespaces/{namespace}/' if one.is_namespaced else ''}{one.plural}/{{name}}": {
            "parameters": parameters,
            "patch": {
                "parameters": parameters,
                "responses": {"200": {"description": "OK"}},
                "x-kubernetes-group-version-kind": {"group": one.group, "version": one.version, "kind": one.kind},
            },
        }
        for one in resources
        if _root(one) == root
    }
    return {
        "openapi": "3.0.0",
        "info": {"title": "Kubernetes", "version": "v1"},
        "paths": paths,
        "components": {"schemas": {}},
    }
