"""Who may do what: Roles, ClusterRoles and their bindings, as the server's RBAC authorizer reads them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

Manifest = Mapping[str, Any]
Objects = Mapping[tuple[str, str, str], Manifest]


def allows(objects: Objects, user: str, verb: str, group: str, resource: str, namespace: str, name: str) -> bool:
    """Whether a rule that is bound to the user grants it. resource: with its subresource, deployments/scale."""
    return any(_grants(rule, verb, group, resource, name) for rule in _rules(objects, user, namespace))


def _rules(objects: Objects, user: str, namespace: str) -> Iterator[Manifest]:
    for (plural, where, _), binding in objects.items():
        if plural not in ("rolebindings", "clusterrolebindings") or (plural == "rolebindings" and where != namespace):
            continue
        if not any(_is(subject, user, where) for subject in binding.get("subjects") or []):
            continue
        reference = binding["roleRef"]
        key = ("roles", where) if reference["kind"] == "Role" else ("clusterroles", "")
        role = objects.get((*key, reference["name"])) or {}
        yield from role.get("rules") or []


def _is(subject: Manifest, user: str, namespace: str) -> bool:
    if subject["kind"] == "ServiceAccount":
        return user == f"system:serviceaccount:{subject.get('namespace') or namespace}:{subject['name']}"
    return bool(subject["name"] == user)


def _grants(rule: Manifest, verb: str, group: str, resource: str, name: str) -> bool:
    only = rule.get("resourceNames")
    return (
        _among(verb, rule["verbs"])
        and _among(group, rule.get("apiGroups") or [])
        and _among(resource, rule.get("resources") or [])
        and (not only or name in only)
    )


def _among(value: str, allowed: list[str]) -> bool:
    return "*" in allowed or value in allowed
