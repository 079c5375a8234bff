"""The VerticalPodAutoscaler API v1 as a JSON schema, written from its documentation.

Source: https://github.com/kubernetes/autoscaler, vertical-pod-autoscaler/docs/api.md
"""

from __future__ import annotations

from typing import Any


def _object(properties: dict[str, Any], *required: str) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(required),
        "additionalProperties": False,
    }


_NAME = {"type": "string", "pattern": "^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$", "maxLength": 253}
_QUANTITY = {"type": "string", "pattern": "^[0-9]+(\\.[0-9]+)?(m|Ki|Mi|Gi|Ti|k|M|G|T)?$"}
_AMOUNTS = {"type": "object", "properties": {"cpu": _QUANTITY, "memory": _QUANTITY}, "additionalProperties": False}

_POLICY = _object(
    {
        "containerName": {"anyOf": [_NAME, {"const": "*"}]},
        "mode": {"enum": ["Auto", "Off"]},
        "controlledResources": {"type": "array", "items": {"enum": ["cpu", "memory"]}, "minItems": 1},
        "controlledValues": {"enum": ["RequestsAndLimits", "RequestsOnly"]},
        "minAllowed": _AMOUNTS,
        "maxAllowed": _AMOUNTS,
    },
    "containerName",
)

VPA_V1 = _object(
    {
        "apiVersion": {"const": "autoscaling.k8s.io/v1"},
        "kind": {"const": "VerticalPodAutoscaler"},
        "metadata": _object({"name": _NAME, "namespace": _NAME}, "name"),
        "spec": _object(
            {
                "targetRef": _object(
                    {
                        "apiVersion": {"enum": ["apps/v1", "batch/v1", "argoproj.io/v1alpha1"]},
                        "kind": {"enum": ["Deployment", "StatefulSet", "DaemonSet", "CronJob", "Job", "Rollout"]},
                        "name": _NAME,
                    },
                    "kind",
                    "name",
                ),
                # Auto is deprecated, so MOrA never writes it.
                "updatePolicy": _object(
                    {"updateMode": {"enum": ["Off", "Initial", "Recreate", "InPlaceOrRecreate", "InPlace"]}}
                ),
                "resourcePolicy": _object({"containerPolicies": {"type": "array", "items": _POLICY}}),
            },
            "targetRef",
        ),
    },
    "apiVersion",
    "kind",
    "metadata",
    "spec",
)
