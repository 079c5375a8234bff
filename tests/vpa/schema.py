"""A VPA's status as a JSON schema, written from the CRD's own (vertical-pod-autoscaler/deploy/vpa-v1-crd-gen.yaml).

The CRD prunes what it does not know in silence; here an unknown field is an error.
"""

from __future__ import annotations

from typing import Any

_QUANTITY = {
    "anyOf": [{"type": "integer"}, {"type": "string"}],
    "pattern": r"^(\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))(([KMGTPE]i)|[numkMGTPE]|([eE](\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))))?$",  # noqa: E501  # as it stands there
}
_AMOUNTS = {
    "type": "object",
    "properties": {"cpu": _QUANTITY, "memory": _QUANTITY},
    "additionalProperties": False,
    "minProperties": 1,
}
_BOUNDS = ("lowerBound", "target", "uncappedTarget", "upperBound")
_CONDITION = {
    "type": "object",
    "properties": {
        "lastTransitionTime": {"type": "string", "format": "date-time"},
        "message": {"type": "string"},
        "reason": {"type": "string"},
        "status": {"enum": ["True", "False", "Unknown"]},
        "type": {"type": "string"},
    },
    "required": ["status", "type"],
    "additionalProperties": False,
}
_CONTAINER = {
    "type": "object",
    "properties": {"containerName": {"type": "string"}, **dict.fromkeys(_BOUNDS, _AMOUNTS)},
    "required": ["target", "containerName"],
    "additionalProperties": False,
}

VPA_STATUS: dict[str, Any] = {
    "type": "object",
    "properties": {
        "conditions": {"type": "array", "items": _CONDITION},
        "recommendation": {
            "type": "object",
            "properties": {"containerRecommendations": {"type": "array", "items": _CONTAINER}},
            "additionalProperties": False,
        },
    },
    "additionalProperties": False,
}
