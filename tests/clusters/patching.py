"""The three kinds of patch that an API server takes: strategic merge, JSON merge (RFC 7386), JSON patch (RFC 6902).

The rules of a strategic merge are those of k8s.io/apimachinery/pkg/util/strategicpatch: which lists merge, and by which
key, stands in the struct tags of k8s.io/api; here it is one table.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from typing import Any

from tests.clusters.refusal import Refusal

STRATEGIC = "application/strategic-merge-patch+json"
MERGE = "application/merge-patch+json"
JSON_PATCH = "application/json-patch+json"

# Field -> the key that its items merge on. Every other list is replaced as a whole.
MERGE_KEYS: Mapping[str, str] = {
    "containers": "name",
    "initContainers": "name",
    "ephemeralContainers": "name",
    "volumes": "name",
    "env": "name",
    "volumeMounts": "mountPath",
    "volumeDevices": "devicePath",
    "imagePullSecrets": "name",
    "hostAliases": "ip",
    "topologySpreadConstraints": "topologyKey",
    "conditions": "type",
    "ownerReferences": "uid",
    "containerStatuses": "name",
}
_ORDER = "$setElementOrder/"
_DELETE_FROM = "$deleteFromPrimitiveList/"


def strategic_merge(current: Any, patch: Any, field: str = "") -> Any:
    """`current` with a strategic merge patch laid over it."""
    if isinstance(patch, dict):
        return _merge_map(current if isinstance(current, dict) else {}, patch)
    if isinstance(patch, list) and _merge_key(field, patch) is not None:
        return _merge_list(current if isinstance(current, list) else [], patch, field)
    return _without_nulls(deepcopy(patch))


def _merge_map(current: dict[str, Any], patch: dict[str, Any]) -> dict[str, Any]:
    directive = patch.get("$patch")
    if directive == "replace":
        return {name: value for name, value in patch.items() if name != "$patch"}
    if directive == "delete":
        return {}
    if directive not in (None, "merge"):
        raise Refusal(400, f"Unknown patch type: {directive}", "BadRequest")
    merged = deepcopy(current)
    if "$retainKeys" in patch:
        merged = {name: value for name, value in merged.items() if name in patch["$retainKeys"]}
    for name, change in patch.items():
        if name in ("$patch", "$retainKeys") or name.startswith((_ORDER, _DELETE_FROM)):
            continue
        if change is None:
            merged.pop(name, None)
        else:
            merged[name] = strategic_merge(merged.get(name), change, name)
    for name, order in patch.items():
        if name.startswith(_ORDER):
            _order(merged, name.removeprefix(_ORDER), order)
        elif name.startswith(_DELETE_FROM):
            field = name.removeprefix(_DELETE_FROM)
            merged[field] = [value for value in merged.get(field, []) if value not in order]
    return merged


def _merge_list(current: list[Any], patch: list[Any], field: str) -> list[Any]:
    key = _merge_key(field, patch)
    assert key is not None
    merged = deepcopy(current)
    if any(isinstance(item, dict) and item.get("$patch") == "replace" for item in patch):
        return [item for item in patch if "$patch" not in item]
    for item in patch:
        if not isinstance(item, dict) or key not in item:
            raise Refusal(400, f"map: {item} does not contain declared merge key: {key}", "BadRequest")
        at = next((index for index, old in enumerate(merged) if old.get(key) == item[key]), None)
        if item.get("$patch") == "delete":
            merged = [old for old in merged if old.get(key) != item[key]]
        elif at is None:
            merged.append(strategic_merge({}, item))
        else:
            merged[at] = strategic_merge(merged[at], item)
    return merged


def _merge_key(field: str, items: list[Any]) -> str | None:
    if field == "ports":  # of a Service by port, of a container by containerPort
        return "containerPort" if any("containerPort" in item for item in items) else "port"
    return MERGE_KEYS.get(field)


def _order(merged: dict[str, Any], field: str, order: list[Any]) -> None:
    if not isinstance(merged.get(field), list):
        return
    key = _merge_key(field, order)
    places = {item[key] if key and isinstance(item, dict) else item: place for place, item in enumerate(order)}
    last = len(places)
    merged[field].sort(key=lambda item: places.get(item.get(key) if isinstance(item, dict) else item, last))


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_nulls(one) for name, one in value.items() if one is not None}
    return value


def json_merge(current: Any, patch: Any) -> Any:
    """RFC 7386: maps merge, null deletes, whatever else is replaced: a list of containers as a whole, too."""
    if not isinstance(patch, dict):
        return deepcopy(patch)
    merged = deepcopy(current) if isinstance(current, dict) else {}
    for name, change in patch.items():
        if change is None:
            merged.pop(name, None)
        else:
            merged[name] = json_merge(merged.get(name), change)
    return merged


def json_patch(current: Any, operations: Any) -> Any:
    """RFC 6902, without `move` and `copy`, which nothing here sends."""
    if not isinstance(operations, list):
        raise Refusal(400, "error decoding patch: json: cannot unmarshal object into Go value of type jsonpatch.Patch")
    changed = deepcopy(current)
    for operation in operations:
        *parents, last = [
            part.replace("~1", "/").replace("~0", "~") for part in operation["path"].removeprefix("/").split("/")
        ]
        place = changed
        for part in parents:
            place = _step(place, part)
        _operate(place, last, operation)
    return changed


def _step(place: Any, part: str) -> Any:
    try:
        return place[int(part)] if isinstance(place, list) else place[part]
    except (KeyError, IndexError, ValueError) as error:
        raise Refusal(422, f"the server rejected our request due to an error in our request: {part}") from error


def _operate(place: Any, last: str, operation: Mapping[str, Any]) -> None:
    name, is_list = operation["op"], isinstance(place, list)
    if name == "add" and is_list:
        place.insert(len(place) if last == "-" else int(last), operation["value"])
    elif name in ("add", "replace"):
        if name == "replace":
            _step(place, last)
        place[int(last) if is_list else last] = operation["value"]
    elif name == "remove":
        _step(place, last)
        del place[int(last) if is_list else last]
    elif name == "test":
        # As evanphx/json-patch, which API server and kubectl share: a member that is not there equals null.
        found = place.get(last) if isinstance(place, dict) else _step(place, last)
        if found != operation["value"]:
            raise Refusal(422, "the server rejected our request due to an error in our request: testing value failed")
    else:
        raise Refusal(400, f"Unexpected kind: {name}")
