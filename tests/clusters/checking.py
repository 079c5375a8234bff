"""What an API server checks before it stores an object: its schema, its quantities, and the rules beyond schemas.

Schemas are Kubernetes' own (kubernetes-validate, 1.37). As a real server: an unknown field is an error with
fieldValidation=Strict and is dropped in silence without; a quantity is stored in its canonical form; a request above
its limit is refused; a selector, and a Job's template, cannot be changed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from copy import deepcopy
from decimal import Decimal
from functools import cache
from importlib import resources
from typing import Any

import jsonschema
from referencing import Registry, Resource

from tests.clusters.refusal import Refusal

Manifest = dict[str, Any]
_SCHEMAS = "kubernetes-json-schema/v1.37.0-local-strict"
_QUANTITY = re.compile(r"([+-]?[0-9.]+)([eE][+-]?[0-9]+|[numkMGTPE]|[KMGTPE]i)?", re.ASCII)
_DECIMAL = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_BINARY = {"Ki": 10, "Mi": 20, "Gi": 30, "Ti": 40, "Pi": 50, "Ei": 60}
_POD_TEMPLATES = {
    "Deployment": ("spec", "template"),
    "StatefulSet": ("spec", "template"),
    "DaemonSet": ("spec", "template"),
    "ReplicaSet": ("spec", "template"),
    "Job": ("spec", "template"),
    "CronJob": ("spec", "jobTemplate", "spec", "template"),
    "Pod": (),
}


@cache
def _definitions() -> Any:
    text = resources.files("kubernetes_validate").joinpath(f"{_SCHEMAS}/_definitions.json").read_text("utf-8")
    return Resource.from_contents(json.loads(text)) @ Registry()


@cache
def _validator(api_version: str, kind: str) -> Any:
    name = re.sub(r"^([^./]*)(?:\.[^/]*)?/", r"\1-", api_version)
    path = resources.files("kubernetes_validate").joinpath(f"{_SCHEMAS}/{kind.lower()}-{name}.json")
    schema = json.loads(path.read_text("utf-8"))
    return jsonschema.Draft202012Validator(schema, registry=Resource.from_contents(schema) @ _definitions())


def checked_schema(manifest: Manifest, *, is_strict: bool, schema: dict[str, Any] | None = None) -> Manifest:
    """An object that its schema allows; unknown fields are refused where `is_strict`, else dropped.

    schema: of a custom resource; without one Kubernetes' own is meant.
    """
    validator = (
        _validator(manifest["apiVersion"], manifest["kind"])
        if schema is None
        else jsonschema.Draft202012Validator(schema)
    )
    found = deepcopy(manifest)
    for error in list(validator.iter_errors(found)):
        _judge(found, error, is_strict=is_strict)
    return found


def _judge(found: Manifest, error: jsonschema.ValidationError, *, is_strict: bool) -> None:
    path = ".".join(str(part) if isinstance(part, str) else f"[{part}]" for part in error.absolute_path)
    path = path.replace(".[", "[")
    if error.validator != "additionalProperties":
        raise Refusal(
            422,
            f'{found["kind"]} "{found["metadata"].get("name")}" is invalid: {path}: {error.message[:300]}',
            "Invalid",
        )
    unknown = sorted(set(error.instance) - set(error.schema.get("properties") or {}))
    if is_strict:
        fields = ", ".join(f'unknown field "{path}.{name}"'.replace('".', '"') for name in unknown)
        raise Refusal(400, f"strict decoding error: {fields}", "BadRequest")
    place: Any = found
    for part in error.absolute_path:
        place = place[part]
    for name in unknown:
        place.pop(name, None)


# --- quantities ------------------------------------------------------------------------------------------------------


def amount(text: Any) -> Decimal:
    """A quantity as a number; Refusal with the server's words where it is none."""
    match = _QUANTITY.fullmatch(str(text))
    if match is None or str(match[1]).count(".") > 1:
        raise Refusal(
            400,
            "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'",
            "BadRequest",
        )
    number, suffix = Decimal(match[1]), match[2] or ""
    if suffix in _BINARY:
        return number * Decimal(2 ** _BINARY[suffix])
    return number * Decimal(10) ** (_DECIMAL[suffix] if suffix in _DECIMAL else int(suffix[1:]))


def canonical(text: Any) -> str:
    """A quantity as the server stores it: no fraction, the largest suffix of its family.

    >>> [canonical(text) for text in ("0.5", "1000m", "1024Mi", "1536Mi", "100", 2, "0.1")]
    ['500m', '1', '1Gi', '1536Mi', '100', '2', '100m']
    """
    value, suffix = amount(text), _QUANTITY.fullmatch(str(text))
    assert suffix is not None
    if value == 0:
        return "0"
    if (suffix[2] or "") in _BINARY:
        powers = [name for name, power in _BINARY.items() if value % 2**power == 0]
        return f"{value / 2 ** _BINARY[powers[-1]]:f}" + powers[-1] if powers else f"{value:f}"
    name = next(name for name, power in reversed(_DECIMAL.items()) if value % Decimal(10) ** power == 0)
    return f"{(value / Decimal(10) ** _DECIMAL[name]).to_integral_value():f}{name}"


# --- rules beyond schemas --------------------------------------------------------------------------------------------


def check_rules(manifest: Manifest, before: Manifest | None) -> None:
    """Store quantities in canonical form, in place; refuse what a real server's validation refuses."""
    kind, name = manifest["kind"], manifest["metadata"]["name"]
    for path, container in _containers(manifest):
        _check_container(f'{kind} "{name}" is invalid: {path}', container)
    template = _template(manifest)
    if template is not None and kind not in ("Pod", "Job", "CronJob"):
        wanted = (manifest["spec"].get("selector") or {}).get("matchLabels") or {}
        if not wanted or not wanted.items() <= (template.get("metadata", {}).get("labels") or {}).items():
            raise Refusal(
                422,
                f'{kind} "{name}" is invalid: spec.template.metadata.labels: Invalid value: `selector` does not match '
                "template `labels`",
            )
    if kind in ("Job", "CronJob") and template is not None:
        policy = template["spec"].get("restartPolicy", "Always")
        if policy not in ("OnFailure", "Never"):
            raise Refusal(
                422,
                f'{kind} "{name}" is invalid: spec.template.spec.restartPolicy: Required value: valid values: '
                '"OnFailure", "Never"',
            )
    if kind == "HorizontalPodAutoscaler":
        _check_hpa(manifest)
    if before is not None:
        _check_immutable(manifest, before)


def _containers(manifest: Manifest) -> Iterator[tuple[str, Manifest]]:
    template = _template(manifest)
    if template is None:
        return
    where = ".".join((*_POD_TEMPLATES[manifest["kind"]], "spec"))
    seen: set[str] = set()
    for key in ("containers", "initContainers"):
        for index, container in enumerate(template["spec"].get(key) or []):
            if container["name"] in seen:
                raise Refusal(
                    422,
                    f'{manifest["kind"]} "{manifest["metadata"]["name"]}" is invalid: {where}.{key}[{index}].name: '
                    f'Duplicate value: "{container["name"]}"',
                )
            seen.add(container["name"])
            yield f"{where}.{key}[{index}]", container


def _template(manifest: Manifest) -> Manifest | None:
    path = _POD_TEMPLATES.get(manifest["kind"])
    if path is None:
        return None
    found = manifest
    for part in path:
        found = found[part]
    return found


def _check_container(where: str, container: Manifest) -> None:
    if not container.get("image"):
        raise Refusal(422, f"{where}.image: Required value")
    resources = container.get("resources") or {}
    for side in ("requests", "limits"):
        for name, value in (resources.get(side) or {}).items():
            if amount(value) < 0:
                raise Refusal(
                    422,
                    f'{where}.resources.{side}[{name}]: Invalid value: "{value}": must be greater than or equal to 0',
                )
            resources[side][name] = canonical(value)
    for name, request in (resources.get("requests") or {}).items():
        limit = (resources.get("limits") or {}).get(name)
        if limit is not None and amount(request) > amount(limit):
            raise Refusal(
                422,
                f'{where}.resources.requests: Invalid value: "{request}": must be less than or equal to {name} limit '
                f"of {limit}",
            )


def _check_hpa(manifest: Manifest) -> None:
    spec, name = manifest["spec"], manifest["metadata"]["name"]
    if spec.get("minReplicas", 1) > spec["maxReplicas"] or spec["maxReplicas"] < 1:
        raise Refusal(
            422,
            f'HorizontalPodAutoscaler.autoscaling "{name}" is invalid: spec.maxReplicas: Invalid value: '
            f"{spec['maxReplicas']}: must be greater than or equal to `minReplicas`",
        )
    for metric in spec.get("metrics") or []:
        on = metric.get("resource") or metric.get("containerResource")
        field = {"Utilization": "averageUtilization", "AverageValue": "averageValue"}
        if on and on["target"].get(field.get(on["target"]["type"], "")) is None:
            raise Refusal(
                422,
                f'HorizontalPodAutoscaler.autoscaling "{name}" is invalid: spec.metrics[0].resource.target: '
                "Required value",
            )
        if on and "averageValue" in on["target"]:
            on["target"]["averageValue"] = canonical(on["target"]["averageValue"])


def _check_immutable(manifest: Manifest, before: Manifest) -> None:
    kind, name = manifest["kind"], manifest["metadata"]["name"]
    fixed: dict[str, tuple[str, ...]] = {
        "Deployment": ("selector",),
        "DaemonSet": ("selector",),
        "StatefulSet": ("selector", "serviceName", "podManagementPolicy", "volumeClaimTemplates"),
        "Job": ("selector", "template", "completionMode"),
    }
    for field in fixed.get(kind, ()):
        if manifest["spec"].get(field) != before["spec"].get(field):
            if kind == "StatefulSet":
                raise Refusal(
                    422,
                    f'StatefulSet.apps "{name}" is invalid: spec: Forbidden: updates to statefulset spec for fields '
                    "other than 'replicas', 'ordinals', 'template', 'updateStrategy', 'revisionHistoryLimit', "
                    "'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden",
                )
            raise Refusal(422, f'{kind} "{name}" is invalid: spec.{field}: Invalid value: field is immutable')
    if kind == "Pod":
        for old, new in zip(_containers(before), _containers(manifest), strict=True):
            if old[1].get("resources") != new[1].get("resources"):
                raise Refusal(
                    422, f'Pod "{name}" is invalid: spec: Forbidden: pod updates may not change fields other than'
                )
