"""Recommendations as patches: strategic merge, JSON, and the rollback of both."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from mora.domain import ContainerAdvice, Recommendation, is_written
from mora.outputs.changes import (
    RESOURCE_FIELDS,
    advised_resources,
    in_manifest,
    list_name,
    nested_resources,
    previous_resources,
    sets_replicas,
    to_write,
)

# The path of the pod template, by kind.
_TEMPLATES: Mapping[str, tuple[str, ...]] = {"CronJob": ("spec", "jobTemplate", "spec", "template")}
_TEMPLATE = ("spec", "template")


def template_path(kind: str) -> tuple[str, ...]:
    """The path of the pod template in a manifest of this kind.

    >>> template_path("CronJob")
    ('spec', 'jobTemplate', 'spec', 'template')
    """
    return _TEMPLATES.get(kind, _TEMPLATE)


def takes_strategic(kind: str) -> bool:
    """Whether the API server merges lists of this kind by name; it does not for a custom resource (Rollout)."""
    return kind != "Rollout"


def strategic_patch(recommendation: Recommendation) -> dict[str, Any]:
    """A strategic merge patch: container lists merge by name, so image, env and sidecars stay as they are.

    Empty where there is nothing to write, and for a kind whose template no patch changes (a Job, a custom resource).
    """
    replicas = recommendation.replicas.value if sets_replicas(recommendation) else None
    return _patch(recommendation, replicas, is_back=False)


def rollback_patch(recommendation: Recommendation) -> dict[str, Any]:
    """The patch that undoes strategic_patch()."""
    replicas = recommendation.current.replicas if sets_replicas(recommendation) else None
    return _patch(recommendation, replicas, is_back=True)


def _patch(recommendation: Recommendation, replicas: int | None, *, is_back: bool) -> dict[str, Any]:
    kind = recommendation.manifest.kind
    if not is_written(kind):
        return {}
    spec: dict[str, Any] = {}
    if replicas is not None:
        spec["replicas"] = replicas
    lists: dict[str, list[dict[str, Any]]] = {}
    for container in to_write(recommendation):
        item = {"name": container.container, "resources": nested_resources(container, is_back=is_back)}
        lists.setdefault(list_name(container.role), []).append(item)
    if lists:
        inner: dict[str, Any] = {"spec": lists}
        for key in reversed(template_path(kind)[1:]):
            inner = {key: inner}
        spec |= inner
    return {"spec": spec} if spec else {}


def json_patch(recommendation: Recommendation, *, is_back: bool = False) -> list[dict[str, Any]]:
    """The same as a JSON patch (RFC 6902), where nothing merges by name: a custom resource, an old kustomize.

    Containers are addressed by their index, so a `test` of the name precedes each: if the order of the list changed,
    the server refuses the patch. A section that the template has not, or is not known to have, is tested to be absent,
    so that nothing else in it (ephemeral-storage, claims) is lost. Empty for a kind whose template no patch changes.
    """
    kind = recommendation.manifest.kind
    if not is_written(kind):
        return []
    operations: list[dict[str, Any]] = []
    replicas = recommendation.current.replicas if is_back else recommendation.replicas.value
    if sets_replicas(recommendation) and replicas is not None:
        operations.append({"op": "add", "path": "/spec/replicas", "value": replicas})
    places = _places(recommendation)
    for container in to_write(recommendation):
        if container.container in places:
            path = "/" + "/".join((*template_path(kind), "spec", *places[container.container]))
            operations.append({"op": "test", "path": f"{path}/name", "value": container.container})
            operations += _operations(f"{path}/resources", container, is_back=is_back)
    return operations


def _places(recommendation: Recommendation) -> dict[str, tuple[str, str]]:
    """Container -> its list and its index there, as far as the order of the spec is known."""
    places: dict[str, tuple[str, str]] = {}
    taken: Counter[str] = Counter()
    for container in recommendation.current.containers:
        if not container.is_injected:
            name = list_name(container.role)
            places[container.name] = (name, str(taken[name]))
            taken[name] += 1
    return places


def _operations(path: str, container: ContainerAdvice, *, is_back: bool) -> Iterator[dict[str, Any]]:
    """Add and remove at the level that exists: the field, its section, or all of `resources`."""
    advised, previous = advised_resources(container), previous_resources(container)
    present = _sections_now(container)
    if "resources" not in present:
        plain = {section: dict(fields) for section, fields in advised.items()}
        yield from _whole(path, plain, is_back=is_back)
        return
    for section, fields in advised.items():
        if section not in present:
            yield from _whole(f"{path}/{section}", dict(fields), is_back=is_back)
            continue
        for resource, then in fields.items():
            before = previous[section][resource]
            wanted, there = (before, then) if is_back else (then, before)
            if wanted is not None:
                yield {"op": "add", "path": f"{path}/{section}/{resource}", "value": wanted}
            elif there is not None:
                yield {"op": "remove", "path": f"{path}/{section}/{resource}"}


def _whole(path: str, value: Mapping[str, Any], *, is_back: bool) -> Iterator[dict[str, Any]]:
    if is_back:
        yield {"op": "remove", "path": path}
    else:
        yield {"op": "test", "path": path, "value": None}
        yield {"op": "add", "path": path, "value": dict(value)}


def _sections_now(container: ContainerAdvice) -> frozenset[str]:
    """What the template has of `resources` and its sections; where it is not known, what has an amount."""
    if container.sections is not None:
        return container.sections
    found = {section for section, _, name in RESOURCE_FIELDS if in_manifest(container, name) is not None}
    return frozenset({*found, *(["resources"] if found else [])})
